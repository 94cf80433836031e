//! `hushlog bench ingest`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::json;
use tokio::time::Instant;

use super::IngestArgs;
use super::figures::{Latencies, Metrics};
use super::generator::Generator;
use crate::client::Client;

const CALL_DEADLINE: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long the servers are given to build what is still to be built, before the figures are read.
const SETTLE: Duration = Duration::from_secs(60);
const SETTLE_POLL: Duration = Duration::from_millis(500);

pub(super) async fn run(args: IngestArgs, json_output: bool) -> Result<()> {
    let generator = Arc::new(args.run.generator()?);
    let clients: Vec<Client> = args
        .run
        .server
        .iter()
        .map(|base| Client::new(base, CALL_DEADLINE))
        .collect();
    let before = Metrics::read(&clients).await?;
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut senders = Vec::new();
    for number in 0..args.clients {
        let home = usize::try_from(number)? % clients.len();
        let client = clients.get(home).context("no server")?.clone();
        let sender = Sender {
            client,
            generator: generator.clone(),
            next: next.clone(),
            batch: args.batch,
        };
        senders.push(tokio::task::spawn(sender.run()));
    }
    let mut latencies = Latencies::default();
    let mut bytes = 0;
    for sender in senders {
        let (theirs, sent) = sender.await??;
        latencies.merge(theirs);
        bytes += sent;
    }
    let seconds = started.elapsed().as_secs_f64();
    let after_send = Metrics::read(&clients).await?;
    let after = settle(&clients).await?;
    let records = args.run.records as f64;
    let millions = records / 1e6;
    let cpu =
        |metrics: &Metrics| metrics.since(&before, "hushlog_node_cpu_seconds_total") / millions;
    let disk =
        |kind: &str| after.get(&format!("hushlog_node_disk_bytes{{kind=\"{kind}\"}}")) / records;
    let stages: serde_json::Map<String, serde_json::Value> = after
        .family_since(&before, "hushlog_node_stage_cpu_seconds_total")
        .into_iter()
        .map(|(stage, seconds)| (stage, json!(round(seconds / millions))))
        .collect();
    let figures = json!({
        "servers": clients.len(),
        "records": args.run.records,
        "mean_bytes": round(bytes as f64 / records),
        "end": hushlog_timestamp(generator.end_nanos),
        "seconds": round(seconds),
        "records_per_second": (records / seconds).round(),
        "mb_per_second": round(bytes as f64 / seconds / 1e6),
        "ack_ms_p50": round(latencies.percentile_ms(50)),
        "ack_ms_p99": round(latencies.percentile_ms(99)),
        "cpu_s_per_million_at_last_ack": round(cpu(&after_send)),
        "cpu_s_per_million_when_settled": round(cpu(&after)),
        "cpu_s_per_million_by_stage": stages,
        "disk_bytes_per_record": {"log": round(disk("log")), "rows": round(disk("rows")), "index": round(disk("index")), "other": round(disk("other"))},
        "peak_memory_mb": round(after.get("hushlog_node_resident_peak_bytes") / 1e6),
    });
    crate::output::print(&figures, json_output)
}

/// Waits until no server has a cut to build any more.
async fn settle(clients: &[Client]) -> Result<Metrics> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let metrics = Metrics::read(clients).await?;
        if metrics.get("hushlog_node_pending_cuts_count") == 0.0 || Instant::now() > deadline {
            return Ok(metrics);
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn hushlog_timestamp(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .map_or_else(|_| String::new(), |t| t.to_string())
}

struct Sender {
    client: Client,
    generator: Arc<Generator>,
    next: Arc<AtomicU64>,
    batch: u64,
}

impl Sender {
    async fn run(self) -> Result<(Latencies, usize)> {
        let mut latencies = Latencies::default();
        let mut bytes = 0;
        loop {
            let from = self.next.fetch_add(self.batch, Ordering::Relaxed);
            if from >= self.generator.records {
                return Ok((latencies, bytes));
            }
            let to = (from + self.batch).min(self.generator.records);
            let mut body = String::new();
            for index in from..to {
                self.generator.write(index, &mut body);
            }
            bytes += body.len();
            latencies.add(self.send(body.into()).await?);
        }
    }

    /// Sends until it is taken; the latency is that of the attempt that was.
    async fn send(&self, body: Bytes) -> Result<Duration> {
        let headers = [("content-type", "application/x-ndjson")];
        loop {
            let started = Instant::now();
            let reply = self
                .client
                .call(Method::POST, "/api/v1/logs", &headers, body.clone())
                .await?;
            match reply.status.as_u16() {
                200 => return Ok(started.elapsed()),
                429 | 503 => tokio::time::sleep(RETRY_PAUSE).await,
                status => bail!("status {status}: {}", String::from_utf8_lossy(&reply.body)),
            }
        }
    }
}
