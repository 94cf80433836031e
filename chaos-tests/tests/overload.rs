//! Far more than a node can take, for a while: what it acknowledges is there, its memory stays within its
//! limit, and another service's acknowledgements go on.
//!
//! `HUSHLOG_OVERLOAD_SECONDS` makes it longer. What it measures is printed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hushlog_chaos_tests::client::Client;
use hushlog_chaos_tests::cluster::binary;
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How long the flood lasts, unless it is said otherwise.
const SECONDS: u64 = 8;
/// Clients that flood at once, without pause, whatever they are told.
const SENDERS: usize = 96;
const RECORDS_EACH: usize = 500;
/// The node's memory for requests.
const INGEST_MEMORY: u64 = 32 << 20;
/// Far beyond all limits of the node together: it is to stay far below.
const RSS_MAX: u64 = 2 << 30;
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// A node that ends with the test.
struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Server {
    async fn start(data: &Path) -> Result<Self> {
        let held = [
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        ];
        let mut address = Vec::new();
        for held in &held {
            address.push(held.local_addr()?.to_string());
        }
        drop(held);
        let log = std::fs::File::create(data.join("log"))?;
        let process = Command::new(binary()?)
            .args(["serve", "--http", &address[0], "--grpc", &address[1]])
            .arg("--data")
            .arg(data.join("node"))
            .args(["--limits-ingest-memory", &format!("{INGEST_MEMORY}B")])
            .args(["--limits-body", "8MiB", "--cut-backlog", "64MiB"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let server = Self {
            process,
            url: format!("http://{}", address[0]),
        };
        let client = Client::new(Duration::from_secs(2));
        let ready = format!("{}/readyz", server.url);
        let over = Instant::now() + Duration::from_secs(60);
        while !client
            .get(&ready)
            .await
            .is_ok_and(|reply| reply.status.is_success())
        {
            ensure!(Instant::now() < over, "it is not ready in time");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// Bytes of memory that its process has.
    fn rss(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.context("no VmRSS")?.trim().parse::<u64>()? << 10)
    }

    /// A number of `/metrics`.
    async fn metric(&self, client: &Client, name: &str) -> Result<u64> {
        let reply = client.get(&format!("{}/metrics", self.url)).await?;
        let text = std::str::from_utf8(&reply.body)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.context("no such metric")?.trim().parse()?)
    }
}

fn records(service: &str, count: usize) -> Bytes {
    let text = "m".repeat(250);
    let record = |number: usize| {
        format!("{{\"service\":\"{service}\",\"message\":\"{text}\",\"number\":{number}}}\n")
    };
    (0..count).map(record).collect::<String>().into()
}

/// What became of a service's records.
#[derive(Default)]
struct Fate {
    offered: AtomicU64,
    acknowledged: AtomicU64,
    /// Of unknown outcome.
    unknown: AtomicU64,
    refused: AtomicU64,
}

impl Fate {
    fn count(&self, records: u64, status: Option<StatusCode>) {
        self.offered.fetch_add(records, Ordering::Relaxed);
        let counted = match status {
            Some(StatusCode::OK) => &self.acknowledged,
            Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => &self.refused,
            _ => &self.unknown,
        };
        counted.fetch_add(records, Ordering::Relaxed);
    }

    fn get(&self) -> [u64; 4] {
        [
            &self.offered,
            &self.acknowledged,
            &self.unknown,
            &self.refused,
        ]
        .map(|count| count.load(Ordering::Relaxed))
    }
}

async fn post(client: &Client, url: &str, body: Bytes) -> Option<StatusCode> {
    let url = format!("{url}/api/v1/logs");
    let reply = client.call(Method::POST, &url, &[NDJSON], body).await;
    reply.ok().map(|reply| reply.status)
}

/// Sends the same request again and again, until it is told to stop.
async fn flood(url: String, body: Bytes, fate: Arc<Fate>, stop: Arc<AtomicBool>) {
    let client = Client::new(Duration::from_secs(30));
    while !stop.load(Ordering::Relaxed) {
        let status = post(&client, &url, body.clone()).await;
        fate.count(RECORDS_EACH as u64, status);
    }
}

/// Sends a record every few milliseconds, until it is told to stop; gives how long each acknowledgement took.
async fn trickle(url: String, fate: Arc<Fate>, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let client = Client::new(Duration::from_secs(30));
    let (body, mut waits) = (records("small", 1), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let status = post(&client, &url, body.clone()).await;
        fate.count(1, status);
        if status == Some(StatusCode::OK) {
            waits.push(began.elapsed());
        }
        sleep(Duration::from_millis(20)).await;
    }
    waits.sort_unstable();
    waits
}

fn present(ledger: &Value, service: &str) -> u64 {
    let all = ledger["services"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let it = all.iter().find(|balance| balance["service"] == service);
    it.and_then(|balance| balance["present"].as_u64())
        .unwrap_or(0)
}

fn shown(waits: &[Duration]) -> String {
    let at = |part: usize| waits.get(waits.len() * part / 100).or_else(|| waits.last());
    let (Some(half), Some(most), Some(last)) = (at(50), at(99), waits.last()) else {
        return "none".into();
    };
    format!("{half:?} in the middle, {most:?} at the 99th of a hundred, {last:?} at most")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::print_stdout,
    reason = "a measurement, shown with --no-capture"
)]
async fn what_is_acknowledged_in_an_overload_is_there_and_others_go_on() -> Result<()> {
    let seconds = match std::env::var("HUSHLOG_OVERLOAD_SECONDS") {
        Ok(text) => text.parse()?,
        Err(_) => SECONDS,
    };
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path()).await?;
    let client = Client::new(Duration::from_secs(30));
    let (small, large) = (Arc::new(Fate::default()), Arc::new(Fate::default()));
    let quiet = Arc::new(AtomicBool::new(false));
    let alone = tokio::spawn(trickle(
        server.url.clone(),
        Arc::clone(&small),
        Arc::clone(&quiet),
    ));
    sleep(Duration::from_secs(2)).await;
    quiet.store(true, Ordering::Relaxed);
    let alone = alone.await?;
    let before = server.rss()?;

    let stop = Arc::new(AtomicBool::new(false));
    let body = records("large", RECORDS_EACH);
    let floods: Vec<_> = (0..SENDERS)
        .map(|_| {
            let url = server.url.clone();
            tokio::spawn(flood(
                url,
                body.clone(),
                Arc::clone(&large),
                Arc::clone(&stop),
            ))
        })
        .collect();
    let beside = tokio::spawn(trickle(
        server.url.clone(),
        Arc::clone(&small),
        Arc::clone(&stop),
    ));
    let over = Instant::now() + Duration::from_secs(seconds);
    let (mut rss, mut held) = (before, 0);
    while Instant::now() < over {
        rss = rss.max(server.rss()?);
        let memory = server
            .metric(&client, "hushlog_node_ingest_memory_bytes ")
            .await?;
        held = held.max(memory);
        sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.await?;
    }
    let beside = beside.await?;

    let [offered, acknowledged, unknown, refused] = large.get();
    println!(
        "{SENDERS} senders for {seconds} s: {offered} records offered, {acknowledged} acknowledged, {refused} \
         refused, {unknown} unknown; memory of requests {} of {} MiB, of the process {} MiB, {} before",
        held >> 20,
        INGEST_MEMORY >> 20,
        rss >> 20,
        before >> 20
    );
    println!("a small service alone waits {}", shown(&alone));
    println!(
        "beside the flood it waits {}; of its records: {:?}",
        shown(&beside),
        small.get()
    );
    ensure!(refused > 0 && acknowledged > 0, "it was no overload");
    ensure!(held <= INGEST_MEMORY, "{held} bytes of requests");
    ensure!(rss < RSS_MAX, "{rss} bytes");
    ensure!(!beside.is_empty(), "nothing else was acknowledged");

    let reply = client.get(&format!("{}/api/v1/ledger", server.url)).await?;
    let ledger = reply.json()?;
    ensure!(ledger["adds_up"] == true, "{ledger}");
    for (service, fate) in [("large", &large), ("small", &small)] {
        let [_, acknowledged, unknown, _] = fate.get();
        let present = present(&ledger, service);
        let may_be = acknowledged..=acknowledged + unknown;
        ensure!(
            may_be.contains(&present),
            "{service}: {present} of {may_be:?} are there"
        );
    }
    Ok(())
}
