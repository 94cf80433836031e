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
use super::protobuf::{Malformed, parts, without};
use crate::error::{Failure, Kind};
use crate::limits::ENCODED_RECORD_BYTES_MAX;

pub(super) use json::read as read_json;

/// Numbers of the repeated fields that lead from a request to its records.
const RESOURCE_LOGS: u64 = 1;
const SCOPE_LOGS: u64 = 2;
const LOG_RECORDS: u64 = 2;

/// Hands over every record of an encoded `ExportLogsServiceRequest`, in order, one decoded at a time.
pub(super) fn read_protobuf(request: &[u8], each: Each<'_>) -> Result<Shape, Failure> {
    protobuf_records(request, &mut Hand::new(each)).map_err(|Malformed| {
        Failure::new(
            Kind::InvalidBody,
            "the body is not an ExportLogsServiceRequest",
        )
    })?;
    Ok(Shape::Array)
}

fn protobuf_records(request: &[u8], hand: &mut Hand<'_>) -> Result<(), Malformed> {
    for of_resource in parts(request, RESOURCE_LOGS) {
        let of_resource = of_resource?;
        let resource = without::<ResourceLogs>(of_resource, SCOPE_LOGS, ENCODED_RECORD_BYTES_MAX)?
            .map(|logs| logs.resource.unwrap_or_default());
        for of_scope in parts(of_resource, SCOPE_LOGS) {
            let of_scope = of_scope?;
            let scope = without::<ScopeLogs>(of_scope, LOG_RECORDS, ENCODED_RECORD_BYTES_MAX)?
                .map(|logs| logs.scope.unwrap_or_default());
            for record in parts(of_scope, LOG_RECORDS) {
                let record = record?;
                match (&resource, &scope) {
                    (Some(resource), Some(scope)) if record.len() <= ENCODED_RECORD_BYTES_MAX => {
                        let record = LogRecord::decode(record).map_err(|_| Malformed)?;
                        hand.over(raw(resource, &scope.name, record));
                    }
                    _ => hand.reject(),
                }
            }
        }
    }
    Ok(())
}

fn raw(resource: &Resource, scope_name: &str, record: LogRecord) -> RawRecord {
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
    for attribute in &resource.attributes {
        value::flatten(
            &attribute.key,
            attribute.value.as_ref(),
            &mut |name, value| {
                raw.resource(name, value);
            },
        );
    }
    if !scope_name.is_empty() {
        raw.field("otel.scope.name", Value::string(scope_name));
    }
    for attribute in &record.attributes {
        value::flatten(
            &attribute.key,
            attribute.value.as_ref(),
            &mut |name, value| {
                raw.attribute(name, value);
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

#[cfg(test)]
mod tests {
    use hushlog_ingest::{Context, parse};
    use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
    use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
    use hushlog_proto::opentelemetry::proto::common::v1::{AnyValue, KeyValue, KeyValueList};
    use hushlog_record::{Level, Record};

    use super::*;

    fn attribute(key: &str, value: Any) -> KeyValue {
        KeyValue {
            key: key.into(),
            value: Some(AnyValue { value: Some(value) }),
        }
    }

    fn text(text: &str) -> Any {
        Any::StringValue(text.into())
    }

    type Read = fn(&[u8], Each<'_>) -> Result<Shape, Failure>;

    fn parsed(read: Read, request: &[u8]) -> Vec<Record> {
        let mut found = Vec::new();
        let shape = read(request, &mut |raw| {
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
        let shape = read_json(body.as_bytes(), &mut |raw| {
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
            assert!(read_json(body.as_bytes(), &mut |_| ()).is_err(), "{body}");
        }
    }
}
