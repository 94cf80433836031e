//! A load of generated records, and what it cost: `hushlog bench ingest`, and each step of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};

use super::figures::{Latencies, Metrics, round};
use super::generator::Generator;
use super::protocol::Protocol;
use super::target::Target;
use super::{IngestArgs, LoadArgs, RunArgs};
use crate::client::Client;
use crate::exit::{Code, Exit};

/// How long the servers are given to build what is still to be built, before the figures are read.
const SETTLE: Duration = Duration::from_secs(60);
const SETTLE_POLL: Duration = Duration::from_millis(500);
/// How long a server may take to say what it has used.
const METRICS_DEADLINE: Duration = Duration::from_secs(60);

pub(super) async fn run(args: IngestArgs, json_output: bool) -> Result<()> {
    let load = Load::new(&args.run, &args.load)?;
    let rate = args.rate.map(|rate| rate as f64);
    let figures = load.measure(args.protocol, rate).await?;
    crate::output::print(&figures.all(), json_output)
}

/// The servers, and what is sent to them.
pub(super) struct Load {
    http: Vec<String>,
    grpc: Vec<String>,
    generator: Arc<Generator>,
    clients: u64,
    batch: u64,
}

/// What one load came to.
pub(super) struct Figures {
    servers: usize,
    end_nanos: i64,
    records: u64,
    bytes: usize,
    seconds: f64,
    latencies: Latencies,
    before: Metrics,
    /// When the last record was acknowledged.
    acked: Metrics,
    /// When nothing was left to be built.
    settled: Metrics,
}

impl Load {
    pub(super) fn new(run: &RunArgs, load: &LoadArgs) -> Result<Self> {
        Ok(Self {
            http: run.server.clone(),
            grpc: load.grpc.clone(),
            generator: Arc::new(run.generator()?),
            clients: load.clients,
            batch: load.batch,
        })
    }

    /// Sends all records once, as fast as they are taken or so many a second.
    pub(super) async fn measure(&self, protocol: Protocol, rate: Option<f64>) -> Result<Figures> {
        if protocol.is_grpc() && self.grpc.len() != self.http.len() {
            let why = "--grpc must have an address for each of --server";
            return Err(Exit::error(Code::Arguments, why));
        }
        let clients: Vec<_> = self
            .http
            .iter()
            .map(|base| Client::new(base, METRICS_DEADLINE))
            .collect();
        let before = Metrics::read(&clients).await?;
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let mut senders = Vec::new();
        for number in 0..self.clients {
            let home = usize::try_from(number)? % self.http.len();
            let http = self.http.get(home).context("no server")?;
            let grpc = self.grpc.get(home).or_else(|| self.grpc.first());
            let sender = Sender {
                target: Target::new(http, grpc.context("no address for gRPC")?)?,
                generator: Arc::clone(&self.generator),
                protocol,
                batch: self.batch,
                next: Arc::clone(&next),
                pace: rate.map(|rate| Pace { started, rate }),
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
        Ok(Figures {
            servers: clients.len(),
            end_nanos: self.generator.end_nanos,
            records: self.generator.records,
            bytes,
            seconds,
            latencies,
            before,
            acked: Metrics::read(&clients).await?,
            settled: settle(&clients).await?,
        })
    }
}

impl Figures {
    /// Records a second.
    pub(super) fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    /// CPU-seconds of all servers for a million records, when nothing was left to be built.
    pub(super) fn cpu_settled(&self) -> f64 {
        self.cpu(&self.settled)
    }

    /// The same when the last record was acknowledged.
    pub(super) fn cpu_acked(&self) -> f64 {
        self.cpu(&self.acked)
    }

    fn cpu(&self, until: &Metrics) -> f64 {
        until.since(&self.before, "hushlog_node_cpu_seconds_total") / self.millions()
    }

    fn millions(&self) -> f64 {
        self.records as f64 / 1e6
    }

    /// Bytes of the bodies, for a record.
    pub(super) fn mean_bytes(&self) -> f64 {
        self.bytes as f64 / self.records as f64
    }

    /// The time from a request's first attempt, or from when it was due, to its acknowledgement that `percent` of all
    /// do not exceed, in milliseconds. Over gRPC the encoding of the request is in it.
    pub(super) fn ack_ms(&self, percent: usize) -> f64 {
        self.latencies.percentile_ms(percent)
    }

    /// CPU-seconds for a million records by stage.
    pub(super) fn stages(&self) -> Map<String, Value> {
        let of_family = self
            .settled
            .family_since(&self.before, "hushlog_node_stage_cpu_seconds_total");
        let millions = self.millions();
        of_family
            .into_iter()
            .map(|(stage, seconds)| (stage, json!(round(seconds / millions))))
            .collect()
    }

    /// Everything.
    pub(super) fn all(&self) -> Value {
        let disk = |kind: &str| {
            let bytes = format!("hushlog_node_disk_bytes{{kind=\"{kind}\"}}");
            round(self.settled.get(&bytes) / self.records as f64)
        };
        json!({
            "servers": self.servers,
            "records": self.records,
            "mean_bytes": round(self.mean_bytes()),
            "end": timestamp(self.end_nanos),
            "seconds": round(self.seconds),
            "records_per_second": self.rate().round(),
            "mb_per_second": round(self.bytes as f64 / self.seconds / 1e6),
            "ack_ms_p50": round(self.ack_ms(50)),
            "ack_ms_p99": round(self.ack_ms(99)),
            "cpu_s_per_million_at_last_ack": round(self.cpu_acked()),
            "cpu_s_per_million_when_settled": round(self.cpu_settled()),
            "cpu_s_per_million_by_stage": self.stages(),
            "disk_bytes_per_record": {
                "log": disk("log"), "rows": disk("rows"), "index": disk("index"), "other": disk("other"),
            },
            "peak_memory_mb": round(self.settled.get("hushlog_node_resident_peak_bytes") / 1e6),
        })
    }
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

fn timestamp(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .map_or_else(|_| String::new(), |t| t.to_string())
}

/// When each record is due.
#[derive(Clone, Copy)]
struct Pace {
    started: Instant,
    /// Records a second, all clients together; at least one.
    rate: f64,
}

impl Pace {
    fn due(self, record: u64) -> Instant {
        self.started + Duration::from_secs_f64(record as f64 / self.rate.max(1.0))
    }
}

struct Sender {
    target: Target,
    generator: Arc<Generator>,
    protocol: Protocol,
    batch: u64,
    next: Arc<AtomicU64>,
    pace: Option<Pace>,
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
            let records: Vec<_> = (from..to).map(|at| self.generator.record(at)).collect();
            let payload = self.protocol.payload(&records);
            bytes += payload.len();
            let mut began = Instant::now();
            if let Some(pace) = self.pace {
                // What is due and waits for a client that is busy waits too.
                began = pace.due(from);
                sleep_until(began).await;
            }
            self.target.send(payload).await?;
            latencies.add(began.elapsed());
        }
    }
}
