//! `hushlog send`: files or standard input to a server.
//!
//! Every request carries a key of its own, so a request whose answer was lost is sent again without
//! storing anything twice.

mod events;
mod request;

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use hushlog_node::entropy::Entropy;
use indicatif::{ProgressBar, ProgressStyle};
use rand::Rng;
use serde_json::json;
use tokio::sync::mpsc;

use crate::args::SendArgs;
use crate::client::Client;
use crate::exit::{Code, Exit};
use crate::output::line;
use events::{Events, Kind, Refused};
use request::{Sender, Totals};

/// Bytes of one request, beside its limit of records.
const REQUEST_BYTES_TARGET: usize = 1 << 20;
/// Requests at once.
const REQUESTS_MAX: usize = 4;
/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Some records, encoded.
struct Chunk {
    kind: Kind,
    records: usize,
    body: Bytes,
    /// Bytes of input that it stands for.
    input: u64,
}

/// Sends everything and says what became of it.
pub(crate) async fn run(args: SendArgs, json_output: bool) -> Result<()> {
    let progress = progress(&args.files)?;
    let run = run_id()?;
    let sender = Sender {
        client: Client::new(&args.server.server, DEADLINE),
        service: args.service.clone(),
        environment: args.environment.clone(),
        run,
        patience: Duration::from_secs(args.retry_for),
    };
    let (chunks, incoming) = mpsc::channel(REQUESTS_MAX);
    let reading = tokio::task::spawn_blocking(move || read_all(&args, &chunks));
    let outcome = sender.send_all(incoming, REQUESTS_MAX, &progress).await;
    progress.finish_and_clear();
    let mut totals = outcome?;
    let refused = reading.await.context("the reader stopped")??;
    totals.refuse(refused);
    report(&totals, json_output)
}

/// A key that no other run has.
fn run_id() -> Result<String> {
    let mut random = Entropy::system()?.stream("send");
    Ok(format!(
        "send-{:016x}{:016x}",
        random.next_u64(),
        random.next_u64()
    ))
}

fn report(totals: &Totals, json_output: bool) -> Result<()> {
    if json_output {
        let value = json!({
            "accepted": totals.accepted, "rejected": totals.rejected, "pii_detected": totals.pii,
        });
        line(value)?;
    } else {
        line(format_args!("{} records accepted", totals.accepted))?;
        for (detector, count) in &totals.pii {
            line(format_args!("  {detector} masked in {count}"))?;
        }
    }
    if totals.rejected == 0 {
        return Ok(());
    }
    let reason = totals.reason.as_deref().unwrap_or("no reason given");
    let message = match totals.rejected {
        1 => format!("1 record was rejected: {reason}"),
        many => format!("{many} records were rejected; the first one: {reason}"),
    };
    Err(Exit::error(Code::Partial, message))
}

fn read_all(args: &SendArgs, chunks: &mpsc::Sender<Chunk>) -> Result<Refused> {
    let standard_input = [PathBuf::from("-")];
    let files = if args.files.is_empty() {
        &standard_input
    } else {
        &args.files[..]
    };
    let mut all = Refused::default();
    for file in files {
        let (input, name): (Box<dyn Read>, _) = if file == Path::new("-") {
            (Box::new(std::io::stdin()), "standard input".into())
        } else {
            let name = file.display().to_string();
            let file = std::fs::File::open(file).with_context(|| format!("cannot read {name}"))?;
            (Box::new(file), name)
        };
        let refused = read(input, args, chunks).with_context(|| format!("reading {name}"))?;
        all.lines += refused.lines;
        let first = refused.first.map(|first| format!("{name}, {first}"));
        all.first = all.first.or(first);
    }
    Ok(all)
}

fn read(input: Box<dyn Read>, args: &SendArgs, chunks: &mpsc::Sender<Chunk>) -> Result<Refused> {
    let mut input = BufReader::with_capacity(1 << 20, input);
    let kind = events::kind(args.format, input.fill_buf()?);
    let mut events = Events::new(input, kind);
    let records_max = args.batch as usize;
    let mut chunk = Filling::new(kind);
    while let Some(event) = events.next()? {
        chunk.push(&event)?;
        if chunk.records >= records_max || chunk.body.len() >= REQUEST_BYTES_TARGET {
            let full = std::mem::replace(&mut chunk, Filling::new(kind));
            if chunks
                .blocking_send(full.finish(events.take_bytes()))
                .is_err()
            {
                // The sender has failed and says why.
                return Ok(events.refused());
            }
        }
    }
    if chunk.records > 0 {
        // A sender that has failed says why.
        let _failed = chunks.blocking_send(chunk.finish(events.take_bytes()));
    }
    Ok(events.refused())
}

/// A chunk that fills.
struct Filling {
    kind: Kind,
    records: usize,
    body: Vec<u8>,
}

impl Filling {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            records: 0,
            body: Vec::new(),
        }
    }

    fn push(&mut self, event: &[u8]) -> Result<()> {
        match self.kind {
            Kind::Ndjson => self.body.extend_from_slice(event),
            Kind::Text => {
                serde_json::to_writer(&mut self.body, &String::from_utf8_lossy(event))?;
            }
        }
        self.body.push(b'\n');
        self.records += 1;
        Ok(())
    }

    fn finish(self, input: u64) -> Chunk {
        Chunk {
            kind: self.kind,
            records: self.records,
            body: self.body.into(),
            input,
        }
    }
}

/// A bar over the bytes of the files, where people look and the size is known.
fn progress(files: &[PathBuf]) -> Result<ProgressBar> {
    if !std::io::stderr().is_terminal() || files.is_empty() {
        return Ok(ProgressBar::hidden());
    }
    let mut bytes = 0;
    for file in files.iter().filter(|file| *file != Path::new("-")) {
        let size =
            std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
        bytes += size.len();
    }
    let bar = ProgressBar::new(bytes);
    let style = "{bar:30} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {msg}";
    bar.set_style(ProgressStyle::with_template(style)?);
    Ok(bar)
}
