//! Bodies of `/api/v1/logs`: what is taken, what is refused, and that it costs bounded memory.

use super::*;

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

/// Eight times what is sent was taken before, however little a body became.
#[test]
fn a_compressed_body_takes_the_room_that_it_needs() {
    use std::io::Write;

    use hushlog_ingest::body::Encoding;

    use crate::gateway::{Admission, Room};
    use crate::metrics::Gauge;

    let text: String = (0..4_000)
        .map(|i| format!("{:08x}", i * 2_654_435_761_u64))
        .collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    let gzip = encoder.finish().expect("memory");
    let needed = gzip.len() + text.len();
    // Less than eight times the body.
    let admission = Admission::new(needed + (2 << 10), Gauge::default());
    assert!(admission.bytes() < 8 * gzip.len());
    let taken = Room::lend(&admission, |room| {
        let encodings = [Encoding::Gzip];
        let decoded = crate::api::http::ingest::decoded(room, &gzip, &encodings, 1 << 20);
        assert_eq!(decoded.expect("there is room").len(), text.len());
        room.bytes()
    });
    assert!(
        taken >= needed && taken < needed + (2 << 10),
        "{taken}, {needed}"
    );
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
