//! `hushlog bench query`: the standard questions, one after the other.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::QueryArgs;
use super::figures::Latencies;
use super::generator::Generator;
use crate::client::Client;

const CALL_DEADLINE: Duration = Duration::from_secs(60);

enum Question {
    /// `POST /api/v1/logs/query`
    Query(Value),
    /// `GET path`
    Get(String),
}

pub(super) async fn run(args: QueryArgs, json_output: bool) -> Result<()> {
    let generator = args.run.generator()?;
    let clients: Vec<Client> = args
        .run
        .server
        .iter()
        .map(|base| Client::new(base, CALL_DEADLINE))
        .collect();
    let mut rows = serde_json::Map::new();
    for name in NAMES {
        let mut latencies = Latencies::default();
        let mut total = json!(null);
        for round in 0..args.rounds {
            let client = clients
                .get(round as usize % clients.len())
                .context("no server")?;
            let question = question(name, &generator, u64::from(round));
            let started = Instant::now();
            let answer = match question {
                Question::Query(body) => client.post_json("/api/v1/logs/query", &body).await?,
                Question::Get(path) => client.get_json(&path).await?,
            };
            latencies.add(started.elapsed());
            total = answer.get("total").cloned().unwrap_or(json!(null));
        }
        let (p50, p99) = (latencies.percentile_ms(50), latencies.percentile_ms(99));
        let row = json!({
            "p50_ms": (p50 * 100.0).round() / 100.0,
            "p99_ms": (p99 * 100.0).round() / 100.0,
            "total": total,
        });
        rows.insert(name.into(), row);
    }
    crate::output::print(&Value::Object(rows), json_output)
}

const NAMES: [&str; 9] = [
    "one trace id",
    "common word, newest 100",
    "common word, count",
    "service and level, last hour",
    "phrase",
    "substring",
    "histogram by level, everything",
    "top 10 exceptions of one service",
    "top 10 exceptions",
];

fn question(name: &str, generator: &Generator, round: u64) -> Question {
    let service = format!("service-{:02}", round % super::generator::SERVICES);
    let last_hour = json!({
        "start": time(generator.end_nanos - 3_600 * 1_000_000_000),
        "end": time(generator.end_nanos),
    });
    let end = time(generator.end_nanos);
    match name {
        "one trace id" => {
            let index = (round + 1) * 7_919 % generator.records.max(1);
            Question::Query(json!({"query": format!("trace_id:{}", generator.trace_id(index))}))
        }
        "common word, newest 100" => Question::Query(json!({"query": "payment", "limit": 100})),
        "common word, count" => Question::Query(json!({"query": "payment", "limit": 0})),
        "service and level, last hour" => Question::Query(json!({
            "filters": {"timestamp_range": last_hour, "services": [service], "levels": ["ERROR"]},
            "limit": 100,
        })),
        "phrase" => Question::Query(json!({"query": "\"upstream timed out\"", "limit": 100})),
        "substring" => Question::Query(json!({"query": "message:*stream time*", "limit": 100})),
        "histogram by level, everything" => Question::Query(json!({
            "limit": 0,
            "aggregations": {"time": {
                "date_histogram": {"field": "timestamp", "fixed_interval": "1h"},
                "aggregations": {"level": {"terms": {"field": "level"}}},
            }},
        })),
        "top 10 exceptions of one service" => Question::Get(format!(
            "/api/v1/exceptions/top-k?k=10&window=24h&service={service}&end={end}"
        )),
        _ => Question::Get(format!(
            "/api/v1/exceptions/top-k?k=10&window=24h&end={end}"
        )),
    }
}

fn time(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .map_or_else(|_| String::new(), |t| t.to_string())
}
