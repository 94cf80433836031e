//! Nodes that come and go, over HTTP: what is taken, what is refused, what is answered.

use super::*;

async fn ask(method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body.to_owned()));
    let api = api(Fake::default(), 1 << 20);
    let answer = router(api).oneshot(request.expect("a request"));
    let answer = answer.await.expect("infallible");
    let status = answer.status();
    let bytes = answer.into_body().collect().await.expect("a body");
    let json = serde_json::from_slice(&bytes.to_bytes()).expect("JSON");
    (status.as_u16(), json)
}

const NODES: &str = "/api/v1/cluster/nodes";
const REBALANCE: &str = "/api/v1/cluster/rebalance";

#[tokio::test]
async fn a_node_is_let_in_drained_and_given_its_share() {
    let new = json!({"id": 4, "grpc": "d:4317"});
    let body = new.to_string();
    assert_eq!(ask("POST", NODES, &body).await, (201, new));
    let known = json!({"id": 1, "grpc": null});
    assert_eq!(ask("POST", NODES, r#"{"id":1}"#).await, (200, known));
    let draining = json!({"id": 2, "state": "draining"});
    for _ in 0..2 {
        let drained = ask("DELETE", "/api/v1/cluster/nodes/2", "").await;
        assert_eq!(drained, (202, draining.clone()));
    }
    for (body, replication) in [("", json!(null)), (r#"{"replication":3}"#, json!(3))] {
        let spread = ask("POST", REBALANCE, body).await;
        assert_eq!(spread, (202, json!({ "replication": replication })));
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    for (method, path, body, status, code) in [
        ("POST", NODES, "", 400, "empty_body"),
        ("POST", NODES, "4", 400, "invalid_body"),
        ("POST", NODES, r#"{"id":"four"}"#, 400, "invalid_body"),
        ("POST", NODES, r#"{"address":"d:1"}"#, 400, "invalid_body"),
        ("POST", NODES, "{}", 400, "invalid_argument"),
        ("POST", NODES, r#"{"id":0}"#, 400, "invalid_argument"),
        (
            "DELETE",
            "/api/v1/cluster/nodes/two",
            "",
            400,
            "invalid_argument",
        ),
        (
            "DELETE",
            "/api/v1/cluster/nodes/1",
            "",
            409,
            "node_conflict",
        ),
        ("DELETE", "/api/v1/cluster/nodes/9", "", 404, "not_found"),
        ("POST", REBALANCE, r#"{"copies":3}"#, 400, "invalid_body"),
        ("GET", REBALANCE, "", 405, "method_not_allowed"),
    ] {
        let (answered, refused) = ask(method, path, body).await;
        let error = &refused["error"];
        assert_eq!(
            (answered, &error["code"]),
            (status, &json!(code)),
            "{path} {body}"
        );
        assert!(!error["message"].as_str().expect("words").is_empty());
    }
    let large = format!("{{\"grpc\":\"{}\"}}", "a".repeat(8 << 10));
    assert_eq!(ask("POST", NODES, &large).await.0, 413);
}
