//! The HTTP side of every command that talks to a server: a deadline on each call, errors in words.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::RETRY_AFTER;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client of one server; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    base: String,
    deadline: Duration,
}

/// What the server answered.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// How long the server wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Client {
    /// A client of the server at `base`, for instance `http://127.0.0.1:7700`.
    pub(crate) fn new(base: &str, deadline: Duration) -> Self {
        let pool = Pool::builder(TokioExecutor::new()).build_http();
        let base = base.trim_end_matches('/');
        let base = if base.contains("://") {
            base.to_owned()
        } else {
            format!("http://{base}")
        };
        Self {
            pool,
            base,
            deadline,
        }
    }

    /// Sends one request; an error means that there was no answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let answer = async {
            let response = self.pool.request(request).await?;
            let status = response.status();
            let wait = response.headers().get(RETRY_AFTER);
            let wait = wait.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
            Ok::<_, anyhow::Error>(Reply {
                status,
                retry_after: wait.map(Duration::from_secs),
                body: response.into_body().collect().await?.to_bytes(),
            })
        };
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(reply) => reply.with_context(|| format!("no answer from {}", self.base)),
            Err(_) => bail!("{} did not answer within {:?}", self.base, self.deadline),
        }
    }

    /// `GET path`, JSON; an answer that is not a success is an error with the server's own words.
    pub(crate) async fn get_json(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, &[], Bytes::new())
            .await?
            .success_json()
    }

    /// `POST path` with a JSON body, as [`get_json`](Self::get_json).
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Result<Value> {
        let headers = [("content-type", "application/json")];
        let body = Bytes::from(serde_json::to_vec(body)?);
        self.call(Method::POST, path, &headers, body)
            .await?
            .success_json()
    }
}

impl Reply {
    /// The body as JSON, or the server's error as an error.
    pub(crate) fn success_json(&self) -> Result<Value> {
        let body: Value = serde_json::from_slice(&self.body)
            .with_context(|| format!("status {} with a body that is not JSON", self.status))?;
        if self.status.is_success() {
            return Ok(body);
        }
        let message = body["error"]["message"]
            .as_str()
            .unwrap_or("no reason given");
        bail!("{}: {message}", self.status)
    }
}

/// A value as a part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_safe_in_addresses() {
        assert_eq!(encoded("a b&c=é/1h"), "a%20b%26c%3D%C3%A9%2F1h");
    }
}
