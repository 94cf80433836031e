//! The books of what came in add up and are what is stored: whole nodes in this process, on loopback.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hushlog_chaos_tests::nodes::Nodes;
use hushlog_node::clock::{Clock, Scripted, System};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
const HOUR_NANOS: i64 = 3_600_000_000_000;

/// So many records of a service.
fn records(service: &str, count: usize) -> String {
    let record = |number: usize| {
        format!(
            "{{\"service\":\"{service}\",\"message\":\"number {number} of bob@example.com\"}}\n"
        )
    };
    (0..count).map(record).collect()
}

async fn send(nodes: &Nodes, id: usize, headers: &[(&str, &str)], body: String) -> Result<()> {
    let logs = (Method::POST, "/api/v1/logs");
    let (status, answer) = nodes.call(id, logs, headers, body).await?;
    ensure!(status == StatusCode::OK, "{status} {answer}");
    Ok(())
}

async fn ledger(nodes: &Nodes, id: usize) -> Result<(StatusCode, Value)> {
    let path = (Method::GET, "/api/v1/ledger");
    nodes.call(id, path, &[], "").await
}

/// Asks until the ledger is as it should be.
async fn until(
    nodes: &Nodes,
    id: usize,
    what: &str,
    is_it: impl Fn(StatusCode, &Value) -> bool,
) -> Result<Value> {
    let over = Instant::now() + Duration::from_secs(120);
    loop {
        let (status, view) = ledger(nodes, id).await?;
        if is_it(status, &view) {
            return Ok(view);
        }
        ensure!(Instant::now() < over, "{what}: {status} {view}");
        sleep(Duration::from_millis(200)).await;
    }
}

fn number(view: &Value, part: &str, name: &str) -> u64 {
    view[part][name].as_u64().unwrap_or(u64::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_in_on_all_nodes_is_what_is_stored_also_after_a_restart() -> Result<()> {
    let change = |config: &mut hushlog_node::Config| {
        config.cluster.replication = 3;
        config.cluster.slots = 2;
    };
    let mut nodes = Nodes::start(3, Arc::new(System), change).await?;
    send(&nodes, 1, &[NDJSON], records("a", 30)).await?;
    send(&nodes, 2, &[NDJSON], records("a", 12) + &records("b", 7)).await?;
    // The same request again, at another node: stored once.
    for id in 1..=3 {
        let headers = [NDJSON, ("idempotency-key", "k")];
        send(&nodes, id, &headers, records("c", 5)).await?;
    }
    let bulk = "{\"index\":{}}\n{\"service\":\"b\",\"message\":\"m\"}\n{\"delete\":{\"_id\":1}}\n";
    let (status, answer) = nodes
        .call(3, (Method::POST, "/es/_bulk"), &[NDJSON], bulk)
        .await?;
    ensure!(status == StatusCode::OK, "{status} {answer}");
    let (status, _) = nodes
        .call(3, (Method::POST, "/api/v1/logs"), &[NDJSON], "")
        .await?;
    ensure!(status == StatusCode::BAD_REQUEST);

    let mut before = Value::Null;
    for id in 1..=3 {
        let (status, view) = ledger(&nodes, id).await?;
        ensure!(
            status == StatusCode::OK && view["adds_up"] == true,
            "{id}: {status} {view}"
        );
        ensure!(number(&view, "totals", "received") == 66, "{view}");
        ensure!(number(&view, "totals", "repeated") == 10, "{view}");
        ensure!(number(&view, "totals", "stored") == 55, "{view}");
        ensure!(number(&view, "totals", "masked") == 64, "{view}");
        ensure!(number(&view, "balance", "present") == 55, "{view}");
        ensure!(
            view["totals"]["refused"] == json!({"empty_body": 1}),
            "{view}"
        );
        let of_a = view["services"].as_array().and_then(|all| all.first());
        let of_a = of_a.context("no services")?;
        ensure!(of_a["service"] == "a" && of_a["present"] == 42, "{view}");
        ensure!(!view.to_string().contains("bob@"), "{view}");
        before = view;
    }

    nodes.stop_all().await;
    nodes.start_all().await?;
    let (status, after) = ledger(&nodes, 2).await?;
    ensure!(
        status == StatusCode::OK && after["adds_up"] == true,
        "{status} {after}"
    );
    ensure!(
        after["rows"] == before["rows"] && after["nodes"] == before["nodes"],
        "{after}"
    );
    send(&nodes, 1, &[NDJSON], records("a", 3)).await?;
    let (_, after) = ledger(&nodes, 3).await?;
    ensure!(
        after["adds_up"] == true && number(&after, "balance", "present") == 58,
        "{after}"
    );

    nodes.stop(3).await?;
    let missing = |status: StatusCode, view: &Value| {
        status == StatusCode::PARTIAL_CONTENT
            && view["missing"][0]["id"] == 3
            && view["adds_up"] == Value::Null
            && number(view, "balance", "present") == 58
    };
    until(&nodes, 1, "a node that is down is named", missing).await?;
    nodes.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dropped_bucket_held_is_counted_as_expired() -> Result<()> {
    let clock = Arc::new(Scripted::new(System.now()));
    let change = |config: &mut hushlog_node::Config| {
        config.cluster.bucket = Duration::from_secs(3_600);
    };
    let mut nodes = Nodes::start(1, Arc::clone(&clock) as _, change).await?;
    send(&nodes, 1, &[NDJSON], records("a", 30)).await?;
    send(&nodes, 1, &[NDJSON], records("b", 4)).await?;
    let rule = (Method::PUT, "/api/v1/retention/default");
    let (status, answer) = nodes.call(1, rule, &[], r#"{"hours":1}"#).await?;
    ensure!(status == StatusCode::OK, "{status} {answer}");
    // One bucket after the other ends; what comes in meanwhile is in later ones.
    for round in 0..5 {
        clock.advance(HOUR_NANOS + HOUR_NANOS / 10);
        sleep(Duration::from_secs(2)).await;
        send(&nodes, 1, &[NDJSON], records("b", 1))
            .await
            .with_context(|| format!("round {round}"))?;
    }
    let expired = |_: StatusCode, view: &Value| {
        let of = |service: &str| {
            let all = view["services"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let it = all.iter().find(|balance| balance["service"] == service);
            it.map(|balance| (balance["present"].as_u64(), balance["expired"].as_u64()))
        };
        let of_b = of("b").unwrap_or_default();
        let sum = of_b.0.unwrap_or(0) + of_b.1.unwrap_or(0);
        of("a") == Some((Some(0), Some(30))) && of_b.1 >= Some(4) && sum == 9
    };
    let view = until(&nodes, 1, "all of it is expired", expired).await?;
    ensure!(view["adds_up"] == true, "{view}");
    nodes.stop_all().await;
    nodes.start_all().await?;
    let view = until(&nodes, 1, "after a restart", expired).await?;
    ensure!(view["adds_up"] == true, "{view}");
    nodes.stop_all().await;
    Ok(())
}
