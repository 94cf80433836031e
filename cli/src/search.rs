//! `hushlog search`: one question, its newest answers.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
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
        show(&answer, args.oldest)?;
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

/// The same where a node is missing in what all of them were asked for, under that name.
pub(crate) fn of_all_nodes(answer: &Value, missing: &str) -> Result<()> {
    let count = match &answer[missing] {
        Value::Array(nodes) => nodes.len(),
        Value::Object(nodes) => nodes.len(),
        _ => 0,
    };
    if count > 0 {
        let message = format!("the answer is not complete: nodes that did not answer: {count}");
        return Err(Exit::error(Code::Partial, message));
    }
    match answer["shards"]["failed"].as_u64().unwrap_or(0) {
        0 => Ok(()),
        failed => {
            let message = format!("the answer is not complete: shards not counted: {failed}");
            Err(Exit::error(Code::Partial, message))
        }
    }
}

fn question(args: &SearchArgs, now: Timestamp) -> Result<Value> {
    let mut filters = Map::new();
    if let Some(since) = args.since {
        let start = now
            .checked_sub(since)
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
        let levels: Vec<_> = args.level.iter().map(|level| level.name()).collect();
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

/// The lines of an answer in rising order of time, as in any log: the newest of those that were asked for stands
/// next to the prompt.
fn lines_of(answer: &Value, oldest: bool) -> Vec<&Value> {
    let mut logs: Vec<_> = answer["logs"].as_array().into_iter().flatten().collect();
    if !oldest {
        logs.reverse();
    }
    logs
}

fn show(answer: &Value, oldest: bool) -> Result<()> {
    let mut table = table(&[]);
    let logs = lines_of(answer, oldest);
    let text = |log: &Value, name: &str| printable(log[name].as_str().unwrap_or_default());
    for log in logs.iter().copied() {
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
            "warning,Emerg,err",
            "-n",
            "5",
        ];
        let expected = json!({
            "query": "level:ERROR",
            "filters": {
                "timestamp_range": {"start": "2026-01-01T00:00:00Z"},
                "services": ["a", "b"], "levels": ["WARN", "FATAL", "ERROR"],
            },
            "sort": {"field": "timestamp", "order": "desc"},
            "limit": 5,
        });
        assert_eq!(asked(&words).expect("valid"), expected);
    }

    #[test]
    fn nonsense_is_a_wrong_argument() {
        for words in [
            &["search", "x", "--since=5x"][..],
            &["search", "x", "--since=99999999999999d"],
            &["search", "x", "--level=loud"],
            &["top", "--k=1001"],
            &["top", "--window=5x"],
            &["top", "--window=59s"],
            &["top", "--k=0"],
            &["cluster", "--nodes=0"],
            &["bench", "query", "--end=soon"],
        ] {
            let error = Args::try_parse_from(["hushlog"].iter().chain(words));
            let error = error.expect_err("it makes no sense");
            assert_eq!(error.exit_code(), 2, "{words:?}");
        }
    }

    #[test]
    fn the_newest_line_comes_last_whatever_was_asked_for() {
        let answer = |logs: Value| json!({ "logs": logs });
        let newest = answer(json!([{"n": 3}, {"n": 2}]));
        assert_eq!(
            lines_of(&newest, false),
            [&json!({"n": 2}), &json!({"n": 3})]
        );
        let oldest = answer(json!([{"n": 1}, {"n": 2}]));
        assert_eq!(
            lines_of(&oldest, true),
            [&json!({"n": 1}), &json!({"n": 2})]
        );
        assert!(lines_of(&json!({}), true).is_empty());
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
