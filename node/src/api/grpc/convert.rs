//! Messages of `hushlog.v1` to raw records and questions, and JSON answers to messages.
//!
//! The only place where these generated types meet the rest.

use std::collections::BTreeMap;

use hushlog_ingest::RawRecord;
use hushlog_proto::hushlog::v1 as wire;
use hushlog_proto::hushlog::v1::field_value::Kind as Field;
use hushlog_record::limits::FIELD_DEPTH_MAX;
use hushlog_record::{Timestamp, Value};
use prost::Message;
use serde_json::{Map, Value as Json, json};

/// What a producer says about a record.
pub(super) fn raw(record: wire::LogRecord) -> RawRecord {
    let mut raw = RawRecord::default();
    if record.timestamp_unix_nano != 0 {
        raw.timestamp = Some(Timestamp::from_nanos(record.timestamp_unix_nano));
    }
    let named = [
        ("log_id", record.log_id),
        ("service_name", record.service_name),
        ("level", record.level),
        ("metadata.host", record.host),
        ("environment", record.environment),
        ("metadata.region", record.region),
        ("trace_id", record.trace_id),
        ("span_id", record.span_id),
    ];
    raw.put("message", Value::string(record.message));
    let exception = record.exception.map(|exception| {
        [
            ("exception.type", exception.r#type),
            ("exception.message", exception.message),
            ("exception.stack_trace", exception.stack_trace),
        ]
    });
    for (name, text) in named.into_iter().chain(exception.into_iter().flatten()) {
        if !text.is_empty() {
            raw.put(name, Value::string(text));
        }
    }
    let mut fields: Vec<_> = record.fields.into_iter().collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, value) in fields {
        field(&mut raw, name, value.kind);
    }
    raw
}

/// The record as bytes that are the same however its fields are ordered: encoders give a map in any order,
/// and a retry in another.
pub(super) fn repeatable(record: &wire::LogRecord) -> Vec<u8> {
    let mut fields: Vec<_> = record.fields.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    let mut bytes = Vec::new();
    for (name, value) in fields {
        for piece in [name.as_bytes(), &value.encode_to_vec()] {
            bytes.extend_from_slice(&(piece.len() as u64).to_be_bytes());
            bytes.extend_from_slice(piece);
        }
    }
    // Field by field, so that a member added to the message is not forgotten here.
    let wire::LogRecord {
        log_id,
        timestamp_unix_nano,
        service_name,
        level,
        message,
        fields: _,
        exception,
        host,
        environment,
        region,
        trace_id,
        span_id,
    } = record;
    let exception = exception.as_ref().map(Message::encode_to_vec);
    bytes.extend_from_slice(&timestamp_unix_nano.to_be_bytes());
    bytes.push(u8::from(exception.is_some()));
    let texts = [
        log_id,
        service_name,
        level,
        message,
        host,
        environment,
        region,
        trace_id,
        span_id,
    ];
    let texts = texts.into_iter().map(|text| text.as_bytes());
    for piece in texts.chain(exception.as_deref()) {
        bytes.extend_from_slice(&(piece.len() as u64).to_be_bytes());
        bytes.extend_from_slice(piece);
    }
    bytes
}

fn field(raw: &mut RawRecord, name: String, kind: Option<Field>) {
    match kind {
        None => raw.field(name, Value::string("")),
        Some(Field::StringValue(text)) => raw.field(name, Value::string(text)),
        Some(Field::IntValue(number)) => raw.field(name, Value::number(number.to_string())),
        Some(Field::DoubleValue(number)) if number.is_finite() => {
            raw.field(name, Value::number(number.to_string()));
        }
        Some(Field::DoubleValue(number)) => raw.field(name, Value::string(number.to_string())),
        Some(Field::BoolValue(value)) => raw.field(name, Value::bool(value)),
        Some(Field::JsonValue(text)) => match serde_json::from_str(&text) {
            Ok(json) => flatten(raw, name, &json, FIELD_DEPTH_MAX),
            Err(_) => raw.field(name, Value::string(text)),
        },
    }
}

fn flatten(raw: &mut RawRecord, name: String, json: &Json, depth: usize) {
    match json {
        Json::Object(members) if depth > 0 && !members.is_empty() => {
            for (member, value) in members {
                // Every name below a long one is as long again.
                if raw.is_oversize() {
                    return;
                }
                flatten(raw, format!("{name}.{member}"), value, depth - 1);
            }
        }
        Json::Null => raw.field(name, Value::string("")),
        Json::String(text) => raw.field(name, Value::string(text.clone())),
        Json::Bool(value) => raw.field(name, Value::bool(*value)),
        Json::Number(number) => raw.field(name, Value::number(number.to_string())),
        Json::Array(_) | Json::Object(_) => raw.field(name, Value::json(json.to_string())),
    }
}

/// A search as the body of the HTTP interface; what is empty is left out.
pub(super) fn question(search: &wire::SearchRequest, aggregations: Option<Json>) -> Json {
    let mut body = Map::new();
    let mut put_text = |name: &str, text: &str| {
        if !text.is_empty() {
            body.insert(name.into(), text.into());
        }
    };
    put_text("query", &search.query);
    put_text("search_after", &search.search_after);
    put_text("consistency", &search.consistency);
    put_text("as_of", &search.as_of);
    if let Some(filters) = &search.filters {
        body.insert("filters".into(), self::filters(filters));
    }
    if let Some(sort) = &search.sort {
        body.insert(
            "sort".into(),
            json!({ "field": sort.field, "order": sort.order }),
        );
    }
    if let Some(limit) = search.limit {
        body.insert("limit".into(), limit.into());
    }
    if search.offset != 0 {
        body.insert("offset".into(), search.offset.into());
    }
    if search.timeout_ms != 0 {
        body.insert("timeout_ms".into(), search.timeout_ms.into());
    }
    if let Some(allow) = search.allow_partial {
        body.insert("allow_partial".into(), allow.into());
    }
    if let Some(aggregations) = aggregations {
        body.insert("limit".into(), 0.into());
        body.insert("aggregations".into(), aggregations);
    }
    Json::Object(body)
}

fn filters(filters: &wire::Filters) -> Json {
    let mut object = Map::new();
    let mut range = Map::new();
    for (name, time) in [("start", &filters.start), ("end", &filters.end)] {
        if !time.is_empty() {
            range.insert(name.into(), time.clone().into());
        }
    }
    if !range.is_empty() {
        object.insert("timestamp_range".into(), range.into());
    }
    for (name, list) in [("services", &filters.services), ("levels", &filters.levels)] {
        if !list.is_empty() {
            object.insert(name.into(), list.clone().into());
        }
    }
    if !filters.fields.is_empty() {
        let fields: Map<String, Json> = filters
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        object.insert("fields".into(), fields.into());
    }
    Json::Object(object)
}

/// A text member of an answer; empty when it is absent.
pub(super) fn text(json: &Json, name: &str) -> String {
    json.get(name)
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A number member of an answer; 0 when it is absent.
pub(super) fn number(json: &Json, name: &str) -> u64 {
    json.get(name).and_then(Json::as_u64).unwrap_or_default()
}

/// The members of an array of an answer.
pub(super) fn list<'a>(json: &'a Json, name: &str) -> impl Iterator<Item = &'a Json> {
    json.get(name)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
}

/// A list of texts.
pub(super) fn texts(json: &Json, name: &str) -> Vec<String> {
    list(json, name)
        .filter_map(Json::as_str)
        .map(str::to_owned)
        .collect()
}

/// Which shards answered.
pub(super) fn shards(json: &Json) -> Option<wire::Shards> {
    let shards = json.get("shards")?;
    Some(wire::Shards {
        total: number(shards, "total"),
        successful: number(shards, "successful"),
        failed: number(shards, "failed"),
        pruned: number(shards, "pruned"),
    })
}

/// One hit.
pub(super) fn entry(json: &Json) -> wire::LogEntry {
    let exception = json.get("exception").filter(|value| !value.is_null());
    let mut fields = BTreeMap::new();
    if let Some(object) = json.get("fields") {
        flatten_out("", object, &mut fields);
    }
    wire::LogEntry {
        log_id: text(json, "log_id"),
        timestamp: text(json, "timestamp"),
        created_at: text(json, "created_at"),
        service_name: text(json, "service_name"),
        level: text(json, "level"),
        message: text(json, "message"),
        fields,
        exception: exception.map(|exception| wire::Exception {
            r#type: text(exception, "type"),
            message: text(exception, "message"),
            stack_trace: text(exception, "stack_trace"),
            exception_id: text(exception, "exception_id"),
            signature: text(exception, "signature"),
        }),
        host: text(json, "host"),
        environment: text(json, "environment"),
        region: text(json, "region"),
        trace_id: text(json, "trace_id"),
        span_id: text(json, "span_id"),
        pii: texts(json, "pii"),
    }
}

/// Nested objects of an answer come out under dotted names.
fn flatten_out(prefix: &str, json: &Json, out: &mut BTreeMap<String, wire::FieldValue>) {
    let kind = match json {
        Json::Object(members) if !members.is_empty() || prefix.is_empty() => {
            for (name, value) in members {
                let name = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten_out(&name, value, out);
            }
            return;
        }
        Json::String(text) => Field::StringValue(text.clone()),
        Json::Bool(value) => Field::BoolValue(*value),
        Json::Number(number) => exact(number),
        Json::Null | Json::Array(_) | Json::Object(_) => Field::JsonValue(json.to_string()),
    };
    out.insert(prefix.to_owned(), wire::FieldValue { kind: Some(kind) });
}

/// A number as a machine number only where nothing of its text is lost.
fn exact(number: &serde_json::Number) -> Field {
    let literal = number.to_string();
    if let Ok(int) = literal.parse::<i64>()
        && int.to_string() == literal
    {
        return Field::IntValue(int);
    }
    match literal.parse::<f64>() {
        Ok(double) if double.to_string() == literal => Field::DoubleValue(double),
        _ => Field::JsonValue(literal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_the_same_however_its_fields_are_ordered() {
        let value = |number: i64| wire::FieldValue {
            kind: Some(Field::IntValue(number)),
        };
        let record = |names: &mut dyn Iterator<Item = i64>| wire::LogRecord {
            message: "m".into(),
            fields: names.map(|n| (n.to_string(), value(n))).collect(),
            ..Default::default()
        };
        let same = repeatable(&record(&mut (0..50)));
        assert_eq!(repeatable(&record(&mut (0..50).rev())), same);
        let changes: [fn(&mut wire::LogRecord); 5] = [
            |record| record.message.push('x'),
            |record| record.span_id.push('x'),
            |record| record.timestamp_unix_nano = 1,
            |record| record.exception = Some(wire::Exception::default()),
            |record| record.fields.clear(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = record(&mut (0..50));
            change(&mut changed);
            assert_ne!(repeatable(&changed), same, "change {number}");
        }
    }

    #[test]
    fn names_below_a_long_name_are_made_only_until_the_record_is_too_large() {
        let members: Vec<String> = (0..200_000).map(|n| format!("\"{n}\":1")).collect();
        let mut raw = RawRecord::default();
        let json = Field::JsonValue(format!("{{{}}}", members.join(",")));
        field(&mut raw, "n".repeat(1 << 19), Some(json));
        assert!(raw.is_oversize());
        assert!(raw.text_bytes() < 3 << 19, "{}", raw.text_bytes());
    }

    #[test]
    fn a_question_says_only_what_was_asked() {
        let search = wire::SearchRequest {
            query: "a b".into(),
            ..Default::default()
        };
        assert_eq!(question(&search, None), json!({ "query": "a b" }));
        let filters = wire::Filters {
            start: "2026-01-01T00:00:00Z".into(),
            levels: vec!["ERROR".into()],
            ..Default::default()
        };
        let search = wire::SearchRequest {
            filters: Some(filters),
            limit: Some(5),
            allow_partial: Some(false),
            ..Default::default()
        };
        let expected = json!({
            "filters": {"timestamp_range": {"start": "2026-01-01T00:00:00Z"}, "levels": ["ERROR"]},
            "limit": 5, "allow_partial": false,
        });
        assert_eq!(question(&search, None), expected);
    }

    #[test]
    fn hits_keep_numbers_exactly() {
        let hit: Json = serde_json::from_str(
            r#"{"message":"m","fields":{"a":{"b":12},"c":1.50,"d":1e+400,"e":true,"f":[1],"g":2.5}}"#,
        )
        .expect("valid");
        let fields = entry(&hit).fields;
        let kind = |name: &str| fields.get(name).and_then(|value| value.kind.clone());
        assert_eq!(kind("a.b"), Some(Field::IntValue(12)));
        assert_eq!(kind("c"), Some(Field::JsonValue("1.50".into())));
        assert_eq!(kind("d"), Some(Field::JsonValue("1e+400".into())));
        assert_eq!(kind("e"), Some(Field::BoolValue(true)));
        assert_eq!(kind("f"), Some(Field::JsonValue("[1]".into())));
        assert_eq!(kind("g"), Some(Field::DoubleValue(2.5)));
    }
}
