//! OpenTelemetry log records, translated to raw records of ingest.
//!
//! Attributes keep their names; nested ones are flattened with dots. Nothing is refused for its
//! shape: a value without a counterpart becomes text.

mod json;
mod value;

use data_encoding::HEXLOWER;
use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Each, Rejected, Shape, TOO_LARGE};
use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use hushlog_proto::opentelemetry::proto::logs::v1::{LogRecord, ScopeLogs};
use hushlog_proto::opentelemetry::proto::resource::v1::Resource;
use hushlog_record::{Timestamp, Value};

pub(super) use json::read as read_json;

/// Hands over every record of a request, in order.
pub(super) fn records(request: ExportLogsServiceRequest, each: Each<'_>) -> Shape {
    let mut index = 0;
    for of_resource in request.resource_logs {
        let resource = of_resource.resource.unwrap_or_default();
        for of_scope in of_resource.scope_logs {
            scope(&resource, of_scope, &mut index, each);
        }
    }
    Shape::Array
}

/// Number of records in a request.
pub(super) fn count(request: &ExportLogsServiceRequest) -> usize {
    let scopes = request
        .resource_logs
        .iter()
        .flat_map(|logs| &logs.scope_logs);
    scopes.map(|logs| logs.log_records.len()).sum()
}

fn scope(resource: &Resource, logs: ScopeLogs, index: &mut usize, each: Each<'_>) {
    let scope_name = logs.scope.map(|scope| scope.name).unwrap_or_default();
    for record in logs.log_records {
        let raw = raw(resource, &scope_name, record);
        let outcome = if raw.is_oversize() {
            Err(Rejected {
                index: *index,
                reason: TOO_LARGE,
            })
        } else {
            Ok(raw)
        };
        each(outcome);
        *index += 1;
    }
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
    use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
    use hushlog_proto::opentelemetry::proto::common::v1::{AnyValue, KeyValue, KeyValueList};
    use hushlog_proto::opentelemetry::proto::logs::v1::ResourceLogs;
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

    fn parsed(request: ExportLogsServiceRequest) -> Vec<Record> {
        let mut found = Vec::new();
        records(request, &mut |raw| {
            let mut context = Context {
                received: Timestamp::from_millis(1),
                service: "",
                environment: "",
                random: &mut || [0; 10],
            };
            found.push(parse::record(raw.expect("small"), &mut context));
        });
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
        let found = parsed(request);
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
        let found = parsed(read_json(body).expect("valid"));
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
    fn json_of_the_wrong_shape_is_refused() {
        for body in [
            "",
            "[]",
            "{\"resourceLogs\":1}",
            "{\"resourceLogs\":[{\"scopeLogs\":{}}]}",
        ] {
            assert!(read_json(body.as_bytes()).is_err(), "{body}");
        }
    }
}
