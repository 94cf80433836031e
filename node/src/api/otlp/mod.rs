//! OpenTelemetry log records, translated to raw records of ingest.
//!
//! Attributes keep their names; nested ones are flattened with dots. Nothing is refused for its
//! shape: a value without a counterpart becomes text.

mod json;
mod value;

use data_encoding::HEXLOWER;
use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Each, Shape};
use hushlog_proto::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use hushlog_proto::opentelemetry::proto::resource::v1::Resource;
use hushlog_record::{Timestamp, Value};
use prost::Message;

use super::hand::Hand;
use super::protobuf::{parts, without};
use crate::error::{Failure, Kind};
use crate::gateway::Room;
use crate::limits::ENCODED_RECORD_BYTES_MAX;

pub(super) use json::read as read_json;

/// Numbers of the repeated fields that lead from a request to its records.
const RESOURCE_LOGS: u64 = 1;
const SCOPE_LOGS: u64 = 2;
const LOG_RECORDS: u64 = 2;

/// Hands over every record of an encoded `ExportLogsServiceRequest`, in order, one decoded at a time.
pub(super) fn read_protobuf(
    request: &[u8],
    room: &mut Room<'_>,
    each: Each<'_>,
) -> Result<Shape, Failure> {
    let hand = &mut Hand::new(room, each);
    for of_resource in parts(request, RESOURCE_LOGS) {
        let of_resource = of_resource.map_err(malformed)?;
        let logs = without::<ResourceLogs>(of_resource, SCOPE_LOGS, ENCODED_RECORD_BYTES_MAX);
        let resource = logs.map_err(malformed)?;
        let resource = resource.map(|logs| logs.resource.unwrap_or_default());
        for of_scope in parts(of_resource, SCOPE_LOGS) {
            let of_scope = of_scope.map_err(malformed)?;
            let logs = without::<ScopeLogs>(of_scope, LOG_RECORDS, ENCODED_RECORD_BYTES_MAX);
            let scope = logs.map_err(malformed)?;
            let scope = scope.map(|logs| logs.scope.unwrap_or_default());
            let source = match (&resource, &scope) {
                (Some(resource), Some(scope)) => Some(Source::new(resource, &scope.name)),
                _ => None,
            };
            for record in parts(of_scope, LOG_RECORDS) {
                let record = record.map_err(malformed)?;
                match &source {
                    Some(source) if record.len() <= ENCODED_RECORD_BYTES_MAX => {
                        source.record(LogRecord::decode(record).map_err(malformed)?, hand)?;
                    }
                    _ => hand.reject(),
                }
            }
        }
    }
    Ok(Shape::Array)
}

fn malformed<E>(_: E) -> Failure {
    Failure::new(
        Kind::InvalidBody,
        "the body is not an ExportLogsServiceRequest",
    )
}

/// Where records come from: what all of one resource and scope share, and each gets a copy of.
struct Source<'a> {
    resource: &'a Resource,
    scope_name: &'a str,
    /// Bytes of text that it is in each record.
    text_bytes: usize,
}

impl<'a> Source<'a> {
    fn new(resource: &'a Resource, scope_name: &'a str) -> Self {
        let mut source = Self {
            resource,
            scope_name,
            text_bytes: 0,
        };
        let mut alone = RawRecord::default();
        source.describe(&mut alone);
        source.text_bytes = alone.text_bytes();
        source
    }

    /// Hands over a record, which is made if there is room for it.
    fn record(&self, record: LogRecord, hand: &mut Hand<'_, '_>) -> Result<(), Failure> {
        hand.over(self.text_bytes, || self.raw(record))
    }

    fn describe(&self, raw: &mut RawRecord) {
        for attribute in &self.resource.attributes {
            value::flatten(
                &attribute.key,
                attribute.value.as_ref(),
                &mut |name, value| {
                    raw.resource(name, value);
                    !raw.is_oversize()
                },
            );
        }
        if !self.scope_name.is_empty() {
            raw.field("otel.scope.name", Value::string(self.scope_name));
        }
    }

    fn raw(&self, record: LogRecord) -> RawRecord {
        let mut raw = RawRecord::default();
        raw.timestamp = [record.time_unix_nano, record.observed_time_unix_nano]
            .into_iter()
            .find(|nanos| *nanos != 0)
            .and_then(|nanos| i64::try_from(nanos).ok())
            .map(Timestamp::from_nanos);
        raw.severity_number = Some(record.severity_number);
        raw.severity_text(record.severity_text);
        raw.put(
            "message",
            Value::string(record.body.as_ref().map(value::text).unwrap_or_default()),
        );
        self.describe(&mut raw);
        for attribute in &record.attributes {
            value::flatten(
                &attribute.key,
                attribute.value.as_ref(),
                &mut |name, value| {
                    raw.attribute(name, value);
                    !raw.is_oversize()
                },
            );
        }
        if !record.event_name.is_empty() {
            raw.field("event_name", Value::string(record.event_name));
        }
        for (name, id) in [("trace_id", record.trace_id), ("span_id", record.span_id)] {
            if id.iter().any(|byte| *byte != 0) {
                raw.put(name, Value::string(HEXLOWER.encode(&id)));
            }
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use hushlog_ingest::{Context, parse};
    use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
    use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
    use hushlog_proto::opentelemetry::proto::common::v1::{AnyValue, KeyValue, KeyValueList};
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
    fn read_in(
        memory: usize,
        read: Read,
        request: &[u8],
        each: Each<'_>,
    ) -> Result<Shape, Failure> {
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

    #[test]
    fn values_in_each_other_without_end_are_refused_and_exhaust_no_stack() {
        for (lists, is_read) in [(10, true), (10_000, false)] {
            for (read, request) in deep(lists) {
                let mut records = 0;
                let outcome = read_in(16 << 20, read, &request, &mut |_| records += 1);
                assert_eq!((outcome.is_ok(), records), (is_read, usize::from(is_read)));
                let kind = outcome.err().map(|failure| failure.kind);
                assert_eq!(kind, (!is_read).then_some(Kind::InvalidBody));
            }
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
}
