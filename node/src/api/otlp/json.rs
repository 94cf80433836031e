//! The JSON form of OpenTelemetry: lowerCamelCase names, hexadecimal ids, 64-bit numbers as text or
//! number, unknown names ignored.

use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use hushlog_ingest::json::{Cursor, Each, Scalar, Shape};
use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
use hushlog_proto::opentelemetry::proto::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList,
};
use hushlog_proto::opentelemetry::proto::logs::v1::LogRecord;
use hushlog_proto::opentelemetry::proto::resource::v1::Resource;

use super::Source;
use crate::api::hand::Hand;
use crate::api::walk::{Stop, elements, is_null, leaf, members, text, whole};
use crate::error::{Failure, Kind};
use crate::gateway::Room;
use crate::limits::ENCODED_RECORD_BYTES_MAX;

/// Values in each other in a record, a resource or a scope.
const DEPTH_MAX: usize = 128;

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
            None => keep(&mut before, cursor, "scopeLogs"),
        },
        _ => pass(cursor),
    })?;
    let Some(scope_logs) = before else {
        return Ok(());
    };
    let resource = resource.unwrap_or_else(|| Some(Resource::default()));
    scopes(&mut Cursor::new(scope_logs), resource.as_ref(), hand)
}

/// The records of a resource; `None` of one that no record can hold.
fn scopes(
    cursor: &mut Cursor<'_>,
    resource: Option<&Resource>,
    hand: &mut Hand<'_, '_>,
) -> Result<(), Stop> {
    let no_array = || wrong("an array in `scopeLogs`");
    elements(cursor, no_array, |cursor| of_scope(cursor, resource, hand))
}

/// As [`of_resource`], of a scope.
fn of_scope(
    cursor: &mut Cursor<'_>,
    resource: Option<&Resource>,
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
            Some(scope) => records(cursor, source(resource, scope.as_deref()).as_ref(), hand),
            None => keep(&mut before, cursor, "logRecords"),
        },
        _ => pass(cursor),
    })?;
    let Some(log_records) = before else {
        return Ok(());
    };
    let scope = scope.unwrap_or_else(|| Some(String::new()));
    let source = source(resource, scope.as_deref());
    records(&mut Cursor::new(log_records), source.as_ref(), hand)
}

fn source<'a>(resource: Option<&'a Resource>, scope: Option<&'a str>) -> Option<Source<'a>> {
    Some(Source::new(resource?, scope?))
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
                source.record(log_record(&mut Cursor::new(record))?, hand)?;
            }
            _ => hand.reject(),
        }
        Ok(())
    })
}

/// Keeps the text of a member for later; it must not stand twice.
fn keep<'a>(kept: &mut Option<&'a str>, cursor: &mut Cursor<'a>, name: &str) -> Result<(), Stop> {
    match kept.replace(cursor.skip()?.text) {
        None => Ok(()),
        Some(_) => Err(wrong(&format!("`{name}` once in an object")).into()),
    }
}

fn pass(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    Ok(cursor.skip().map(|_| ())?)
}

/// Takes a value; `None` when it is too long for any record that would carry it.
fn short<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a str>, Stop> {
    let value = cursor.skip()?;
    if value.text.len() > ENCODED_RECORD_BYTES_MAX {
        return Ok(None);
    }
    if value.depth > DEPTH_MAX {
        return Err(wrong("less nesting").into());
    }
    Ok(Some(value.text))
}

/// As [`short`].
fn resource_here(cursor: &mut Cursor<'_>) -> Result<Option<Resource>, Stop> {
    let mut resource = Resource::default();
    let Some(json) = short(cursor)? else {
        return Ok(None);
    };
    object(&mut Cursor::new(json), |name, cursor| match name {
        "attributes" => list(cursor, name, key_value, &mut resource.attributes),
        _ => pass(cursor),
    })?;
    Ok(Some(resource))
}

/// As [`short`], the name of the scope.
fn scope_here(cursor: &mut Cursor<'_>) -> Result<Option<String>, Stop> {
    let mut scope = String::new();
    let Some(json) = short(cursor)? else {
        return Ok(None);
    };
    object(&mut Cursor::new(json), |name, cursor| match name {
        "name" => said(cursor, &mut scope),
        _ => pass(cursor),
    })?;
    Ok(Some(scope))
}

/// Goes through an object; anything else has no members.
fn object<'a>(
    cursor: &mut Cursor<'a>,
    each: impl FnMut(&str, &mut Cursor<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if cursor.peek() != Some(b'{') {
        return pass(cursor);
    }
    members(cursor, || wrong("an object"), each)
}

fn wrong(expected: &str) -> Failure {
    Failure::new(
        Kind::InvalidBody,
        format!("not an OTLP request: expected {expected}"),
    )
}

fn list<'a, T>(
    cursor: &mut Cursor<'a>,
    name: &str,
    item: impl Fn(&mut Cursor<'a>) -> Result<T, Stop>,
    items: &mut Vec<T>,
) -> Result<(), Stop> {
    let no_array = || wrong(&format!("an array in `{name}`"));
    elements(cursor, no_array, |cursor| {
        items.push(item(cursor)?);
        Ok(())
    })
}

fn log_record(cursor: &mut Cursor<'_>) -> Result<LogRecord, Stop> {
    let mut record = LogRecord::default();
    object(cursor, |name, cursor| {
        match name {
            "timeUnixNano" => record.time_unix_nano = number(cursor, name)?,
            "observedTimeUnixNano" => record.observed_time_unix_nano = number(cursor, name)?,
            "severityNumber" => record.severity_number = number(cursor, name)?,
            "severityText" => said(cursor, &mut record.severity_text)?,
            "body" => record.body = Some(any_value(cursor)?),
            "attributes" => list(cursor, name, key_value, &mut record.attributes)?,
            "traceId" => record.trace_id = hex(cursor, name)?.into(),
            "spanId" => record.span_id = hex(cursor, name)?.into(),
            "eventName" => said(cursor, &mut record.event_name)?,
            _ => pass(cursor)?,
        }
        Ok(())
    })?;
    Ok(record)
}

fn key_value(cursor: &mut Cursor<'_>) -> Result<KeyValue, Stop> {
    let mut pair = KeyValue::default();
    object(cursor, |name, cursor| {
        match name {
            "key" => said(cursor, &mut pair.key)?,
            "value" => pair.value = Some(any_value(cursor)?),
            _ => pass(cursor)?,
        }
        Ok(())
    })?;
    Ok(pair)
}

/// The value under the first name of a kind that has one; a value without a kind, which no client should
/// send, is what it looks like.
fn any_value(cursor: &mut Cursor<'_>) -> Result<AnyValue, Stop> {
    let mut value = None;
    match cursor.peek() {
        Some(b'{') => members(
            cursor,
            || wrong("an object"),
            |name, cursor| {
                if value.is_none() {
                    value = of_kind(name, cursor)?;
                    Ok(())
                } else {
                    pass(cursor)
                }
            },
        )?,
        _ => {
            value = match leaf(cursor)? {
                Some(Scalar::Text(text)) => Some(Any::StringValue(text.into_owned())),
                Some(Scalar::Bool(value)) => Some(Any::BoolValue(value)),
                Some(Scalar::Number(literal)) => match literal.parse() {
                    Ok(number) => Some(Any::IntValue(number)),
                    Err(_) => literal.parse().ok().map(Any::DoubleValue),
                },
                Some(Scalar::Null) | None => None,
            }
        }
    }
    Ok(AnyValue { value })
}

/// Takes a value of the kind that its name says; `None` of `null` and of other names.
fn of_kind(name: &str, cursor: &mut Cursor<'_>) -> Result<Option<Any>, Stop> {
    if is_null(cursor)? {
        return Ok(None);
    }
    let value = match name {
        "stringValue" => text(cursor)?.map(Any::StringValue),
        "boolValue" => match leaf(cursor)? {
            Some(Scalar::Bool(value)) => Some(Any::BoolValue(value)),
            _ => None,
        },
        "intValue" => parsed(cursor)?.map(Any::IntValue),
        "doubleValue" => parsed(cursor)?.map(Any::DoubleValue),
        "bytesValue" => text(cursor)?
            .and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok())
            .map(|bytes| Any::BytesValue(bytes.into())),
        "arrayValue" => {
            let mut values = Vec::new();
            object(cursor, |name, cursor| match name {
                "values" => list(cursor, name, any_value, &mut values),
                _ => pass(cursor),
            })?;
            Some(Any::ArrayValue(ArrayValue { values }))
        }
        "kvlistValue" => {
            let mut values = Vec::new();
            object(cursor, |name, cursor| match name {
                "values" => list(cursor, name, key_value, &mut values),
                _ => pass(cursor),
            })?;
            Some(Any::KvlistValue(KeyValueList { values }))
        }
        _ => {
            pass(cursor)?;
            return Ok(None);
        }
    };
    match value {
        Some(value) => Ok(Some(value)),
        None => Err(wrong(&format!("a value in `{name}`")).into()),
    }
}

/// Takes a text; what is none says nothing.
fn said(cursor: &mut Cursor<'_>, to: &mut String) -> Result<(), Stop> {
    *to = text(cursor)?.unwrap_or_default();
    Ok(())
}

/// Takes a number, or text that is one.
fn parsed<N: FromStr>(cursor: &mut Cursor<'_>) -> Result<Option<N>, Stop> {
    Ok(match leaf(cursor)? {
        Some(Scalar::Text(text)) => text.parse().ok(),
        Some(Scalar::Number(literal)) => literal.parse().ok(),
        Some(Scalar::Bool(_) | Scalar::Null) | None => None,
    })
}

fn number<N: FromStr + Default>(cursor: &mut Cursor<'_>, name: &str) -> Result<N, Stop> {
    if is_null(cursor)? {
        return Ok(N::default());
    }
    parsed(cursor)?.ok_or_else(|| wrong(&format!("a number in `{name}`")).into())
}

fn hex(cursor: &mut Cursor<'_>, name: &str) -> Result<Vec<u8>, Stop> {
    let digits = text(cursor)?.unwrap_or_default();
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
    bytes.map_err(|_| wrong(&format!("hexadecimal digits in `{name}`")).into())
}
