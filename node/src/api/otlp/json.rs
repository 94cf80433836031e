//! The JSON form of OpenTelemetry: lowerCamelCase names, hexadecimal ids, 64-bit numbers as text or
//! number, unknown names ignored.

use data_encoding::HEXLOWER_PERMISSIVE;
use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
use hushlog_proto::opentelemetry::proto::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use hushlog_proto::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use hushlog_proto::opentelemetry::proto::resource::v1::Resource;
use serde_json::Value as Json;

use crate::error::{Failure, Kind};

/// Reads a request; the depth of nesting is bounded by the JSON parser.
pub(in crate::api) fn read(body: &[u8]) -> Result<ExportLogsServiceRequest, Failure> {
    let json: Json = serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "the body is not JSON: line {}, column {}",
            error.line(),
            error.column()
        );
        Failure::new(Kind::InvalidBody, message)
    })?;
    if !json.is_object() {
        return Err(wrong("an object"));
    }
    Ok(ExportLogsServiceRequest {
        resource_logs: list(&json, "resourceLogs", resource_logs)?,
    })
}

fn wrong(expected: &str) -> Failure {
    Failure::new(
        Kind::InvalidBody,
        format!("not an OTLP request: expected {expected}"),
    )
}

fn list<T>(
    json: &Json,
    name: &str,
    item: impl Fn(&Json) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(items)) => items.iter().map(item).collect(),
        Some(_) => Err(wrong(&format!("an array in `{name}`"))),
    }
}

fn resource_logs(json: &Json) -> Result<ResourceLogs, Failure> {
    let attributes = match json.get("resource") {
        Some(resource) => list(resource, "attributes", key_value)?,
        None => Vec::new(),
    };
    Ok(ResourceLogs {
        resource: Some(Resource { attributes }),
        scope_logs: list(json, "scopeLogs", scope_logs)?,
        schema_url: String::new(),
    })
}

fn scope_logs(json: &Json) -> Result<ScopeLogs, Failure> {
    let scope = json.get("scope").map(|scope| InstrumentationScope {
        name: text(scope, "name"),
        ..InstrumentationScope::default()
    });
    Ok(ScopeLogs {
        scope,
        log_records: list(json, "logRecords", log_record)?,
        schema_url: String::new(),
    })
}

fn log_record(json: &Json) -> Result<LogRecord, Failure> {
    Ok(LogRecord {
        time_unix_nano: number(json, "timeUnixNano")?,
        observed_time_unix_nano: number(json, "observedTimeUnixNano")?,
        severity_number: number(json, "severityNumber")?,
        severity_text: text(json, "severityText"),
        body: json.get("body").map(any_value).transpose()?,
        attributes: list(json, "attributes", key_value)?,
        trace_id: hex(json, "traceId")?.into(),
        span_id: hex(json, "spanId")?.into(),
        event_name: text(json, "eventName"),
        ..LogRecord::default()
    })
}

fn key_value(json: &Json) -> Result<KeyValue, Failure> {
    let value = json.get("value").map(any_value).transpose()?;
    Ok(KeyValue {
        key: text(json, "key"),
        value,
    })
}

fn any_value(json: &Json) -> Result<AnyValue, Failure> {
    let first = json.as_object().and_then(|members| {
        members
            .iter()
            .find(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.as_str(), value))
    });
    let Some((name, inner)) = first else {
        return Ok(AnyValue { value: None });
    };
    let value = match name {
        "stringValue" => inner.as_str().map(|text| Any::StringValue(text.into())),
        "boolValue" => inner.as_bool().map(Any::BoolValue),
        "intValue" => parse(inner).map(Any::IntValue),
        "doubleValue" => parse(inner).map(Any::DoubleValue),
        "bytesValue" => inner
            .as_str()
            .and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok())
            .map(|bytes| Any::BytesValue(bytes.into())),
        "arrayValue" => Some(Any::ArrayValue(ArrayValue {
            values: list(inner, "values", any_value)?,
        })),
        "kvlistValue" => Some(Any::KvlistValue(KeyValueList {
            values: list(inner, "values", key_value)?,
        })),
        _ => return Ok(AnyValue { value: None }),
    };
    value
        .map(|value| AnyValue { value: Some(value) })
        .ok_or_else(|| wrong(&format!("a value in `{name}`")))
}

fn text(json: &Json, name: &str) -> String {
    json.get(name)
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn parse<N: std::str::FromStr>(json: &Json) -> Option<N> {
    match json {
        Json::String(text) => text.parse().ok(),
        Json::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn number<N: std::str::FromStr + Default>(json: &Json, name: &str) -> Result<N, Failure> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(N::default()),
        Some(value) => parse(value).ok_or_else(|| wrong(&format!("a number in `{name}`"))),
    }
}

fn hex(json: &Json, name: &str) -> Result<Vec<u8>, Failure> {
    HEXLOWER_PERMISSIVE
        .decode(text(json, name).as_bytes())
        .map_err(|_| wrong(&format!("hexadecimal digits in `{name}`")))
}
