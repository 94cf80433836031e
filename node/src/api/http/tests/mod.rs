//! Statuses and bodies of every path, through the router.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hushlog_pii::{Key, Policy};
use hushlog_raft::meta::{Retention, RetentionRule, State};
use hushlog_record::{Block, ExceptionId, LogId, ShardId, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::ServiceExt;

use super::router;
use crate::api::{Answer, Api, Control, Failure, Kind, Parts, Policies, Reader, TopK};
use crate::clock::Scripted;
use crate::cluster::retention::Periods;
use crate::entropy::Entropy;
use crate::gateway::{self, Gateway, Placed, Refused, Sink};
use crate::masking::Masking;
use crate::metrics::Registry;
use crate::offload::Offload;
use crate::tasks::Tasks;

#[derive(Default)]
pub(crate) struct Fake {
    refuse: Option<Refused>,
    partial: bool,
    incomplete: bool,
    unready: bool,
    panics: bool,
    /// What the first blocks are refused with.
    refuse_first: Mutex<Vec<Refused>>,
    stored: Stored,
    rules: Mutex<Retention>,
}

/// Service and message of every record that was stored.
pub(crate) type Stored = Arc<Mutex<Vec<(String, String)>>>;

impl Fake {
    /// What it has stored, now and later.
    pub(crate) fn stored(&self) -> Stored {
        Arc::clone(&self.stored)
    }

    /// Refuses every block with this.
    pub(crate) fn refusing(why: Refused) -> Self {
        Self {
            refuse: Some(why),
            ..Self::default()
        }
    }

    /// Refuses one block after the other with these, the last first, and then stores.
    pub(crate) fn refusing_at_first(refuse_first: Vec<Refused>) -> Self {
        Self {
            refuse_first: Mutex::new(refuse_first),
            ..Self::default()
        }
    }
}

impl Sink for Fake {
    fn route(&self, _: &str) -> Result<ShardId, Refused> {
        Ok(ShardId { bucket: 1, slot: 0 })
    }

    fn propose(&self, block: Block, _: Instant) -> BoxFuture<'_, Result<Vec<Placed>, Refused>> {
        Box::pin(async move {
            let first = self.refuse_first.lock().pop();
            match self.refuse.or(first) {
                Some(why) => Err(why),
                None => {
                    let columns = block.columns().expect("readable");
                    for record in columns.records() {
                        let pair = (record.service_name.clone(), record.message.clone());
                        self.stored.lock().push(pair);
                    }
                    let rows = 0..block.header().rows;
                    Ok(vec![Placed {
                        rows,
                        shard: block.header().shard,
                        seq: 7,
                        copies: 2,
                        policy_epoch: block.header().policy_epoch,
                        conflict: false,
                    }])
                }
            }
        })
    }
}

const FOUND: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

impl Fake {
    fn periods(&self) -> Periods {
        let facts = State {
            retention: self.rules.lock().clone(),
            ..State::default()
        };
        Periods::new(Arc::new(facts), Duration::from_secs(30 * 86_400))
    }

    fn answer(&self, json: Value) -> Answer {
        assert!(!self.panics, "on purpose");
        Answer {
            json: Bytes::from(json.to_string()),
            partial: self.partial,
        }
    }
}

impl Reader for Fake {
    fn search(&self, body: Bytes, _: Instant) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async move {
            match serde_json::from_slice::<Value>(&body) {
                Ok(body) => Ok(self.answer(json!({ "asked": body }))),
                Err(_) => Err(Failure::new(Kind::InvalidQuery, "expected a term").at(3)),
            }
        })
    }

    fn get(&self, id: LogId, _: Instant) -> BoxFuture<'_, Result<Option<Bytes>, Failure>> {
        Box::pin(async move {
            if self.incomplete {
                return Err(Failure::new(Kind::Incomplete, "a shard did not answer"));
            }
            Ok((id.to_string() == FOUND).then(|| Bytes::from_static(b"{}")))
        })
    }

    fn context(
        &self,
        id: LogId,
        before: u32,
        after: u32,
        _: Instant,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        Box::pin(async move {
            let found = id.to_string() == FOUND;
            Ok(found.then(|| self.answer(json!({ "before": before, "after": after }))))
        })
    }

    fn top_k(&self, question: TopK, _: Instant) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(
            async move { Ok(self.answer(json!({ "k": question.k, "window": question.window }))) },
        )
    }

    fn exception(
        &self,
        id: ExceptionId,
        _: Duration,
        _: Instant,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        Box::pin(async move { Ok((id.0 == 1).then(|| self.answer(json!({ "count": 3 })))) })
    }
}

impl Control for Fake {
    fn ready(&self) -> Result<(), String> {
        if self.unready {
            Err("no shard has a leader".into())
        } else {
            Ok(())
        }
    }

    fn describe(&self) -> BoxFuture<'_, Value> {
        Box::pin(async { json!({ "nodes": [], "totals": {} }) })
    }

    fn describe_node(&self) -> Value {
        json!({ "nodes": [] })
    }

    fn retention(&self, _: Instant) -> BoxFuture<'_, Result<Periods, Failure>> {
        Box::pin(async { Ok(self.periods()) })
    }

    fn set_retention(
        &self,
        rule: RetentionRule,
        _: Instant,
    ) -> BoxFuture<'_, Result<Periods, Failure>> {
        Box::pin(async move {
            let RetentionRule { service, period } = rule;
            let mut rules = self.rules.lock();
            match (service, period) {
                (None, period) => rules.default = period,
                (Some(service), Some(period)) => {
                    rules.services.insert(service, period);
                }
                (Some(service), None) => {
                    rules.services.remove(&service);
                }
            }
            drop(rules);
            Ok(self.periods())
        })
    }
}

/// A cluster of one shard that takes every change.
struct FakePolicies {
    masking: Arc<Masking>,
    /// What does not confirm a change.
    missing: Vec<String>,
    /// How many changes of others come first.
    others: Mutex<u64>,
}

impl Policies for FakePolicies {
    fn newest(&self, _: Instant) -> BoxFuture<'_, Result<Policy, Failure>> {
        Box::pin(async { Ok(self.masking.current().policy().clone()) })
    }

    fn replace(&self, policy: Policy, _: Instant) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(async move {
            let now = self.masking.current().policy().clone();
            if policy.epoch != now.epoch + 1 {
                return Ok(false);
            }
            let mut others = self.others.lock();
            let (policy, taken) = if *others > 0 {
                *others -= 1;
                (now, false)
            } else {
                (policy, true)
            };
            let epoch = self.masking.epoch() + 1;
            self.masking
                .adopt(epoch, &policy.to_bytes())
                .expect("it was compiled");
            Ok(taken)
        })
    }

    fn in_force(&self, _: u64, _: Instant) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            if self.missing.is_empty() {
                return Ok(());
            }
            let failure = Failure::new(Kind::PolicyPending, "not everywhere yet");
            Err(failure.missing(self.missing.clone()))
        })
    }
}

mod odd;
mod patterns;
mod retention;
mod sources;
mod wire;

pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

pub(crate) fn api(fake: Fake, memory: usize) -> Api {
    api_with(fake, memory, |_| {})
}

fn api_with(fake: Fake, memory: usize, change: impl FnOnce(&mut FakePolicies)) -> Api {
    let fake = Arc::new(fake);
    let entropy = Entropy::seeded(1);
    let masking = Arc::new(Masking::new(Key::new([7; 32])));
    let mut policies = FakePolicies {
        masking: Arc::clone(&masking),
        missing: Vec::new(),
        others: Mutex::new(0),
    };
    change(&mut policies);
    let clock = Arc::new(Scripted::new(Timestamp::from_millis(1_700_000_000_000)));
    let registry = Registry::default();
    let gateway = Gateway::new(gateway::Parts {
        sink: Arc::clone(&fake) as _,
        masking: Arc::clone(&masking),
        content_key: [7; 32],
        request_key: [7; 32],
        offload: Offload::inline(),
        clock: Arc::clone(&clock) as _,
        entropy: entropy.clone(),
        registry: registry.clone(),
        tasks: Tasks::new(),
        memory,
        timeout: Duration::from_secs(10),
    });
    Api::new(Parts {
        gateway,
        reader: Arc::clone(&fake) as _,
        control: fake,
        policies: Arc::new(policies),
        masking,
        offload: Offload::inline(),
        clock,
        registry,
        ids: Mutex::new(entropy.stream("request ids")),
        queries: Arc::new(Semaphore::new(1)),
        query_timeout: Duration::from_secs(30),
        body_bytes_max: BODY_BYTES_MAX,
    })
}

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
async fn one_object_answers_with_its_id() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let body = format!(r#"{{"log_id":"{id}","message":"mail bob@example.com"}}"#);
    let got = send(
        Fake::default(),
        post("/api/v1/logs?receipt=true", &[JSON], body),
    )
    .await;
    assert_eq!(got.status, 200);
    let expected = json!({
        "log_id": id, "status": "accepted", "pii_detected": ["email"], "pii_masked": true,
        "receipts": [{"shard": "b1-s0", "seq": 7, "copies": 2, "policy_epoch": 1}],
    });
    assert_eq!(got.body, expected);
}

#[tokio::test]
async fn many_answer_with_counts_and_reasons() {
    let got = send(
        Fake::default(),
        post("/api/v1/logs", &[JSON], r#"[{"message":"a"},{}]"#),
    )
    .await;
    assert_eq!(got.status, 200);
    let expected = json!({"accepted": 2, "rejected": 0, "pii_detected": {}, "errors": []});
    assert_eq!(got.body, expected);
    let lines = "{\"message\":\"a\"}\nnot json\n{\"message\":\"b\"}\n";
    let kind = ("content-type", "application/x-ndjson");
    let got = send(Fake::default(), post("/api/v1/logs", &[kind], lines)).await;
    assert_eq!(
        (got.status, &got.body["accepted"]),
        (StatusCode::OK, &json!(3))
    );
}

#[tokio::test]
async fn events_of_text_may_hold_line_ends() {
    let kind = ("content-type", "application/vnd.hushlog.lines+x-ndjson");
    let body = "\"ERROR no\\n\\tat a.B.c(B.java:1)\"\n\n\"two\"\nthree\n";
    let got = send(Fake::default(), post("/api/v1/logs", &[kind], body)).await;
    assert_eq!(
        (got.status, &got.body["accepted"]),
        (StatusCode::OK, &json!(3))
    );
}

#[tokio::test]
async fn an_oversize_record_is_rejected_alone() {
    let api = |body: String| async move {
        let parts = api(Fake::default(), 64 << 20);
        let mut parts = Arc::into_inner(parts.inner).expect("alone");
        parts.body_bytes_max = 8 << 20;
        let request = post("/api/v1/logs", &[JSON], body);
        router(Api::new(parts))
            .oneshot(request)
            .await
            .expect("infallible")
    };
    let large = "x".repeat((1 << 20) + 1);
    let response = api(format!(r#"[{{"message":"a"}},{{"message":"{large}"}}]"#)).await;
    assert_eq!(response.status(), 207);
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        (&body["accepted"], &body["rejected"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(body["errors"][0]["index"], 1);
}

#[tokio::test]
async fn bad_ingest_requests_get_the_statuses_of_the_contract() {
    let kind = |kind| [("content-type", kind)];
    let encoded = |encoding| [JSON, ("content-encoding", encoding)];
    let cases: Vec<(Request<Body>, u16, &str)> = vec![
        (post("/api/v1/logs", &[JSON], ""), 400, "empty_body"),
        (post("/api/v1/logs", &[JSON], " \n"), 400, "empty_body"),
        (post("/api/v1/logs", &[JSON], "[]"), 400, "empty_body"),
        (post("/api/v1/logs", &[JSON], "hello"), 400, "invalid_body"),
        (
            post("/api/v1/logs", &[JSON], "[{\"a\":1},"),
            400,
            "invalid_body",
        ),
        (
            post("/api/v1/logs", &kind("text/xml"), "{}"),
            415,
            "unsupported_media_type",
        ),
        (
            post("/api/v1/logs", &encoded("br"), "{}"),
            415,
            "unsupported_media_type",
        ),
        (
            post("/api/v1/logs", &encoded("gzip"), "{}"),
            400,
            "invalid_body",
        ),
        (
            post("/api/v1/logs", &[JSON, ("idempotency-key", "")], "{}"),
            400,
            "invalid_argument",
        ),
        (
            post("/api/v1/logs", &[JSON], "x".repeat(BODY_BYTES_MAX + 1)),
            413,
            "body_too_large",
        ),
    ];
    for (request, status, code) in cases {
        let shown = format!("{request:?}");
        let got = send(Fake::default(), request).await;
        assert_eq!((got.status.as_u16(), got.code()), (status, code), "{shown}");
    }
}

#[tokio::test]
async fn a_broken_body_names_the_offset() {
    let got = send(
        Fake::default(),
        post("/api/v1/logs", &[JSON], "[{\"a\":1},"),
    )
    .await;
    assert_eq!(got.body["error"]["position"], 9);
}

#[tokio::test]
async fn a_refusing_cluster_gets_the_statuses_of_the_contract() {
    let cases = [
        (Refused::Unavailable, 503, "unavailable", true),
        (Refused::WritesFailed, 503, "unavailable", true),
        (Refused::Backlog, 429, "overloaded", true),
        (Refused::OutcomeUnknown, 504, "outcome_unknown", false),
        (Refused::DiskFull, 507, "disk_full", false),
        (Refused::KeyReused, 409, "idempotency_key_reused", false),
    ];
    for (why, status, code, retry) in cases {
        let fake = Fake {
            refuse: Some(why),
            ..Fake::default()
        };
        let got = send(fake, post("/api/v1/logs", &[JSON], "{}")).await;
        assert_eq!(
            (got.status.as_u16(), got.code(), got.retry_after),
            (status, code, retry)
        );
    }
}

#[tokio::test]
async fn a_request_without_room_is_refused_before_it_is_read() {
    let router = router(api(Fake::default(), 1 << 10));
    let request = post("/api/v1/logs", &[JSON, ("content-length", "4096")], "{}");
    let response = router.oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), 429);
    assert!(response.headers().contains_key("retry-after"));
}

/// A request whose body is ten times over the limit once it is decoded.
fn bomb() -> Request<Body> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(&vec![b' '; BODY_BYTES_MAX * 10])
        .expect("memory");
    let body = encoder.finish().expect("memory");
    post("/api/v1/logs", &[JSON, ("content-encoding", "gzip")], body)
}

#[tokio::test]
async fn a_decompression_bomb_stops_at_the_limit() {
    let got = send(Fake::default(), bomb()).await;
    assert_eq!((got.status.as_u16(), got.code()), (413, "body_too_large"));
}

#[tokio::test]
async fn a_decompression_bomb_stops_where_the_room_ends() {
    let api = api(Fake::default(), BODY_BYTES_MAX);
    let _others = api.gateway.admission().take(1 << 10).expect("room");
    let response = router(api).oneshot(bomb()).await.expect("infallible");
    assert_eq!(response.status(), 429);
}

#[tokio::test]
async fn a_body_that_shrank_more_than_estimated_is_taken() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let text = "m".repeat(BODY_BYTES_MAX / 2);
    write!(encoder, r#"{{"message":"{text}"}}"#).expect("memory");
    let body = encoder.finish().expect("memory");
    let headers = [JSON, ("content-encoding", "gzip")];
    let got = send(Fake::default(), post("/api/v1/logs", &headers, body)).await;
    assert_eq!(got.status, 200);
}

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
    assert_eq!(send(Fake::default(), get("/healthz")).await.status, 200);
    assert_eq!(send(Fake::default(), get("/readyz")).await.status, 200);
    let got = send(
        Fake {
            unready: true,
            ..Fake::default()
        },
        get("/readyz"),
    )
    .await;
    assert_eq!(got.status, 503);
    assert_eq!(got.body["error"]["message"], "no shard has a leader");
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
    assert!(String::from_utf8_lossy(&body).contains("hushlog_node_ingest_records_total 1\n"));
}
