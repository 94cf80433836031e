//! The body of `POST /api/v1/logs/query`, checked key by key.
//!
//! Never guesses: an unknown key, a wrong type or a value over a limit is refused by name.

use hushlog_record::{Level, Timestamp};
use serde_json::Value;

use crate::Error;
use crate::aggregation::{self, Aggregation};
use crate::field::{Field, Nature};
use crate::language::{self, Expr, Levels, Scalar, Test};
use crate::limits::{FILTER_VALUES_MAX, LIMIT_DEFAULT, LIMIT_MAX, TIMEOUT_MS_MAX, WINDOW_MAX};
use crate::number::Number;
use crate::object::{Object, shown};
use crate::position::{Order, Position};
use crate::when;

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Sees every record acknowledged before the query began.
    #[default]
    Committed,
    /// May read a replica that lags.
    Any,
}

/// A query as a caller asks it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Query string and filters together.
    pub expr: Expr,
    /// Order of the hits, by event time.
    pub order: Order,
    /// Most hits; 0: counts and aggregations alone.
    pub limit: usize,
    /// Hits to pass over.
    pub offset: usize,
    /// Only hits behind this place.
    pub search_after: Option<Position>,
    /// What to count besides.
    pub aggregations: Vec<Aggregation>,
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// Time for the answer in milliseconds; `None`: the node's default.
    pub timeout_ms: Option<u64>,
    /// Whether an answer may lack shards that failed.
    pub allow_partial: bool,
}

impl Request {
    /// Most hits that one shard needs to find.
    pub(crate) fn hits_wanted(&self) -> usize {
        if self.limit == 0 {
            0
        } else {
            self.limit + self.offset
        }
    }

    /// Reads a request. `now` is what relative times count from.
    ///
    /// # Errors
    /// [`Error::Request`] and [`Error::Query`].
    pub fn parse(json: &[u8], now: Timestamp) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::Request(format!(
                "the body is not JSON: line {line}, column {column}"
            ))
        })?;
        let mut body = Object::new("", value)?;
        let query = body.string("query")?.unwrap_or_default();
        let mut parts = vec![language::parse(&query, now)?];
        if let Some(filters) = body.object("filters")? {
            parts.extend(read_filters(filters, now)?);
        }
        let order = read_sort(&mut body)?;
        let (limit, offset) = read_window(&mut body)?;
        let search_after = body
            .string("search_after")?
            .filter(|token| !token.is_empty());
        let search_after = search_after
            .map(|token| Position::from_token(&token, order))
            .transpose()?;
        if search_after.is_some() && offset > 0 {
            return Err(body.error("offset", "expected 0 together with search_after"));
        }
        let consistency = match body.string("consistency")?.as_deref() {
            None | Some("" | "committed") => Consistency::Committed,
            Some("any") => Consistency::Any,
            Some(_) => return Err(body.error("consistency", "expected committed or any")),
        };
        let timeout_ms = body
            .integer("timeout_ms", TIMEOUT_MS_MAX)?
            .filter(|&ms| ms > 0);
        let allow_partial = body.bool("allow_partial")?.unwrap_or(true);
        if body.string("as_of")?.is_some_and(|token| !token.is_empty()) {
            return Err(body.error("as_of", "repeating an earlier answer is not available yet"));
        }
        let aggregations = aggregation::read(&mut body)?;
        body.finish()?;
        Ok(Self {
            expr: Expr::and(parts),
            order,
            limit,
            offset,
            search_after,
            aggregations,
            consistency,
            timeout_ms,
            allow_partial,
        })
    }
}

fn read_sort(body: &mut Object) -> Result<Order, Error> {
    let Some(mut sort) = body.object("sort")? else {
        return Ok(Order::default());
    };
    let field = sort.string("field")?.unwrap_or_else(|| "timestamp".into());
    if Field::resolve(&field) != Field::Timestamp {
        return Err(sort.error("field", "answers are sorted by timestamp only"));
    }
    let order = match sort.string("order")?.as_deref() {
        None | Some("" | "desc") => Order::Descending,
        Some("asc") => Order::Ascending,
        Some(_) => return Err(sort.error("order", "expected asc or desc")),
    };
    sort.finish()?;
    Ok(order)
}

fn read_window(body: &mut Object) -> Result<(usize, usize), Error> {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let limit = body
        .integer("limit", LIMIT_MAX as u64)?
        .map_or(LIMIT_DEFAULT, size);
    let offset = match body.take("offset") {
        None => 0,
        Some(value) => size(
            value
                .as_u64()
                .ok_or_else(|| body.error("offset", "expected an integer from 0"))?,
        ),
    };
    if limit.saturating_add(offset) > WINDOW_MAX {
        let expected = format!(
            "offset + limit is at most {WINDOW_MAX}; go on with search_after = next_search_after of the last answer"
        );
        return Err(body.error("offset", expected));
    }
    Ok((limit, offset))
}

fn read_filters(mut filters: Object, now: Timestamp) -> Result<Vec<Expr>, Error> {
    let mut parts = Vec::new();
    if let Some(range) = filters.object("timestamp_range")? {
        parts.push(read_time_range(range, now)?);
    }
    let services = strings(&mut filters, "services")?;
    if !services.is_empty() {
        let services = services.into_iter().map(Scalar::Text).collect();
        parts.push(Expr::field(Field::Service, Test::Equal(services)));
    }
    let levels = strings(&mut filters, "levels")?;
    if !levels.is_empty() {
        let levels: Option<Vec<Level>> = levels.iter().map(|name| Level::from_word(name)).collect();
        let levels = levels.ok_or_else(|| filters.error("levels", language::LEVELS))?;
        parts.push(Expr::field(
            Field::Level,
            Test::Levels(Levels::of(|l| levels.contains(&l))),
        ));
    }
    if let Some(fields) = filters.object("fields")? {
        let path = filters.path_of("fields");
        let entries = fields.into_entries();
        if entries.len() > FILTER_VALUES_MAX {
            return Err(Error::Request(format!(
                "{path}: at most {FILTER_VALUES_MAX} fields"
            )));
        }
        for (name, value) in entries {
            let expected =
                |what: String| Error::Request(format!("{path}.{}: {what}", shown(&name)));
            parts.push(read_field(&name, value, now).map_err(expected)?);
        }
    }
    filters.finish()?;
    Ok(parts)
}

/// `start` belongs to the range, `end` does not.
fn read_time_range(mut range: Object, now: Timestamp) -> Result<Expr, Error> {
    let mut read = |key| -> Result<Option<i64>, Error> {
        let text = match range.take(key) {
            None => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(range.error(key, format!("expected {}", when::EXPECTED))),
        };
        let span = when::parse(&text, now);
        let span = span.ok_or_else(|| range.error(key, format!("expected {}", when::EXPECTED)))?;
        Ok(Some(span.first))
    };
    let (start, end) = (read("start")?, read("end")?);
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return Err(range.error("start", "the start lies after the end"));
    }
    range.finish()?;
    if start.is_none() && end.is_none() {
        return Ok(Expr::All);
    }
    let first = start.unwrap_or(i64::MIN);
    let last = end.map_or(i64::MAX, |end| end.saturating_sub(1));
    Ok(Expr::field(Field::Timestamp, Test::Time { first, last }))
}

fn strings(object: &mut Object, key: &'static str) -> Result<Vec<String>, Error> {
    let values = object.list(key, FILTER_VALUES_MAX)?;
    let strings = values.into_iter().map(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    });
    strings
        .collect::<Option<_>>()
        .ok_or_else(|| object.error(key, "expected strings"))
}

/// One of `filters.fields`: the whole value is this, or one of these.
fn read_field(name: &str, value: Value, now: Timestamp) -> Result<Expr, String> {
    let values = match value {
        Value::Array(values) if values.len() <= FILTER_VALUES_MAX => values,
        Value::Array(_) => return Err(format!("at most {FILTER_VALUES_MAX} values")),
        value => vec![value],
    };
    let field = Field::resolve(name);
    if !matches!(field.nature(), Nature::Name | Nature::Text | Nature::Custom) {
        let leaf = |value: Value| match value {
            Value::String(text) => language::words(field.clone(), text, now),
            Value::Number(number) => language::words(field.clone(), number.to_string(), now),
            _ => Err("expected a string".into()),
        };
        return values
            .into_iter()
            .map(leaf)
            .collect::<Result<_, _>>()
            .map(Expr::or);
    }
    let scalar = |value: Value| match value {
        Value::String(text) => Ok(Scalar::Text(text)),
        Value::Bool(value) => Ok(Scalar::Bool(value)),
        Value::Number(number) => Number::parse_bounded(&number.to_string())
            .map(Scalar::Number)
            .ok_or_else(|| "the number has too many digits".to_owned()),
        _ => Err("expected a string, a number, true, false, or a list of them".to_owned()),
    };
    let scalars = values.into_iter().map(scalar).collect::<Result<_, _>>()?;
    Ok(Expr::field(field, Test::Equal(scalars)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Request, Error> {
        Request::parse(json.as_bytes(), Timestamp::from_millis(1_767_323_045_000))
    }

    #[test]
    fn an_empty_request_asks_for_the_newest_hundred() {
        let request = parse("{}").unwrap();
        assert_eq!(request.expr, Expr::All);
        assert_eq!((request.limit, request.offset), (100, 0));
        assert_eq!(request.order, Order::Descending);
        assert_eq!(request.consistency, Consistency::Committed);
        assert!(request.allow_partial);
    }

    #[test]
    fn all_keys_are_read() {
        let request = parse(
            r#"{"query":"payment failed","filters":{"timestamp_range":{"start":"2026-01-01T00:00:00Z",
            "end":"2026-01-02T00:00:00Z"},"services":["a"],"levels":["error","WARN"],
            "fields":{"user_id":"u","n":5,"host":["a","b"],"ok":true,"level":"info"}},
            "sort":{"field":"timestamp","order":"asc"},"limit":7,"offset":3,
            "aggregations":{"by":{"terms":{"field":"level"}}},"consistency":"any","timeout_ms":100,
            "allow_partial":false,"search_after":null}"#,
        )
        .unwrap();
        assert_eq!(
            format!("{:?}", request.expr),
            "And(*:words, *:words, timestamp:time, service_name:equal, level:levels, host:equal, level:levels, \
             fields.?:equal, fields.?:equal, fields.?:equal)"
        );
        assert_eq!((request.limit, request.offset), (7, 3));
        assert_eq!(request.order, Order::Ascending);
        assert_eq!(request.consistency, Consistency::Any);
        assert_eq!(request.timeout_ms, Some(100));
        assert!(!request.allow_partial);
        assert_eq!(request.aggregations.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, expected) in [
            ("[]", "must be a JSON object"),
            ("{", "not JSON: line 1"),
            (
                r#"{"qery":"x"}"#,
                "qery: unknown key; known here: query, filters",
            ),
            (r#"{"query":5}"#, "query: expected a string"),
            (r#"{"query":"(a"}"#, "position 2"),
            (
                r#"{"limit":10001}"#,
                "limit: expected an integer from 0 to 10000",
            ),
            (r#"{"limit":-1}"#, "limit: expected"),
            (r#"{"limit":1.5}"#, "limit: expected"),
            (r#"{"limit":10,"offset":99991}"#, "search_after"),
            (r#"{"offset":18446744073709551615}"#, "search_after"),
            (
                r#"{"sort":{"field":"host"}}"#,
                "sort.field: answers are sorted by timestamp",
            ),
            (
                r#"{"sort":{"order":"up"}}"#,
                "sort.order: expected asc or desc",
            ),
            (r#"{"sort":{"by":"x"}}"#, "sort.by: unknown key"),
            (r#"{"consistency":"x"}"#, "consistency"),
            (
                r#"{"search_after":"x"}"#,
                "search_after: expected next_search_after",
            ),
            (r#"{"timeout_ms":1e12}"#, "timeout_ms"),
            (
                r#"{"filters":{"level":["ERROR"]}}"#,
                "filters.level: unknown key",
            ),
            (
                r#"{"filters":{"levels":["LOUD"]}}"#,
                "filters.levels: expected a level",
            ),
            (
                r#"{"filters":{"services":"a"}}"#,
                "filters.services: expected a list",
            ),
            (
                r#"{"filters":{"timestamp_range":{"start":"soon"}}}"#,
                "timestamp_range.start: expected an RFC 3339",
            ),
            (
                r#"{"filters":{"timestamp_range":{"start":"2026-01-02","end":"2026-01-01"}}}"#,
                "timestamp_range.start: the start lies after the end",
            ),
            (
                r#"{"filters":{"fields":{"a":{}}}}"#,
                "filters.fields.a: expected a string",
            ),
            (
                r#"{"filters":{"fields":{"level":"x"}}}"#,
                "filters.fields.level: expected a level",
            ),
        ] {
            let error = parse(json).expect_err(json);
            assert!(error.is_bad_request());
            assert!(error.to_string().contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn a_name_that_may_be_personal_is_not_repeated() {
        for name in [
            "zoe.quark@example.com",
            "219-09-9999",
            "ssn_219_09_9999",
            "93.184.216.34",
            "Zoe Quark",
            "юля",
            "",
            &"a".repeat(65),
        ] {
            for (json, expected) in [
                (r#"{"NAME":1}"#, "?: unknown key; known here: query"),
                (
                    r#"{"filters":{"NAME":1}}"#,
                    "filters.?: unknown key; known here: timestamp_range",
                ),
                (
                    r#"{"filters":{"fields":{"NAME":{}}}}"#,
                    "filters.fields.?: expected a string",
                ),
                (
                    r#"{"aggs":{"NAME":1}}"#,
                    "aggregations.?: expected an object",
                ),
                (r#"{"aggs":{"NAME":{}}}"#, "aggregations.?: expected one of"),
                (
                    r#"{"aggs":{"NAME":{"avg":{"field":"x"},"aggs":{"a":{"avg":{"field":"x"}}}}}}"#,
                    "aggregations.?: a metric takes",
                ),
                (
                    r#"{"aggs":{"a":{"NAME":{}}}}"#,
                    "aggregations.a.?: unknown key",
                ),
            ] {
                let error = parse(&json.replace("NAME", name)).expect_err(json);
                let error = error.to_string();
                assert!(error.starts_with(expected), "{json}: {error}");
                assert!(name.is_empty() || !error.contains(name), "{json}: {error}");
            }
        }
    }
}
