//! A rate limit is one of the whole cluster: whole nodes in this process, on loopback.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use hushlog_chaos_tests::nodes::Nodes;
use hushlog_node::clock::System;
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

async fn send(
    nodes: &Nodes,
    id: usize,
    service: &str,
    count: usize,
) -> Result<(StatusCode, Value)> {
    let record = format!("{{\"service\":\"{service}\",\"message\":\"m\"}}\n");
    let headers = [("content-type", "application/x-ndjson")];
    let logs = (Method::POST, "/api/v1/logs");
    nodes.call(id, logs, &headers, record.repeat(count)).await
}

/// Sends to a node until it answers like this.
async fn until(nodes: &Nodes, id: usize, service: &str, wanted: StatusCode) -> Result<Value> {
    let over = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, answer) = send(nodes, id, service, 1).await?;
        if status == wanted {
            return Ok(answer);
        }
        ensure!(Instant::now() < over, "node {id}: {status} {answer}");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_takes_in_counts_on_all_and_the_limit_outlives_them() -> Result<()> {
    let change = |config: &mut hushlog_node::Config| config.cluster.replication = 3;
    let mut nodes = Nodes::start(3, Arc::new(System), change).await?;
    let limit = (Method::PUT, "/api/v1/limits/pay");
    let body = r#"{"records_per_second":1}"#;
    let (status, answer) = nodes.call(1, limit, &[], body).await?;
    ensure!(status == StatusCode::OK, "{status} {answer}");
    for id in 1..=3 {
        let (_, shown) = nodes
            .call(id, (Method::GET, "/api/v1/limits/pay"), &[], "")
            .await?;
        ensure!(shown["records_per_second"] == 1, "node {id}: {shown}");
    }
    // More than an hour's worth at one node: all of them refuse the service soon, and no other.
    let (status, answer) = send(&nodes, 1, "pay", 5_000).await?;
    ensure!(status == StatusCode::OK, "{status} {answer}");
    for id in [1, 2, 3] {
        let refused = until(&nodes, id, "pay", StatusCode::TOO_MANY_REQUESTS).await?;
        ensure!(refused["error"]["code"] == "rate_limited", "{refused}");
        let (status, answer) = send(&nodes, id, "other", 1).await?;
        ensure!(status == StatusCode::OK, "{status} {answer}");
    }
    // The limit is a fact of the cluster; what was used of it is not.
    nodes.stop_all().await;
    nodes.start_all().await?;
    let (_, shown) = nodes
        .call(2, (Method::GET, "/api/v1/limits/pay"), &[], "")
        .await?;
    ensure!(shown["source"] == "rule", "{shown}");
    until(&nodes, 3, "pay", StatusCode::OK).await?;
    let gone = (Method::DELETE, "/api/v1/limits/pay");
    let (status, answer) = nodes.call(2, gone, &[], "").await?;
    ensure!(
        status == StatusCode::OK && answer["source"] == "none",
        "{answer}"
    );
    for _ in 0..3 {
        let (status, answer) = send(&nodes, 2, "pay", 50).await?;
        ensure!(status == StatusCode::OK, "{status} {answer}");
    }
    nodes.stop_all().await;
    Ok(())
}
