//! The front page: what can be called, for people and for programs.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

/// Method, path, and what it is for.
pub(super) const PATHS: [(&str, &str, &str); 32] = [
    (
        "POST",
        "/api/v1/logs",
        "send records: a JSON object, an array or NDJSON",
    ),
    (
        "POST",
        "/v1/logs",
        "send records: OpenTelemetry, protobuf or JSON",
    ),
    (
        "POST",
        "/es/_bulk",
        "send records: shippers made for Elasticsearch",
    ),
    (
        "POST",
        "/loki/api/v1/push",
        "send records: shippers made for Loki",
    ),
    ("POST", "/api/v1/logs/query", "search and aggregate"),
    ("GET", "/api/v1/logs/{log_id}", "one record"),
    (
        "GET",
        "/api/v1/logs/{log_id}/context",
        "its neighbours of the same service and host",
    ),
    (
        "GET",
        "/api/v1/exceptions/top-k",
        "the most frequent exceptions of a window",
    ),
    (
        "GET",
        "/api/v1/exceptions/{exception_id}",
        "one exception with its trend",
    ),
    ("POST", "/api/v1/pii/test", "what masking does to a text"),
    (
        "GET",
        "/api/v1/pii/patterns",
        "patterns masked beside the built-in detectors; POST adds one",
    ),
    (
        "GET",
        "/api/v1/pii/detectors",
        "what the built-in detectors do; PUT and DELETE on one change it",
    ),
    (
        "GET",
        "/api/v1/pii/countries",
        "whose numbers are looked for; PUT and DELETE on one change it",
    ),
    (
        "GET",
        "/api/v1/pii/settings",
        "what holds for all of them; PUT changes it",
    ),
    (
        "GET",
        "/api/v1/pii/findings",
        "how often each of them has found something",
    ),
    ("GET", "/api/v1/retention", "how long records are kept"),
    (
        "GET",
        "/api/v1/retention/{service}",
        "the same of one service, or of `default`",
    ),
    (
        "PUT",
        "/api/v1/retention/{service}",
        "keep its records for {\"days\":30} or {\"hours\":12}",
    ),
    (
        "DELETE",
        "/api/v1/retention/{service}",
        "keep them as long as all others'",
    ),
    ("GET", "/api/v1/limits", "how much services may send"),
    (
        "GET",
        "/api/v1/limits/{service}",
        "the same of one service, or of `default`",
    ),
    (
        "PUT",
        "/api/v1/limits/{service}",
        "limit it: {\"records_per_second\":1000,\"bytes_per_second\":1000000}",
    ),
    (
        "DELETE",
        "/api/v1/limits/{service}",
        "limit it as all others",
    ),
    (
        "GET",
        "/api/v1/ledger",
        "what came in, by source and service, and what became of it",
    ),
    ("GET", "/api/v1/cluster", "nodes, shards, leaders"),
    ("POST", "/api/v1/cluster/nodes", "let a node in"),
    ("DELETE", "/api/v1/cluster/nodes/{id}", "have a node leave"),
    ("POST", "/api/v1/cluster/rebalance", "spread what there is"),
    ("GET", "/healthz", "the process is up"),
    ("GET", "/readyz", "it can take traffic"),
    ("GET", "/metrics", "numbers for Prometheus"),
    ("GET", "/", "this list"),
];

const EXAMPLE: &str = r#"curl -H 'Content-Type: application/json' -d '{"message":"hello"}' "#;

/// Lists the paths, as HTML to a browser, as JSON to who asks for it, else as text.
pub(super) async fn index(headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if accept.contains("text/html") {
        return Html(html()).into_response();
    }
    if accept.contains("application/json") {
        let paths: Vec<_> = PATHS
            .iter()
            .map(|(method, path, what)| json!({"method": method, "path": path, "what": what}))
            .collect();
        let version = env!("CARGO_PKG_VERSION");
        return super::json(
            StatusCode::OK,
            &json!({"name": "hushlog", "version": version, "paths": paths}),
        );
    }
    text().into_response()
}

fn text() -> String {
    let mut page = format!("hushlog {}\n\n", env!("CARGO_PKG_VERSION"));
    for (method, path, what) in PATHS {
        page.push_str(&format!("{method:<6} {path:<34} {what}\n"));
    }
    page.push_str(&format!("\nTry: {EXAMPLE}http://THIS-HOST/api/v1/logs\n"));
    page
}

fn html() -> String {
    let mut rows = String::new();
    for (method, path, what) in PATHS {
        rows.push_str(&format!(
            "<tr><td>{method}<td><code>{path}</code><td>{what}\n"
        ));
    }
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>hushlog</title>\
         <style>body{{font:16px system-ui;margin:3rem auto;max-width:50rem}}\
         td{{padding:.2rem 1rem .2rem 0}}</style>\
         <h1>hushlog {version}</h1><table>{rows}</table>\
         <p>Try <code>hushlog search 'level:ERROR'</code>"
    )
}
