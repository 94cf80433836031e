//! OpenTelemetry values as text and as flattened fields.

use data_encoding::BASE64;
use hushlog_proto::opentelemetry::proto::common::v1::AnyValue;
use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
use hushlog_record::limits::FIELD_DEPTH_MAX;
use hushlog_record::{Kind, Value};
use serde_json::{Map, Value as Json};

/// Hands over the value under its name; an attribute list under the names of its members, until `each`
/// says that it wants no more: every name below a long one is as long again.
pub(super) fn flatten(
    name: &str,
    value: Option<&AnyValue>,
    each: &mut dyn FnMut(String, Value) -> bool,
) {
    flatten_to(name, value, FIELD_DEPTH_MAX, each);
}

fn flatten_to(
    name: &str,
    value: Option<&AnyValue>,
    depth: usize,
    each: &mut dyn FnMut(String, Value) -> bool,
) -> bool {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::KvlistValue(list)) if depth > 0 && !list.values.is_empty() => {
            list.values.iter().all(|member| {
                let name = format!("{name}.{}", member.key);
                flatten_to(&name, member.value.as_ref(), depth - 1, each)
            })
        }
        Some(any) => each(name.to_owned(), scalar(any)),
        None => each(name.to_owned(), Value::string("")),
    }
}

fn scalar(any: &Any) -> Value {
    match any {
        Any::StringValue(text) => Value::string(text.clone()),
        Any::BoolValue(value) => Value::bool(*value),
        Any::IntValue(number) => Value::number(number.to_string()),
        Any::DoubleValue(number) if number.is_finite() => Value::number(number.to_string()),
        Any::DoubleValue(number) => Value::string(number.to_string()),
        Any::BytesValue(bytes) => Value::string(BASE64.encode(bytes)),
        Any::ArrayValue(_) | Any::KvlistValue(_) => Value {
            kind: Kind::Json,
            text: tree(any).to_string(),
        },
    }
}

/// The value as the text of a message.
pub(super) fn text(value: &AnyValue) -> String {
    value
        .value
        .as_ref()
        .map(|any| scalar(any).text)
        .unwrap_or_default()
}

/// As deep as the value itself, which its decoder has bounded.
fn tree(any: &Any) -> Json {
    let inner = |value: Option<&AnyValue>| {
        value
            .and_then(|value| value.value.as_ref())
            .map_or(Json::Null, tree)
    };
    match any {
        Any::StringValue(text) => Json::String(text.clone()),
        Any::BoolValue(value) => Json::Bool(*value),
        Any::IntValue(number) => Json::from(*number),
        Any::DoubleValue(number) => Json::from(*number),
        Any::BytesValue(bytes) => Json::String(BASE64.encode(bytes)),
        Any::ArrayValue(array) => array
            .values
            .iter()
            .map(|value| inner(Some(value)))
            .collect(),
        Any::KvlistValue(list) => {
            let members = list
                .values
                .iter()
                .map(|member| (member.key.clone(), inner(member.value.as_ref())));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}
