//! What the two forms of a request become.

use hushlog_ingest::{Context, parse};
use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
use hushlog_proto::opentelemetry::proto::common::v1::{AnyValue, KeyValueList};
use hushlog_record::{Level, Record};

use super::*;
use crate::gateway::{Admission, full};
use crate::metrics::Gauge;

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn text(text: &str) -> Any {
    Any::StringValue(text.into())
}

type Read = fn(&[u8], &mut Room<'_>, Each<'_>) -> Result<Shape, Failure>;

/// Reads a request in so many bytes of memory.
fn read_in(memory: usize, read: Read, request: &[u8], each: Each<'_>) -> Result<Shape, Failure> {
    let admission = Admission::new(memory, Gauge::default());
    Room::lend(&admission, |room| read(request, room, each))
}

fn parsed(read: Read, request: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    let shape = read_in(16 << 20, read, request, &mut |raw| {
        let mut context = Context {
            received: Timestamp::from_millis(1),
            service: "",
            environment: "",
            random: &mut || [0; 10],
        };
        found.push(parse::record(raw.expect("small"), &mut context));
    });
    assert_eq!(shape, Ok(Shape::Array));
    found
}

#[test]
fn a_record_keeps_everything_that_was_said() {
    let nested = KeyValueList {
        values: vec![attribute("id", Any::IntValue(7))],
    };
    let record = LogRecord {
        time_unix_nano: 1_700_000_000_000_000_001,
        severity_number: 17,
        severity_text: "SEVERE".into(),
        body: Some(AnyValue {
            value: Some(text("payment failed")),
        }),
        attributes: vec![
            attribute("user", Any::KvlistValue(nested)),
            attribute("exception.type", text("java.io.IOException")),
            attribute("exception.message", text("broken pipe")),
        ],
        trace_id: vec![0xab; 16].into(),
        flags: 1,
        dropped_attributes_count: 3,
        ..LogRecord::default()
    };
    let resource = Resource {
        attributes: vec![
            attribute("service.name", text("pay")),
            attribute("host.name", text("h1")),
            attribute("k8s.pod.name", text("p1")),
        ],
    };
    let logs = ScopeLogs {
        scope: Some(InstrumentationScope {
            name: "shop.cart".into(),
            version: "1.2".into(),
            attributes: vec![attribute("team", text("blue"))],
        }),
        log_records: vec![record],
        ..ScopeLogs::default()
    };
    let of_resource = ResourceLogs {
        resource: Some(resource),
        scope_logs: vec![logs],
        ..ResourceLogs::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![of_resource],
    };
    let found = parsed(read_protobuf, &request.encode_to_vec());
    let record = &found[0];
    assert_eq!(record.timestamp.nanos(), 1_700_000_000_000_000_001);
    assert_eq!(
        (record.service_name.as_str(), record.host.as_str()),
        ("pay", "h1")
    );
    assert_eq!(record.level, Level::Error);
    assert_eq!(record.message, "payment failed");
    assert_eq!(record.trace_id, "ab".repeat(16));
    assert_eq!(
        record.exception.as_ref().map(|e| &*e.type_name),
        Some("java.io.IOException")
    );
    let field = |name: &str| {
        record
            .fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.text.clone())
    };
    assert_eq!(field("user.id").as_deref(), Some("7"));
    assert_eq!(field("k8s.pod.name").as_deref(), Some("p1"));
    for (name, value) in [
        ("level_raw", "SEVERE"),
        ("otel.scope.name", "shop.cart"),
        ("otel.scope.version", "1.2"),
        ("otel.scope.attributes.team", "blue"),
        (FLAGS, "01"),
        (DROPPED, "3"),
    ] {
        assert_eq!(field(name).as_deref(), Some(value), "{name}");
    }
}

/// What a record of JSON has become: level, message, trace, exception, fields.
fn shown(record: &str) -> String {
    let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#);
    let record = &parsed(read_json, body.as_bytes())[0];
    let mut out = format!("{} {}", record.level, record.message);
    if record.timestamp != record.created_at {
        out += &format!(" @{}", record.timestamp);
    }
    if !record.trace_id.is_empty() {
        out += &format!(" trace={}", record.trace_id);
    }
    if let Some(exception) = &record.exception {
        out += &format!(" !{}: {}", exception.type_name, exception.message);
    }
    for (name, value) in &record.fields {
        out += &format!(" {name}={}", value.text);
    }
    out
}

#[test]
fn a_record_of_json_is_never_refused_for_its_shape() {
    for (record, expected) in [
        (r#"{"severityNumber":"SEVERITY_NUMBER_ERROR"}"#, "ERROR "),
        (r#"{"severityNumber":"SEVERITY_NUMBER_FATAL4"}"#, "FATAL "),
        (r#"{"severityNumber":"SEVERITY_NUMBER_WARN"}"#, "WARN "),
        (
            r#"{"severityNumber":"SEVERITY_NUMBER_UNSPECIFIED","severityText":"ERROR"}"#,
            "ERROR ",
        ),
        (
            r#"{"severityNumber":"SEVERITY_NUMBER_INFO5"}"#,
            "INFO  level_raw=SEVERITY_NUMBER_INFO5",
        ),
        (r#"{"severityNumber":"17"}"#, "ERROR "),
        (r#"{"severityNumber":25}"#, "INFO  level_raw=25"),
        (
            r#"{"severityNumber":17,"severityText":"Oops"}"#,
            "ERROR  level_raw=Oops",
        ),
        (r#"{"severityNumber":"error"}"#, "ERROR "),
        (r#"{"severityNumber":"LOUD"}"#, "INFO  level_raw=LOUD"),
        (
            r#"{"severityNumber":"LOUD","severityText":"WARN"}"#,
            "WARN  severity_number=LOUD",
        ),
        (r#"{"severityNumber":1.5}"#, "INFO  level_raw=1.5"),
        (r#"{"traceId":"XYZ"}"#, "INFO  trace=XYZ"),
        (r#"{"traceId":7}"#, "INFO  trace=7"),
        (r#"{"traceId":null,"flags":256}"#, "INFO  trace_flags=100"),
        (r#"{"flags":"many"}"#, "INFO  trace_flags=many"),
        (
            r#"{"timeUnixNano":"2026-01-02T03:04:05Z"}"#,
            "INFO  @2026-01-02T03:04:05Z",
        ),
        (r#"{"timeUnixNano":"soon"}"#, "INFO  timestamp_raw=soon"),
        (r#"{"body":"plain"}"#, "INFO plain"),
        (r#"{"body":{"stringValue":5}}"#, "INFO 5"),
        (r#"{"body":{"intValue":"many"}}"#, "INFO many"),
        (r#"{"body":{"stringValue":null}}"#, "INFO "),
        (r#"{"attributes":{"a":1,"b":{"c":"d"}}}"#, "INFO  a=1 b.c=d"),
        (r#"{"attributes":"none"}"#, "INFO  attributes=none"),
        (r#"{"attributes":[5,{"key":"k"}]}"#, "INFO  _=5 k="),
        (
            r#"{"attributes":[{"key":"l","value":{"arrayValue":7}},{"key":"b","value":{"bytesValue":"*"}}]}"#,
            "INFO  b=* l=7",
        ),
        (
            r#"{"attributes":[{"key":"exception.message","value":{"stringValue":"only"}}]}"#,
            "INFO  !unknown: only",
        ),
        (r#""text""#, "INFO text parse_error=expected an object"),
        (r#"{"body":{"stringValue":"\ud83d"}}"#, "INFO \u{fffd}"),
        ("{\"body\":{\"stringValue\":\"a\tb\"}}", "INFO a\tb"),
        (r#"{"body":NaN}"#, "INFO NaN"),
        (
            r#"{"body":{"$serde_json::private::Number":1}}"#,
            r#"INFO {"$serde_json::private::Number":1} $serde_json::private::Number=1"#,
        ),
        (
            r#"{"attributes":{"a":18446744073709551615,"b":0.1000,"c":0.12345678901234567890,"d":1e3}}"#,
            "INFO  a=18446744073709551615 b=0.1 c=0.12345678901234567890 d=1000",
        ),
        (
            r#"{"timeUnixNano":"18446744073709551615","observedTimeUnixNano":"1700000000000000000"}"#,
            "INFO  @2023-11-14T22:13:20Z timestamp_raw=18446744073709551615",
        ),
    ] {
        assert_eq!(shown(record), expected, "{record}");
    }
}

#[test]
fn json_says_the_same_as_protobuf() {
    let body = br#"{"resourceLogs":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"pay"}}]},"unknownKey":1,
        "scopeLogs":[{"logRecords":[{"timeUnixNano":"1700000000000000001","severityNumber":17,
        "body":{"stringValue":"hello"},"traceId":"ABababababababababababababababab",
        "attributes":[{"key":"n","value":{"intValue":"42"}},
                      {"key":"l","value":{"arrayValue":{"values":[{"boolValue":true}]}}}]}]}]}]}"#;
    let found = parsed(read_json, body);
    let record = &found[0];
    assert_eq!(record.timestamp.nanos(), 1_700_000_000_000_000_001);
    assert_eq!(
        (record.service_name.as_str(), record.level),
        ("pay", Level::Error)
    );
    assert_eq!(record.message, "hello");
    assert_eq!(record.trace_id, "ab".repeat(16));
    let fields: Vec<_> = record
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.text.as_str()))
        .collect();
    assert!(
        fields.contains(&("n", "42")) && fields.contains(&("l", "[true]")),
        "{fields:?}"
    );
}

#[test]
fn a_resource_may_follow_its_records_and_what_is_too_long_is_rejected_alone() {
    let long = "m".repeat(ENCODED_RECORD_BYTES_MAX);
    let body = format!(
        r#"{{"resourceLogs":[{{}},{{"scopeLogs":[{{"logRecords":[{{}},{{"eventName":"{long}"}},{{}}]}}],
            "resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"pay"}}}}]}}}}]}}"#
    );
    let mut seen = Vec::new();
    let shape = read_in(16 << 20, read_json, body.as_bytes(), &mut |raw| {
        seen.push(raw.map(|raw| raw.text_bytes()));
    });
    assert_eq!(shape, Ok(Shape::Array));
    let rejected = hushlog_ingest::json::Rejected {
        index: 1,
        reason: hushlog_ingest::json::TOO_LARGE,
    };
    let service = "pay".len();
    assert_eq!(seen, [Ok(service), Err(rejected), Ok(service)]);
}

#[test]
fn json_of_the_wrong_shape_is_refused() {
    for body in [
        "",
        "[]",
        "{\"resourceLogs\":1}",
        "{\"resourceLogs\":[{\"scopeLogs\":{}}]}",
    ] {
        let read = read_in(1 << 20, read_json, body.as_bytes(), &mut |_| ());
        assert!(read.is_err(), "{body}");
    }
}

/// A resource with an attribute of so many bytes and so many records, in both forms.
fn described(attribute_bytes: usize, records: usize) -> [(Read, Vec<u8>); 2] {
    let long = "l".repeat(attribute_bytes);
    let json = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"a","value":{{"stringValue":"{long}"}}}}]}},
            "scopeLogs":[{{"logRecords":[{}]}}]}}]}}"#,
        vec!["{}"; records].join(",")
    );
    let logs = ScopeLogs {
        log_records: vec![LogRecord::default(); records],
        ..ScopeLogs::default()
    };
    let of_resource = ResourceLogs {
        resource: Some(Resource {
            attributes: vec![attribute("a", text(&long))],
        }),
        scope_logs: vec![logs],
        ..ResourceLogs::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![of_resource],
    };
    [
        (read_json, json.into_bytes()),
        (read_protobuf, request.encode_to_vec()),
    ]
}

#[test]
fn a_resource_is_copied_into_records_while_there_is_room_and_then_nothing_is_read_any_more() {
    const ATTRIBUTE: usize = 100 << 10;
    for (read, request) in described(ATTRIBUTE, 10_000) {
        let mut made = 0;
        let outcome = read_in(1 << 20, read, &request, &mut |raw| {
            made += raw.expect("small").text_bytes();
        });
        assert_eq!(outcome, Err(full()));
        assert!((ATTRIBUTE..1 << 20).contains(&made), "{made}");
    }
}

#[test]
fn a_resource_that_no_record_can_hold_is_copied_into_none() {
    for (read, request) in described(1 << 20, 1_000) {
        let mut rejected = 0;
        let outcome = read_in(1 << 10, read, &request, &mut |raw| {
            rejected += usize::from(raw.is_err());
        });
        assert_eq!((outcome, rejected), (Ok(Shape::Array), 1_000));
    }
}

/// A record whose body holds a list in a list, so many times, in both forms.
fn deep(lists: usize) -> [(Read, Vec<u8>); 2] {
    let json = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{}{}}}]}}]}}]}}"#,
        r#"{"arrayValue":{"values":["#.repeat(lists),
        "]}}".repeat(lists)
    );
    let field = |tag: u8, bytes: Vec<u8>| {
        let mut out = vec![tag];
        prost::encoding::encode_varint(bytes.len() as u64, &mut out);
        out.extend(bytes);
        out
    };
    // Each list is a field 5 of a value, and holds values as fields 1; so is the body a field 5.
    let body = (0..lists).fold(Vec::new(), |inner, _| field(0x2a, field(0x0a, inner)));
    let record = field(0x12, field(0x2a, body));
    let request = field(0x0a, field(0x12, record));
    [(read_json, json.into_bytes()), (read_protobuf, request)]
}

/// JSON keeps as text what is too deep; of protobuf there is no text.
#[test]
fn values_in_each_other_without_end_exhaust_no_stack() {
    for lists in [10, 33, 10_000] {
        let [(read_json, json), (read_protobuf, protobuf)] = deep(lists);
        assert_eq!(parsed(read_json, &json).len(), 1, "{lists}");
        let mut records = 0;
        let outcome = read_in(16 << 20, read_protobuf, &protobuf, &mut |_| records += 1);
        let is_read = lists < 10_000;
        assert_eq!((outcome.is_ok(), records), (is_read, usize::from(is_read)));
        let kind = outcome.err().map(|failure| failure.kind);
        assert_eq!(kind, (!is_read).then_some(Kind::InvalidBody));
    }
}

#[test]
fn a_resource_or_scope_of_another_shape_says_what_it_can() {
    for (source, expected) in [
        (r#""resource":"pay""#, "otel.scope.name=cart resource=pay"),
        (
            r#""resource":[{"key":"a","value":{"intValue":1}}]"#,
            "a=1 otel.scope.name=cart",
        ),
        (r#""resource":null"#, "otel.scope.name=cart"),
    ] {
        let body = format!(
            r#"{{"resourceLogs":[{{{source},"scopeLogs":[{{"scope":"cart","logRecords":[{{}}]}}]}}]}}"#
        );
        let record = &parsed(read_json, body.as_bytes())[0];
        let fields = record
            .fields
            .iter()
            .map(|(name, value)| format!("{name}={}", value.text));
        assert_eq!(fields.collect::<Vec<_>>().join(" "), expected);
    }
}

/// A resource is described once, not once for each of its scopes: this request would take an hour.
#[test]
fn a_large_resource_with_many_empty_scopes_is_looked_at_once() {
    let long = "l".repeat(900 << 10);
    let json = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"a","value":{{"stringValue":"{long}"}}}}]}},
            "scopeLogs":[{}]}}]}}"#,
        vec![r#"{"logRecords":[]}"#; 1_000_000].join(",")
    );
    let of_resource = ResourceLogs {
        resource: Some(Resource {
            attributes: vec![attribute("a", text(&long))],
        }),
        scope_logs: vec![ScopeLogs::default(); 1_000_000],
        ..ResourceLogs::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![of_resource],
    };
    for (read, request) in [
        (read_json as Read, json.into_bytes()),
        (read_protobuf, request.encode_to_vec()),
    ] {
        let outcome = read_in(16 << 20, read, &request, &mut |_| ());
        assert_eq!(outcome, Ok(Shape::Array));
    }
}

#[test]
fn names_below_a_long_name_are_made_only_until_the_record_is_too_large() {
    let members = vec![attribute("", Any::BoolValue(true)); 100_000];
    let list = AnyValue {
        value: Some(Any::KvlistValue(KeyValueList { values: members })),
    };
    let mut made = 0;
    value::flatten(&"n".repeat(1 << 20), Some(&list), &mut |name, _| {
        made += name.len();
        made <= 1 << 20
    });
    assert_eq!(made, (1 << 20) + 1);
}
