//! The benchmark's records in the form of each protocol that takes logs.
//!
//! The same records in each, as its usual clients send them, so that the cost of the protocols can be compared.
//! Not all have the same places for things: JSON has the trace id among its fields, as the examples of the
//! interface do, OTLP has the host among a record's attributes, Loki has numbers as text and no message of an
//! exception beside its stack trace; OTLP and Loki group by service. Sends nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use clap::ValueEnum;
use hushlog_proto::hushlog::v1 as hushlog;
use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value;
use hushlog_proto::opentelemetry::proto::common::v1::{AnyValue, KeyValue};
use hushlog_proto::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use hushlog_proto::opentelemetry::proto::resource::v1::Resource;
use prost::Message;
use serde_json::json;

use super::generator::{Generated, REGION};

/// How the records are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// `POST /api/v1/logs`, a JSON object a line.
    Ndjson,
    /// `POST /api/v1/logs`, one JSON array.
    Json,
    /// The service `hushlog.v1.Ingest`.
    Grpc,
    /// OTLP over gRPC.
    OtlpGrpc,
    /// OTLP over HTTP, protobuf.
    OtlpHttp,
    /// OTLP over HTTP, JSON.
    OtlpJson,
    /// Elasticsearch's `_bulk`.
    Bulk,
    /// Loki's push, JSON.
    Loki,
}

/// A request, ready to be sent.
#[derive(Clone)]
pub(super) enum Payload {
    Http {
        path: &'static str,
        content_type: &'static str,
        body: Bytes,
    },
    Push(hushlog::PushRequest),
    Export(ExportLogsServiceRequest),
}

impl Payload {
    /// Bytes of the body.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Http { body, .. } => body.len(),
            Self::Push(request) => request.encoded_len(),
            Self::Export(request) => request.encoded_len(),
        }
    }
}

/// Where `_bulk` is on the port that takes everything.
pub(super) const BULK: &str = "/es/_bulk";
const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

impl Protocol {
    /// Whether it goes over gRPC.
    pub(super) fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::OtlpGrpc)
    }

    /// The name that the command line has for it.
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// One request with these records.
    pub(super) fn payload(self, records: &[Generated]) -> Payload {
        let http = |path, content_type, body: String| Payload::Http {
            path,
            content_type,
            body: body.into(),
        };
        match self {
            Self::Ndjson => http("/api/v1/logs", NDJSON, lines(records, "")),
            Self::Json => http("/api/v1/logs", JSON, array(records)),
            Self::Bulk => {
                let action = "{\"create\":{\"_index\":\"logs-bench\"}}\n";
                http(BULK, NDJSON, lines(records, action))
            }
            Self::Loki => http("/loki/api/v1/push", JSON, streams(records)),
            Self::OtlpJson => http("/v1/logs", JSON, otlp_json(records)),
            Self::OtlpHttp => Payload::Http {
                path: "/v1/logs",
                content_type: "application/x-protobuf",
                body: otlp(records).encode_to_vec().into(),
            },
            Self::OtlpGrpc => Payload::Export(otlp(records)),
            Self::Grpc => Payload::Push(hushlog::PushRequest {
                records: records.iter().map(pushed).collect(),
                ..hushlog::PushRequest::default()
            }),
        }
    }
}

/// A line for each, behind another one.
fn lines(records: &[Generated], before: &str) -> String {
    let mut out = String::new();
    for record in records {
        out.push_str(before);
        record.write_json(&mut out);
        out.push('\n');
    }
    out
}

fn array(records: &[Generated]) -> String {
    let mut out = String::from("[");
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        record.write_json(&mut out);
    }
    out.push(']');
    out
}

/// By service, as exporters send: one resource each.
fn by_service(records: &[Generated]) -> BTreeMap<&str, Vec<&Generated>> {
    let mut services = BTreeMap::<&str, Vec<&Generated>>::new();
    for record in records {
        services.entry(&record.service).or_default().push(record);
    }
    services
}

/// A stream for each service and level; what is no label goes into structured metadata, an exception into
/// the lines behind the first.
fn streams(records: &[Generated]) -> String {
    let mut streams = BTreeMap::<(&str, &str), Vec<serde_json::Value>>::new();
    for record in records {
        let mut line = record.message.clone();
        if let Some(exception) = &record.exception {
            line = format!("{line}\n{}", exception.stack_trace);
        }
        let metadata = json!({
            "trace_id": format!("{:032x}", record.trace),
            "request_id": format!("{:016x}", record.request),
            "user_id": format!("user_{}", record.user),
            "latency_ms": record.latency_ms.to_string(),
            "status": record.status.to_string(),
            "host": record.host(),
        });
        let entry = json!([record.nanos.to_string(), line, metadata]);
        let stream = (record.service.as_str(), record.level);
        streams.entry(stream).or_default().push(entry);
    }
    let streams: Vec<_> = streams
        .into_iter()
        .map(|((service, level), values)| {
            let stream = json!({"service_name": service, "level": level, "region": REGION});
            json!({"stream": stream, "values": values})
        })
        .collect();
    json!({ "streams": streams }).to_string()
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Value::StringValue(value.into());
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn number(key: &str, value: u32) -> KeyValue {
    let value = Value::IntValue(value.into());
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn otlp(records: &[Generated]) -> ExportLogsServiceRequest {
    let of_service = |(service, records): (&str, Vec<&Generated>)| ResourceLogs {
        resource: Some(Resource {
            attributes: vec![text("service.name", service), text("cloud.region", REGION)],
        }),
        scope_logs: vec![ScopeLogs {
            log_records: records.into_iter().map(exported).collect(),
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest {
        resource_logs: by_service(records).into_iter().map(of_service).collect(),
    }
}

fn exported(record: &Generated) -> LogRecord {
    let mut attributes = vec![
        text("host.name", record.host()),
        text("request_id", format!("{:016x}", record.request)),
        text("user_id", format!("user_{}", record.user)),
        number("latency_ms", record.latency_ms),
        number("status", record.status),
    ];
    if let Some(exception) = &record.exception {
        attributes.push(text("exception.type", exception.type_name));
        attributes.push(text("exception.message", exception.message.clone()));
        attributes.push(text("exception.stacktrace", exception.stack_trace.clone()));
    }
    let body = Value::StringValue(record.message.clone());
    LogRecord {
        time_unix_nano: u64::try_from(record.nanos).unwrap_or(0),
        severity_text: record.level.to_owned(),
        body: Some(AnyValue { value: Some(body) }),
        attributes,
        trace_id: Bytes::copy_from_slice(&record.trace.to_be_bytes()),
        ..LogRecord::default()
    }
}

/// The same in the JSON form of OTLP: ids in hex, whole numbers as text.
fn otlp_json(records: &[Generated]) -> String {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let number =
        |key: &str, value: u32| json!({"key": key, "value": {"intValue": value.to_string()}});
    let exported = |record: &Generated| {
        let mut attributes = vec![
            text("host.name", &record.host()),
            text("request_id", &format!("{:016x}", record.request)),
            text("user_id", &format!("user_{}", record.user)),
            number("latency_ms", record.latency_ms),
            number("status", record.status),
        ];
        if let Some(exception) = &record.exception {
            attributes.push(text("exception.type", exception.type_name));
            attributes.push(text("exception.message", &exception.message));
            attributes.push(text("exception.stacktrace", &exception.stack_trace));
        }
        json!({
            "timeUnixNano": record.nanos.to_string(),
            "severityText": record.level,
            "body": {"stringValue": record.message},
            "attributes": attributes,
            "traceId": format!("{:032x}", record.trace),
        })
    };
    let of_service = |(service, records): (&str, Vec<&Generated>)| {
        let records: Vec<_> = records.into_iter().map(exported).collect();
        json!({
            "resource": {"attributes": [text("service.name", service), text("cloud.region", REGION)]},
            "scopeLogs": [{"logRecords": records}],
        })
    };
    let all: Vec<_> = by_service(records).into_iter().map(of_service).collect();
    json!({ "resourceLogs": all }).to_string()
}

fn pushed(record: &Generated) -> hushlog::LogRecord {
    use hushlog::field_value::Kind;
    let field = |kind| hushlog::FieldValue { kind: Some(kind) };
    let request_id = format!("{:016x}", record.request);
    let fields = [
        ("request_id", Kind::StringValue(request_id)),
        (
            "user_id",
            Kind::StringValue(format!("user_{}", record.user)),
        ),
        ("latency_ms", Kind::IntValue(record.latency_ms.into())),
        ("status", Kind::IntValue(record.status.into())),
    ];
    let exception = record.exception.as_ref().map(|e| hushlog::Exception {
        r#type: e.type_name.to_owned(),
        message: e.message.clone(),
        stack_trace: e.stack_trace.clone(),
        ..hushlog::Exception::default()
    });
    hushlog::LogRecord {
        timestamp_unix_nano: record.nanos,
        service_name: record.service.clone(),
        level: record.level.to_owned(),
        message: record.message.clone(),
        fields: fields
            .into_iter()
            .map(|(name, kind)| (name.to_owned(), field(kind)))
            .collect(),
        exception,
        host: record.host(),
        region: REGION.to_owned(),
        trace_id: format!("{:032x}", record.trace),
        ..hushlog::LogRecord::default()
    }
}
