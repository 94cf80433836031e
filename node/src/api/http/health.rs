//! What operators and schedulers ask.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::{Api, Failure, Kind, json};

/// Whether the process is up and can take traffic, by every name that they are asked for.
pub(super) fn checks() -> Router<Api> {
    let up = ["/healthz", "/livez", "/health"].into_iter();
    let ready = ["/readyz", "/ready"].into_iter();
    let router = up.fold(Router::new(), |router, path| {
        router.route(path, get(healthz))
    });
    ready.fold(router, |router, path| router.route(path, get(readyz)))
}

/// The process is up.
async fn healthz() -> Response {
    json(StatusCode::OK, &json!({ "status": "up" }))
}

/// Whether the node can take traffic.
async fn readyz(State(api): State<Api>) -> Result<Response, Failure> {
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
