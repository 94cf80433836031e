//! The ledger over HTTP: what each request is entered as, and whether the books add up.

use hushlog_raft::meta::Expired;

use super::*;
use crate::cluster::ledger::Gone;

async fn ask(api: &Api, request: Request<Body>) -> (StatusCode, Value) {
    let answer = router(api.clone()).oneshot(request);
    let answer = answer.await.expect("infallible");
    let status = answer.status();
    let bytes = answer.into_body().collect().await.expect("a body");
    let json = serde_json::from_slice(&bytes.to_bytes()).unwrap_or(Value::Null);
    (status, json)
}

/// The row of a source and a service.
fn row<'a>(ledger: &'a Value, source: &str, service: Option<&str>) -> &'a Value {
    let rows = ledger["rows"].as_array().expect("rows");
    let is_it = |row: &&Value| row["source"] == source && row["service"].as_str() == service;
    rows.iter().find(is_it).unwrap_or(&Value::Null)
}

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

#[tokio::test]
async fn every_request_is_entered_with_what_became_of_it() {
    let fake = Fake::refusing_at_first(vec![Refused::Backlog, Refused::OutcomeUnknown]);
    let api = api(fake, 1 << 20);
    let two = "{\"service\":\"a\",\"message\":\"bob@example.com\"}\n{\"service\":\"b\",\"message\":\"m\"}";
    for status in [504, 429, 200] {
        let (got, _) = ask(&api, post("/api/v1/logs", &[NDJSON], two)).await;
        assert_eq!(got.as_u16(), status);
    }
    let bulk = "{\"index\":{}}\n{\"service\":\"a\"}\n{\"delete\":{\"_id\":1}}\n";
    let (got, _) = ask(&api, post("/es/_bulk", &[NDJSON], bulk)).await;
    assert_eq!(got, StatusCode::OK);
    let large = "x".repeat(BODY_BYTES_MAX + 1);
    let (got, _) = ask(&api, post("/api/v1/logs", &[JSON], large)).await;
    assert_eq!(got, StatusCode::PAYLOAD_TOO_LARGE);

    let (status, ledger) = ask(&api, get("/api/v1/ledger")).await;
    assert_eq!(
        (status, &ledger["adds_up"]),
        (StatusCode::OK, &json!(true)),
        "{ledger}"
    );
    let expected = json!({
        "source": "http", "service": "a", "who": "service", "received": 2, "stored": 1, "repeated": 0,
        "unknown": 1, "masked": 2, "lost": 0, "rejected": {}, "refused": {"overloaded": 1},
    });
    assert_eq!(row(&ledger, "http", Some("a")), &expected);
    let nobodys = row(&ledger, "http", None);
    assert_eq!(nobodys["refused"], json!({"body_too_large": 1}));
    let rejected = row(&ledger, "elasticsearch", None);
    let reason = "only the actions index and create are supported";
    assert_eq!(
        (&rejected["received"], &rejected["rejected"]),
        (&json!(1), &json!({reason: 1}))
    );
    let of_a = &ledger["services"][0];
    assert_eq!(
        (&of_a["service"], &of_a["present"]),
        (&json!("a"), &json!(2))
    );
    assert_eq!(ledger["totals"]["received"], 6);
    assert_eq!(ledger["balance"]["difference"], 0);
    assert!(!ledger.to_string().contains("bob@"), "{ledger}");

    let (_, ledger) = ask(&api, get("/api/v1/ledger?service=b")).await;
    assert_eq!(ledger["rows"].as_array().map(Vec::len), Some(1));
    let text = api.registry.render();
    for code in ["body_too_large", "overloaded", "outcome_unknown"] {
        let line = format!("hushlog_node_ingest_refused_total{{code=\"{code}\"}} 1\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[tokio::test]
async fn a_name_that_is_masked_in_records_is_masked_in_the_books() {
    let api = api(Fake::default(), 1 << 20);
    let record = r#"{"service":"bob@example.com","message":"m"}"#;
    for (headers, body) in [
        (&[JSON][..], record),
        (&[JSON, ("x-service-name", "bob@example.com")], "{}"),
        (&[JSON, ("x-service-name", "bob@example.com")], "no json"),
    ] {
        ask(&api, post("/api/v1/logs", headers, body)).await;
    }
    let (_, ledger) = ask(&api, get("/api/v1/ledger")).await;
    assert!(!ledger.to_string().contains("bob@"), "{ledger}");
    assert_eq!(ledger["totals"]["received"], 2);
}

#[tokio::test]
async fn who_goes_away_before_the_answer_leaves_an_entry() {
    let fake = Fake {
        hangs: true,
        ..Fake::default()
    };
    let api = api(fake, 1 << 20);
    let request = post("/api/v1/logs", &[JSON], r#"{"service":"a"}"#);
    let sent = tokio::time::timeout(Duration::from_millis(50), ask(&api, request));
    sent.await.expect_err("it waits");
    let (_, ledger) = ask(&api, get("/api/v1/ledger")).await;
    let of_a = row(&ledger, "http", Some("a"));
    assert_eq!(
        (&of_a["received"], &of_a["unknown"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_named() {
    let fake = Fake {
        partial: true,
        ..Fake::default()
    };
    let (status, ledger) = ask(&api(fake, 1 << 20), get("/api/v1/ledger")).await;
    assert_eq!((status.as_u16(), &ledger["adds_up"]), (206, &Value::Null));
    assert_eq!(
        ledger["missing"],
        json!([{"id": 2, "reason": "no answer in time"}])
    );
}

#[tokio::test]
async fn receipts_come_on_every_way_that_can_carry_them() {
    let fake = Fake::default();
    let stored = fake.stored();
    let api = api(fake, 1 << 20);
    let receipts = json!([{"shard": "b1-s0", "seq": 7, "copies": 2, "policy_epoch": 1}]);
    let bulk = "{\"index\":{}}\n{\"message\":\"m\"}\n";
    let loki = r#"{"streams":[{"stream":{"app":"a"},"values":[["1700000000000000000","m"]]}]}"#;
    let otlp =
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"m"}}]}]}]}"#;
    for (path, body, plain) in [
        ("/api/v1/logs", "{}", 200),
        ("/es/_bulk", bulk, 200),
        ("/loki/api/v1/push", loki, 204),
        ("/v1/logs", otlp, 200),
    ] {
        let asked = format!("{path}?receipt=true");
        let (status, answer) = ask(&api, post(&asked, &[JSON], body)).await;
        assert_eq!(
            (status, &answer["receipts"]),
            (StatusCode::OK, &receipts),
            "{path}"
        );
        for asked in [path.to_owned(), format!("{path}?receipt=0")] {
            let (status, answer) = ask(&api, post(&asked, &[JSON], body)).await;
            assert_eq!(
                (status.as_u16(), &answer["receipts"]),
                (plain, &Value::Null),
                "{asked}"
            );
        }
        // Nothing is stored before it is known what is asked for.
        let before = stored.lock().len();
        let asked = format!("{path}?receipt=perhaps");
        let (status, _) = ask(&api, post(&asked, &[JSON], body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(stored.lock().len(), before, "{path}");
    }
    let filtered = "/es/_bulk?receipt=true&filter_path=errors";
    let (_, answer) = ask(&api, post(filtered, &[JSON], bulk)).await;
    assert_eq!(answer, json!({"errors": false}));
    let protobuf = [("content-type", "application/x-protobuf")];
    let (status, _) = ask(&api, post("/v1/logs?receipt=true", &protobuf, "")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_dropped_while_it_is_counted_is_counted_again_and_what_is_not_known_is_not_claimed()
{
    let dropped = |rows: u64, is_current| Gone {
        rows: Expired {
            services: [("a".to_owned(), rows)].into(),
            others: 0,
        },
        is_current,
    };
    // Three records, of which none is there any more: none more than were acknowledged only if all are known. What
    // was not looked at in the end was not waited for.
    for (looks, left, expected) in [
        ([(1, true), (3, true), (3, true), (0, true)], 1, json!(true)),
        (
            [(3, false), (3, true), (0, true), (0, true)],
            2,
            json!(true),
        ),
        (
            [(3, true), (3, false), (0, true), (0, true)],
            2,
            Value::Null,
        ),
        ([(0, true), (1, true), (2, true), (3, true)], 0, Value::Null),
    ] {
        let fake = Fake::default();
        let looks = looks.map(|(rows, is_current)| dropped(rows, is_current));
        *fake.gone.lock() = looks.into();
        let (stored, gone) = (fake.stored(), Arc::clone(&fake.gone));
        let api = api(fake, 1 << 20);
        let three = "{\"service\":\"a\"}\n".repeat(3);
        let (got, _) = ask(&api, post("/api/v1/logs", &[NDJSON], three)).await;
        assert_eq!(got, StatusCode::OK);
        stored.lock().clear();
        let (status, ledger) = ask(&api, get("/api/v1/ledger")).await;
        let whole = match expected {
            Value::Null => StatusCode::PARTIAL_CONTENT,
            _ => StatusCode::OK,
        };
        assert_eq!((status, &ledger["adds_up"]), (whole, &expected), "{ledger}");
        assert_eq!(ledger["balance"]["expired"], 3);
        assert_eq!(gone.lock().len(), left, "looks that were not taken");
        let says_why = !ledger["shards"]["failures"][0]["reason"].is_null();
        assert_eq!(says_why, status == StatusCode::PARTIAL_CONTENT, "{ledger}");
    }
}
