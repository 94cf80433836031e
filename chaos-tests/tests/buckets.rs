//! Buckets that end by their size, under a load of which no request may be refused: whole nodes in this process, on
//! loopback.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hushlog_chaos_tests::local::{Local, PATIENCE};
use hushlog_node::Config;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Shortest time between two ends by size.
const OPEN_MIN: Duration = Duration::from_secs(2);
/// Records of a request.
const RECORDS: u64 = 20;

/// Text that hardly compresses, and that nothing masks.
fn noise(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(number | 1);
        char::from(b"abcdefghijklmnopqrstuvwxyz"[usize::try_from(state >> 60).unwrap_or(0)])
    };
    let mut word = || (0..9).map(|_| letter()).collect::<String>();
    (0..40).map(|_| word()).collect::<Vec<_>>().join(" ")
}

/// Stores records of a service through a node, at the first try.
async fn store(cluster: &Local, node: u64, service: &str, request: u64) -> Result<()> {
    let record = |row| {
        let number = request * RECORDS + row;
        json!({"service": service, "message": format!("number{number} {}", noise(number))})
    };
    let records: Vec<Value> = (0..RECORDS).map(record).collect();
    let stored = cluster.call(node, Method::POST, "/api/v1/logs", records.into());
    let (status, body) = stored.await?;
    ensure!(
        status == StatusCode::OK,
        "request {request}: {status} {body}"
    );
    Ok(())
}

/// How many records of a service a node finds.
async fn found(cluster: &Local, node: u64, service: &str) -> Result<u64> {
    let question = json!({"query": format!("service:{service}"), "limit": 0});
    let asked = cluster.call(node, Method::POST, "/api/v1/logs/query", question);
    let (status, body) = asked.await?;
    ensure!(
        status == StatusCode::OK && body["partial"] == false,
        "{status} {body}"
    );
    body["total"].as_u64().context("no total")
}

fn small(config: &mut Config) {
    config.cluster.bucket_bytes = 64 << 10;
    config.cluster.bucket_min = OPEN_MIN;
    config.cut.bytes = 16 << 10;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_ends_by_its_size_and_no_request_is_refused() -> Result<()> {
    let mut cluster = Local::start(3, small).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut requests = 0;
    while cluster.facts(1).buckets.len() < 4 {
        ensure!(Instant::now() < deadline, "the buckets do not end");
        store(&cluster, requests % 3 + 1, "shop", requests).await?;
        requests += 1;
    }
    let opened: Vec<i64> = cluster
        .facts(1)
        .buckets
        .values()
        .map(|bucket| bucket.opened_at.nanos())
        .collect();
    for pair in opened.windows(2) {
        let open = u64::try_from(pair[1] - pair[0])?;
        assert!(Duration::from_nanos(open) >= OPEN_MIN, "{open}");
    }
    for node in 1..=3 {
        assert_eq!(found(&cluster, node, "shop").await?, requests * RECORDS);
    }
    cluster.stop_all().await;
    Ok(())
}
