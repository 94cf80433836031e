//! The JSON form of OpenTelemetry: lowerCamelCase names, hexadecimal ids, 64-bit numbers as text or
//! number, unknown names ignored.

use data_encoding::HEXLOWER_PERMISSIVE;
use hushlog_ingest::json::{Each, Shape};
use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
use hushlog_proto::opentelemetry::proto::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList,
};
use hushlog_proto::opentelemetry::proto::logs::v1::LogRecord;
use hushlog_proto::opentelemetry::proto::resource::v1::Resource;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::Source;
use crate::api::arrays;
use crate::api::hand::Hand;
use crate::error::{Failure, Kind};
use crate::gateway::Room;
use crate::limits::ENCODED_RECORD_BYTES_MAX;

/// Hands over every record of a request, in order, one decoded at a time: a tree of the whole body
/// would be many times its size. The depth of nesting is bounded by the JSON parser.
pub(in crate::api) fn read(
    body: &[u8],
    room: &mut Room<'_>,
    each: Each<'_>,
) -> Result<Shape, Failure> {
    let request: Request<'_> = serde_json::from_slice(body).map_err(|error| {
        if error.classify() == Category::Data {
            return wrong("an object");
        }
        let message = format!(
            "the body is not JSON: line {}, column {}",
            error.line(),
            error.column()
        );
        Failure::new(Kind::InvalidBody, message)
    })?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(wrong("an object"));
    }
    let mut hand = Hand::new(room, each);
    elements(request.resource_logs, "resourceLogs", &mut |of_resource| {
        let of_resource: OfResource<'_> = object(of_resource, "resourceLogs")?;
        let resource = of_resource.resource.map(resource).transpose()?;
        let resource = resource.unwrap_or_else(|| Some(Resource::default()));
        elements(of_resource.scope_logs, "scopeLogs", &mut |of_scope| {
            let of_scope: OfScope<'_> = object(of_scope, "scopeLogs")?;
            let scope = of_scope.scope.map(scope_name).transpose()?;
            let scope = scope.unwrap_or_else(|| Some(String::new()));
            let source = match (&resource, &scope) {
                (Some(resource), Some(scope)) => Some(Source::new(resource, scope)),
                _ => None,
            };
            elements(
                of_scope.log_records,
                "logRecords",
                &mut |record| match &source {
                    Some(source) if is_short(record) => {
                        source.record(log_record(&tree(record)?)?, &mut hand)
                    }
                    _ => {
                        hand.reject();
                        Ok(())
                    }
                },
            )
        })
    })?;
    Ok(Shape::Array)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    resource_logs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfResource<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    scope_logs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfScope<'a> {
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    log_records: Option<&'a RawValue>,
}

fn object<'a, T: Deserialize<'a>>(json: &'a RawValue, of: &str) -> Result<T, Failure> {
    serde_json::from_str(json.get()).map_err(|_| wrong(&format!("objects in `{of}`")))
}

fn is_short(json: &RawValue) -> bool {
    json.get().len() <= ENCODED_RECORD_BYTES_MAX
}

fn tree(json: &RawValue) -> Result<Json, Failure> {
    serde_json::from_str(json.get()).map_err(|_| wrong("less nesting"))
}

/// `None` when it is too long for any record that would carry it.
fn resource(json: &RawValue) -> Result<Option<Resource>, Failure> {
    if !is_short(json) {
        return Ok(None);
    }
    let attributes = list(&tree(json)?, "attributes", key_value)?;
    Ok(Some(Resource { attributes }))
}

/// As [`resource`].
fn scope_name(json: &RawValue) -> Result<Option<String>, Failure> {
    if !is_short(json) {
        return Ok(None);
    }
    Ok(Some(text(&tree(json)?, "name")))
}

/// Goes through an array, of which nothing is kept.
fn elements<'a>(
    array: Option<&'a RawValue>,
    name: &str,
    each: &mut dyn FnMut(&'a RawValue) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(array) = array else { return Ok(()) };
    arrays::elements(array, each, || wrong(&format!("an array in `{name}`")))
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

/// What an `AnyValue` may be.
const KINDS: [&str; 7] = [
    "stringValue",
    "boolValue",
    "intValue",
    "doubleValue",
    "bytesValue",
    "arrayValue",
    "kvlistValue",
];

fn any_value(json: &Json) -> Result<AnyValue, Failure> {
    let first = json.as_object().and_then(|members| {
        members
            .iter()
            .find(|(name, value)| KINDS.contains(&name.as_str()) && !value.is_null())
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
