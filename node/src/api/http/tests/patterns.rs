//! The patterns' paths: what they answer, and every refusal.

use super::*;

/// One call after the other on one node.
pub(super) struct Calls {
    router: axum::Router,
}

impl Calls {
    pub(super) fn new(change: impl FnOnce(&mut FakePolicies)) -> Self {
        Self {
            router: router(api_with(Fake::default(), 1 << 20, change)),
        }
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = Request::builder().method(method).uri(path);
        let request = request.body(body).expect("a request");
        let response = self.router.clone().oneshot(request).await;
        let response = response.expect("infallible");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body");
        let body = serde_json::from_slice(&bytes.to_bytes()).expect("JSON");
        (status, body)
    }

    pub(super) async fn masked(&self, text: &str) -> String {
        let (_, body) = self
            .call("POST", "/api/v1/pii/test", json!({ "text": text }))
            .await;
        body["masked"].as_str().expect("text").to_owned()
    }
}

const ALL: &str = "/api/v1/pii/patterns";
const ONE: &str = "/api/v1/pii/patterns/badge";

fn badge() -> Value {
    json!({
        "name": "badge",
        "pattern_type": "employee",
        "regex_pattern": "B-[0-9]{4}",
        "keywords": ["badge"],
        "validator": null,
        "masking_strategy": "REDACT",
        "replacement": "[BADGE]",
        "is_active": true,
    })
}

#[tokio::test]
async fn a_pattern_is_added_shown_changed_and_removed() {
    let calls = Calls::new(|_| {});
    let (status, body) = calls.call("GET", ALL, Value::Null).await;
    assert_eq!(
        (status, body),
        (StatusCode::OK, json!({"policy_epoch": 1, "patterns": []}))
    );

    let (status, added) = calls.call("POST", ALL, badge()).await;
    assert_eq!(
        (status, &added["policy_epoch"]),
        (StatusCode::CREATED, &json!(2))
    );
    for (name, value) in badge().as_object().expect("one") {
        assert_eq!(&added[name], value, "{name}");
    }
    assert_eq!(added["pattern_id"], "badge");
    assert_eq!(
        calls.masked("badge B-1234 B-12").await,
        "badge [BADGE] B-12"
    );
    let (_, one) = calls.call("GET", ONE, Value::Null).await;
    assert_eq!(one, added);

    let off = json!({"is_active": false, "keywords": null});
    let (status, changed) = calls.call("PUT", ONE, off).await;
    assert_eq!(
        (status, &changed["policy_epoch"]),
        (StatusCode::OK, &json!(3))
    );
    assert_eq!(
        (&changed["keywords"], &changed["replacement"]),
        (&json!([]), &json!("[BADGE]"))
    );
    assert_eq!(calls.masked("badge B-1234").await, "badge B-1234");
    let on = json!({"is_active": true, "masking_strategy": "HASH", "replacement": ""});
    let (status, changed) = calls.call("PUT", ONE, on).await;
    assert_eq!(
        (status, &changed["replacement"]),
        (StatusCode::OK, &Value::Null)
    );
    assert!(calls.masked("a B-1234").await.starts_with("a badge:"));

    let (status, removed) = calls.call("DELETE", ONE, Value::Null).await;
    let expected = json!({"pattern_id": "badge", "deleted": true, "policy_epoch": 5});
    assert_eq!((status, removed), (StatusCode::OK, expected));
    assert_eq!(calls.masked("badge B-1234").await, "badge B-1234");
    for (method, body) in [
        ("GET", Value::Null),
        ("DELETE", Value::Null),
        ("PUT", badge()),
    ] {
        let (status, body) = calls.call(method, ONE, body).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!("not_found"))
        );
    }
}

#[tokio::test]
async fn the_same_again_changes_nothing_and_another_under_the_id_is_refused() {
    let calls = Calls::new(|_| {});
    calls.call("POST", ALL, badge()).await;
    for (method, path) in [("POST", ALL), ("PUT", ONE)] {
        let (status, body) = calls.call(method, path, badge()).await;
        assert_eq!((status, &body["policy_epoch"]), (StatusCode::OK, &json!(2)));
    }
    let mut other = badge();
    other["regex_pattern"] = "C-[0-9]{4}".into();
    let (status, body) = calls.call("POST", ALL, other).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["error"]["code"], "pattern_exists");
}

#[tokio::test]
async fn a_pattern_that_cannot_be_taken_is_refused_with_the_reason() {
    let with = |name: &str, value: Value| {
        let mut pattern = badge();
        pattern[name] = value;
        pattern
    };
    let cases = [
        (
            with("regex_pattern", json!("B-[0-9")),
            "no valid regular expression",
        ),
        (
            with("regex_pattern", json!("(?:x*)*")),
            "matches the empty text",
        ),
        (with("regex_pattern", json!("[a&&b]")), "can match no text"),
        (
            with("regex_pattern", json!("(x+x+)+y(?=z)")),
            "no valid regular expression",
        ),
        (
            with("regex_pattern", json!("(?:\\w{1,500}){1,500}")),
            "COMPILED_BYTES_MAX",
        ),
        (
            with("regex_pattern", json!("x".repeat(5_000))),
            "SOURCE_BYTES_MAX",
        ),
        (with("regex_pattern", Value::Null), "regex_pattern"),
        (json!({"regex_pattern": "x"}), "missing field `name`"),
        (with("name", json!(" ")), "the name must have"),
        (with("name", json!("a\nb")), "the name must have"),
        (with("name", json!("x".repeat(129))), "TITLE_BYTES_MAX"),
        (with("pattern_type", json!("x".repeat(65))), "the type has"),
        (with("pattern_id", json!("a/b")), "the id must have"),
        (with("validator", json!("magic")), "no validator `magic`"),
        (with("masking_strategy", json!("ENCRYPT")), "PARTIAL_MASK"),
        (
            with("replacement", json!("a\nb")),
            "the replacement must have",
        ),
        (
            with("replacement", json!("bob@example.com")),
            "finds something in the replacement",
        ),
        (with("keywords", json!([""])), "LIST_MAX"),
        (
            with("keywords", json!({"includes": ["x"]})),
            "has no member `includes`",
        ),
        (with("capture", json!(7)), "no group 7"),
        (with("regex", json!("again")), "given twice"),
        (with("is_activ", json!(true)), "has no member `is_activ`"),
        (with("is_active", json!("yes")), "boolean"),
    ];
    let calls = Calls::new(|_| {});
    for (pattern, reason) in cases {
        let (status, body) = calls.call("POST", ALL, pattern.clone()).await;
        let error = &body["error"];
        assert_eq!(status, StatusCode::BAD_REQUEST, "{pattern} {error}");
        assert_eq!(error["code"], "invalid_pattern", "{error}");
        let message = error["message"].as_str().expect("text");
        assert!(message.contains(reason), "{reason}: {message}");
    }
    for body in [json!([]), json!("x")] {
        let (status, body) = calls.call("POST", ALL, body).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_body"))
        );
    }
    let (status, body) = calls.call("POST", ALL, Value::Null).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("empty_body"))
    );
    let long = with("pattern_type", json!("x".repeat(300 << 10)));
    let (status, _) = calls.call("POST", ALL, long).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    calls.call("POST", ALL, badge()).await;
    let (status, _) = calls.call("PUT", ONE, json!({"pattern_id": "other"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, body) = calls.call("GET", ALL, Value::Null).await;
    assert_eq!(
        body["policy_epoch"], 2,
        "nothing refused has changed anything"
    );
}

#[tokio::test]
async fn any_line_of_text_is_a_name_and_stands_in_masks_as_a_word() {
    let calls = Calls::new(|_| {});
    for (name, id, detector) in [
        ("Employee Badge", "employee_badge", "employee_badge"),
        (" employee-id ", "employee_id", "employee_id"),
        // A built-in detector has the name in masks.
        ("Email", "email", "email_pattern"),
        ("email", "email", "email_pattern"),
    ] {
        let given = json!({
            "name": name,
            "regex_pattern": "B-[0-9]{4}",
            "validator": "",
            "masking_strategy": "Redact",
        });
        let path = format!("{ALL}/{id}");
        for status in [StatusCode::CREATED, StatusCode::OK] {
            let (got, body) = calls.call("POST", ALL, given.clone()).await;
            assert_eq!(got, status, "{body}");
            assert_eq!(
                (&body["name"], &body["pattern_id"], &body["detector"]),
                (&json!(name.trim()), &json!(id), &json!(detector))
            );
            assert_eq!(
                (&body["masking_strategy"], &body["validator"]),
                (&json!("REDACT"), &Value::Null)
            );
        }
        let masked = format!("[{}]", detector.to_uppercase());
        assert_eq!(calls.masked("B-1234").await, masked);
        let (_, found) = calls
            .call("POST", "/api/v1/pii/test", json!({"text": "B-1234"}))
            .await;
        assert_eq!(found["spans"][0]["detector"], detector);

        // What was shown may be sent back, and the name changed; the id stays.
        let (_, shown) = calls.call("GET", &path, Value::Null).await;
        let (status, same) = calls.call("PUT", &path, shown.clone()).await;
        assert_eq!((status, same), (StatusCode::OK, shown));
        let renamed = json!({"name": "Staff, new", "masking_strategy": "hash"});
        let (_, body) = calls.call("PUT", &path, renamed).await;
        assert_eq!(
            (&body["name"], &body["pattern_id"], &body["detector"]),
            (&json!("Staff, new"), &json!(id), &json!("staff_new"))
        );
        let (status, _) = calls.call("DELETE", &path, Value::Null).await;
        assert_eq!(status, StatusCode::OK);
    }
}

#[tokio::test]
async fn two_names_that_are_one_in_masks_are_in_conflict() {
    let calls = Calls::new(|_| {});
    let named = |name: &str, id: Value| json!({"name": name, "pattern_id": id, "regex_pattern": "B-[0-9]{4}"});
    let (status, _) = calls
        .call("POST", ALL, named("Employee Badge", Value::Null))
        .await;
    assert_eq!(status, StatusCode::CREATED);
    for id in [Value::Null, json!("other")] {
        let (status, body) = calls.call("POST", ALL, named("employee-badge", id)).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(body["error"]["code"], "pattern_exists");
    }
    let (status, _) = calls.call("POST", ALL, named("b", json!("other"))).await;
    assert_eq!(status, StatusCode::CREATED);
    let path = format!("{ALL}/other");
    let (status, _) = calls
        .call("PUT", &path, json!({"name": "EMPLOYEE BADGE"}))
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_change_is_made_again_when_others_come_first() {
    let calls = Calls::new(|policies| *policies.others.lock() = 3);
    let (status, body) = calls.call("POST", ALL, badge()).await;
    assert_eq!(
        (status, &body["policy_epoch"]),
        (StatusCode::CREATED, &json!(5))
    );
    let calls = Calls::new(|policies| *policies.others.lock() = 99);
    let (status, _) = calls.call("POST", ALL, badge()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_has_not_confirmed_a_change_is_named_also_to_who_asks_again() {
    let calls = Calls::new(|policies| policies.missing = vec!["b1-s0".into()]);
    let calls_made = [
        ("POST", ALL, badge()),
        ("POST", ALL, badge()),
        ("PUT", ONE, badge()),
    ];
    let gone = "/api/v1/pii/patterns/gone";
    let last = [("DELETE", ONE, Value::Null), ("DELETE", gone, Value::Null)];
    for (method, path, body) in calls_made.into_iter().chain(last) {
        let (status, body) = calls.call(method, path, body).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{method} {path}");
        assert_eq!(body["error"]["code"], "policy_pending");
        assert_eq!(body["error"]["missing"], json!(["b1-s0"]));
    }
}
