//! The JSON form of OpenTelemetry: lowerCamelCase names, hexadecimal ids, 64-bit numbers as text or
//! number, enumerations as number or name, unknown names ignored.
//!
//! Only what leads to the records must have its shape. A record, resource or scope never makes the request
//! fail: a number, id or value that is none is kept as it was sent.

use data_encoding::HEXLOWER_PERMISSIVE;
use hushlog_ingest::json::{Cursor, Each, Shape};
use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
use hushlog_proto::opentelemetry::proto::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use hushlog_proto::opentelemetry::proto::logs::v1::LogRecord;
use hushlog_proto::opentelemetry::proto::resource::v1::Resource;
use hushlog_query::number::Number;
use hushlog_record::Value;
use serde_json::{Map, Value as Json};

use super::tree::tree;
use super::{DROPPED, FLAGS, Odd, Origin, Scope, Source};
use crate::api::hand::Hand;
use crate::api::walk::{Stop, elements, keep, members, pass, whole};
use crate::error::{Failure, Kind};
use crate::gateway::Room;
use crate::limits::ENCODED_RECORD_BYTES_MAX;

/// Hands over every record of a request, in order, one decoded at a time.
pub(in crate::api) fn read(
    body: &[u8],
    room: &mut Room<'_>,
    each: Each<'_>,
) -> Result<Shape, Failure> {
    let mut hand = Hand::new(room, each);
    whole(body, |cursor| {
        let no_object = || wrong("an object");
        members(cursor, no_object, |name, cursor| match name {
            "resourceLogs" => {
                let no_array = || wrong("an array in `resourceLogs`");
                elements(cursor, no_array, |cursor| of_resource(cursor, &mut hand))
            }
            _ => pass(cursor),
        })
    })?;
    Ok(Shape::Array)
}

/// The records of a resource, which may follow them; so they are gone through at once only behind it.
fn of_resource(cursor: &mut Cursor<'_>, hand: &mut Hand<'_, '_>) -> Result<(), Stop> {
    let mut resource = None;
    let mut before = None;
    let no_object = || wrong("objects in `resourceLogs`");
    members(cursor, no_object, |name, cursor| match name {
        "resource" => {
            resource = Some(resource_here(cursor)?);
            Ok(())
        }
        "scopeLogs" => match &resource {
            Some(resource) => scopes(cursor, resource.as_ref(), hand),
            None => keep(&mut before, cursor, || twice("scopeLogs")),
        },
        _ => pass(cursor),
    })?;
    let Some(scope_logs) = before else {
        return Ok(());
    };
    let resource = resource.unwrap_or_else(|| Some(Origin::default()));
    scopes(&mut Cursor::new(scope_logs), resource.as_ref(), hand)
}

/// The records of a resource; `None` of one that no record can hold.
fn scopes(
    cursor: &mut Cursor<'_>,
    resource: Option<&Origin>,
    hand: &mut Hand<'_, '_>,
) -> Result<(), Stop> {
    let no_array = || wrong("an array in `scopeLogs`");
    elements(cursor, no_array, |cursor| of_scope(cursor, resource, hand))
}

/// As [`of_resource`], of a scope.
fn of_scope(
    cursor: &mut Cursor<'_>,
    resource: Option<&Origin>,
    hand: &mut Hand<'_, '_>,
) -> Result<(), Stop> {
    let mut scope = None;
    let mut before = None;
    let no_object = || wrong("objects in `scopeLogs`");
    members(cursor, no_object, |name, cursor| match name {
        "scope" => {
            scope = Some(scope_here(cursor)?);
            Ok(())
        }
        "logRecords" => match &scope {
            Some(scope) => records(cursor, source(resource, scope.as_ref()).as_ref(), hand),
            None => keep(&mut before, cursor, || twice("logRecords")),
        },
        _ => pass(cursor),
    })?;
    let Some(log_records) = before else {
        return Ok(());
    };
    let scope = scope.unwrap_or_else(|| Some(Scope::default()));
    let source = source(resource, scope.as_ref());
    records(&mut Cursor::new(log_records), source.as_ref(), hand)
}

fn source<'a>(resource: Option<&'a Origin>, scope: Option<&'a Scope>) -> Option<Source<'a>> {
    Some(Source {
        resource: resource?,
        scope: scope?,
    })
}

fn records(
    cursor: &mut Cursor<'_>,
    source: Option<&Source<'_>>,
    hand: &mut Hand<'_, '_>,
) -> Result<(), Stop> {
    let no_array = || wrong("an array in `logRecords`");
    elements(cursor, no_array, |cursor| {
        match (source, short(cursor)?) {
            (Some(source), Some(record)) => {
                let (record, odd) = log_record(&record);
                source.record(record, odd, hand)?;
            }
            _ => hand.reject(),
        }
        Ok(())
    })
}

/// Takes a value; `None` when it is too long for any record that would carry it.
fn short(cursor: &mut Cursor<'_>) -> Result<Option<Json>, Stop> {
    let json = cursor.skip()?.text;
    if json.len() > ENCODED_RECORD_BYTES_MAX {
        return Ok(None);
    }
    tree(&mut Cursor::new(json)).map(Some)
}

/// As [`short`]; null is none. What is no object is taken for what it can only mean.
fn resource_here(cursor: &mut Cursor<'_>) -> Result<Option<Origin>, Stop> {
    let resource = short(cursor)?.map(|json| {
        let attributes = attributes_of(&json, "resource");
        Origin::new(Resource { attributes })
    });
    Ok(resource)
}

/// As [`resource_here`]; a text is the name of its scope.
fn scope_here(cursor: &mut Cursor<'_>) -> Result<Option<Scope>, Stop> {
    let scope = short(cursor)?.map(|json| {
        Scope::new(match json {
            Json::String(name) => InstrumentationScope {
                name,
                ..InstrumentationScope::default()
            },
            json => InstrumentationScope {
                name: text(&json, "name"),
                version: text(&json, "version"),
                attributes: attributes_of(&json, "scope"),
            },
        })
    });
    Ok(scope)
}

fn twice(name: &str) -> Failure {
    wrong(&format!("`{name}` once in an object"))
}

fn wrong(expected: &str) -> Failure {
    Failure::new(
        Kind::InvalidBody,
        format!("not an OTLP request: expected {expected}"),
    )
}

/// The record, and what has no place in it.
fn log_record(json: &Json) -> (LogRecord, Odd) {
    let mut odd = Odd::new();
    if !json.is_object() {
        odd.push(("parse_error", Value::string("expected an object")));
        let record = LogRecord {
            body: Some(natural(json)),
            ..LogRecord::default()
        };
        return (record, odd);
    }
    let mut severity_text = text(json, "severityText");
    let severity_number = severity(json).unwrap_or_else(|name| {
        if severity_text.is_empty() {
            severity_text = name;
        } else {
            odd.push(("severity_number", Value::string(name)));
        }
        0
    });
    let record = LogRecord {
        time_unix_nano: number(json, "timeUnixNano", "timestamp", &mut odd),
        observed_time_unix_nano: number(
            json,
            "observedTimeUnixNano",
            "observed_timestamp",
            &mut odd,
        ),
        severity_number,
        severity_text,
        body: json.get("body").map(any_value),
        attributes: attributes(json),
        dropped_attributes_count: number(json, "droppedAttributesCount", DROPPED, &mut odd),
        flags: number(json, "flags", FLAGS, &mut odd),
        trace_id: id(json, "traceId", "trace_id", &mut odd).into(),
        span_id: id(json, "spanId", "span_id", &mut odd).into(),
        event_name: text(json, "eventName"),
    };
    (record, odd)
}

/// The severity as number or as the name of one; any other text is an error.
fn severity(json: &Json) -> Result<i32, String> {
    match json.get("severityNumber") {
        None | Some(Json::Null) => Ok(0),
        Some(given) => parse(given)
            .or_else(|| severity_of_name(given.as_str()?))
            .ok_or_else(|| plain(given)),
    }
}

/// The number that this name of `SeverityNumber` stands for: `SEVERITY_NUMBER_ERROR`, `SEVERITY_NUMBER_ERROR2`.
fn severity_of_name(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SEVERITY_NUMBER_")?;
    if name == "UNSPECIFIED" {
        return Some(0);
    }
    let names = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].into_iter();
    names
        .zip((1..).step_by(4))
        .find_map(|(known, first)| match name.strip_prefix(known)? {
            "" => Some(first),
            "2" => Some(first + 1),
            "3" => Some(first + 2),
            "4" => Some(first + 3),
            _ => None,
        })
}

/// Those of a resource or scope; what is none stands under that name.
fn attributes_of(json: &Json, name: &str) -> Vec<KeyValue> {
    match json {
        Json::Object(_) => attributes(json),
        other => listed(Some(other), name),
    }
}

fn attributes(json: &Json) -> Vec<KeyValue> {
    listed(json.get("attributes"), "attributes")
}

/// A list as the form has it; also an object with its members, which is as clear. Anything else stands under that
/// name.
fn listed(json: Option<&Json>, name: &str) -> Vec<KeyValue> {
    match json {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(items)) => items.iter().map(key_value).collect(),
        Some(Json::Object(members)) => named(members),
        Some(other) => vec![KeyValue {
            key: name.to_owned(),
            value: Some(natural(other)),
        }],
    }
}

fn named(members: &Map<String, Json>) -> Vec<KeyValue> {
    let members = members.iter().map(|(name, value)| KeyValue {
        key: name.clone(),
        value: Some(any_value(value)),
    });
    members.collect()
}

fn key_value(json: &Json) -> KeyValue {
    if !json.is_object() {
        return KeyValue {
            key: String::new(),
            value: Some(natural(json)),
        };
    }
    KeyValue {
        key: text(json, "key"),
        value: json.get("value").map(any_value),
    }
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

/// A value in the form's own terms; any other is taken for what it is in JSON.
fn any_value(json: &Json) -> AnyValue {
    let Some(members) = json.as_object() else {
        return natural(json);
    };
    let known = || {
        members
            .iter()
            .filter(|(name, _)| KINDS.contains(&name.as_str()))
    };
    match known().find(|(_, value)| !value.is_null()) {
        Some((name, inner)) => typed(name, inner)
            .map(|value| AnyValue { value: Some(value) })
            .unwrap_or_else(|| natural(inner)),
        None if known().next().is_some() => AnyValue { value: None },
        None => natural(json),
    }
}

fn typed(kind: &str, json: &Json) -> Option<Any> {
    match kind {
        "stringValue" => json.as_str().map(|text| Any::StringValue(text.into())),
        "boolValue" => json.as_bool().map(Any::BoolValue),
        "intValue" => parse(json).map(Any::IntValue),
        "doubleValue" => parse(json).map(Any::DoubleValue),
        "bytesValue" => data_encoding::BASE64
            .decode(json.as_str()?.as_bytes())
            .ok()
            .map(|bytes| Any::BytesValue(bytes.into())),
        "arrayValue" => Some(Any::ArrayValue(ArrayValue {
            values: items(json)?.iter().map(any_value).collect(),
        })),
        "kvlistValue" => Some(Any::KvlistValue(KeyValueList {
            values: items(json)?.iter().map(key_value).collect(),
        })),
        _ => None,
    }
}

/// The `values` of a list.
fn items(json: &Json) -> Option<&[Json]> {
    match json.as_object()?.get("values") {
        None | Some(Json::Null) => Some(&[]),
        Some(values) => values.as_array().map(Vec::as_slice),
    }
}

fn natural(json: &Json) -> AnyValue {
    let value = match json {
        Json::Null => None,
        Json::Bool(value) => Some(Any::BoolValue(*value)),
        Json::Number(number) => Some(natural_number(number)),
        Json::String(text) => Some(Any::StringValue(text.clone())),
        Json::Array(items) => Some(Any::ArrayValue(ArrayValue {
            values: items.iter().map(any_value).collect(),
        })),
        Json::Object(members) if members.is_empty() => None,
        Json::Object(members) => Some(Any::KvlistValue(KeyValueList {
            values: named(members),
        })),
    };
    AnyValue { value }
}

/// A number of 64 bits that is the same number, else its digits.
fn natural_number(number: &serde_json::Number) -> Any {
    if let Some(whole) = number.as_i64() {
        return Any::IntValue(whole);
    }
    let digits = number.to_string();
    let is_same = |float: &f64| Number::from_f64(*float) == Number::parse(&digits);
    match number.as_f64().filter(is_same) {
        Some(float) => Any::DoubleValue(float),
        None => Any::StringValue(digits),
    }
}

/// The text of a string, of anything else its JSON.
fn plain(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn text(json: &Json, name: &str) -> String {
    match json.get(name) {
        None | Some(Json::Null) => String::new(),
        Some(value) => plain(value),
    }
}

fn parse<N: std::str::FromStr>(json: &Json) -> Option<N> {
    match json {
        Json::String(text) => text.parse().ok(),
        Json::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// A number; what is none is `kept` under that name.
fn number<N: std::str::FromStr + Default>(
    json: &Json,
    name: &str,
    kept: &'static str,
    odd: &mut Odd,
) -> N {
    match json.get(name) {
        None | Some(Json::Null) => N::default(),
        Some(value) => parse(value).unwrap_or_else(|| {
            odd.push((kept, Value::string(plain(value))));
            N::default()
        }),
    }
}

/// An id; what is not hexadecimal is `kept` under that name.
fn id(json: &Json, name: &str, kept: &'static str, odd: &mut Odd) -> Vec<u8> {
    let text = text(json, name);
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .unwrap_or_else(|_| {
            odd.push((kept, Value::string(text)));
            Vec::new()
        })
}
