//! One server under load: sends a request in whatever protocol, until it is taken.

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

/// A server's two doors; cheap to clone.
#[derive(Clone)]
pub(super) struct Target {
    http: Client,
    grpc: Channel,
}

/// What a server made of a request.
enum Answer {
    Taken,
    /// It has too much to do, or no leader, at the moment.
    Later,
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

    /// Its HTTP side.
    pub(super) fn http(&self) -> &Client {
        &self.http
    }

    /// Sends until it is taken, and says when the attempt began that was.
    pub(super) async fn send(&self, payload: &Payload) -> Result<Instant> {
        loop {
            let started = Instant::now();
            match self.attempt(payload).await? {
                Answer::Taken => return Ok(started),
                Answer::Later => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }

    async fn attempt(&self, payload: &Payload) -> Result<Answer> {
        match payload.clone() {
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
                    429 | 503 => Ok(Answer::Later),
                    status => bail!("status {status}: {}", text(&reply.body)),
                }
            }
            Payload::Push(request) => {
                let pushed = IngestClient::new(self.grpc.clone()).push(request).await;
                answered(pushed.map(|_| ()))
            }
            Payload::Export(request) => {
                let mut client = LogsServiceClient::new(self.grpc.clone());
                answered(client.export(request).await.map(|_| ()))
            }
        }
    }
}

fn answered(outcome: Result<(), tonic::Status>) -> Result<Answer> {
    match outcome {
        Ok(()) => Ok(Answer::Taken),
        Err(status) if matches!(status.code(), Code::ResourceExhausted | Code::Unavailable) => {
            Ok(Answer::Later)
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
