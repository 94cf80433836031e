//! Bodies of JSON in, records out.

mod common;

use std::fmt::Write;

use common::{names, received, record, with_context};
use expect_test::{Expect, expect};
use hushlog_ingest::json::{self, Declared};
use hushlog_ingest::{RawRecord, parse};
use hushlog_record::{Kind, Record};

fn read(
    body: &[u8],
    declared: Declared,
) -> (
    Result<json::Shape, json::Error>,
    Vec<Result<Record, json::Rejected>>,
) {
    let mut records = Vec::new();
    let shape = with_context("", |context| {
        json::read(body, declared, &mut |raw| {
            records.push(raw.map(|raw| parse::record(raw, context)));
        })
    });
    (shape, records)
}

fn show(record: &Record) -> String {
    let mut out = format!("{} {:?}{}", record.level, record.message, names(record));
    if record.log_id.0[..3] != [0x01, 0x9c, 0xb7] {
        write!(out, " id={}", record.log_id).expect("as the test sets it up");
    }
    if let Some(exception) = &record.exception {
        write!(
            out,
            " !{}|{}|{}",
            exception.type_name,
            exception.message,
            exception.stack_trace.lines().count()
        )
        .expect("as the test sets it up");
    }
    for (name, value) in &record.fields {
        let kind = match value.kind {
            Kind::String => "",
            Kind::Number => "#",
            Kind::Bool => "?",
            Kind::Json => "@",
        };
        write!(out, "\n    {name}{kind} {}", value.text).expect("as the test sets it up");
    }
    out
}

fn check_as(declared: Declared, body: &[u8], expected: &Expect) {
    let (shape, records) = read(body, declared);
    let mut out = String::new();
    match shape {
        Ok(shape) => {
            writeln!(out, "{shape:?}").expect("as the test sets it up");
            for record in &records {
                match record {
                    Ok(record) => {
                        writeln!(out, "{}", show(record)).expect("as the test sets it up")
                    }
                    Err(rejected) => {
                        writeln!(out, "rejected {}: {}", rejected.index, rejected.reason)
                            .expect("as the test sets it up")
                    }
                }
            }
        }
        Err(error) => writeln!(out, "{error}").expect("as the test sets it up"),
    }
    expected.assert_eq(&out);
}

fn check(body: &str, expected: Expect) {
    check_as(Declared::Json, body.as_bytes(), &expected);
}

fn check_lines(body: &[u8], expected: Expect) {
    check_as(Declared::Lines, body, &expected);
}

#[test]
fn the_record_of_the_contract_is_taken_whole() {
    check(
        r#"{"timestamp":"2026-01-02T03:04:05.123456789+01:00","level":"ERROR","message":"payment failed","service":"pay",
            "fields":{"user_id":"user_123","trace_id":"ABCDEF0123456789abcdef0123456789"},
            "exception":{"type":"PaymentProcessingException","message":"declined","stack_trace":"a\nb"},
            "metadata":{"host":"api-server-01","region":"us-east-1","build":7},"environment":"prod"}"#,
        expect![[r#"
            One
            ERROR "payment failed" @2026-01-02T02:04:05.123456789Z service=pay host=api-server-01 environment=prod region=us-east-1 trace=abcdef0123456789abcdef0123456789 !PaymentProcessingException|declined|2
                metadata.build# 7
                trace_id ABCDEF0123456789abcdef0123456789
                user_id user_123
        "#]],
    );
}

#[test]
fn elastic_names_reach_the_same_places() {
    check(
        r#"{"@timestamp":"2026-01-02T03:04:05Z","log.level":"warn","service":{"name":"pay"},"host":{"name":"h1"},"message":"m",
            "error":{"type":"E","message":"bad","stack_trace":"s"},"trace":{"id":"aa"},"span.id":"BB","log":{"logger":"x"}}"#,
        expect![[r#"
            One
            WARN "m" @2026-01-02T03:04:05Z service=pay host=h1 trace=aa span=bb !E|bad|1
                log.logger x
        "#]],
    );
}

#[test]
fn odd_values_are_kept() {
    check(
        r#"{"message":5,"level":true,"timestamp":"yesterday","log_id":"no","a":null,"b":[1, {"c":"\u0041"}],"n":1e400,
            "m":-0,"d":1234567890123456789012345678901234567890,"x":1,"x":2,"o":{"p":{"q":true}},"o.p.q":"later","":1,"nan":NaN}"#,
        expect![[r#"
            One
            INFO "5"
                _# 1
                b@ [1,{"c":"A"}]
                d# 1234567890123456789012345678901234567890
                level_raw? true
                log_id_raw no
                m# -0
                n# 1e400
                nan NaN
                o.p.q later
                timestamp_raw yesterday
                x# 2
        "#]],
    );
}

#[test]
fn among_two_names_for_one_place_the_better_wins_and_the_other_is_a_field() {
    check(
        r#"{"msg":"second","message":"first","severity":"INFO","level":"ERROR"}"#,
        expect![[r#"
        One
        ERROR "first"
            msg second
            severity INFO
    "#]],
    );
    check(
        r#"{"message":"first","msg":"second","level":"ERROR","severity":"INFO"}"#,
        expect![[r#"
        One
        ERROR "first"
            msg second
            severity INFO
    "#]],
    );
}

#[test]
fn names_inside_fields_are_never_known_ones() {
    check(
        r#"{"message":"m","fields":{"level":"LOUD","message":"x","service":{"name":"y"}},"fields.z":1}"#,
        expect![[r#"
            One
            INFO "m"
                level LOUD
                message x
                service.name y
                z# 1
        "#]],
    );
}

#[test]
fn a_valid_client_id_is_the_id() {
    check(
        r#"{"message":"m","log_id":"018f3a5e-7b1c-7def-8abc-0123456789ab"}"#,
        expect![[r#"
        One
        INFO "m" id=018f3a5e-7b1c-7def-8abc-0123456789ab
    "#]],
    );
}

#[test]
fn numbers_are_times_by_their_magnitude() {
    for (number, expected) in [
        ("1718000000", "2024-06-10T06:13:20Z"),
        ("1718000000.25", "2024-06-10T06:13:20.25Z"),
        ("1718000000123", "2024-06-10T06:13:20.123Z"),
        ("1718000000123456", "2024-06-10T06:13:20.123456Z"),
        ("1718000000123456789", "2024-06-10T06:13:20.123456789Z"),
        ("\"1718000000123\"", "2024-06-10T06:13:20.123Z"),
        ("1.718e9", "2024-06-10T06:13:20Z"),
        ("-1", "1969-12-31T23:59:59Z"),
        ("99999999999999999999999", "2026-03-04T05:06:07Z"),
        ("1e999", "2026-03-04T05:06:07Z"),
        ("\"2024-06-10 06:13:20,5\"", "2024-06-10T06:13:20.5Z"),
        (
            "\"2024-06-10T06:13:20.1234567891234-0130\"",
            "2024-06-10T07:43:20.123456789Z",
        ),
        ("\"Mon, 10 Jun 2024 06:13:20 GMT\"", "2024-06-10T06:13:20Z"),
        ("\"10/Oct/2000:13:55:36 -0700\"", "2000-10-10T20:55:36Z"),
        ("\"2024-02-30T00:00:00Z\"", "2026-03-04T05:06:07Z"),
        ("\"10000-01-01T00:00:00Z\"", "2026-03-04T05:06:07Z"),
    ] {
        let body = format!("{{\"ts\":{number}}}");
        let (_, records) = read(body.as_bytes(), Declared::Json);
        let record = records[0].as_ref().expect("as the test sets it up");
        assert_eq!(record.timestamp.to_string(), expected, "{number}");
        let raw = record
            .fields
            .iter()
            .any(|(name, _)| name == "timestamp_raw");
        assert_eq!(raw, record.timestamp == received(), "{number}");
    }
}

#[test]
fn lines_keep_what_is_broken_and_take_the_rest() {
    check_lines(
        b"\xef\xbb\xbf{\"message\":\"a\"}\r\n\r\n  \n{\"message\":\n{\"message\":\"\xff\xfe\"}\n[1,2]\n\"text\"\n12\n2015-10-18 18:01:47,978 WARN x\n",
        expect![[r#"
            Lines
            INFO "a"
            INFO "{\"message\":"
                parse_error expected a value at byte 11
            INFO "��"
                utf8_error invalid UTF-8 at byte 12, replaced
            INFO "[1,2]"
                parse_error expected an object
            INFO "text"
            INFO "12"
                parse_error expected an object
            WARN "2015-10-18 18:01:47,978 WARN x" @2015-10-18T18:01:47.978Z
                parse_error expected the end of the line at byte 4
        "#]],
    );
}

#[test]
fn lines_are_recognised_without_being_declared() {
    check(
        "{\"a\":1}\n{\"a\":2}\n",
        expect![[r#"
        Lines
        INFO ""
            a# 1
        INFO ""
            a# 2
    "#]],
    );
    check(
        "{\"a\":\n{\"a\":2}\n",
        expect![[r#"
        Lines
        INFO "{\"a\":"
            parse_error expected a value at byte 5
        INFO ""
            a# 2
    "#]],
    );
}

#[test]
fn an_array_keeps_elements_that_are_not_objects() {
    check(
        r#"[{"message":"a"},"b",3,null,true,[1, 2]]"#,
        expect![[r#"
        Array
        INFO "a"
        INFO "b"
        INFO "3"
            parse_error expected an object
        INFO "null"
            parse_error expected an object
        INFO "true"
            parse_error expected an object
        INFO "[1, 2]"
            parse_error expected an object
    "#]],
    );
}

#[test]
fn a_document_that_is_no_json_is_refused_with_its_offset() {
    check(
        "hello",
        expect![[r#"
        the body is not JSON: expected a JSON object, an array or NDJSON at byte 0
    "#]],
    );
    check(
        "  \"text\"",
        expect![[r#"
        the body is not JSON: expected a JSON object, an array or NDJSON at byte 2
    "#]],
    );
    check(
        "{\"a\":1}x",
        expect![[r#"
        the body is not JSON: expected the end of the body at byte 7
    "#]],
    );
    check(
        "{\"a\":01}",
        expect![[r#"
        the body is not JSON: expected a comma or a closing brace at byte 6
    "#]],
    );
    check(
        "[{\"a\":1},",
        expect![[r#"
        the body is not JSON: expected a value at byte 9
    "#]],
    );
    check(
        "{\"a\":\"\\x\"}",
        expect![[r#"
        the body is not JSON: expected an escape that JSON knows at byte 6
    "#]],
    );
    check(
        "",
        expect![[r#"
        the body is empty
    "#]],
    );
    check(
        "\n \n",
        expect![[r#"
        the body is empty
    "#]],
    );
    check(
        "[]",
        expect![[r#"
        the body is empty
    "#]],
    );
}

#[test]
fn bad_utf8_in_a_document_marks_only_its_record() {
    check_as(
        Declared::Json,
        b"[{\"message\":\"ok\"},{\"message\":\"\xc3(\"}]",
        &expect![[r#"
            Array
            INFO "ok"
            INFO "�("
                utf8_error invalid UTF-8 at byte 12, replaced
        "#]],
    );
}

#[test]
fn a_message_of_json_or_logfmt_becomes_fields() {
    check(
        r#"{"message":"{\"level\":\"error\",\"msg\":\"inner\",\"a\":{\"b\":1}}","time":"2026-01-02T03:04:05Z"}"#,
        expect![[r#"
            One
            ERROR "inner" @2026-01-02T03:04:05Z
                a.b# 1
        "#]],
    );
    check(
        r#"{"log":"{\"a\":1}","a":2}"#,
        expect![[r#"
        One
        INFO "{\"a\":1}"
            a# 2
    "#]],
    );
    check(
        r#"{"message":"level=warn msg=\"disk \\\"full\\\"\" used=98 path=/var ok=true id=007"}"#,
        expect![[r#"
            One
            WARN "disk \"full\""
                id 007
                ok? true
                path /var
                used# 98
        "#]],
    );
    check(
        r#"{"message":"x=1 is not y=2 and so this sentence is no logfmt at all"}"#,
        expect![[r#"
            One
            INFO "x=1 is not y=2 and so this sentence is no logfmt at all"
        "#]],
    );
    check(
        r#"{"message":"{not json}"}"#,
        expect![[r#"
        One
        INFO "{not json}"
    "#]],
    );
}

#[test]
fn levels_are_understood_as_words_and_numbers() {
    for (level, expected) in [
        ("\"WARNING\"", "WARN"),
        ("\"trace\"", "DEBUG"),
        ("\"[Emerg]\"", "FATAL"),
        ("\"E\"", "ERROR"),
        ("3", "ERROR"),
        ("\"6\"", "INFO"),
        ("50", "ERROR"),
        ("\"LOUD\"", "INFO"),
        ("17", "ERROR"),
        ("25", "INFO"),
    ] {
        let (_, records) = read(format!("{{\"level\":{level}}}").as_bytes(), Declared::Json);
        let record = records[0].as_ref().expect("as the test sets it up");
        assert_eq!(record.level.name(), expected, "{level}");
        let raw = record.fields.iter().any(|(name, _)| name == "level_raw");
        assert_eq!(raw, matches!(level, "\"LOUD\"" | "25"), "{level}");
    }
}

#[test]
fn opentelemetry_severity_numbers_are_understood_by_their_name() {
    for (json, expected, fields) in [
        (r#"{"severity_number":1}"#, "DEBUG", ""),
        (r#"{"severity_number":5}"#, "DEBUG", ""),
        (r#"{"severityNumber":10}"#, "INFO", ""),
        (r#"{"severityNumber":"13"}"#, "WARN", ""),
        (
            r#"{"severity_text":"Loud","severity_number":20}"#,
            "ERROR",
            "severity_text",
        ),
        (r#"{"message":"{\"severityNumber\":24}"}"#, "FATAL", ""),
        (
            r#"{"level":"warn","severity_number":20}"#,
            "WARN",
            "severity_number",
        ),
        (
            r#"{"severity_number":0,"severity_text":"ERROR"}"#,
            "ERROR",
            "severity_number",
        ),
        (
            r#"{"severity_number":25,"message":"WARN x"}"#,
            "WARN",
            "severity_number",
        ),
    ] {
        let (_, records) = read(json.as_bytes(), Declared::Json);
        let record = records[0].as_ref().expect("as the test sets it up");
        assert_eq!(record.level.name(), expected, "{json}");
        let names: Vec<_> = record.fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names.join(","), fields, "{json}");
    }
}

#[test]
fn what_opentelemetry_says_of_a_severity_stays_as_it_was_sent() {
    for (number, text, level, kept) in [
        // The name of the level, in any case, says nothing more than the level.
        (17, "Error", "ERROR", ""),
        (0, " error ", "ERROR", ""),
        (17, "", "ERROR", ""),
        (0, "", "INFO", ""),
        (17, "Oops", "ERROR", "level_raw=Oops"),
        (18, "ERR", "ERROR", "level_raw=ERR"),
        (1, "TRACE", "DEBUG", "level_raw=TRACE"),
        (0, "SEVERE", "ERROR", "level_raw=SEVERE"),
        (0, "Oops", "INFO", "level_raw=Oops"),
        // No number of OpenTelemetry's.
        (25, "", "INFO", "level_raw=25"),
        (-1, "", "INFO", "level_raw=-1"),
        (25, "WARN", "WARN", "severity_number=25"),
        (25, "Oops", "INFO", "level_raw=Oops,severity_number=25"),
    ] {
        let mut raw = RawRecord::text("x");
        raw.severity_number = Some(number);
        raw.severity_text(text);
        let record = record(raw);
        let fields = record.fields.iter();
        let fields: Vec<_> = fields
            .map(|(name, value)| format!("{name}={}", value.text))
            .collect();
        assert_eq!(
            (record.level.name(), fields.join(",").as_str()),
            (level, kept),
            "{number} {text:?}"
        );
    }
    // The level of a message that is JSON is no less kept.
    let mut raw = RawRecord::text(r#"{"level":"Loud","msg":"y"}"#);
    raw.severity_number = Some(13);
    assert_eq!(show(&record(raw)), "WARN \"y\"\n    level_raw Loud");
}

#[test]
fn a_message_alone_is_an_exception_of_an_unknown_type() {
    for given in [
        r#""exception":{"message":"only"}"#,
        r#""exception.message":"only""#,
        r#""error":{"message":"only"}"#,
        r#""exception":{"type":" ","message":"only"}"#,
    ] {
        check(
            &format!("{{\"message\":\"m\",{given}}}"),
            expect![[r#"
                One
                INFO "m" !unknown|only|0
            "#]],
        );
    }
    // What names a type, or is a trace, says more; the message stays a field beside it.
    check(
        r#"{"message":"java.io.IOException: pipe\n\tat a.B.c(B.java:1)","exception":{"message":"only"}}"#,
        expect![[r#"
            One
            INFO "java.io.IOException: pipe\n\tat a.B.c(B.java:1)" !java.io.IOException|pipe|2
                exception.message only
        "#]],
    );
    // A text without words reports nothing.
    for blank in ["", "  "] {
        let (_, records) = read(
            format!("{{\"message\":\"m\",\"exception\":{{\"message\":\"{blank}\"}}}}").as_bytes(),
            Declared::Json,
        );
        let record = records[0].as_ref().expect("as the test sets it up");
        assert_eq!(record.exception, None);
        assert_eq!(record.fields[0].0, "exception.message");
    }
    // However long the message of the record is, none of it is copied.
    let long = "x".repeat(900 << 10);
    let body = format!("{{\"message\":\"{long}\",\"exception\":{{\"message\":\"only\"}}}}");
    let (_, records) = read(body.as_bytes(), Declared::Json);
    let record = records[0].as_ref().expect("as the test sets it up");
    let found = record.exception.as_ref().expect("it was given");
    assert_eq!((&*found.type_name, &*found.message), ("unknown", "only"));
}

#[test]
fn deep_nesting_is_kept_as_text_and_exhausts_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let value = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let (shape, records) = read(format!("{{\"v\":{value}}}").as_bytes(), Declared::Json);
        shape.expect("as the test sets it up");
        let record = records[0].as_ref().expect("as the test sets it up");
        assert_eq!(record.fields.len(), 1);
        assert_eq!(record.fields[0].1.kind, Kind::String);
        assert!(record.fields[0].1.text.len() > 19_000);
        let (shape, _) = read(format!("[{value}]").as_bytes(), Declared::Json);
        shape.expect("as the test sets it up");
        read(open.repeat(10_000).as_bytes(), Declared::Json)
            .0
            .unwrap_err();
    }
    let shallow = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    let (_, records) = read(shallow.as_bytes(), Declared::Json);
    let record = records[0].as_ref().expect("as the test sets it up");
    assert_eq!(record.fields[0].0.matches('.').count(), 31);
    assert_eq!(record.fields[0].1.kind, Kind::Json);
}

#[test]
fn a_hundred_thousand_keys_fit_into_a_bounded_record() {
    let members: Vec<String> = (0..100_000).map(|i| format!("\"k{i:x}\":1")).collect();
    let (shape, records) = read(
        format!("{{{}}}", members.join(",")).as_bytes(),
        Declared::Json,
    );
    shape.expect("as the test sets it up");
    let record = records[0]
        .as_ref()
        .unwrap_or_else(|_| panic!("it is under the limit"));
    assert_eq!(record.fields.len(), 1000);
    let other = &record
        .fields
        .iter()
        .find(|(name, _)| name == "_other")
        .expect("as the test sets it up")
        .1;
    let parsed: serde_json::Value =
        serde_json::from_str(&other.text).expect("as the test sets it up");
    assert_eq!(
        parsed.as_object().expect("as the test sets it up").len() + 999,
        100_000
    );
}

#[test]
fn a_record_over_the_limit_is_rejected_alone() {
    let big = "x".repeat(1 << 20);
    check(
        &format!("[{{\"message\":\"a\"}},{{\"message\":\"{big}y\"}},{{\"message\":\"b\"}}]"),
        expect![[r#"
            Array
            INFO "a"
            rejected 1: the record is larger than 1 MiB
            INFO "b"
        "#]],
    );
    let (_, records) = read(
        format!("{{\"message\":\"{big}\"}}").as_bytes(),
        Declared::Json,
    );
    assert_eq!(
        records[0]
            .as_ref()
            .expect("as the test sets it up")
            .text_bytes(),
        (1 << 20) + "unknown".len()
    );
}

#[test]
fn a_long_name_above_many_members_costs_no_more_than_its_record() {
    let members = "\"a\":1,".repeat(200_000);
    let body = format!("{{\"{}\":{{{members}\"b\":2}}}}", "x".repeat(900_000));
    let (shape, records) = read(body.as_bytes(), Declared::Json);
    shape.expect("it is JSON");
    assert_eq!(records.len(), 1);
}
