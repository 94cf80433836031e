//! What users set of masking holds on every node, and a question for a clear value finds what any key has
//! hashed: whole nodes in this process, on loopback.

use std::sync::Arc;

use anyhow::{Result, ensure};
use hushlog_chaos_tests::nodes::Nodes;
use hushlog_node::clock::System;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const EMAIL: &str = "/api/v1/pii/detectors/email";
const SETTINGS: &str = "/api/v1/pii/settings";

async fn call(nodes: &Nodes, id: usize, what: (Method, &str), body: Value) -> Result<Value> {
    let (status, answer) = nodes.call(id, what, &JSON, body.to_string()).await?;
    ensure!(status == StatusCode::OK, "node {id}: {status} {answer}");
    Ok(answer)
}

async fn put(nodes: &Nodes, id: usize, path: &str, body: Value) -> Result<Value> {
    call(nodes, id, (Method::PUT, path), body).await
}

async fn send(nodes: &Nodes, id: usize, message: &str) -> Result<()> {
    let record = json!({
        "message": message, "service": "shop",
        "fields": {"mail": "Zoe@example.org", "ssn": "219099999"},
    });
    call(nodes, id, (Method::POST, "/api/v1/logs"), record).await?;
    Ok(())
}

/// The messages of the records that a question finds, sorted.
async fn found(nodes: &Nodes, id: usize, question: Value) -> Result<Vec<String>> {
    let what = (Method::POST, "/api/v1/logs/query");
    let answer = call(nodes, id, what, question).await?;
    let logs = answer["logs"].as_array().cloned().unwrap_or_default();
    let message = |log: &Value| log["message"].as_str().unwrap_or_default().to_owned();
    let mut messages: Vec<_> = logs.iter().map(message).collect();
    messages.sort();
    Ok(messages)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clear_value_finds_what_every_key_has_hashed_and_findings_are_counted() -> Result<()> {
    let change = |config: &mut hushlog_node::Config| config.cluster.replication = 3;
    let mut nodes = Nodes::start(3, Arc::new(System), change).await?;
    send(&nodes, 1, "first").await?;
    put(&nodes, 2, EMAIL, json!({"masking_strategy": "HASH"})).await?;
    put(
        &nodes,
        2,
        "/api/v1/pii/detectors/ssn",
        json!({"masking_strategy": "HASH"}),
    )
    .await?;
    send(&nodes, 3, "second").await?;
    let rotated = put(&nodes, 1, SETTINGS, json!({"hash_key": 2})).await?;
    ensure!(rotated["hash_key"] == 2, "{rotated}");
    send(&nodes, 2, "third by Zoe@example.org").await?;
    // The rules of before the rotation are not there any more; what they hashed is found all the same.
    put(
        &nodes,
        3,
        "/api/v1/pii/detectors/ssn",
        json!({"masking_strategy": null}),
    )
    .await?;
    let both = ["second".to_owned()];
    let questions = [
        json!({"query": "mail:Zoe@example.org"}),
        json!({"query": "mail:Zoe@EXAMPLE.ORG"}),
        json!({"filters": {"fields": {"mail": "Zoe@example.org"}}}),
        json!({"query": "Zoe@example.org"}),
        json!({"query": "ssn:219099999"}),
        json!({"filters": {"fields": {"ssn": 219_099_999}}, "consistency": "any"}),
    ];
    for question in questions {
        for id in 1..=3 {
            let messages = found(&nodes, id, question.clone()).await?;
            let third = messages
                .get(1)
                .is_none_or(|message| message.starts_with("third by email:k2:"));
            ensure!(
                messages.first() == both.first() && messages.len() == 2 && third,
                "node {id}: {question}: {messages:?}"
            );
        }
    }
    let nobody = found(&nodes, 1, json!({"query": "mail:Eve@example.org"})).await?;
    ensure!(nobody.is_empty(), "{nobody:?}");

    // Two keys never write the same.
    let what = (Method::POST, "/api/v1/logs/query");
    let terms = json!({"limit": 0, "aggregations": {"by": {"terms": {"field": "mail"}}}});
    let answer = call(&nodes, 1, what, terms).await?;
    let buckets = answer["aggregations"]["by"]["buckets"]
        .as_array()
        .map_or(0, Vec::len);
    ensure!(
        buckets == 3,
        "masked in part, by the first and by the second key: {answer}"
    );

    put(&nodes, 1, EMAIL, json!({"mode": "observe"})).await?;
    send(&nodes, 2, "fourth of Zoe@example.org").await?;
    let all = found(&nodes, 3, json!({"query": "fourth"})).await?;
    ensure!(all == ["fourth of Zoe@example.org"], "{all:?}");
    let findings = call(
        &nodes,
        3,
        (Method::GET, "/api/v1/pii/findings"),
        Value::Null,
    )
    .await?;
    let rules = findings["rules"].as_array().cloned().unwrap_or_default();
    let email = rules.iter().find(|rule| rule["rule"] == "email");
    let count = |name: &str| email.and_then(|email| email[name].as_u64()).unwrap_or(0);
    // A record that was masked again, since its node did not know the policy yet, counts twice.
    ensure!(count("masked") >= 4 && count("observed") >= 2, "{findings}");

    nodes.stop_all().await;
    nodes.start_all().await?;
    let settings = call(&nodes, 2, (Method::GET, SETTINGS), Value::Null).await?;
    ensure!(settings["hash_key"] == 2, "{settings}");
    let again = found(&nodes, 2, json!({"query": "mail:Zoe@example.org"})).await?;
    ensure!(again.len() == 3, "{again:?}");
    nodes.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signature_of_an_exception_is_made_of_what_is_masked() -> Result<()> {
    let mut nodes = Nodes::start(1, Arc::new(System), |_| ()).await?;
    let exception = |mail: &str, line: usize, method: &str| {
        json!({
            "type": "com.example.NoMoney", "message": format!("of {mail}"),
            "stack_trace": format!("com.example.NoMoney: of {mail}\n\tat com.example.Pay.{method}(Pay.java:{line})"),
        })
    };
    let sent = [
        exception("ann@example.org", 5, "run"),
        exception("bob@example.org", 7, "run"),
        exception("ann@example.org", 5, "stop"),
    ];
    for exception in sent {
        let record = json!({"message": "m", "service": "shop", "exception": exception});
        call(&nodes, 1, (Method::POST, "/api/v1/logs"), record).await?;
    }
    let what = (Method::POST, "/api/v1/logs/query");
    let all = json!({"query": "exception.signature:*", "sort": {"order": "asc"}});
    let answer = call(&nodes, 1, what.clone(), all).await?;
    let logs = answer["logs"].as_array().cloned().unwrap_or_default();
    ensure!(logs.len() == 3, "{answer}");
    let of = |place: usize, name: &str| logs[place]["exception"][name].clone();
    let first = of(0, "signature");
    ensure!(
        first.as_str().is_some_and(|text| text.len() == 16),
        "{answer}"
    );
    ensure!(
        first == of(1, "signature") && first != of(2, "signature"),
        "{answer}"
    );
    ensure!(of(0, "exception_id") == of(2, "exception_id"), "{answer}");
    let query = format!("exception.signature:{}", first.as_str().unwrap_or_default());
    let same = call(&nodes, 1, what, json!({"query": query, "limit": 0})).await?;
    ensure!(same["total"] == 2, "{same}");
    let path = format!(
        "/api/v1/exceptions/{}",
        of(0, "exception_id").as_str().unwrap_or_default()
    );
    let details = call(&nodes, 1, (Method::GET, &path), Value::Null).await?;
    let counted = details["signatures"].as_array().map_or(0, Vec::len);
    ensure!(
        counted == 2 && details["signatures"][0]["count"] == 2,
        "{details}"
    );
    nodes.stop_all().await;
    Ok(())
}
