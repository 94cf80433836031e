//! A small HTTP client: JSON in, JSON out, a deadline on every call.
//!
//! It never retries; whoever calls decides what an unknown outcome means.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// An HTTP client with pooled connections; cheap to clone.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    deadline: Duration,
}

/// What a node answered.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {} with a body that is not JSON", self.status))
    }
}

impl Client {
    /// A client whose every call ends within `deadline`.
    pub fn new(deadline: Duration) -> Self {
        Self {
            pool: Pool::builder(TokioExecutor::new()).build_http(),
            deadline,
        }
    }

    /// Sends one request and reads the whole answer.
    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let answer = async {
            let response = self.pool.request(request).await?;
            let (head, body) = response.into_parts();
            Ok::<_, anyhow::Error>(Reply {
                status: head.status,
                headers: head.headers,
                body: body.collect().await?.to_bytes(),
            })
        };
        tokio::time::timeout(self.deadline, answer)
            .await
            .context("no answer within the deadline")?
    }

    /// Sends JSON, or nothing for null; gives the status and the JSON of the answer.
    pub async fn call_json(
        &self,
        method: Method,
        url: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value)> {
        let headers = [("content-type", "application/json")];
        let body = match body {
            Value::Null => Bytes::new(),
            body => body.to_string().into(),
        };
        let reply = self.call(method, url, &headers, body).await?;
        let json = reply.json()?;
        Ok((reply.status, json))
    }

    /// `GET url`
    pub async fn get(&self, url: &str) -> Result<Reply> {
        self.call(Method::GET, url, &[], Bytes::new()).await
    }

    /// `POST url` with a JSON body.
    pub async fn post_json(&self, url: &str, body: &Value) -> Result<Reply> {
        let bytes = Bytes::from(serde_json::to_vec(body)?);
        self.call(
            Method::POST,
            url,
            &[("content-type", "application/json")],
            bytes,
        )
        .await
    }
}
