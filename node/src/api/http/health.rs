//! What operators and schedulers ask.

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
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

/// How much of the cluster is asked, as text: it is checked by name.
#[derive(Deserialize)]
pub(super) struct Asked {
    scope: Option<String>,
}

/// The cluster as its nodes say it is, or as this one knows it.
pub(super) async fn cluster(
    State(api): State<Api>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let view = match asked.scope.as_deref() {
        None | Some("cluster") => api.control.describe().await,
        Some("node") => api.control.describe_node(),
        Some(_) => {
            let message = "scope is `cluster` (every node is asked) or `node` (this one alone)";
            return Err(Failure::new(Kind::InvalidArgument, message));
        }
    };
    Ok(json(StatusCode::OK, &view))
}
