//! Input that is odd or hostile, and what each gets: a store that drops odd logs drops the ones that
//! matter, so it is kept wherever it can be.

use futures_util::stream::{self, StreamExt};

use super::*;

/// Sends a body of this type and gives what is stored of it.
async fn taken(kind: &str, body: impl Into<Body>) -> Vec<(String, String)> {
    let fake = Fake::default();
    let stored = fake.stored();
    let got = send(fake, post("/api/v1/logs", &[("content-type", kind)], body)).await;
    assert_eq!(got.status, 200, "{}", got.body);
    stored.lock().clone()
}

#[tokio::test]
async fn what_is_odd_is_kept() {
    let deep = format!(
        "{{\"message\":\"m\",\"deep\":{}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let keys: Vec<String> = (0..4_000).map(|key| format!("\"k{key}\":0")).collect();
    let many = format!("{{\"message\":\"m\",{}}}", keys.join(","));
    let long = "9".repeat(400);
    let numbers = format!(
        r#"{{"message":"m","a":1e400,"b":18446744073709551616,"c":-0,"d":{long},"e":0.1e-999}}"#
    );
    let cases: [(&str, &[u8]); 29] = [
        ("not UTF-8", b"{\"message\":\"m\xff\"}"),
        ("half a surrogate", br#"{"message":"m","a":"\ud800"}"#),
        (
            "a mark of the byte order",
            b"\xef\xbb\xbf{\"message\":\"m\"}",
        ),
        ("other line ends", b"\r\n{\"message\":\"m\"}\r\n\r\n"),
        (
            "control characters",
            br#"{"message":"m\u0000\u0001\u001b[31m"}"#,
        ),
        (
            "unknown fields",
            br#"{"message":"m","what":{"is":["this"]}}"#,
        ),
        ("no time", br#"{"message":"m"}"#),
        ("no time at all", br#"{"message":"m","timestamp":"soon"}"#),
        (
            "the far future",
            br#"{"message":"m","timestamp":"2999-01-01T00:00:00Z"}"#,
        ),
        (
            "the year 10000",
            br#"{"message":"m","timestamp":"10000-01-01T00:00:00Z"}"#,
        ),
        (
            "the far past",
            br#"{"message":"m","timestamp":"1970-01-01T00:00:00Z"}"#,
        ),
        ("before everything", br#"{"message":"m","timestamp":-1}"#),
        ("seconds", br#"{"message":"m","timestamp":1700000000}"#),
        (
            "milliseconds",
            br#"{"message":"m","timestamp":1700000000000}"#,
        ),
        (
            "microseconds",
            br#"{"message":"m","timestamp":1700000000000000}"#,
        ),
        (
            "more than any time",
            br#"{"message":"m","timestamp":99999999999999999999999}"#,
        ),
        ("an unknown level", br#"{"message":"m","level":"LOUD"}"#),
        ("a number for a text", br#"{"message":5,"fields":[]}"#),
        (
            "a list for a text",
            br#"{"message":["m"],"service":{"a":1}}"#,
        ),
        ("the same name twice", br#"{"message":"m","a":1,"a":2}"#),
        (
            "names of languages",
            br#"{"message":"m","__proto__":{"a":1},"constructor":1}"#,
        ),
        (
            "no name",
            br#"{"message":"m","":1,".":2,"a.b":1,"a":{"b":2}}"#,
        ),
        ("numbers", numbers.as_bytes()),
        ("depth", deep.as_bytes()),
        ("many names", many.as_bytes()),
        (
            "zero width",
            "{\"message\":\"m\u{200b}\u{feff}\"}".as_bytes(),
        ),
        ("an empty object", b"{}"),
        (
            "an object of nothing",
            br#"{"message":null,"level":null,"timestamp":null}"#,
        ),
        (
            "names of columns",
            br#"{"message":"m","_other":1,"fields.a":1,"pii":["x"]}"#,
        ),
    ];
    for (what, body) in cases {
        let stored = taken("application/json", body.to_vec()).await;
        assert_eq!(stored.len(), 1, "{what}");
    }
}

#[tokio::test]
async fn lines_within_a_message_make_no_records() {
    let body = r#"{"message":"one\n{\"level\":\"INFO\",\"message\":\"forged\"}\r\n<13>forged"}"#;
    let lines = format!("{body}\n{body}\n");
    for (kind, body, records) in [
        ("application/json", body.to_owned(), 1),
        ("application/x-ndjson", lines, 2),
    ] {
        let stored = taken(kind, body).await;
        assert_eq!(stored.len(), records, "{kind}");
        for (_, message) in stored {
            assert!(
                message.starts_with("one\n{") && message.ends_with("forged"),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn a_broken_line_is_kept_and_costs_its_neighbours_nothing() {
    let lines = "{\"message\":\"a\"}\n{\"message\":\"b\n\n[1,\nnull\n{\"message\":\"c\"}";
    let stored = taken("application/x-ndjson", lines).await;
    assert_eq!(stored.len(), 5);
    assert_eq!((&*stored[0].1, &*stored[4].1), ("a", "c"));
}

#[tokio::test]
async fn encodings_that_lie_or_hide_in_each_other_are_refused() {
    use std::io::Write;
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    };
    let nested = gzip(&gzip(&vec![b' '; BODY_BYTES_MAX * 100]));
    let cases = [
        ("gzip, gzip", nested.clone(), 413),
        ("gzip", nested, 400),
        ("zstd", gzip(b"{}"), 400),
        ("identity", gzip(b"{}"), 400),
        ("gzip", b"{}".to_vec(), 400),
        (
            "gzip, gzip, gzip, gzip, gzip, gzip, gzip, gzip, gzip",
            gzip(b"{}"),
            415,
        ),
    ];
    for (encoding, body, status) in cases {
        let fake = Fake::default();
        let stored = fake.stored();
        let headers = [JSON, ("content-encoding", encoding)];
        let got = send(fake, post("/api/v1/logs", &headers, body)).await;
        assert_eq!(got.status.as_u16(), status, "{encoding}: {}", got.body);
        assert!(stored.lock().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_or_trickles_is_given_up_and_its_memory_is_free() {
    let silent = || Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let trickling = || {
        let bytes = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        });
        Body::from_stream(bytes)
    };
    for body in [silent(), trickling()] {
        let api = api(Fake::default(), 1 << 20);
        let request = post("/api/v1/logs", &[JSON], body);
        let response = router(api.clone()).oneshot(request).await;
        assert_eq!(response.expect("infallible").status(), 408);
        assert!(api.gateway.admission().take(1 << 20).is_ok());
    }
    let broken = stream::iter([Ok(Bytes::from_static(b"{"))])
        .chain(stream::iter([Err(std::io::Error::other("cut off"))]));
    let request = post("/api/v1/logs", &[JSON], Body::from_stream(broken));
    let got = send(Fake::default(), request).await;
    assert_eq!((got.status.as_u16(), got.code()), (400, "invalid_body"));
}

#[tokio::test]
async fn addresses_that_try_to_lead_elsewhere_are_not_found() {
    let long = format!("/{}", "a".repeat(10_000));
    for (path, statuses) in [
        ("/../../etc/passwd", [404, 404]),
        ("/%2e%2e/%2e%2e/etc/passwd", [404, 404]),
        ("/api/v1/logs/..%2f..%2fcluster", [400, 404]),
        ("/api/v1/logs/%00", [400, 404]),
        ("/api/v1/logs/%ff", [400, 404]),
        ("/api/v1//logs", [404, 404]),
        (&long, [404, 404]),
    ] {
        let got = send(Fake::default(), get(path)).await;
        let status = got.status.as_u16();
        assert!(statuses.contains(&status), "{path}: {status}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// What the small bodies of all paths may be encoded in is what records may be.
#[tokio::test]
async fn small_bodies_may_be_encoded_and_are_bounded_as_decoded() {
    let blank = gzip(&vec![b' '; 8 << 20]);
    for (method, path, body) in [
        ("POST", "/api/v1/logs/query", r#"{"query":"a"}"#),
        ("POST", "/api/v1/pii/test", r#"{"text":"a"}"#),
        (
            "POST",
            "/api/v1/pii/patterns",
            r#"{"name":"badge","regex_pattern":"B-[0-9]{4}"}"#,
        ),
        (
            "PUT",
            "/api/v1/pii/detectors/email",
            r#"{"mode":"observe"}"#,
        ),
        ("PUT", "/api/v1/pii/settings", r#"{"keep_private":true}"#),
        ("PUT", "/api/v1/retention/pay", r#"{"days":3}"#),
        ("PUT", "/api/v1/limits/pay", r#"{"records_per_second":3}"#),
    ] {
        let ask = async |encoding: &str, body: Vec<u8>| {
            let request = Request::builder().method(method).uri(path);
            let request = request.header("content-encoding", encoding);
            send(
                Fake::default(),
                request.body(body.into()).expect("a request"),
            )
            .await
        };
        let plain = ask("identity", body.into()).await;
        assert!(plain.status.is_success(), "{path}: {}", plain.body);
        let got = ask("gzip", gzip(body.as_bytes())).await;
        assert_eq!(got.status, plain.status, "{path}: {}", got.body);
        for (encoding, body, status, code) in [
            ("br", body.into(), 415, "unsupported_media_type"),
            ("gzip", body.into(), 400, "invalid_body"),
            ("gzip", blank.clone(), 413, "body_too_large"),
        ] {
            let got = ask(encoding, body).await;
            assert_eq!((got.status.as_u16(), got.code()), (status, code), "{path}");
        }
    }
}
