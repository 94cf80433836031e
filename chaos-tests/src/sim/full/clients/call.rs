//! One request of a client to one node, as HTTP.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hushlog_record::id::stable_hash;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::timeout;

use super::{Answer, Clients};
use crate::sim::full::dial;

pub(super) const NOT_CONNECTED: &str = "no connection";

type Raw = Result<(StatusCode, Bytes), String>;

fn parsed((status, body): (StatusCode, Bytes)) -> (StatusCode, Value) {
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// One request to a node over a connection of its own.
async fn exchange(
    (method, node, path): (Method, u64, &str),
    headers: &[(&str, &str)],
    body: Bytes,
    patience: Duration,
) -> Raw {
    let connected = timeout(patience, dial(node)).await;
    let Ok(Ok(stream)) = connected else {
        return Err(NOT_CONNECTED.into());
    };
    let answer = async {
        let connection = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connection.map_err(|error| error.to_string())?;
        let driven = tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path);
        let mut request = request.header("host", "node");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        driven.abort();
        Ok((status, body))
    };
    match timeout(patience, answer).await {
        Ok(answer) => answer,
        Err(_) => Err("no answer in time".into()),
    }
}

impl Clients {
    /// Asks a node; what it said is in the trace, to the last byte of its body.
    pub(in crate::sim::full) async fn ask(
        &self,
        (method, node, path): (Method, u64, &str),
        headers: &[(&str, &str)],
        body: Bytes,
        patience: Duration,
    ) -> Answer {
        let answer = exchange((method, node, path), headers, body, patience).await;
        if let Ok((status, body)) = &answer {
            let digest = stable_hash(&[&body[..]]);
            self.base.trace.line(format_args!(
                "n{node} answers {} {digest:016x}",
                status.as_u16()
            ));
        }
        answer.map(parsed)
    }
}
