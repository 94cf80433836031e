//! Reads `aggregations` of a request.

use serde_json::Value;

use super::{Aggregation, Kind, Metric, RangeBucket, TermsOrder};
use crate::Error;
use crate::field::{Field, Nature};
use crate::limits::{AGGREGATION_DEPTH_MAX, AGGREGATIONS_MAX, BUCKETS_SHIPPED_MAX, POINTS_MAX};
use crate::object::{Object, shown};
use crate::when;

/// Percentages when a request names none, as in Elasticsearch.
const PERCENTS: [f64; 7] = [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0];
/// `size` of `terms` when a request names none.
const TERMS_DEFAULT: u64 = 10;

/// Takes `aggregations` (or `aggs`) out of a request.
pub(crate) fn read(body: &mut Object) -> Result<Vec<Aggregation>, Error> {
    let mut count = 0;
    read_level(body, 1, &mut count)
}

fn read_level(
    body: &mut Object,
    depth: usize,
    count: &mut usize,
) -> Result<Vec<Aggregation>, Error> {
    let long = body.object("aggregations")?;
    let short = body.object("aggs")?;
    let Some(object) = long.or(short) else {
        return Ok(Vec::new());
    };
    if depth > AGGREGATION_DEPTH_MAX {
        let expected = format!("aggregations nest at most {AGGREGATION_DEPTH_MAX} levels deep");
        return Err(body.error("aggregations", expected));
    }
    let path = body.path_of("aggregations");
    let mut all = Vec::new();
    for (name, value) in object.into_entries() {
        *count += 1;
        if *count > AGGREGATIONS_MAX {
            return Err(Error::Request(format!(
                "{path}: at most {AGGREGATIONS_MAX} aggregations"
            )));
        }
        let object = Object::new(format!("{path}.{}", shown(&name)), value)?;
        all.push(read_one(name, object, depth, count)?);
    }
    Ok(all)
}

const KINDS: [&str; 12] = [
    "terms",
    "date_histogram",
    "histogram",
    "range",
    "avg",
    "sum",
    "min",
    "max",
    "stats",
    "value_count",
    "cardinality",
    "percentiles",
];

fn read_one(
    name: String,
    mut object: Object,
    depth: usize,
    count: &mut usize,
) -> Result<Aggregation, Error> {
    let children = read_level(&mut object, depth + 1, count)?;
    let mut found = None;
    for kind in KINDS {
        if let Some(body) = object.object(kind)?
            && found.replace((kind, body)).is_some()
        {
            return Err(object.error(kind, "expected one kind of aggregation only"));
        }
    }
    let Some((kind_name, mut body)) = found else {
        object.finish()?;
        return Err(Error::Request(format!(
            "aggregations.{}: expected one of {}",
            shown(&name),
            KINDS.join(", ")
        )));
    };
    let field = read_field(&mut body)?;
    let kind = match kind_name {
        "terms" => read_terms(&mut body)?,
        "date_histogram" => read_date_histogram(&mut body)?,
        "histogram" => read_histogram(&mut body)?,
        "range" => read_ranges(&mut body)?,
        other => Kind::Metric(read_metric(other, &mut body)?),
    };
    check_field(&body, &field, &kind)?;
    body.finish()?;
    object.finish()?;
    if matches!(kind, Kind::Metric(_)) && !children.is_empty() {
        let name = shown(&name);
        let message = format!("aggregations.{name}: a metric takes no aggregations inside");
        return Err(Error::Request(message));
    }
    Ok(Aggregation {
        name,
        field,
        kind,
        children,
    })
}

/// `x.keyword` is how Elasticsearch names the whole value of `x`; here every field is one.
fn read_field(body: &mut Object) -> Result<Field, Error> {
    let name = body.string("field")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| body.error("field", "expected the name of a field"))?;
    Ok(Field::resolve(
        name.strip_suffix(".keyword").unwrap_or(&name),
    ))
}

fn check_field(body: &Object, field: &Field, kind: &Kind) -> Result<(), Error> {
    let nature = field.nature();
    let fits = match kind {
        Kind::DateHistogram { .. } => nature == Nature::Time,
        Kind::Histogram { .. } | Kind::Range { .. } => nature == Nature::Custom,
        Kind::Metric(metric) if metric.is_numeric() => {
            matches!(nature, Nature::Custom | Nature::Time)
        }
        Kind::Metric(_) => *field != Field::Exception,
        Kind::Terms { .. } => {
            !matches!(nature, Nature::Time | Nature::Text) || *field == Field::ExceptionType
        }
    };
    if fits {
        return Ok(());
    }
    Err(body.error(
        "field",
        match kind {
            Kind::DateHistogram { .. } => "expected timestamp or created_at",
            Kind::Terms { .. } => {
                "expected a field that holds names or values, not a text or a time"
            }
            Kind::Histogram { .. } | Kind::Range { .. } | Kind::Metric(_) => {
                "expected a field that holds numbers"
            }
        },
    ))
}

fn read_terms(body: &mut Object) -> Result<Kind, Error> {
    let size = body
        .integer("size", BUCKETS_SHIPPED_MAX as u64)?
        .unwrap_or(TERMS_DEFAULT);
    let min_doc_count = body.integer("min_doc_count", u64::MAX)?.unwrap_or(1).max(1);
    let order = match body.take("order") {
        None => TermsOrder::CountDescending,
        Some(Value::Object(map)) if map.len() == 1 => {
            let entry = map
                .iter()
                .next()
                .map(|(key, value)| (key.as_str(), value.as_str()));
            match entry {
                Some(("_count", Some("desc"))) => TermsOrder::CountDescending,
                Some(("_count", Some("asc"))) => TermsOrder::CountAscending,
                Some(("_key", Some("asc"))) => TermsOrder::KeyAscending,
                Some(("_key", Some("desc"))) => TermsOrder::KeyDescending,
                _ => return Err(body.error("order", "expected _count or _key with asc or desc")),
            }
        }
        Some(_) => return Err(body.error("order", "expected {\"_count\": …} or {\"_key\": …}")),
    };
    let size = usize::try_from(size).unwrap_or(BUCKETS_SHIPPED_MAX);
    if size == 0 {
        return Err(body.error("size", "expected at least 1"));
    }
    Ok(Kind::Terms {
        size,
        order,
        min_doc_count,
    })
}

fn read_date_histogram(body: &mut Object) -> Result<Kind, Error> {
    let fixed = body.string("fixed_interval")?;
    let calendar = body.string("calendar_interval")?;
    let interval = match (fixed, calendar) {
        (Some(text), None) => when::duration(&text).ok_or_else(|| {
            body.error(
                "fixed_interval",
                "expected a duration such as 100ms, 30s, 5m, 1h or 1d",
            )
        })?,
        (None, Some(text)) => match text.as_str() {
            "second" | "1s" => 1_000_000_000,
            "minute" | "1m" => hushlog_record::time::NANOS_PER_MINUTE,
            "hour" | "1h" => when::NANOS_PER_HOUR,
            "day" | "1d" => when::NANOS_PER_DAY,
            _ => {
                return Err(body.error("calendar_interval", "expected second, minute, hour or day"));
            }
        },
        _ => {
            return Err(body.error(
                "fixed_interval",
                "expected fixed_interval or calendar_interval",
            ));
        }
    };
    let offset = body.string("offset")?.unwrap_or_default();
    let offset = read_offset(&offset)
        .ok_or_else(|| body.error("offset", "expected a duration such as +30m or -1h"))?;
    if body
        .string("time_zone")?
        .is_some_and(|zone| !matches!(&*zone, "UTC" | "Z" | "+00:00"))
    {
        return Err(body.error("time_zone", "only UTC is available; use offset"));
    }
    let extended = read_bounds(body)?;
    let min_doc_count = body.integer("min_doc_count", u64::MAX)?.unwrap_or(0);
    Ok(Kind::DateHistogram {
        interval,
        offset: offset.rem_euclid(interval),
        min_doc_count,
        extended,
    })
}

fn read_offset(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        _ if text.is_empty() => Some(0),
        Some(rest) => when::duration(rest).map(|nanos| -nanos),
        None => when::duration(text.strip_prefix('+').unwrap_or(text)),
    }
}

fn read_bounds(body: &mut Object) -> Result<Option<(i64, i64)>, Error> {
    let Some(mut bounds) = body.object("extended_bounds")? else {
        return Ok(None);
    };
    let mut read = |key| {
        let text = match bounds.take(key) {
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(bounds.error(key, "expected a time")),
        };
        // Relative times would need a clock that the shards agree on; the absolute forms suffice.
        let span = when::parse(&text, hushlog_record::Timestamp::from_nanos(0));
        let span = span.filter(|_| !text.starts_with("now"));
        span.map(|span| span.first)
            .ok_or_else(|| bounds.error(key, "expected an absolute time"))
    };
    let (min, max) = (read("min")?, read("max")?);
    if min > max {
        return Err(bounds.error("min", "the start lies after the end"));
    }
    bounds.finish()?;
    Ok(Some((min, max)))
}

fn read_histogram(body: &mut Object) -> Result<Kind, Error> {
    let interval = body.number("interval")?.filter(|&interval| interval > 0.0);
    let interval = interval.ok_or_else(|| body.error("interval", "expected a number above 0"))?;
    let offset = body.number("offset")?.unwrap_or(0.0);
    let min_doc_count = body.integer("min_doc_count", u64::MAX)?.unwrap_or(0);
    Ok(Kind::Histogram {
        interval,
        offset: offset.rem_euclid(interval),
        min_doc_count,
    })
}

fn read_ranges(body: &mut Object) -> Result<Kind, Error> {
    let values = body.list("ranges", POINTS_MAX)?;
    if values.is_empty() {
        return Err(body.error("ranges", "expected at least one range"));
    }
    let mut ranges = Vec::with_capacity(values.len());
    for (i, value) in values.into_iter().enumerate() {
        let mut range = Object::new(body.path_of(&format!("ranges[{i}]")), value)?;
        let (from, to) = (range.number("from")?, range.number("to")?);
        let key = range.string("key")?;
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(range.error("from", "the start lies after the end"));
        }
        range.finish()?;
        let end = |end: Option<f64>| end.map_or_else(|| "*".into(), |end| format!("{end:?}"));
        let key = key.unwrap_or_else(|| format!("{}-{}", end(from), end(to)));
        ranges.push(RangeBucket { key, from, to });
    }
    Ok(Kind::Range { ranges })
}

fn read_metric(name: &str, body: &mut Object) -> Result<Metric, Error> {
    Ok(match name {
        "avg" => Metric::Avg,
        "sum" => Metric::Sum,
        "min" => Metric::Min,
        "max" => Metric::Max,
        "stats" => Metric::Stats,
        "value_count" => Metric::ValueCount,
        "cardinality" => Metric::Cardinality,
        _ => {
            let percents = body.list("percents", POINTS_MAX)?;
            let percents: Option<Vec<f64>> = percents
                .iter()
                .map(|value| {
                    value
                        .as_f64()
                        .filter(|percent| (0.0..=100.0).contains(percent))
                })
                .collect();
            let percents =
                percents.ok_or_else(|| body.error("percents", "expected numbers from 0 to 100"))?;
            Metric::Percentiles(if percents.is_empty() {
                PERCENTS.to_vec()
            } else {
                percents
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Vec<Aggregation>, Error> {
        let value = serde_json::from_str(&format!(r#"{{"aggs":{json}}}"#)).unwrap();
        let mut body = Object::new("", value)?;
        read(&mut body)
    }

    #[test]
    fn the_shapes_of_elasticsearch_are_read() {
        let all = parse(
            r#"{"over":{"date_histogram":{"field":"timestamp","fixed_interval":"5m"},
                "aggs":{"by":{"terms":{"field":"service.keyword","size":3,"order":{"_key":"asc"}}}}},
                "h":{"histogram":{"field":"latency_ms","interval":50}},
                "r":{"range":{"field":"n","ranges":[{"to":1},{"from":1,"to":2.5,"key":"mid"},{"from":2.5}]}},
                "p":{"percentiles":{"field":"n","percents":[50,99.9]}},
                "c":{"cardinality":{"field":"host"}},"v":{"value_count":{"field":"message"}}}"#,
        )
        .unwrap();
        assert_eq!(all.len(), 6);
        let over = all.iter().find(|a| a.name == "over").unwrap();
        assert!(matches!(
            over.kind,
            Kind::DateHistogram {
                interval: 300_000_000_000,
                ..
            }
        ));
        let by = over.children.first().unwrap();
        assert_eq!(by.field, Field::Service);
        assert!(matches!(
            by.kind,
            Kind::Terms {
                size: 3,
                order: TermsOrder::KeyAscending,
                ..
            }
        ));
        let Kind::Range { ranges } = &all.iter().find(|a| a.name == "r").unwrap().kind else {
            panic!("not a range")
        };
        let keys: Vec<_> = ranges.iter().map(|range| range.key.as_str()).collect();
        assert_eq!(keys, ["*-1.0", "mid", "2.5-*"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, expected) in [
            (r#"{"a":{}}"#, "aggregations.a: expected one of terms"),
            (r#"{"a":{"tops":{}}}"#, "aggregations.a.tops: unknown key"),
            (
                r#"{"a":{"terms":{}}}"#,
                "aggregations.a.terms.field: expected the name",
            ),
            (r#"{"a":{"terms":{"field":"message"}}}"#, "not a text"),
            (
                r#"{"a":{"terms":{"field":"x","siz":1}}}"#,
                "terms.siz: unknown key",
            ),
            (r#"{"a":{"terms":{"field":"x","size":0}}}"#, "at least 1"),
            (
                r#"{"a":{"terms":{"field":"x","size":1000000000}}}"#,
                "from 0 to 10000",
            ),
            (
                r#"{"a":{"terms":{"field":"x","order":{"_count":"up"}}}}"#,
                "order",
            ),
            (
                r#"{"a":{"date_histogram":{"field":"x","fixed_interval":"1m"}}}"#,
                "expected timestamp",
            ),
            (
                r#"{"a":{"date_histogram":{"field":"timestamp"}}}"#,
                "fixed_interval",
            ),
            (
                r#"{"a":{"date_histogram":{"field":"timestamp","fixed_interval":"0s"}}}"#,
                "duration",
            ),
            (
                r#"{"a":{"date_histogram":{"field":"timestamp","calendar_interval":"month"}}}"#,
                "minute",
            ),
            (
                r#"{"a":{"histogram":{"field":"x","interval":0}}}"#,
                "above 0",
            ),
            (
                r#"{"a":{"range":{"field":"x","ranges":[]}}}"#,
                "at least one",
            ),
            (r#"{"a":{"avg":{"field":"host"}}}"#, "numbers"),
            (
                r#"{"a":{"percentiles":{"field":"x","percents":[101]}}}"#,
                "from 0 to 100",
            ),
            (
                r#"{"a":{"avg":{"field":"x"},"sum":{"field":"x"}}}"#,
                "one kind",
            ),
            (
                r#"{"a":{"avg":{"field":"x"},"aggs":{"b":{"sum":{"field":"x"}}}}}"#,
                "takes no aggregations inside",
            ),
        ] {
            let error = parse(json).expect_err(json);
            assert!(error.to_string().contains(expected), "{json}: {error}");
        }
        let deep = (0..6).fold(r#"{"t":{"terms":{"field":"x"}}}"#.to_owned(), |inner, _| {
            format!(r#"{{"t":{{"terms":{{"field":"x"}},"aggs":{inner}}}}}"#)
        });
        assert!(
            parse(&deep)
                .expect_err("too deep")
                .to_string()
                .contains("levels deep")
        );
    }
}
