//! What a user is told of exceptions, over a window and before it, and of values in arrays: a whole node in
//! this process, on loopback.

use std::sync::Arc;

use anyhow::{Result, ensure};
use hushlog_chaos_tests::nodes::Nodes;
use hushlog_node::clock::{Clock, System};
use hushlog_record::{ExceptionId, Timestamp};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

async fn call(nodes: &Nodes, what: (Method, &str), body: Value) -> Result<(StatusCode, Value)> {
    nodes.call(1, what, &JSON, body.to_string()).await
}

async fn get(nodes: &Nodes, path: &str) -> Result<(StatusCode, Value)> {
    call(nodes, (Method::GET, path), Value::Null).await
}

/// Stores an exception of this type that happened at this time.
async fn store(nodes: &Nodes, type_name: &str, at: Timestamp) -> Result<()> {
    let record = json!({
        "message": "it broke", "service": "shop", "timestamp": at.to_string(), "level": "ERROR",
        "exception": {"type": type_name, "message": "m", "stack_trace": "at x"},
    });
    let (status, answer) = call(nodes, (Method::POST, "/api/v1/logs"), record).await?;
    ensure!(status == StatusCode::OK, "{status} {answer}");
    Ok(())
}

fn path_of(type_name: &str) -> String {
    format!("/api/v1/exceptions/{}", ExceptionId::of(type_name, "shop"))
}

/// The whole minute that began about so long ago.
fn minute_ago(nanos: i64) -> Timestamp {
    let then = System.now().nanos() - nanos;
    Timestamp::from_nanos(then - then.rem_euclid(MINUTE))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_that_was_seen_before_the_window_is_told_from_one_that_never_was() -> Result<()>
{
    let mut nodes = Nodes::start(1, Arc::new(System), |_| ()).await?;
    let first = minute_ago(50 * HOUR).saturating_add(2);
    let last = minute_ago(30 * HOUR).saturating_add(123_456_789);
    store(&nodes, "Old", first).await?;
    for nanos in [0, 1, 2] {
        store(&nodes, "Old", last.saturating_add(-nanos)).await?;
    }
    let (status, old) = get(&nodes, &path_of("Old")).await?;
    ensure!(status == StatusCode::OK, "{status} {old}");
    ensure!(old["count"] == 0 && old["trend"] == json!([]), "{old}");
    let named = old["exception_type"] == "Old" && old["service_name"] == "shop";
    ensure!(named, "{old}");
    let times = old["first_seen"] == first.to_string() && old["last_seen"] == last.to_string();
    ensure!(times, "{old}");
    let samples = old["sample_logs"].as_array().map_or(0, Vec::len);
    ensure!(samples == 3, "{old}");

    let (status, wide) = get(&nodes, &format!("{}?window=60h", path_of("Old"))).await?;
    ensure!(
        status == StatusCode::OK && wide["count"] == 4,
        "{status} {wide}"
    );
    let times = wide["first_seen"] == first.to_string() && wide["last_seen"] == last.to_string();
    ensure!(times, "{wide}");

    let (status, never) = get(&nodes, &path_of("Never")).await?;
    ensure!(status == StatusCode::NOT_FOUND, "{status} {never}");
    nodes.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_is_as_long_as_asked_for_and_no_longer_than_records_are_kept() -> Result<()> {
    let mut nodes = Nodes::start(1, Arc::new(System), |_| ()).await?;
    let base = minute_ago(2 * HOUR);
    let at = |seconds: i64| base.saturating_add(seconds * SECOND);
    for seconds in [10, 20, 59, 60, 79, 80, 100] {
        store(&nodes, "Io", at(seconds)).await?;
    }
    for (window, end, count) in [
        ("1m", 80, 4),
        ("1m", 60, 3),
        ("90s", 100, 6),
        ("61s", 80, 4),
    ] {
        let end = at(end);
        let path = format!("/api/v1/exceptions/top-k?window={window}&end={end}");
        let (status, top) = get(&nodes, &path).await?;
        ensure!(status == StatusCode::OK, "{status} {top}");
        let row = &top["exceptions"][0];
        let counted = row["count"] == count && row["count_error"] == 0;
        ensure!(counted && top["end"] == end.to_string(), "{window}: {top}");
    }
    let one = path_of("Io");
    let details = format!("{one}?window");
    let asked = ["/api/v1/exceptions/top-k?window", details.as_str()];
    let told = async |window: &str| -> Result<Vec<(u16, Value)>> {
        let mut all = Vec::new();
        for path in asked {
            let (status, answer) = get(&nodes, &format!("{path}={window}")).await?;
            all.push((status.as_u16(), answer));
        }
        Ok(all)
    };
    for (window, expected) in [
        ("61s", 200),
        ("59s", 400),
        ("30d", 200),
        ("2592001s", 400),
        ("31d", 400),
        ("366d", 400),
    ] {
        for (status, answer) in told(window).await? {
            ensure!(status == expected, "{window}: {status} {answer}");
        }
    }
    let (_, refused) = told("31d").await?.remove(0);
    let why = refused["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        why.contains("30d") && refused["error"]["code"] == "invalid_argument",
        "{refused}"
    );

    // Whichever rule is longest.
    let rule = (Method::PUT, "/api/v1/retention/audit");
    let (status, rule) = call(&nodes, rule, json!({"days": 40})).await?;
    ensure!(status == StatusCode::OK, "{status} {rule}");
    for (window, expected) in [("31d", 200), ("40d", 200), ("41d", 400)] {
        for (status, answer) in told(window).await? {
            ensure!(status == expected, "{window}: {status} {answer}");
        }
    }
    nodes.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_finds_a_value_alone_and_in_an_array() -> Result<()> {
    let mut nodes = Nodes::start(1, Arc::new(System), |_| ()).await?;
    for fields in [
        json!({"tags": ["red", "blue"], "n": [1, 2]}),
        json!({"tags": ["red"], "n": [[3]]}),
        json!({"tags": "red", "n": 1}),
    ] {
        let record = json!({"message": "m", "service": "shop", "fields": fields});
        let (status, answer) = call(&nodes, (Method::POST, "/api/v1/logs"), record).await?;
        ensure!(status == StatusCode::OK, "{status} {answer}");
    }
    for (question, total) in [
        (json!({"filters": {"fields": {"tags": "red"}}}), 3),
        (json!({"query": "tags:red"}), 3),
        (json!({"filters": {"fields": {"tags": "blue"}}}), 1),
        (json!({"filters": {"fields": {"n": 1}}}), 2),
        (json!({"query": "n:>1"}), 2),
        (json!({"query": "n:>3"}), 0),
    ] {
        let what = (Method::POST, "/api/v1/logs/query");
        let (status, answer) = call(&nodes, what, question.clone()).await?;
        ensure!(status == StatusCode::OK, "{status} {answer}");
        ensure!(answer["total"] == total, "{question}: {answer}");
    }
    nodes.stop_all().await;
    Ok(())
}
