//! One request after the other to the server, tried again while that can help.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::{Method, StatusCode};
use indicatif::ProgressBar;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Chunk, Kind, Refused};
use crate::client::{Client, Reply};
use crate::exit::{Code, Exit};

/// First pause before a request is sent again, and the longest.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What sends.
pub(super) struct Sender {
    pub(super) client: Client,
    pub(super) service: Option<String>,
    pub(super) environment: Option<String>,
    /// What the keys of all requests begin with.
    pub(super) run: String,
    pub(super) patience: Duration,
}

/// What became of everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) reason: Option<String>,
    pub(super) pii: BTreeMap<String, u64>,
}

impl Sender {
    /// Sends every chunk, some at once; the first one that cannot be sent ends it.
    pub(super) async fn send_all(
        &self,
        mut chunks: mpsc::Receiver<Chunk>,
        at_once: usize,
        progress: &ProgressBar,
    ) -> Result<Totals> {
        let mut totals = Totals::default();
        let mut flying = FuturesUnordered::new();
        let mut number = 0;
        let mut more = true;
        while more || !flying.is_empty() {
            tokio::select! {
                biased;
                Some(outcome) = flying.next() => {
                    let (answer, chunk): (Value, Chunk) = outcome?;
                    totals.add(&answer, &chunk);
                    progress.inc(chunk.input);
                    progress.set_message(format!("{} records", totals.accepted));
                }
                chunk = chunks.recv(), if more && flying.len() < at_once => match chunk {
                    Some(chunk) => {
                        flying.push(self.send(chunk, number));
                        number += 1;
                    }
                    None => more = false,
                },
            }
        }
        Ok(totals)
    }

    async fn send(&self, chunk: Chunk, number: u64) -> Result<(Value, Chunk)> {
        let key = format!("{}-{number}", self.run);
        let kind = match chunk.kind {
            Kind::Ndjson => "application/x-ndjson",
            Kind::Text => "application/vnd.hushlog.lines+x-ndjson",
        };
        let mut headers = vec![("content-type", kind), ("idempotency-key", &key)];
        headers.extend(
            self.service
                .as_deref()
                .map(|service| ("x-service-name", service)),
        );
        headers.extend(
            self.environment
                .as_deref()
                .map(|name| ("x-environment", name)),
        );
        let began = Instant::now();
        let mut pause = PAUSE;
        loop {
            let body = chunk.body.clone();
            let outcome = self
                .client
                .call(Method::POST, "/api/v1/logs", &headers, body)
                .await;
            let asked = outcome.as_ref().ok().and_then(|reply| reply.retry_after);
            let failure = match outcome {
                Ok(reply) if !is_worth_a_retry(reply.status) => return answered(&reply, chunk),
                Ok(reply) => given_up(&reply),
                Err(error) => Exit::error(Code::Unavailable, format!("{error:#}")),
            };
            // A server that says when there will be room is not asked before.
            let wait = pause.max(asked.unwrap_or_default());
            if began.elapsed() + wait > self.patience {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

fn is_worth_a_retry(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::REQUEST_TIMEOUT
    )
}

fn answered(reply: &Reply, chunk: Chunk) -> Result<(Value, Chunk)> {
    Ok((reply.success_json()?, chunk))
}

fn given_up(reply: &Reply) -> anyhow::Error {
    let code = if reply.status == StatusCode::GATEWAY_TIMEOUT {
        Code::Unknown
    } else {
        Code::Unavailable
    };
    let message = match reply.success_json() {
        Ok(_) => reply.status.to_string(),
        Err(error) => format!("{error:#}"),
    };
    Exit::error(code, message)
}

impl Totals {
    /// Adds lines that were never sent.
    pub(super) fn refuse(&mut self, refused: Refused) {
        self.rejected += refused.lines;
        self.reason = self.reason.take().or(refused.first);
    }

    /// One object is answered in its own way.
    fn add(&mut self, answer: &Value, chunk: &Chunk) {
        if let Some(names) = answer["pii_detected"].as_array() {
            self.accepted += chunk.records as u64;
            for name in names.iter().filter_map(Value::as_str) {
                *self.pii.entry(name.to_owned()).or_default() += 1;
            }
            return;
        }
        self.accepted += answer["accepted"].as_u64().unwrap_or_default();
        self.rejected += answer["rejected"].as_u64().unwrap_or_default();
        if let Some(reason) = answer["errors"][0]["reason"].as_str() {
            self.reason.get_or_insert_with(|| reason.to_owned());
        }
        for (name, count) in answer["pii_detected"].as_object().into_iter().flatten() {
            *self.pii.entry(name.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_answer_are_counted() {
        let chunk = Chunk {
            kind: Kind::Ndjson,
            records: 1,
            body: "{}".into(),
            input: 2,
        };
        let mut totals = Totals::default();
        totals.add(
            &json!({"log_id": "x", "status": "accepted", "pii_detected": ["email"]}),
            &chunk,
        );
        totals.add(
            &json!({"accepted": 4, "rejected": 1, "pii_detected": {"email": 2},
                    "errors": [{"index": 3, "reason": "too large"}]}),
            &chunk,
        );
        let expected = Totals {
            accepted: 5,
            rejected: 1,
            reason: Some("too large".into()),
            pii: BTreeMap::from([("email".into(), 3)]),
        };
        assert_eq!(totals, expected);
    }
}
