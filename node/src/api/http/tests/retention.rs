//! The rules of retention over HTTP: what is taken, what is refused, what is answered.

use super::*;

async fn ask(api: &Api, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body.to_owned()));
    let answer = router(api.clone()).oneshot(request.expect("a request"));
    let answer = answer.await.expect("infallible");
    let status = answer.status();
    let bytes = answer.into_body().collect().await.expect("a body");
    let json = serde_json::from_slice(&bytes.to_bytes()).expect("JSON");
    (status, json)
}

#[tokio::test]
async fn a_rule_is_set_shown_and_removed() {
    let api = api(Fake::default(), 1 << 20);
    let pay = "/api/v1/retention/pay";
    let rule = |days: Value, hours: Value, source: &str| json!({"service": "pay", "days": days, "hours": hours, "source": source});
    let configured = rule(json!(30), json!(720), "configuration");
    let ok = |body| (StatusCode::OK, body);
    assert_eq!(ask(&api, "GET", pay, "").await, ok(configured));
    let week = rule(json!(7), json!(168), "rule");
    let set = ask(&api, "PUT", pay, r#"{"days":7}"#).await;
    assert_eq!(set, ok(week.clone()));
    let set = ask(&api, "PUT", "/api/v1/retention/default", r#"{"hours":12}"#).await;
    let default = json!({"service": "default", "days": 0.5, "hours": 12, "source": "rule"});
    assert_eq!(set, ok(default.clone()));
    let all = json!({"default": default, "services": [week]});
    assert_eq!(ask(&api, "GET", "/api/v1/retention", "").await, ok(all));
    // Without its own rule it has that of all others, however often the rule is removed.
    for _ in 0..2 {
        let gone = ask(&api, "DELETE", pay, "").await;
        assert_eq!(gone, ok(rule(json!(0.5), json!(12), "default")));
    }
    let name = "/api/v1/retention/a%2Fb%20c";
    let (status, body) = ask(&api, "PUT", name, r#"{"days":1}"#).await;
    assert_eq!(
        (status, &body["service"]),
        (StatusCode::OK, &json!("a/b c"))
    );
}

#[tokio::test]
async fn what_is_no_rule_is_refused_by_name() {
    let api = api(Fake::default(), 1 << 20);
    let long = format!("/api/v1/retention/{}", "s".repeat(257));
    let pay = "/api/v1/retention/pay";
    for (path, body, status, code) in [
        (pay, "", 400, "empty_body"),
        (pay, "30", 400, "invalid_body"),
        (pay, "{}", 400, "invalid_body"),
        (pay, r#"{"days":1,"hours":1}"#, 400, "invalid_body"),
        (pay, r#"{"days":1.5}"#, 400, "invalid_body"),
        (pay, r#"{"days":"1"}"#, 400, "invalid_body"),
        (pay, r#"{"days":-1}"#, 400, "invalid_body"),
        (pay, r#"{"weeks":1}"#, 400, "invalid_body"),
        (pay, r#"{"days":0}"#, 400, "invalid_argument"),
        (pay, r#"{"hours":0}"#, 400, "invalid_argument"),
        (pay, r#"{"days":3651}"#, 400, "invalid_argument"),
        (
            pay,
            r#"{"days":18446744073709551615}"#,
            400,
            "invalid_argument",
        ),
        (&long, r#"{"days":1}"#, 400, "invalid_argument"),
        (
            "/api/v1/retention/bob@example.com",
            r#"{"days":1}"#,
            400,
            "invalid_argument",
        ),
    ] {
        let (got, answer) = ask(&api, "PUT", path, body).await;
        assert_eq!(
            (got.as_u16(), &answer["error"]["code"]),
            (status, &json!(code)),
            "{body}"
        );
        assert!(
            !answer.to_string().contains("bob@"),
            "a name is not repeated"
        );
    }
    let (status, _) = ask(&api, "POST", pay, "{}").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let large = format!("{{\"days\":1{}}}", " ".repeat(5_000));
    let (status, _) = ask(&api, "PUT", pay, &large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (_, all) = ask(&api, "GET", "/api/v1/retention", "").await;
    assert_eq!(all["services"], json!([]));
}
