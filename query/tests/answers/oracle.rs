//! The rules of the language, written down once more, record by record, in the plainest way.

use hushlog_record::{ExceptionId, Kind, Level, Record, Value};

/// A query as a tree, with its text.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    All,
    Term(String),
    Phrase(Vec<String>),
    Field(&'static str, String),
    Prefix(Option<&'static str>, String),
    Substring(&'static str, String),
    Exists(&'static str),
    Above(&'static str, i64),
    Within(&'static str, i64, i64),
    Level(Level),
    AtLeast(Level),
    /// An exception, by its type and service.
    Thrown(&'static str, &'static str),
    Not(Box<Ask>),
    And(Box<Ask>, Box<Ask>),
    Or(Box<Ask>, Box<Ask>),
}

impl Ask {
    /// The query string.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::All => "*".into(),
            Self::Term(term) => term.clone(),
            Self::Phrase(words) => format!("\"{}\"", words.join(" ")),
            Self::Field(field, value) => format!("{field}:\"{value}\""),
            Self::Prefix(None, prefix) => format!("{prefix}*"),
            Self::Prefix(Some(field), prefix) => format!("{field}:{prefix}*"),
            Self::Substring(field, text) => format!("{field}:*{}*", text.replace(' ', "\\ ")),
            Self::Exists(field) => format!("{field}:*"),
            Self::Above(field, n) => format!("{field}:>{n}"),
            Self::Within(field, low, high) => format!("{field}:[{low} TO {high}]"),
            Self::Level(level) => format!("level:{}", level.name().to_lowercase()),
            Self::AtLeast(level) => format!("level:>={level}"),
            Self::Thrown(name, service) => {
                format!("exception_id:{}", ExceptionId::of(name, service))
            }
            Self::Not(inner) => format!("NOT ({})", inner.text()),
            Self::And(a, b) => format!("({}) ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) OR ({})", a.text(), b.text()),
        }
    }

    /// Whether the record matches.
    pub(crate) fn matches(&self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::Term(term) => is_anywhere(record, term),
            Self::Phrase(phrase) => is_anywhere(record, &phrase.join(" ")),
            Self::Field(field, wanted) => match values(record, field) {
                Values::Names(names) => names.iter().any(|name| fold(name) == fold(wanted)),
                Values::Texts(texts) => texts.iter().any(|text| has_phrase(text, &words(wanted))),
                Values::Custom(value) => value.is_some_and(|value| is_word(value, wanted)),
            },
            Self::Prefix(None, prefix) => {
                anywhere(record).iter().any(|text| has_prefix(text, prefix))
            }
            Self::Prefix(Some(field), prefix) => match values(record, field) {
                Values::Names(names) => names
                    .iter()
                    .any(|name| has_prefix(name, prefix) || fold(name).starts_with(&fold(prefix))),
                Values::Texts(texts) => texts.iter().any(|text| has_prefix(text, prefix)),
                Values::Custom(value) => value.is_some_and(|v| has_prefix(&v.text, prefix)),
            },
            Self::Substring(field, wanted) => all_values(record, field)
                .iter()
                .any(|text| fold(text).contains(&fold(wanted))),
            Self::Exists(field) => !all_values(record, field).is_empty(),
            Self::Above(field, low) => numbers(record, field).iter().any(|n| *n > *low as f64),
            Self::Within(field, low, high) => numbers(record, field)
                .iter()
                .any(|n| *low as f64 <= *n && *n <= *high as f64),
            Self::Level(level) => record.level == *level,
            Self::AtLeast(level) => record.level >= *level,
            Self::Thrown(name, service) => {
                let exception = record.exception.as_ref();
                record.service_name == *service && exception.is_some_and(|e| e.type_name == *name)
            }
            Self::Not(inner) => !inner.matches(record),
            Self::And(a, b) => a.matches(record) && b.matches(record),
            Self::Or(a, b) => a.matches(record) || b.matches(record),
        }
    }
}

enum Values<'a> {
    Names(Vec<&'a str>),
    Texts(Vec<&'a str>),
    Custom(Option<&'a Value>),
}

fn present(text: &str) -> Vec<&str> {
    if text.is_empty() {
        Vec::new()
    } else {
        vec![text]
    }
}

fn values<'a>(record: &'a Record, field: &str) -> Values<'a> {
    match field {
        "message" => Values::Texts(vec![&record.message]),
        "service" => Values::Names(vec![&record.service_name]),
        "host" => Values::Names(present(&record.host)),
        "environment" => Values::Names(present(&record.environment)),
        "trace_id" => Values::Names(present(&record.trace_id)),
        "pii" => Values::Names(record.pii.iter().map(String::as_str).collect()),
        "exception.type" => Values::Texts(
            record
                .exception
                .iter()
                .map(|e| e.type_name.as_str())
                .collect(),
        ),
        "exception" => Values::Texts(
            record
                .exception
                .iter()
                .flat_map(|e| [e.type_name.as_str(), &e.message, &e.stack_trace])
                .collect(),
        ),
        custom => Values::Custom(
            record
                .fields
                .iter()
                .find(|(name, _)| name == custom)
                .map(|(_, value)| value),
        ),
    }
}

fn all_values<'a>(record: &'a Record, field: &str) -> Vec<&'a str> {
    match values(record, field) {
        Values::Names(texts) | Values::Texts(texts) => texts,
        Values::Custom(value) => value.map(|value| value.text.as_str()).into_iter().collect(),
    }
}

/// The texts outside of custom fields that a term without a field is looked for in.
fn texts(record: &Record) -> Vec<&str> {
    let mut texts = vec![record.message.as_str(), &record.service_name];
    for field in ["host", "environment", "trace_id", "exception"] {
        texts.extend(all_values(record, field));
    }
    texts.extend([record.region.as_str(), &record.span_id]);
    texts
}

/// The custom fields that a term without a field is looked for in.
fn text_fields(record: &Record) -> impl Iterator<Item = &Value> {
    let values = record.fields.iter().map(|(_, value)| value);
    values.filter(|value| matches!(value.kind, Kind::String | Kind::Json))
}

/// Whether the words stand somewhere.
fn is_anywhere(record: &Record, wanted: &str) -> bool {
    let phrase = words(wanted);
    texts(record).iter().any(|text| has_phrase(text, &phrase))
        || text_fields(record).any(|value| is_word(value, wanted))
}

/// Every text that a wildcard without a field is looked for in.
fn anywhere(record: &Record) -> Vec<&str> {
    let mut all = texts(record);
    all.extend(text_fields(record).map(|value| value.text.as_str()));
    all
}

/// The value itself, and all plain values in it if it is an array.
fn alone(value: &Value) -> Vec<Value> {
    let mut all = vec![value.clone()];
    if value.kind == Kind::Json {
        flatten(&serde_json::from_str(&value.text).unwrap(), &mut all);
    }
    all
}

fn flatten(json: &serde_json::Value, into: &mut Vec<Value>) {
    match json {
        serde_json::Value::Array(elements) => elements.iter().for_each(|e| flatten(e, into)),
        serde_json::Value::String(text) => into.push(Value::string(text.clone())),
        serde_json::Value::Number(number) => into.push(Value::number(number.to_string())),
        serde_json::Value::Bool(truth) => into.push(Value::bool(*truth)),
        serde_json::Value::Null | serde_json::Value::Object(_) => {}
    }
}

fn same_number(a: &str, b: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    number(a).is_some_and(|a| number(b) == Some(a))
}

/// Whether the words stand in one value: in a text, or as a number or a truth value. An array has them where one
/// of its values would; an object in it is one value, its text that of its JSON.
fn is_word(value: &Value, wanted: &str) -> bool {
    let json = match value.kind {
        Kind::Json => serde_json::from_str(&value.text).unwrap(),
        _ => serde_json::Value::Null,
    };
    if let serde_json::Value::Array(elements) = json {
        return elements.into_iter().any(|element| match element {
            serde_json::Value::Null => false,
            serde_json::Value::String(text) => is_word(&Value::string(text), wanted),
            serde_json::Value::Number(number) => {
                is_word(&Value::number(number.to_string()), wanted)
            }
            serde_json::Value::Bool(truth) => is_word(&Value::bool(truth), wanted),
            inner => is_word(&Value::json(inner.to_string()), wanted),
        });
    }
    match value.kind {
        Kind::String | Kind::Json => has_phrase(&value.text, &words(wanted)),
        Kind::Number => same_number(wanted, &value.text),
        Kind::Bool => value.text == wanted.to_lowercase(),
    }
}

/// Whether a record passes a filter on one custom field.
pub(crate) fn has_value(record: &Record, field: &str, wanted: &serde_json::Value) -> bool {
    let Values::Custom(Some(value)) = values(record, field) else {
        return false;
    };
    alone(value).iter().any(|value| match (wanted, value.kind) {
        (serde_json::Value::String(wanted), kind) => {
            value.text == *wanted || (kind == Kind::Number && same_number(wanted, &value.text))
        }
        (serde_json::Value::Number(wanted), Kind::Number) => {
            same_number(&wanted.to_string(), &value.text)
        }
        (serde_json::Value::Number(wanted), Kind::String) => value.text == wanted.to_string(),
        (serde_json::Value::Bool(wanted), _) => value.text == wanted.to_string(),
        _ => false,
    })
}

fn numbers(record: &Record, field: &str) -> Vec<f64> {
    let Values::Custom(Some(value)) = values(record, field) else {
        return Vec::new();
    };
    let number = |value: &Value| {
        let looks = value
            .text
            .starts_with(|c: char| c.is_ascii_digit() || c == '-');
        let counts = matches!(value.kind, Kind::Number | Kind::String) && looks;
        counts.then(|| value.text.parse().ok()).flatten()
    };
    alone(value).iter().filter_map(number).collect()
}

fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

fn words(text: &str) -> Vec<String> {
    let is_separator = |c: char| c != '_' && !c.is_alphanumeric();
    text.split(is_separator)
        .filter(|word| !word.is_empty())
        .map(fold)
        .collect()
}

fn has_phrase(text: &str, phrase: &[String]) -> bool {
    words(text)
        .windows(phrase.len())
        .any(|window| window == phrase)
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    words(text)
        .iter()
        .any(|word| word.starts_with(&fold(prefix)))
}
