//! The rate limits over HTTP: what is taken and refused, and what a service over its limit is told.

use axum::response::Response;

use super::*;

async fn call(api: &Api, method: &str, path: &str, body: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()));
    let answer = router(api.clone()).oneshot(request.expect("a request"));
    answer.await.expect("infallible")
}

async fn ask(api: &Api, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let answer = call(api, method, path, body).await;
    let status = answer.status();
    let bytes = answer.into_body().collect().await.expect("a body");
    let json = serde_json::from_slice(&bytes.to_bytes()).unwrap_or(Value::Null);
    (status, json)
}

const PAY: &str = "/api/v1/limits/pay";

#[tokio::test]
async fn a_limit_is_set_shown_and_removed() {
    let api = api(Fake::default(), 1 << 20);
    let limit = |service: &str, records: Value, bytes: Value, source: &str| json!({"service": service, "records_per_second": records, "bytes_per_second": bytes, "source": source});
    let ok = |body| (StatusCode::OK, body);
    let none = limit("pay", Value::Null, Value::Null, "none");
    assert_eq!(ask(&api, "GET", PAY, "").await, ok(none.clone()));
    let own = limit("pay", json!(100), Value::Null, "rule");
    let set = ask(&api, "PUT", PAY, r#"{"records_per_second":100}"#).await;
    assert_eq!(set, ok(own.clone()));
    let body = r#"{"records_per_second":5,"bytes_per_second":1000}"#;
    let default = limit("default", json!(5), json!(1000), "rule");
    let set = ask(&api, "PUT", "/api/v1/limits/default", body).await;
    assert_eq!(set, ok(default.clone()));
    let all = json!({"default": default, "services": [own]});
    assert_eq!(ask(&api, "GET", "/api/v1/limits", "").await, ok(all));
    for _ in 0..2 {
        let gone = ask(&api, "DELETE", PAY, "").await;
        assert_eq!(gone, ok(limit("pay", json!(5), json!(1000), "default")));
    }
    ask(&api, "DELETE", "/api/v1/limits/default", "").await;
    assert_eq!(ask(&api, "GET", PAY, "").await, ok(none));
    let (status, body) = ask(&api, "PUT", "/api/v1/limits/a%2Fb%20c", body).await;
    assert_eq!(
        (status, &body["service"]),
        (StatusCode::OK, &json!("a/b c"))
    );
}

#[tokio::test]
async fn what_is_no_limit_is_refused_by_name() {
    let api = api(Fake::default(), 1 << 20);
    let long = format!("/api/v1/limits/{}", "s".repeat(257));
    let good = r#"{"bytes_per_second":1}"#;
    for (path, body, code) in [
        (PAY, "", "empty_body"),
        (PAY, "30", "invalid_body"),
        (PAY, "{}", "invalid_body"),
        (PAY, r#"{"records_per_second":null}"#, "invalid_body"),
        (PAY, r#"{"records_per_second":1.5}"#, "invalid_body"),
        (PAY, r#"{"records_per_second":"1"}"#, "invalid_body"),
        (PAY, r#"{"records_per_second":-1}"#, "invalid_body"),
        (PAY, r#"{"records_per_minute":1}"#, "invalid_body"),
        (PAY, r#"{"records_per_second":0}"#, "invalid_argument"),
        (
            PAY,
            r#"{"bytes_per_second":1000000000001}"#,
            "invalid_argument",
        ),
        (&long, good, "invalid_argument"),
        ("/api/v1/limits/bob@example.com", good, "invalid_argument"),
    ] {
        let (status, answer) = ask(&api, "PUT", path, body).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]["code"]),
            (400, &json!(code)),
            "{body}"
        );
        assert!(
            !answer.to_string().contains("bob@"),
            "a name is not repeated"
        );
    }
    let (status, _) = ask(&api, "POST", PAY, "{}").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (_, all) = ask(&api, "GET", "/api/v1/limits", "").await;
    assert_eq!(all["services"], json!([]));
}

/// A service that has used its rate up, and what others have stored meanwhile.
async fn used_up() -> (Api, Stored) {
    let fake = Fake::default();
    let stored = fake.stored();
    let api = api(fake, 1 << 20);
    ask(&api, "PUT", PAY, r#"{"records_per_second":1}"#).await;
    let body = r#"{"service":"pay","message":"m"}"#;
    let records = [body; 7].join("\n");
    let (status, _) = ask(&api, "POST", "/api/v1/logs", &records).await;
    assert_eq!(status, StatusCode::OK);
    stored.lock().clear();
    (api, stored)
}

#[tokio::test(start_paused = true)]
async fn a_request_over_the_limit_is_refused_whole_on_every_way_in() {
    let (api, stored) = used_up().await;
    let mixed = concat!(
        r#"{"service":"other","message":"m"}"#,
        "\n",
        r#"{"service":"pay","message":"m"}"#
    );
    let bulk = format!(
        "{{\"index\":{{}}}}\n{}\n",
        r#"{"service":"pay","message":"m"}"#
    );
    let loki =
        r#"{"streams":[{"stream":{"service_name":"pay"},"values":[["1700000000000000000","m"]]}]}"#;
    let otlp = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}}]},"scopeLogs":[{"logRecords":[{"body":{"stringValue":"m"}}]}]}]}"#;
    for (path, body) in [
        ("/api/v1/logs", mixed),
        ("/es/_bulk", &bulk),
        ("/loki/api/v1/push", loki),
        ("/v1/logs", otlp),
    ] {
        let answer = call(&api, "POST", path, body).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(answer.headers()["retry-after"], "2", "{path}");
    }
    let (_, refused) = ask(&api, "POST", "/api/v1/logs", mixed).await;
    assert_eq!(refused["error"]["code"], "rate_limited");
    let message = refused["error"]["message"].as_str().expect("text");
    assert!(
        message.contains("\"pay\"") && message.contains("2 s"),
        "{message}"
    );
    assert!(stored.lock().is_empty(), "nothing of any of them");
    let text = api.registry.render();
    let counted = "hushlog_node_ingest_refused_total{code=\"rate_limited\"} 5\n";
    assert!(text.contains(counted), "{text}");
    // Others go on, and so does the service when it has waited.
    let (status, _) = ask(&api, "POST", "/api/v1/logs", r#"{"service":"b"}"#).await;
    assert_eq!(status, StatusCode::OK);
    tokio::time::advance(Duration::from_millis(2_001)).await;
    let (status, _) = ask(&api, "POST", "/api/v1/logs", mixed).await;
    assert_eq!((status, stored.lock().len()), (StatusCode::OK, 3));
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_service_without_a_limit_of_its_own_is_not_repeated() {
    let api = api(Fake::default(), 1 << 20);
    ask(
        &api,
        "PUT",
        "/api/v1/limits/default",
        r#"{"records_per_second":1}"#,
    )
    .await;
    let body = r#"{"service":"bob@example.com","message":"m"}"#;
    let records = [body; 7].join("\n");
    ask(&api, "POST", "/api/v1/logs", &records).await;
    let (status, refused) = ask(&api, "POST", "/api/v1/logs", body).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!refused.to_string().contains("example.com"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_stored_uses_up_no_rate() {
    let fake = Fake::refusing_at_first(vec![Refused::Unavailable; 3]);
    let api = api(fake, 1 << 20);
    ask(&api, "PUT", PAY, r#"{"records_per_second":1}"#).await;
    let records = [r#"{"service":"pay","message":"m"}"#; 7].join("\n");
    for status in [503, 503, 503, 200, 429] {
        let (got, _) = ask(&api, "POST", "/api/v1/logs", &records).await;
        assert_eq!(got.as_u16(), status);
    }
}
