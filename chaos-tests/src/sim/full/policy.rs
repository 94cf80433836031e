//! Changes of the patterns while everything else goes wrong, and what they promise: a record sent after
//! a change has returned is masked by it, whichever node takes it (C9).
//!
//! Every record carries one planted word for each pattern that a run may add. A pattern stays once it is
//! added, so that what must be masked only grows.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::clients::Clients;
use crate::sim::schedule::between;

/// Patterns that a run adds, one after the other.
const PATTERNS_MAX: u64 = 6;
/// Longest wait for an answer: longer than a node waits for all shards.
const PATIENCE: Duration = Duration::from_secs(14);

/// The words that stand in every record, one for each pattern.
pub(super) fn words() -> String {
    let words: Vec<String> = (1..=PATTERNS_MAX).map(|number| word(number, "7")).collect();
    words.join(" ")
}

fn word(number: u64, rest: &str) -> String {
    format!("zq{number}badge-{rest}")
}

/// The first pattern that is in force for a record and has left its word in it.
pub(super) fn unmasked(log: &Value, in_force: u64) -> Option<u64> {
    let text = log.to_string();
    (1..=in_force).find(|number| text.contains(&word(*number, "7")))
}

/// Adds one pattern after the other, each through any node, until it is in force.
pub(super) async fn change(clients: Clients) {
    let mut random = clients.base().entropy.stream("patterns");
    for number in 1..=PATTERNS_MAX {
        sleep(Duration::from_millis(between(&mut random, 1_000, 6_000))).await;
        let body = json!({
            "name": format!("badge{number}"),
            "regex_pattern": word(number, "[0-9]+"),
        });
        let body = Bytes::from(body.to_string());
        loop {
            if clients.is_over() {
                return;
            }
            let node = clients.door(&mut random);
            let headers = [("content-type", "application/json")];
            let path = "/api/v1/pii/patterns";
            let request = (Method::POST, node, path);
            let answer = clients.ask(request, &headers, body.clone(), PATIENCE).await;
            let trace = &clients.base().trace;
            match answer {
                Ok((StatusCode::OK | StatusCode::CREATED, body)) => {
                    trace.line(format_args!(
                        "pattern {number} at n{node}: {}",
                        body["policy_epoch"]
                    ));
                    clients.in_force(number);
                    break;
                }
                Ok((status, body)) if status.is_client_error() => {
                    clients.violate(format!("pattern {number}: {status} {body}"));
                    return;
                }
                Ok((status, body)) => {
                    let code = &body["error"]["code"];
                    trace.line(format_args!("pattern {number} at n{node}: {status} {code}"));
                }
                Err(why) => trace.line(format_args!("pattern {number} at n{node}: {why}")),
            }
            sleep(Duration::from_millis(between(&mut random, 50, 500))).await;
        }
    }
}
