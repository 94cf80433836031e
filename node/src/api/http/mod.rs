//! The HTTP interface: routes, request ids, error bodies, and a wall around every handler.

mod body;
mod elastic;
pub(crate) mod exceptions;
mod health;
mod ingest;
mod ledger;
mod limits;
mod loki;
mod missing;
mod named;
mod nodes;
pub(crate) mod otlp;
mod patterns;
mod pii;
mod query;
mod receipts;
mod retention;
mod root;
mod rules;

use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Router, body::Body};
use futures_util::FutureExt;
use serde_json::Value;

use super::{Api, Failure, Kind};
pub(crate) use body::too_large;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every route of the HTTP interface.
pub fn router(api: Api) -> Router {
    let routes = Router::new()
        .route("/", get(root::index))
        .route("/metrics", get(health::metrics))
        .route(
            "/api/v1/logs",
            post(ingest::logs).delete(missing::of_this_release),
        )
        .route("/v1/logs", post(otlp::logs))
        .route("/loki/api/v1/push", post(loki::push))
        .route("/api/prom/push", post(loki::push))
        .nest("/es", elastic::router())
        .merge(elastic::beside_prefix())
        .route("/api/v1/logs/query", post(query::search))
        .route("/api/v1/logs/{log_id}", get(query::by_id))
        .route("/api/v1/logs/{log_id}/context", get(query::context))
        .route("/api/v1/exceptions/top-k", get(exceptions::top_k))
        .route("/api/v1/exceptions/{exception_id}", get(exceptions::one))
        .route("/api/v1/cluster", get(health::cluster))
        .route("/api/v1/cluster/nodes", post(nodes::add))
        .route("/api/v1/cluster/nodes/{id}", delete(nodes::drain))
        .route("/api/v1/cluster/rebalance", post(nodes::rebalance))
        .route("/api/v1/retention", get(retention::list))
        .route(
            "/api/v1/retention/{service}",
            get(retention::one)
                .put(retention::set)
                .delete(retention::remove),
        )
        .route("/api/v1/ledger", get(ledger::ledger))
        .route("/api/v1/limits", get(limits::list))
        .route(
            "/api/v1/limits/{service}",
            get(limits::one).put(limits::set).delete(limits::remove),
        )
        .route("/api/v1/pii/test", post(pii::test))
        .route(
            "/api/v1/pii/patterns",
            get(patterns::list).post(patterns::add),
        )
        .route(
            "/api/v1/pii/patterns/{id}",
            get(patterns::get)
                .put(patterns::set)
                .delete(patterns::remove),
        )
        .route("/api/v1/pii/detectors", get(rules::detectors))
        .route(
            "/api/v1/pii/detectors/{name}",
            get(rules::detector)
                .put(rules::set_detector)
                .delete(rules::reset_detector),
        )
        .route("/api/v1/pii/countries", get(rules::countries))
        .route(
            "/api/v1/pii/countries/{code}",
            put(rules::add_country).delete(rules::remove_country),
        )
        .route(
            "/api/v1/pii/settings",
            get(rules::settings).put(rules::set_settings),
        )
        .route("/api/v1/pii/findings", get(rules::findings))
        .merge(health::checks())
        .merge(missing::router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method);
    walled(routes, api)
}

/// OpenTelemetry over HTTP alone, for a port of its own.
pub fn otlp_router(api: Api) -> Router {
    let routes = Router::new()
        .route("/v1/logs", post(otlp::logs))
        .merge(health::checks())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method);
    walled(routes, api)
}

/// What shippers made for Elasticsearch call, at the root of a port of its own.
pub fn elastic_router(api: Api) -> Router {
    walled(elastic::router(), api)
}

fn walled(routes: Router<Api>, api: Api) -> Router {
    routes
        .layer(from_fn_with_state(api.clone(), wall))
        .with_state(api)
}

async fn unknown_path() -> Failure {
    Failure::new(
        Kind::NotFound,
        "there is nothing at this path; GET / lists what there is",
    )
}

async fn wrong_method() -> Failure {
    Failure::new(
        Kind::MethodNotAllowed,
        "this path does not take this method; see GET /",
    )
}

/// Gives every request an id, turns a panic into an answer, and writes the bodies of failures.
async fn wall(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = api.request_id();
    let outcome = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = outcome.unwrap_or_else(|_| {
        tracing::error!(request_id = id, "a handler panicked");
        Failure::new(
            Kind::Internal,
            "an internal error; the log has more under this id",
        )
        .into_response()
    });
    let failure = response
        .extensions_mut()
        .remove::<Failure>()
        .or_else(|| unexplained(&response));
    if let Some(failure) = failure {
        let (mut parts, _) = response.into_parts();
        parts.headers.insert(header::CONTENT_TYPE, JSON);
        parts.headers.remove(header::CONTENT_LENGTH);
        response = Response::from_parts(parts, Body::from(failure.body(&id).to_string()));
    }
    count(&api, response.status());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// A refusal that the framework made before a handler saw the request.
fn unexplained(response: &Response) -> Option<Failure> {
    let status = response.status();
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == JSON);
    if !status.is_client_error() || is_json || response.extensions().get::<Explained>().is_some() {
        return None;
    }
    let kind = match status {
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Kind::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedMediaType,
        _ => Kind::InvalidArgument,
    };
    Some(Failure::new(
        kind,
        "the request is not valid for this path; see GET /",
    ))
}

/// Marks a refusal whose body is right already.
#[derive(Clone, Copy)]
pub(super) struct Explained;

fn count(api: &Api, status: StatusCode) {
    let class = match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    let help = "HTTP requests answered.";
    api.registry
        .counter(
            "hushlog_node_http_requests_total",
            help,
            &[("status", class)],
        )
        .increment();
}

/// A JSON answer.
fn json(status: StatusCode, body: &Value) -> Response {
    raw_json(status, body.to_string())
}

/// A JSON answer that is text already.
fn raw_json(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body.into()).into_response()
}

#[cfg(test)]
pub(crate) mod tests;
