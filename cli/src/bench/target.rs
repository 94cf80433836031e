//! One server under load, as one client sees it: sends a request in whatever protocol, until it is taken.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use hushlog_proto::hushlog::v1::ingest_client::IngestClient;
use hushlog_proto::opentelemetry::proto::collector::logs::v1::logs_service_client::LogsServiceClient;
use hyper::Method;
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::protocol::{BULK, Payload};
use crate::client::Client;

const CALL_DEADLINE: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a server may take nothing.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// A server's two doors, over connections of its own.
pub(super) struct Target {
    http: Client,
    grpc: Channel,
}

/// What a server made of a request.
enum Answer {
    Taken,
    /// It has too much to do, or no leader, at the moment.
    Later(String),
}

impl Target {
    /// A server with these addresses; connects when it is first used.
    pub(super) fn new(http: &str, grpc: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(grpc.to_owned())
            .with_context(|| format!("{grpc} is no address like http://127.0.0.1:4317"))?;
        Ok(Self {
            http: Client::new(http, CALL_DEADLINE),
            grpc: endpoint.timeout(CALL_DEADLINE).connect_lazy(),
        })
    }

    /// Sends until it is taken.
    pub(super) async fn send(&self, payload: Payload) -> Result<()> {
        let started = Instant::now();
        while let Answer::Later(why) = self.attempt(payload.clone()).await? {
            if started.elapsed() > RETRY_FOR {
                bail!("nothing is taken: {why}");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        Ok(())
    }

    async fn attempt(&self, payload: Payload) -> Result<Answer> {
        match payload {
            Payload::Http {
                path,
                content_type,
                body,
            } => {
                let headers = [("content-type", content_type)];
                let reply = self.http.call(Method::POST, path, &headers, body).await?;
                match reply.status.as_u16() {
                    // Elasticsearch answers 200 even if it has refused records: it says so in front.
                    200 if path == BULK && has_errors(&reply.body) => {
                        bail!("records were refused: {}", text(&reply.body))
                    }
                    200 | 204 => Ok(Answer::Taken),
                    429 | 503 => Ok(Answer::Later(text(&reply.body))),
                    status => bail!("status {status}: {}", text(&reply.body)),
                }
            }
            Payload::Push(request) => {
                let pushed = IngestClient::new(self.grpc.clone()).push(request).await;
                answered(pushed.map(|answer| answer.get_ref().rejected))
            }
            Payload::Export(request) => {
                let mut client = LogsServiceClient::new(self.grpc.clone());
                let exported = client.export(request).await;
                answered(exported.map(|answer| {
                    let partial = answer.get_ref().partial_success.as_ref();
                    partial.map_or(0, |partial| partial.rejected_log_records.unsigned_abs())
                }))
            }
        }
    }
}

/// What a call over gRPC says, given how many records it has refused.
fn answered(outcome: Result<u64, tonic::Status>) -> Result<Answer> {
    match outcome {
        Ok(0) => Ok(Answer::Taken),
        Ok(rejected) => bail!("{rejected} records were refused"),
        Err(status) if matches!(status.code(), Code::ResourceExhausted | Code::Unavailable) => {
            Ok(Answer::Later(status.message().to_owned()))
        }
        Err(status) => bail!("{}: {}", status.code(), status.message()),
    }
}

fn has_errors(body: &[u8]) -> bool {
    let answer: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    answer.is_none_or(|answer| answer["errors"] != serde_json::json!(false))
}

/// The beginning of an answer, for an error.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(500).collect()
}
