//! `hushlog search`: one question, its newest answers.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::args::SearchArgs;
use crate::client::Client;
use crate::exit::{Code, Exit};
use crate::output::{line, print, printable, table};

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Asks and prints.
pub(crate) async fn run(args: SearchArgs, json_output: bool) -> Result<()> {
    let question = question(&args, Timestamp::now())?;
    let client = Client::new(&args.server.server, DEADLINE);
    let answer = ask(&client, Method::POST, "/api/v1/logs/query", &question).await?;
    if json_output {
        print(&answer, true)?;
    } else {
        show(&answer)?;
    }
    whole(&answer)
}

/// Sends a question; what is not an answer ends the program with the code that fits.
pub(crate) async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    question: &Value,
) -> Result<Value> {
    let headers = [("content-type", "application/json")];
    let body = if question.is_null() {
        Bytes::new()
    } else {
        question.to_string().into()
    };
    let reply = client
        .call(method, path, &headers, body)
        .await
        .map_err(|error| Exit::error(Code::Unavailable, format!("{error:#}")))?;
    let unavailable = matches!(
        reply.status,
        StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::GATEWAY_TIMEOUT
    );
    reply.success_json().map_err(|error| {
        if unavailable {
            Exit::error(Code::Unavailable, format!("{error:#}"))
        } else {
            error
        }
    })
}

/// An error with a code of its own when a shard is missing in the answer.
pub(crate) fn whole(answer: &Value) -> Result<()> {
    if answer["partial"] != json!(true) {
        return Ok(());
    }
    let (failed, total) = (&answer["shards"]["failed"], &answer["shards"]["total"]);
    let message = format!("the answer is not complete: {failed} of {total} shards did not answer");
    Err(Exit::error(Code::Partial, message))
}

fn question(args: &SearchArgs, now: Timestamp) -> Result<Value> {
    let mut filters = Map::new();
    if let Some(since) = &args.since {
        let start = now
            .checked_sub(duration(since)?)
            .context("`--since` is too long ago")?;
        filters.insert(
            "timestamp_range".into(),
            json!({ "start": start.to_string() }),
        );
    }
    if !args.service.is_empty() {
        filters.insert("services".into(), json!(args.service));
    }
    if !args.level.is_empty() {
        let levels: Vec<_> = args
            .level
            .iter()
            .map(|level| level.to_uppercase())
            .collect();
        filters.insert("levels".into(), json!(levels));
    }
    let order = if args.oldest { "asc" } else { "desc" };
    Ok(json!({
        "query": args.query,
        "filters": filters,
        "sort": { "field": "timestamp", "order": order },
        "limit": args.limit,
    }))
}

/// Reads `15m`, `24h`, `7d`.
fn duration(text: &str) -> Result<SignedDuration> {
    const HELP: &str = "a duration is a number with s, m, h or d behind it, such as 15m";
    let split = text.find(|c: char| !c.is_ascii_digit()).context(HELP)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => anyhow::bail!(HELP),
    };
    let number: i64 = number.parse().context(HELP)?;
    number
        .checked_mul(seconds)
        .map(SignedDuration::from_secs)
        .context(HELP)
}

fn show(answer: &Value) -> Result<()> {
    let mut table = table(&[]);
    // The newest line stands next to the prompt, as in any log.
    let logs = answer["logs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let text = |log: &Value, name: &str| printable(log[name].as_str().unwrap_or_default());
    for log in logs.iter().rev() {
        let message = text(log, "message");
        let message = match log["exception"]["stack_trace"].as_str() {
            Some(trace) if !trace.is_empty() && !message.contains('\n') => {
                format!("{message}\n{}", printable(trace))
            }
            _ => message,
        };
        table.add_row([
            text(log, "timestamp"),
            text(log, "level"),
            text(log, "service_name"),
            message,
        ]);
    }
    if !logs.is_empty() {
        line(table)?;
    }
    let more = if answer["total_relation"] == "gte" {
        "at least "
    } else {
        ""
    };
    line(format_args!(
        "{} of {more}{} records, {} ms, {} shards",
        logs.len(),
        answer["total"],
        answer["execution_time_ms"],
        answer["shards"]["total"]
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn asked(words: &[&str]) -> Result<Value> {
        let words = ["hushlog", "search"].iter().chain(words);
        let Command::Search(args) = Args::try_parse_from(words)?.command else {
            anyhow::bail!("search was asked for")
        };
        question(&args, "2026-01-02T00:00:00Z".parse()?)
    }

    #[test]
    fn arguments_become_a_question() {
        let words = [
            "level:ERROR",
            "--since",
            "24h",
            "--service",
            "a,b",
            "--level",
            "warn",
            "-n",
            "5",
        ];
        let expected = json!({
            "query": "level:ERROR",
            "filters": {
                "timestamp_range": {"start": "2026-01-01T00:00:00Z"},
                "services": ["a", "b"], "levels": ["WARN"],
            },
            "sort": {"field": "timestamp", "order": "desc"},
            "limit": 5,
        });
        assert_eq!(asked(&words).expect("valid"), expected);
    }

    #[test]
    fn nonsense_durations_are_refused() {
        for since in ["", "15", "m", "1y", "-5m", "99999999999999d"] {
            assert!(
                asked(&["x", &format!("--since={since}")]).is_err(),
                "{since}"
            );
        }
    }

    #[test]
    fn a_missing_shard_is_an_error_of_its_own() {
        assert!(whole(&json!({"partial": false})).is_ok());
        let error = whole(&json!({"partial": true, "shards": {"failed": 1, "total": 3}}));
        let message = error.expect_err("partial").to_string();
        assert_eq!(
            message,
            "the answer is not complete: 1 of 3 shards did not answer"
        );
    }
}
