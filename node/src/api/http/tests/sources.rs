//! What clients made for other log stores send, and what they are answered.

use axum::http::HeaderMap;

use super::super::{elastic_router, otlp_router};
use super::*;

/// An answer of one of the foreign interfaces.
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn is_elastic(&self) -> bool {
        self.headers
            .get("x-elastic-product")
            .is_some_and(|name| name == "Elasticsearch")
    }
}

type Routes = fn(Api) -> axum::Router;

async fn ask(routes: Routes, fake: Fake, request: Request<Body>) -> Answer {
    let response = routes(api(fake, 1 << 20))
        .oneshot(request)
        .await
        .expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).expect("text"),
    }
}

/// What the sink has.
fn stored(fake: &Arc<Mutex<Vec<(String, String)>>>) -> Vec<(String, String)> {
    std::mem::take(&mut *fake.lock())
}

fn pair(service: &str, message: &str) -> (String, String) {
    (service.into(), message.into())
}

const BULK: (&str, &str) = (
    "content-type",
    "application/vnd.elasticsearch+x-ndjson; compatible-with=8",
);

const TWO: &str = concat!(
    "{\"create\":{\"_index\":\"logs\",\"_id\":\"a\"}}\n",
    "{\"@timestamp\":\"2026-01-01T00:00:00Z\",\"message\":\"one\",\"service\":{\"name\":\"pay\"}}\n",
    "{\"index\":{\"_index\":\"logs\"}}\n",
    "{\"message\":\"two\"}\n",
);

#[tokio::test]
async fn a_bulk_request_is_stored_and_answered_item_by_item() {
    let cases: [(Routes, &str); 4] = [
        (router, "/es/_bulk"),
        (router, "/es/logs/_bulk?refresh=true&pipeline=p"),
        (elastic_router, "/_bulk"),
        (elastic_router, "/logs/_bulk"),
    ];
    for (routes, path) in cases {
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let answer = ask(routes, fake, post(path, &[BULK], TWO)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(answer.is_elastic(), "{path}");
        let body = answer.json();
        assert_eq!(body["errors"], false);
        assert_eq!(body["items"][0]["create"]["_id"], "a");
        assert_eq!(body["items"][0]["create"]["status"], 201);
        assert_eq!(body["items"][1]["index"]["_index"], "logs");
        let id = body["items"][1]["index"]["_id"].as_str().expect("an id");
        id.parse::<LogId>().expect("the record's own id");
        assert_eq!(stored(&sink), [pair("pay", "one"), pair("unknown", "two")]);
    }
}

#[tokio::test]
async fn a_header_names_the_service_of_records_that_name_none() {
    let otlp =
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"m"}}]}]}]}"#;
    let loki = r#"{"streams":[{"stream":{},"values":[["1","m"]]}]}"#;
    let bulk = "{\"index\":{}}\n{\"message\":\"m\"}\n";
    for (path, kind, body) in [
        ("/api/v1/logs", JSON, r#"{"message":"m"}"#),
        ("/v1/logs", JSON, otlp),
        ("/loki/api/v1/push", JSON, loki),
        ("/es/_bulk", BULK, bulk),
    ] {
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let headers = [kind, ("x-service-name", "pay"), ("x-environment", "test")];
        let answer = ask(router, fake, post(path, &headers, body)).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
        assert_eq!(stored(&sink), [pair("pay", "m")], "{path}");
    }
}

#[tokio::test]
async fn a_document_is_stored_once_under_the_id_that_its_client_gave_it_and_no_other() {
    let id = |number: u8| LogId([number; 16]);
    let body = format!(
        "{{\"create\":{{\"_id\":\"{}\"}}}}\n{{\"message\":\"a\"}}\n\
         {{\"index\":{{}}}}\n{{\"message\":\"b\",\"log_id\":\"{}\"}}\n{TWO}",
        id(1),
        id(2)
    );
    let fake = Fake::default();
    let (sink, named) = (Arc::clone(&fake.stored), Arc::clone(&fake.named));
    let answer = ask(router, fake, post("/es/_bulk", &[BULK], body)).await;
    let items = answer.json()["items"].clone();
    assert_eq!(items[0]["create"]["_id"], id(1).to_string());
    assert_eq!(items[1]["index"]["_id"], id(2).to_string());
    assert_eq!(stored(&sink).len(), 4);
    assert_eq!(*named.lock(), [id(1), id(2)]);
}

#[tokio::test]
async fn what_no_retry_changes_is_refused_by_itself() {
    let body = format!("{{\"delete\":{{\"_id\":\"x\"}}}}\n{TWO}");
    let fake = Fake::default();
    let sink = Arc::clone(&fake.stored);
    let path = "/es/_bulk?filter_path=errors,items.*.status";
    let answer = ask(router, fake, post(path, &[BULK], body)).await;
    let expected = json!({"errors": true, "items": [
        {"delete": {"status": 400}}, {"create": {"status": 201}}, {"index": {"status": 201}},
    ]});
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(stored(&sink).len(), 2);
}

#[tokio::test]
async fn a_bulk_request_that_cannot_be_stored_is_refused_whole() {
    for (why, status, kind) in [
        (Refused::Backlog, 429, "es_rejected_execution_exception"),
        (Refused::Unavailable, 503, "unavailable_shards_exception"),
        (Refused::OutcomeUnknown, 504, "outcome_unknown"),
    ] {
        let fake = Fake {
            refuse: Some(why),
            ..Fake::default()
        };
        let answer = ask(router, fake, post("/es/_bulk", &[BULK], TWO)).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers.contains_key("retry-after"), status != 504);
        assert!(answer.is_elastic());
        let body = answer.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["error"]["type"], kind);
    }
    // No room in memory: nothing of it is read, and nothing proposed.
    let fake = Fake::default();
    let sink = Arc::clone(&fake.stored);
    let request = post("/es/_bulk", &[BULK, ("content-length", "4096")], TWO);
    let response = router(api(fake, 1 << 10))
        .oneshot(request)
        .await
        .expect("infallible");
    assert_eq!(response.status(), 429);
    assert!(stored(&sink).is_empty());
}

#[tokio::test]
async fn a_malformed_bulk_request_stores_nothing() {
    let half = format!("{TWO}{{\"index\":{{}}}}\n");
    let cases = [
        ("", BULK, 400),
        ("secret\n", BULK, 400),
        (half.as_str(), BULK, 400),
        (TWO, ("content-type", "text/xml"), 415),
        (TWO, ("content-encoding", "br"), 415),
        (TWO, ("content-encoding", "gzip"), 400),
    ];
    for (body, header, status) in cases {
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let answer = ask(router, fake, post("/es/_bulk", &[header], body.to_owned())).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.is_elastic() && answer.json()["error"]["reason"].is_string());
        assert!(!answer.text.contains("secret"));
        assert!(stored(&sink).is_empty(), "{body}");
    }
}

#[tokio::test]
async fn the_questions_before_a_bulk_request_are_answered_so_that_shippers_go_on() {
    let asked = [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/_license", 200),
        ("GET", "/_xpack", 200),
        ("GET", "/_nodes/http", 200),
        ("GET", "/_cluster/health?wait_for_status=yellow", 200),
        ("GET", "/_cat/health", 200),
        ("GET", "/_cat/indices", 200),
        ("GET", "/_logstash/pipeline", 200),
        ("HEAD", "/_index_template/filebeat-8.15.1", 200),
        ("PUT", "/_index_template/filebeat-8.15.1", 200),
        ("PUT", "/_template/fluentd", 200),
        ("PUT", "/_component_template/x", 200),
        ("PUT", "/_ilm/policy/filebeat", 200),
        ("PUT", "/_ingest/pipeline/p", 200),
        ("PUT", "/_data_stream/logs-app-default", 200),
        ("HEAD", "/logs", 200),
        ("PUT", "/logs", 200),
        ("PUT", "/_logs", 400),
        ("DELETE", "/logs", 405),
        ("POST", "/", 405),
        ("PUT", "/", 405),
        ("DELETE", "/", 405),
        ("POST", "/logs/_search", 404),
    ];
    for (method, path, status) in asked {
        let prefixed = format!("/es{path}");
        let cases: [(Routes, &str); 2] = [(elastic_router, path), (router, &prefixed)];
        for (routes, path) in cases {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::empty()).expect("a request");
            let answer = ask(routes, Fake::default(), request).await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
            assert!(answer.is_elastic(), "{method} {path}");
            if status >= 400 {
                // A refusal in Elasticsearch's form.
                assert_eq!(answer.json()["status"], status, "{method} {path}");
            }
        }
    }
    let version = async |path: &str, agent: &str| {
        let request = Request::get(path).header("user-agent", agent);
        let request = request.body(Body::empty()).expect("a request");
        let answer = ask(router, Fake::default(), request).await;
        answer.json()["version"]["number"].clone()
    };
    assert_eq!(version("/es", "curl/8.0.1").await, "8.19.0");
    assert_eq!(
        version("/es/", "Elastic-filebeat/9.1.2 (linux; amd64)").await,
        "9.1.2"
    );
    assert_eq!(version("/es", "Elastic-x/secret (linux)").await, "8.19.0");
}

/// A varint-free protobuf: one stream `{app="pay"}` with one entry `one`.
fn loki_protobuf() -> Vec<u8> {
    let labels = b"{app=\"pay\"}";
    let entry = [&[0x12, 3][..], b"one"].concat();
    let stream = [&[0x0a, 11][..], labels, &[0x12, 5], &entry].concat();
    let push = [&[0x0a, 20][..], &stream].concat();
    snap::raw::Encoder::new()
        .compress_vec(&push)
        .expect("small")
}

#[tokio::test]
async fn loki_pushes_are_stored_in_both_forms() {
    let json = r#"{"streams":[{"stream":{"app":"pay"},"values":[["1700000000000000000","one"]]}]}"#;
    let protobuf = ("content-type", "application/x-protobuf");
    let cases = [
        ("/loki/api/v1/push", JSON, json.as_bytes().to_vec()),
        ("/api/prom/push", JSON, json.as_bytes().to_vec()),
        ("/loki/api/v1/push", protobuf, loki_protobuf()),
        (
            "/loki/api/v1/push",
            ("content-encoding", "snappy"),
            loki_protobuf(),
        ),
    ];
    for (path, header, body) in cases {
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let answer = ask(router, fake, post(path, &[header], body)).await;
        assert_eq!((answer.status, &*answer.text), (204, ""), "{header:?}");
        assert_eq!(stored(&sink), [pair("pay", "one")]);
    }
    let answer = ask(
        router,
        Fake::default(),
        post("/loki/api/v1/push", &[JSON], r#"{"streams":[]}"#),
    );
    assert_eq!(answer.await.status, 204);
}

/// What Loki answers with 400 is sent again whole by some of its clients, and would be stored twice.
#[tokio::test]
async fn a_loki_push_of_which_anything_is_stored_is_a_success_and_says_what_was_rejected() {
    let long = "x".repeat((1 << 20) + 1);
    for (good, status, rejected) in [(r#"["1","good"],"#, 204, true), ("", 400, false)] {
        let body = format!(
            r#"{{"streams":[{{"stream":{{"app":"pay"}},"values":[{good}["2","{long}"]]}}]}}"#
        );
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let router = router(api_taking(fake, (32 << 20, 4 << 20), |_| {}));
        let request = post("/loki/api/v1/push", &[JSON], body);
        let response = router.oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), status);
        let header = response.headers().get("x-hushlog-rejected");
        let expected = "1; the record is larger than 1 MiB";
        assert_eq!(header.is_some_and(|header| header == expected), rejected);
        assert_eq!(stored(&sink).len(), usize::from(rejected));
    }
}

#[tokio::test]
async fn an_export_of_which_nothing_is_taken_is_a_bad_request() {
    let long = "x".repeat((1 << 20) + 1);
    for (good, status) in [(r#"{"body":{"stringValue":"good"}},"#, 200), ("", 400)] {
        let body = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{good}{{"body":{{"stringValue":"{long}"}}}}]}}]}}]}}"#
        );
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let router = router(api_taking(fake, (32 << 20, 4 << 20), |_| {}));
        let request = post("/v1/logs", &[JSON], body);
        let response = router.oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), status);
        let bytes = response.into_body().collect().await.expect("a body");
        let answer: Value = serde_json::from_slice(&bytes.to_bytes()).expect("JSON");
        if status == 200 {
            assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "1");
            assert_eq!(stored(&sink).len(), 1);
        } else {
            // `google.rpc.Status`: an invalid argument.
            assert_eq!(answer["code"], 3);
            let message = answer["message"].as_str().expect("a text");
            assert!(message.contains("larger than 1 MiB"), "{message}");
            assert!(stored(&sink).is_empty());
        }
    }
}

#[tokio::test]
async fn loki_pushes_that_cannot_be_taken_get_the_statuses_of_loki() {
    let number = r#"{"streams":[{"stream":{},"values":[[1700000000000000000,"one"]]}]}"#;
    let protobuf = ("content-type", "application/x-protobuf");
    // A block that says to hold more than a body may.
    let bomb = vec![0xff, 0xff, 0xff, 0x7f];
    let cases = [
        (JSON, number.as_bytes().to_vec(), 400, "invalid_body"),
        (JSON, b"{".to_vec(), 400, "invalid_body"),
        (protobuf, b"no snappy".to_vec(), 400, "invalid_body"),
        (protobuf, bomb, 413, "body_too_large"),
        (
            ("content-type", "text/plain"),
            Vec::new(),
            415,
            "unsupported_media_type",
        ),
        (
            ("content-encoding", "gzip"),
            loki_protobuf(),
            415,
            "unsupported_media_type",
        ),
    ];
    for (header, body, status, code) in cases {
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let got = send(fake, post("/loki/api/v1/push", &[header], body)).await;
        assert_eq!(
            (got.status.as_u16(), got.code()),
            (status, code),
            "{header:?}"
        );
        assert!(stored(&sink).is_empty());
    }
    let fake = Fake {
        refuse: Some(Refused::Backlog),
        ..Fake::default()
    };
    let got = send(
        fake,
        post("/loki/api/v1/push", &[protobuf], loki_protobuf()),
    )
    .await;
    assert_eq!((got.status.as_u16(), got.retry_after), (429, true));
}

#[tokio::test]
async fn otlp_in_json_is_read_as_the_specification_says() {
    let long = "x".repeat(20 << 10);
    let body = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"pay"}}}}]}},
        "scopeLogs":[{{"logRecords":[
          {{"timeUnixNano":"1700000000000000000","severityNumber":9,"traceId":"5B8EFFF798038103D269B633813FC60C",
            "body":{{"stringValue":"one"}},"notKnown":{{"a":[1]}}}},
          {{"observedTimeUnixNano":1700000000000000000,"body":{{"aNewKind":1,"stringValue":"two"}}}}],
        "schemaUrl":"{long}"}}]}}]}}"#
    );
    for routes in [router as Routes, otlp_router] {
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let answer = ask(routes, fake, post("/v1/logs", &[JSON], body.clone())).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})));
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(stored(&sink), [pair("pay", "one"), pair("pay", "two")]);
    }
    let answer = ask(router, Fake::default(), post("/v1/logs", &[JSON], "[]")).await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(3)));
    assert_eq!(
        ask(otlp_router, Fake::default(), get("/healthz"))
            .await
            .status,
        200
    );
    assert_eq!(
        ask(otlp_router, Fake::default(), get("/metrics"))
            .await
            .status,
        404
    );
}

/// A request whose records share a long text, with the path that takes it.
fn shared(records: usize) -> [(&'static str, String); 2] {
    let long = "l".repeat(32 << 10);
    let values = vec![r#"["1","x"]"#; records].join(",");
    let empty = vec!["{}"; records].join(",");
    [
        (
            "/loki/api/v1/push",
            format!(r#"{{"streams":[{{"stream":{{"a":"{long}"}},"values":[{values}]}}]}}"#),
        ),
        (
            "/v1/logs",
            format!(
                r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"a","value":{{"stringValue":"{long}"}}}}]}},
                "scopeLogs":[{{"logRecords":[{empty}]}}]}}]}}"#
            ),
        ),
    ]
}

#[tokio::test]
async fn copies_of_what_records_share_are_paid_for_before_they_are_made() {
    const MEMORY: usize = 1 << 20;
    // Twenty copies fit once the other request is gone; two thousand never do.
    for (records, others, status) in [(20, 0, 2), (20, MEMORY / 2, 429), (2_000, 0, 413)] {
        for (path, body) in shared(records) {
            let fake = Fake::default();
            let sink = Arc::clone(&fake.stored);
            let api = api(fake, MEMORY);
            let _others = api.gateway.admission().take(others).expect("room");
            let response = router(api.clone())
                .oneshot(post(path, &[JSON], body))
                .await
                .expect("infallible");
            let got = response.status().as_u16();
            match status {
                2 => assert!(response.status().is_success(), "{path}: {got}"),
                status => assert_eq!(got, status, "{path}"),
            }
            assert_eq!(
                response.headers().contains_key("retry-after"),
                status == 429
            );
            assert_eq!(stored(&sink).len(), if status == 2 { records } else { 0 });
        }
    }
}

fn bulk(path: &str, body: impl Into<Body>) -> Request<Body> {
    post(path, &[BULK], body)
}

#[tokio::test]
async fn the_name_of_an_index_is_bounded_where_the_address_gives_it() {
    for (bytes, status) in [(255, 200), (256, 400), (4_096, 400)] {
        let name = "i".repeat(bytes);
        for (routes, path) in [
            (router as Routes, format!("/es/{name}/_bulk")),
            (elastic_router, format!("/{name}/_bulk")),
        ] {
            let fake = Fake::default();
            let sink = Arc::clone(&fake.stored);
            let answer = ask(routes, fake, bulk(&path, "{\"index\":{}}\n{}\n")).await;
            assert_eq!(answer.status, status, "{}", answer.text);
            assert_eq!(stored(&sink).len(), usize::from(status == 200));
            if status == 400 {
                let body = answer.json();
                assert_eq!(body["error"]["type"], "invalid_index_name_exception");
                assert_eq!(body["status"], 400);
                assert!(answer.text.len() < 512, "it is not repeated");
            }
        }
    }
    let create = |name: String| Request::put(format!("/es/{name}")).body(Body::empty());
    for (bytes, status) in [(255, 200), (256, 400)] {
        let request = create("i".repeat(bytes)).expect("a request");
        let answer = ask(router, Fake::default(), request).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}

#[tokio::test]
async fn the_answer_to_a_bulk_request_is_paid_for_before_anything_is_stored() {
    // The name of the index comes back with every item, each of its characters as six.
    let path = format!("/es/{}/_bulk", "%01".repeat(255));
    let body = |items: usize| {
        let deletes = "{\"delete\":{}}\n".repeat(items);
        format!("{{\"index\":{{}}}}\n{{}}\n{deletes}")
    };
    let fake = Fake::default();
    let sink = Arc::clone(&fake.stored);
    let answer = ask(router, fake, bulk(&path, body(2_000))).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert!(stored(&sink).is_empty());

    let api = api(Fake::default(), 1 << 20);
    let response = router(api.clone()).oneshot(bulk(&path, body(100)));
    let response = response.await.expect("infallible");
    assert_eq!(response.status(), 200);
    tokio::task::yield_now().await;
    let free = || api.gateway.admission().take(1 << 20).is_ok();
    assert!(!free(), "the answer has not been sent");
    let bytes = response.into_body().collect().await.expect("a body");
    assert!(bytes.to_bytes().len() > 100 * 6 * 255);
    assert!(free());
}

#[tokio::test]
async fn a_filter_of_unreasonable_size_is_refused_before_anything_is_stored() {
    for filter in ["a,".repeat(100), "a".repeat(2_000)] {
        let fake = Fake::default();
        let sink = Arc::clone(&fake.stored);
        let path = format!("/es/_bulk?filter_path={filter}");
        let answer = ask(router, fake, bulk(&path, TWO)).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(answer.json()["error"]["type"], "illegal_argument_exception");
        assert!(stored(&sink).is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_wants_nothing_is_empty() {
    for (filter, expected) in [
        ("nothing", json!({})),
        ("items.delete.status", json!({})),
        (
            "errors,items.*._index",
            json!({"errors": false, "items": [
                {"create": {"_index": "logs"}}, {"index": {"_index": "logs"}},
            ]}),
        ),
    ] {
        let path = format!("/es/_bulk?filter_path={filter}");
        let answer = ask(router, Fake::default(), bulk(&path, TWO)).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{filter}");
    }
}

#[tokio::test]
async fn a_bulk_request_that_is_stored_and_cannot_be_answered_is_of_unknown_outcome() {
    let fake = Fake::default();
    let sink = Arc::clone(&fake.stored);
    let mut parts = Arc::into_inner(api(fake, 1 << 20).inner).expect("alone");
    parts.offload = Offload::ended();
    let response = router(Api::new(parts)).oneshot(bulk("/es/_bulk", TWO));
    let response = response.await.expect("infallible");
    assert_eq!(stored(&sink).len(), 2);
    assert_eq!(response.status(), 504);
    assert!(!response.headers().contains_key("retry-after"));
}
