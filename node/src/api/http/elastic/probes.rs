//! What shippers ask before they send, answered so that they go on.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::{Api, json as answer};
use super::index::{Invalid, check};

/// What the node says to be where a client does not show which version it expects.
const VERSION: &str = "8.19.0";
/// Clients of Elastic's own name their version, and some refuse an older server.
const OWN_CLIENTS: &str = "Elastic";

/// `GET /`, `HEAD /`.
pub(super) async fn root(headers: HeaderMap) -> Response {
    let version = version(&headers);
    let body = json!({
        "name": "hushlog",
        "cluster_name": "hushlog",
        "cluster_uuid": "hushlog",
        "version": {
            "number": version,
            "build_flavor": "default",
            "build_type": "docker",
            "build_hash": "0",
            "build_date": "2025-01-01T00:00:00Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    });
    answer(StatusCode::OK, &body)
}

/// The client's own version if it is one of Elastic's: `Elastic-filebeat/8.15.1 (linux; …)`.
fn version(headers: &HeaderMap) -> &str {
    let agent = headers.get(header::USER_AGENT);
    let own = agent
        .and_then(|agent| agent.to_str().ok())
        .filter(|agent| agent.starts_with(OWN_CLIENTS))
        .and_then(|agent| agent.split_once('/'))
        .and_then(|(_, rest)| rest.split([' ', '-', '+']).next());
    let is_version = |text: &&str| {
        let mut numbers = text.split('.');
        let three = numbers.clone().count() == 3 && text.len() <= 16;
        three && numbers.all(|number| number.parse::<u32>().is_ok())
    };
    own.filter(is_version).unwrap_or(VERSION)
}

/// `GET /_license`.
pub(super) async fn license() -> Response {
    answer(StatusCode::OK, &json!({ "license": license_body() }))
}

fn license_body() -> Value {
    json!({
        "uid": "hushlog",
        "type": "basic",
        "mode": "basic",
        "status": "active",
        "expiry_date_in_millis": 4_102_444_800_000_u64,
    })
}

/// `GET /_xpack`.
pub(super) async fn xpack() -> Response {
    let features = json!({ "ilm": { "available": true, "enabled": true } });
    let body = json!({ "license": license_body(), "features": features });
    answer(StatusCode::OK, &body)
}

/// `GET /_nodes…`: no addresses, so that a client that looks for more nodes stays with those it has.
pub(super) async fn nodes() -> Response {
    let count = json!({ "total": 0, "successful": 0, "failed": 0 });
    let body = json!({ "_nodes": count, "cluster_name": "hushlog", "nodes": {} });
    answer(StatusCode::OK, &body)
}

/// `GET /_cluster/health`.
pub(super) async fn health(State(api): State<Api>) -> Response {
    let body = json!({
        "cluster_name": "hushlog",
        "status": color(&api),
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 1,
        "active_shards": 1,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
    });
    answer(StatusCode::OK, &body)
}

/// `GET /_cat/health`.
pub(super) async fn cat_health(State(api): State<Api>) -> Response {
    let seconds = api.clock.now().nanos() / 1_000_000_000;
    format!(
        "{seconds} - hushlog {} 1 1 1 1 0 0 0 0 - 100.0%\n",
        color(&api)
    )
    .into_response()
}

fn color(api: &Api) -> &'static str {
    match api.control.ready() {
        Ok(()) => "green",
        Err(_) => "red",
    }
}

/// `GET /_cat/indices`: there are none.
pub(super) async fn cat_indices() -> Response {
    answer(StatusCode::OK, &json!([]))
}

/// There is nothing to tell.
pub(super) async fn nothing() -> Response {
    answer(StatusCode::OK, &json!({}))
}

/// Templates, policies and pipelines: what is written is acknowledged, and none is there.
pub(super) async fn acknowledge(method: Method) -> Response {
    match method {
        Method::GET | Method::HEAD => nothing().await,
        _ => answer(StatusCode::OK, &json!({ "acknowledged": true })),
    }
}

/// `PUT /{index}`.
pub(super) async fn create_index(Path(index): Path<String>) -> Result<Response, Invalid> {
    check(&index)?;
    let body = json!({ "acknowledged": true, "shards_acknowledged": true, "index": index });
    Ok(answer(StatusCode::OK, &body))
}
