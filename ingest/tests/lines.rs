//! Lines of plain text and OpenTelemetry records in, records out.

mod common;

use common::{received, with_names};
use hushlog_ingest::{Context, RawRecord, parse};
use hushlog_record::{Level, LogId, Record, Timestamp, Value};

/// In a request whose headers name service and environment.
fn with_context<T>(f: impl FnOnce(&mut Context<'_>) -> T) -> T {
    with_names("from-header", "test", f)
}

fn line(text: &str) -> Record {
    with_context(|context| parse::line(text.as_bytes(), context))
}

#[test]
fn times_at_the_start_of_lines_are_event_times() {
    for (text, expected) in [
        ("2015-10-18T18:01:47.5Z INFO x", "2015-10-18T18:01:47.5Z"),
        (
            "2015-10-18 18:01:47,978 INFO [main] x",
            "2015-10-18T18:01:47.978Z",
        ),
        ("[2015-10-18 18:01:47 +0200] x", "2015-10-18T16:01:47Z"),
        ("2015/10/18 18:01:47 [error] 7#7: x", "2015-10-18T18:01:47Z"),
        (
            "nova.log.2017-05-16_13:53:08 2017-05-16 00:00:04.500 2 INFO x",
            "2017-05-16T00:00:04.5Z",
        ),
        ("Jun 14 15:16:01 combo sshd: x", "2025-06-14T15:16:01Z"),
        ("Mar  4 05:06:08 combo sshd: x", "2026-03-04T05:06:08Z"),
        (
            "Mar  5 05:06:06 combo sshd: a zone ahead",
            "2026-03-05T05:06:06Z",
        ),
        ("Feb 29 01:02:03 combo sshd: x", "2024-02-29T01:02:03Z"),
        (
            "[Sun Dec 04 04:47:44 2005] [notice] x",
            "2005-12-04T04:47:44Z",
        ),
        (
            "[Sun Dec 04 04:47:44.25 2005] [notice] x",
            "2005-12-04T04:47:44.25Z",
        ),
        (
            "081109 203615 148 INFO dfs.DataNode: x",
            "2008-11-09T20:36:15Z",
        ),
        ("17/06/09 20:10:40 INFO executor: x", "2017-06-09T20:10:40Z"),
        (
            "E0102 15:04:05.678901 7 a.go:1] x",
            "2026-01-02T15:04:05.678901Z",
        ),
        (
            "10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\" 200 1",
            "2000-10-10T20:55:36Z",
        ),
        ("I20260102 15:04:05.5 7 a.cc:1] x", "2026-01-02T15:04:05.5Z"),
        ("Jan 2, 2026 3:04:05 PM org.a.B run", "2026-01-02T15:04:05Z"),
        ("Fri Jan  2 03:04:05 2026 x", "2026-01-02T03:04:05Z"),
        (
            "7:M 02 Jan 2026 03:04:05.678 * Ready",
            "2026-01-02T03:04:05.678Z",
        ),
        ("02 Jan 2026 03:04:05.678 x", "2026-01-02T03:04:05.678Z"),
        ("20260102T030405.5Z x", "2026-01-02T03:04:05.5Z"),
        ("01/02/2026 3:04:05 PM x", "2026-01-02T15:04:05Z"),
        ("[02/Jan/2026:03:04:05 +0100] x", "2026-01-02T02:04:05Z"),
        (
            "2026-01-02 03:04:05.5 CET [7] LOG:  x",
            "2026-01-02T02:04:05.5Z",
        ),
        ("2026-01-02 03:04:05 +7 things", "2026-01-02T03:04:05Z"),
        ("2026-01-02 03:04:05 -05 x", "2026-01-02T03:04:05Z"),
    ] {
        let record = line(text);
        assert_eq!(record.timestamp.to_string(), expected, "{text}");
        assert_eq!(record.message, text);
        assert_eq!(record.created_at, received());
    }
}

#[test]
fn what_only_resembles_a_time_is_none() {
    for text in [
        "",
        "2015-13-18 18:01:47 x",
        "Jun 31 15:16:01 x",
        "17/06/09 25:10:40 x",
        "081109 x",
        "Mayor 1 x",
        "1234567890 x",
        "2015-10-18",
    ] {
        assert_eq!(line(text).timestamp, received(), "{text}");
    }
}

#[test]
fn levels_are_found_where_loggers_put_them() {
    for (text, expected) in [
        ("2015-10-18 18:01:47,978 WARN [main] x", Level::Warn),
        (
            "2015-07-29 17:41:44,747 - ERROR [QuorumPeer] x",
            Level::Error,
        ),
        ("[Sun Dec 04 04:47:44 2005] [error] x", Level::Error),
        ("E0102 15:04:05.678901 7 a.go:1] x", Level::Error),
        ("[FATAL] x", Level::Fatal),
        ("error: x", Level::Error),
        ("a=1 text level=debug x", Level::Debug),
        ("msg \"severity\":\"CRITICAL\" x", Level::Fatal),
        ("<warn> x", Level::Warn),
        ("an error happened", Level::Info),
        ("ERRORS: 3", Level::Info),
        ("the INFORMATION desk", Level::Info),
        ("a.ERROR x", Level::Info),
        ("CONFIG loaded", Level::Info),
        ("", Level::Info),
    ] {
        let expected = if text.contains("INFORMATION") {
            Level::Info
        } else {
            expected
        };
        assert_eq!(line(text).level, expected, "{text}");
    }
    let far = format!("{} ERROR x", "y".repeat(200));
    assert_eq!(line(&far).level, Level::Info);
}

#[test]
fn defaults_fill_only_what_the_record_does_not_say() {
    let record = line("x");
    assert_eq!(
        (record.service_name.as_str(), record.environment.as_str()),
        ("from-header", "test")
    );
    let mut raw = RawRecord::text("x");
    raw.put("service", Value::string(" own "));
    raw.put("environment", Value::string("ö".repeat(200)));
    let record = with_context(|context| parse::record(raw, context));
    assert_eq!(
        (record.service_name.as_str(), record.environment.len()),
        ("own", 256)
    );
}

#[test]
fn bad_utf8_is_replaced_and_noted() {
    let record = with_context(|context| parse::line(b"caf\xe9 au lait", context));
    assert_eq!(record.message, "caf\u{fffd} au lait");
    assert_eq!(record.fields[0].0, "utf8_error");
}

#[test]
fn a_stack_trace_in_a_message_is_its_exception() {
    let record = line("ERROR failed\njava.io.IOException: pipe\n\tat a.B.c(B.java:1)");
    let exception = record.exception.expect("it is there");
    assert_eq!(exception.type_name, "java.io.IOException");
    assert!(
        exception
            .stack_trace
            .starts_with("java.io.IOException: pipe\n\tat")
    );
    assert!(record.message.starts_with("ERROR failed\n"));
}

#[test]
fn a_given_stack_trace_without_a_type_names_it_itself() {
    for (stack, type_name, message) in [
        (
            "java.io.IOException: pipe\n\tat a.B.c(B.java:1)",
            "java.io.IOException",
            "pipe",
        ),
        ("Boom: odd\n somewhere", "Boom", "odd\n somewhere"),
        ("\tat a.B.c(B.java:1)", "unknown", ""),
    ] {
        let mut raw = RawRecord::text("failed");
        raw.put("stack_trace", Value::string(stack));
        let exception = with_context(|context| parse::record(raw, context))
            .exception
            .expect("it was given");
        assert_eq!(
            (exception.type_name.as_str(), exception.message.as_str()),
            (type_name, message)
        );
        assert_eq!(exception.stack_trace, stack);
    }
}

#[test]
fn an_opentelemetry_record_keeps_its_attributes() {
    let mut raw = RawRecord::text("body");
    raw.timestamp = Some(Timestamp::from_nanos(5));
    raw.severity_number = Some(18);
    raw.severity_text("Loud");
    raw.resource("service.name", Value::string("pay"));
    raw.resource("k8s.pod.name", Value::string("pay-1"));
    raw.attribute("http.status", Value::number("500"));
    raw.attribute("level", Value::string("kept"));
    raw.attribute("k8s.pod.name", Value::string("pay-2"));
    raw.attribute("exception.type", Value::string("E"));
    raw.put("trace_id", Value::string("AB"));
    let record = with_context(|context| parse::record(raw, context));
    assert_eq!(
        (
            record.level,
            record.timestamp.nanos(),
            record.service_name.as_str()
        ),
        (Level::Error, 5, "pay")
    );
    assert_eq!(
        (record.trace_id.as_str(), record.message.as_str()),
        ("ab", "body")
    );
    assert_eq!(record.exception.expect("it was given").type_name, "E");
    let fields: Vec<_> = record
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.text.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("http.status", "500"),
            ("k8s.pod.name", "pay-2"),
            ("level", "kept"),
            ("level_raw", "Loud")
        ]
    );
}

#[test]
fn ids_are_made_from_the_receive_time_and_the_given_randomness() {
    assert_eq!(line("x").log_id, LogId::v7(received(), [7; 10]));
}
