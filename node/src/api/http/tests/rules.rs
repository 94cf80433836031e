//! The paths of built-in detectors, countries and settings: what they answer, and every refusal.

use hushlog_pii::Count;

use super::patterns::Calls;
use super::*;

const EMAIL: &str = "/api/v1/pii/detectors/email";
const SETTINGS: &str = "/api/v1/pii/settings";

#[tokio::test]
async fn a_detector_is_shown_changed_and_set_back() {
    let calls = Calls::new(|_| {});
    let (status, all) = calls
        .call("GET", "/api/v1/pii/detectors", Value::Null)
        .await;
    assert_eq!((status, &all["policy_epoch"]), (StatusCode::OK, &json!(1)));
    let detectors = all["detectors"].as_array().expect("a list");
    let (_, email) = calls.call("GET", EMAIL, Value::Null).await;
    let expected = json!({
        "detector": "email", "is_active": true, "on_by_default": true, "mode": "mask",
        "masking_strategy": "PARTIAL_MASK", "replacement": "[EMAIL]", "scope": {}, "suppress": {},
        "countries": [], "policy_epoch": 1,
    });
    assert_eq!(email, expected);
    assert!(detectors.len() > 80 && detectors.iter().any(|d| d["detector"] == "de_tax_id"));

    let change = json!({
        "strategy": "HASH", "scope": {"services": ["pay"]}, "suppress": {"suffix": ["@hushlog.dev"]},
    });
    let (status, changed) = calls.call("PUT", EMAIL, change).await;
    assert_eq!(
        (status, &changed["policy_epoch"]),
        (StatusCode::OK, &json!(2))
    );
    assert_eq!(changed["masking_strategy"], "HASH");
    assert_eq!(
        calls.masked("to zoe@example.org").await,
        "to zoe@example.org"
    );
    let test = json!({"text": "zoe@example.org me@hushlog.dev", "service": "pay"});
    let (_, tested) = calls.call("POST", "/api/v1/pii/test", test).await;
    let masked = tested["masked"].as_str().expect("text");
    assert!(
        masked.starts_with("email:k1:") && masked.ends_with(" me@hushlog.dev"),
        "{masked}"
    );

    let observe = json!({"mode": "observe", "scope": null, "replacement": "[MAIL]"});
    calls.call("PUT", EMAIL, observe).await;
    let test = json!({"text": "ü zoe@example.org"});
    let (_, tested) = calls.call("POST", "/api/v1/pii/test", test.clone()).await;
    assert_eq!(
        (&tested["masked"], &tested["spans"]),
        (&test["text"], &json!([]))
    );
    let observed = json!([{"start": 2, "end": 17, "detector": "email", "strategy": "HASH"}]);
    assert_eq!(tested["observed"], observed);

    let (_, off) = calls.call("PUT", EMAIL, json!({"is_active": false})).await;
    assert_eq!(
        (&off["is_active"], &off["policy_epoch"]),
        (&json!(false), &json!(4))
    );
    for again in [json!({"is_active": false}), json!({"is_active": false})] {
        let (_, same) = calls.call("PUT", EMAIL, again).await;
        assert_eq!(same["policy_epoch"], 4);
    }
    let (status, back) = calls.call("DELETE", EMAIL, Value::Null).await;
    assert_eq!((status, &back["policy_epoch"]), (StatusCode::OK, &json!(5)));
    let (_, email) = calls.call("GET", EMAIL, Value::Null).await;
    assert_eq!(email["masking_strategy"], "PARTIAL_MASK");
    assert_eq!(calls.masked("zoe@example.org").await, "z***@example.org");
}

#[tokio::test]
async fn a_rule_that_cannot_be_taken_is_refused_with_the_reason() {
    let calls = Calls::new(|_| {});
    for (body, code, reason) in [
        (json!([]), "invalid_body", "a JSON object"),
        (json!({"regex": "x"}), "invalid_pattern", "expected one of"),
        (json!({"mode": "watch"}), "invalid_pattern", "`observe`"),
        (json!({"is_active": "no"}), "invalid_pattern", "boolean"),
        (
            json!({"scope": {"service": []}}),
            "invalid_pattern",
            "no member `service`",
        ),
        (
            json!({"scope": {"fields": [""]}}),
            "invalid_pattern",
            "LIST_MAX",
        ),
        (
            json!({"replacement": "a@example.org"}),
            "invalid_pattern",
            "finds something in",
        ),
        (
            json!({"is_active": false, "mode": "mask"}),
            "invalid_pattern",
            "send `is_active` alone",
        ),
    ] {
        let (status, answer) = calls.call("PUT", EMAIL, body.clone()).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["code"]),
            (StatusCode::BAD_REQUEST, &json!(code)),
            "{body}"
        );
        let message = error["message"].as_str().expect("text");
        assert!(message.contains(reason), "{reason}: {message}");
    }
    for (method, path) in [
        ("GET", "/api/v1/pii/detectors/name"),
        ("DELETE", "/api/v1/pii/detectors/name"),
        ("PUT", "/api/v1/pii/countries/XX"),
    ] {
        let (status, _) = calls.call(method, path, Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    let (_, all) = calls.call("GET", "/api/v1/pii/patterns", Value::Null).await;
    assert_eq!(
        all["policy_epoch"], 1,
        "nothing refused has changed anything"
    );
}

#[tokio::test]
async fn countries_and_settings_are_changed() {
    let calls = Calls::new(|_| {});
    let text = "tax id 86 095 742 719";
    assert_eq!(calls.masked(text).await, text);
    let germany = "/api/v1/pii/countries/de";
    for _ in 0..2 {
        let (status, on) = calls.call("PUT", germany, Value::Null).await;
        assert_eq!((status, &on["policy_epoch"]), (StatusCode::OK, &json!(2)));
        assert_eq!(
            (&on["country"], &on["is_active"]),
            (&json!("DE"), &json!(true))
        );
    }
    let (_, all) = calls
        .call("GET", "/api/v1/pii/countries", Value::Null)
        .await;
    let all = all["countries"].as_array().expect("a list");
    let on: Vec<_> = all.iter().filter(|c| c["is_active"] == true).collect();
    assert!(all.len() > 40 && on.len() == 1 && on[0]["detectors"][0] == "de_tax_id");
    let (_, off) = calls.call("DELETE", germany, Value::Null).await;
    assert_eq!(
        (&off["policy_epoch"], &off["is_active"]),
        (&json!(3), &json!(false))
    );

    let (_, now) = calls.call("GET", SETTINGS, Value::Null).await;
    let expected =
        json!({"keep_loopback": true, "keep_private": false, "hash_key": 1, "policy_epoch": 3});
    assert_eq!(now, expected);
    let change = json!({"keep_private": true, "hash_key": 2});
    for _ in 0..2 {
        let (status, changed) = calls.call("PUT", SETTINGS, change.clone()).await;
        assert_eq!(
            (status, &changed["policy_epoch"]),
            (StatusCode::OK, &json!(4))
        );
    }
    assert_eq!(calls.masked("10.1.2.3").await, "10.1.2.3");
    calls
        .call("PUT", EMAIL, json!({"masking_strategy": "HASH"}))
        .await;
    assert!(
        calls
            .masked("zoe@example.org")
            .await
            .starts_with("email:k2:")
    );
    for body in [
        json!({"hash_key": 1}),
        json!({"hash_key": 4}),
        json!({"keep": true}),
    ] {
        let (status, _) = calls.call("PUT", SETTINGS, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn findings_are_those_of_all_nodes_and_say_who_is_missing() {
    let found = |name: &str, observed| Count {
        name: name.into(),
        masked: 3,
        observed,
    };
    for (partial, incomplete, missing) in [
        (false, false, vec![]),
        (true, false, vec!["2"]),
        (false, true, vec!["3"]),
        (true, true, vec!["2", "3"]),
    ] {
        let status = if missing.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::PARTIAL_CONTENT
        };
        let fake = Fake {
            partial,
            incomplete,
            findings: Mutex::new(vec![found("phone", 2), found("email", 0)]),
            ..Fake::default()
        };
        let request = Request::get("/api/v1/pii/findings").body(Body::empty());
        let got = send(fake, request.expect("a request")).await;
        assert_eq!(
            (got.status, &got.body["partial"]),
            (status, &json!(!missing.is_empty()))
        );
        let nodes = got.body["nodes_missing"].as_object().expect("an object");
        assert!(nodes.keys().eq(&missing), "{nodes:?}");
        let rules = json!([
            {"rule": "email", "masked": 3, "observed": 0},
            {"rule": "phone", "masked": 3, "observed": 2},
        ]);
        assert_eq!(got.body["rules"], rules);
    }
}
