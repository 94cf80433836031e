//! What operators and schedulers ask.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Api, Failure, Kind, json};

/// The process is up.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &json!({ "status": "up" }))
}

/// Whether the node can take traffic.
pub(super) async fn readyz(State(api): State<Api>) -> Result<Response, Failure> {
    match api.control.ready() {
        Ok(()) => Ok(json(StatusCode::OK, &json!({ "status": "ready" }))),
        Err(reason) => Err(Failure::new(Kind::Unavailable, reason)),
    }
}

/// Metrics for Prometheus.
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], api.registry.render()).into_response()
}

/// The cluster as this node sees it.
pub(super) async fn cluster(State(api): State<Api>) -> Response {
    json(StatusCode::OK, &api.control.describe())
}
