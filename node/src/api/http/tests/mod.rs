//! Statuses and bodies of every path, through the router.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use hushlog_record::LogId;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::router;
use crate::api::Api;
use crate::gateway::Refused;
use crate::offload::Offload;
use crate::tasks::Tasks;

mod fake;
mod ingest;
mod keys;
mod ledger;
mod limits;
mod nodes;
mod odd;
mod openapi;
mod patterns;
mod retention;
mod rules;
mod sources;
mod wire;

pub(crate) use fake::api_taking;
pub(crate) use fake::{BODY_BYTES_MAX, Fake, Stored, api};
use fake::{FOUND, FakePolicies, api_with};
pub(crate) use keys::{VALUES, check, otlp};

struct Got {
    status: StatusCode,
    body: Value,
    retry_after: bool,
}

impl Got {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("")
    }
}

async fn send(fake: Fake, request: Request<Body>) -> Got {
    let response = router(api(fake, 1 << 20))
        .oneshot(request)
        .await
        .expect("infallible");
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status();
    let retry_after = response.headers().contains_key("retry-after");
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if status.is_client_error() || status.is_server_error() {
        let error = &body["error"];
        assert!(
            error["message"].is_string() && error["request_id"].is_string(),
            "{body}"
        );
    }
    Got {
        status,
        body,
        retry_after,
    }
}

fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).expect("a request")
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn queries_pass_through_and_say_when_they_are_partial() {
    let body = r#"{"query":"a"}"#;
    let got = send(Fake::default(), post("/api/v1/logs/query", &[JSON], body)).await;
    assert_eq!(
        (got.status.as_u16(), &got.body["asked"]["query"]),
        (200, &json!("a"))
    );
    let fake = Fake {
        partial: true,
        ..Fake::default()
    };
    let got = send(fake, post("/api/v1/logs/query", &[JSON], body)).await;
    assert_eq!(got.status, 206);
    let got = send(Fake::default(), post("/api/v1/logs/query", &[JSON], "{")).await;
    assert_eq!((got.status.as_u16(), got.code()), (400, "invalid_query"));
    assert_eq!(got.body["error"]["position"], 3);
}

#[tokio::test]
async fn look_ups_answer_found_absent_or_incomplete() {
    let other = "01890a5d-ac96-774b-bcce-b302099a8058";
    let cases = [
        (format!("/api/v1/logs/{FOUND}"), false, 200),
        (format!("/api/v1/logs/{other}"), false, 404),
        (format!("/api/v1/logs/{other}"), true, 503),
        ("/api/v1/logs/not-an-id".to_owned(), false, 400),
        (
            format!("/api/v1/logs/{FOUND}/context?before=1&after=2"),
            false,
            200,
        ),
        (
            format!("/api/v1/logs/{FOUND}/context?before=-1"),
            false,
            400,
        ),
        (format!("/api/v1/logs/{other}/context"), false, 404),
        ("/api/v1/exceptions/0000000000000001".to_owned(), false, 200),
        ("/api/v1/exceptions/0000000000000002".to_owned(), false, 404),
        ("/api/v1/exceptions/xyz".to_owned(), false, 400),
        (
            "/api/v1/exceptions/0000000000000001?window=soon".to_owned(),
            false,
            400,
        ),
    ];
    for (path, incomplete, status) in cases {
        let got = send(
            Fake {
                incomplete,
                ..Fake::default()
            },
            get(&path),
        )
        .await;
        assert_eq!(got.status.as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn top_k_checks_its_parameters() {
    let got = send(Fake::default(), get("/api/v1/exceptions/top-k")).await;
    assert_eq!(got.body, json!({ "k": 10, "window": "1h" }));
    let bad = [
        "k=0",
        "k=x",
        "k=1000000000",
        "window=1y",
        "window=59s",
        "end=yesterday",
        "tumbling=1",
        "group_by=x",
    ];
    for parameter in bad {
        let got = send(
            Fake::default(),
            get(&format!("/api/v1/exceptions/top-k?{parameter}")),
        )
        .await;
        assert_eq!(
            (got.status.as_u16(), got.code()),
            (400, "invalid_argument"),
            "{parameter}"
        );
    }
}

#[tokio::test]
async fn masking_can_be_tried() {
    let body = json!({ "text": "é bob@example.com" }).to_string();
    let got = send(Fake::default(), post("/api/v1/pii/test", &[JSON], body)).await;
    assert_eq!(got.status, 200);
    let span = &got.body["spans"][0];
    assert_eq!((&span["start"], &span["end"]), (&json!(2), &json!(17)));
    assert_eq!(span["detector"], "email");
    assert!(!got.body["masked"].as_str().expect("text").contains("bob@"));
    for (body, code) in [
        ("", "empty_body"),
        ("{}", "invalid_body"),
        ("{\"text\":1}", "invalid_body"),
    ] {
        let got = send(Fake::default(), post("/api/v1/pii/test", &[JSON], body)).await;
        assert_eq!((got.status.as_u16(), got.code()), (400, code));
    }
}

#[tokio::test]
async fn health_says_why_it_is_not_ready() {
    for (path, unready) in [
        ("/healthz", 200),
        ("/livez", 200),
        ("/health", 200),
        ("/readyz", 503),
        ("/ready", 503),
    ] {
        assert_eq!(send(Fake::default(), get(path)).await.status, 200, "{path}");
        let fake = Fake {
            unready: true,
            ..Fake::default()
        };
        let got = send(fake, get(path)).await;
        assert_eq!(got.status, unready, "{path}");
        if unready == 503 {
            assert_eq!(got.body["error"]["message"], "no shard has a leader");
        }
    }
    let got = send(Fake::default(), get("/_cluster/health")).await;
    assert_eq!(
        (got.status.as_u16(), &got.body["status"]),
        (200, &json!("green"))
    );
}

#[tokio::test]
async fn what_this_release_does_not_have_says_so() {
    for (method, path) in [
        ("GET", "/api/v1/logs/tail?query=a"),
        ("DELETE", "/api/v1/logs"),
        ("GET", "/api/v1/deletions/1"),
        ("GET", "/api/v1/fields"),
        ("GET", "/api/v1/fields/user/values?prefix=a"),
        ("GET", "/api/v1/queries"),
        ("PUT", "/api/v1/searches/mine"),
        ("POST", "/api/v1/alerts"),
        ("GET", "/api/v1/alerts/1/history"),
        (
            "GET",
            "/api/v1/logs/01890a5d-ac96-774b-bcce-b302099a8058/raw",
        ),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).expect("a request");
        let got = send(Fake::default(), request).await;
        assert_eq!(
            (got.status.as_u16(), got.code()),
            (501, "not_implemented"),
            "{method} {path}"
        );
        let message = got.body["error"]["message"].as_str().expect("a text");
        assert!(message.contains("not in this release"), "{message}");
    }
}

#[tokio::test]
async fn the_cluster_is_asked_as_a_whole_or_one_node_alone() {
    let ask = async |path| send(Fake::default(), get(path)).await;
    let whole = json!({ "nodes": [], "totals": {} });
    assert_eq!(ask("/api/v1/cluster").await.body, whole);
    assert_eq!(ask("/api/v1/cluster?scope=cluster").await.body, whole);
    let got = ask("/api/v1/cluster?scope=node").await;
    assert_eq!(got.body, json!({ "nodes": [] }));
    let got = ask("/api/v1/cluster?scope=galaxy").await;
    assert_eq!((got.status.as_u16(), got.code()), (400, "invalid_argument"));
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_panics_are_answered() {
    let got = send(Fake::default(), get("/nothing/here")).await;
    assert_eq!((got.status.as_u16(), got.code()), (404, "not_found"));
    let got = send(Fake::default(), get("/api/v1/logs")).await;
    assert_eq!(
        (got.status.as_u16(), got.code()),
        (405, "method_not_allowed")
    );
    let fake = Fake {
        panics: true,
        ..Fake::default()
    };
    let got = send(fake, post("/api/v1/logs/query", &[JSON], "{}")).await;
    assert_eq!((got.status.as_u16(), got.code()), (500, "internal"));
}

#[tokio::test]
async fn otlp_answers_in_the_form_it_was_asked() {
    let body =
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}}]}]}]}"#;
    let got = send(Fake::default(), post("/v1/logs", &[JSON], body)).await;
    assert_eq!((got.status.as_u16(), got.body), (200, json!({})));
    let got = send(Fake::default(), post("/v1/logs", &[JSON], "{}")).await;
    assert_eq!((got.status.as_u16(), got.body), (200, json!({})));
    let protobuf = [("content-type", "application/x-protobuf")];
    let response = router(api(Fake::default(), 1 << 20))
        .oneshot(post("/v1/logs", &protobuf, vec![0xff, 0xff]))
        .await
        .expect("infallible");
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["content-type"], "application/x-protobuf");
    let fake = Fake {
        refuse: Some(Refused::Unavailable),
        ..Fake::default()
    };
    let response = router(api(fake, 1 << 20))
        .oneshot(post("/v1/logs", &[JSON], body))
        .await
        .expect("infallible");
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn the_front_page_lists_paths_and_metrics_render() {
    for (accept, expected) in [("text/html", "<table>"), ("*/*", "/api/v1/logs/query")] {
        let request = Request::get("/")
            .header("accept", accept)
            .body(Body::empty())
            .expect("valid");
        let response = router(api(Fake::default(), 1 << 20))
            .oneshot(request)
            .await
            .expect("infallible");
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(expected));
    }
    let router = router(api(Fake::default(), 1 << 20));
    router
        .clone()
        .oneshot(post("/api/v1/logs", &[JSON], "{}"))
        .await
        .expect("infallible");
    let response = router.oneshot(get("/metrics")).await.expect("infallible");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let metrics = String::from_utf8_lossy(&body);
    for line in [
        "hushlog_node_ingest_records_total 1\n",
        "hushlog_node_ingest_rejected_total{reason=\"the record is larger than 1 MiB\"} 0\n",
        "hushlog_node_commit_seconds_count 1\n",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}
