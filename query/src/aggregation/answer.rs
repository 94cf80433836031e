//! The JSON of aggregations, in the shapes of Elasticsearch.

use std::collections::BTreeMap;

use hushlog_record::Timestamp;
use serde_json::{Map, Value, json};

use super::metric::{MetricState, Numbers};
use super::state::{Bucket, Buckets, Key, State, empty};
use super::{Aggregation, Kind, Metric, RangeBucket, TermsOrder};
use crate::Error;
use crate::field::Nature;
use crate::limits::BUCKETS_ANSWERED_MAX;

/// The `aggregations` object.
///
/// # Errors
/// [`Error::Buckets`] when it would hold too many.
pub(crate) fn render(aggregations: &[Aggregation], states: &[State]) -> Result<Value, Error> {
    let mut count = 0;
    render_level(aggregations, states, &mut count).map(Value::Object)
}

fn render_level(
    aggregations: &[Aggregation],
    states: &[State],
    count: &mut usize,
) -> Result<Map<String, Value>, Error> {
    let mut all = Map::new();
    for (aggregation, state) in aggregations.iter().zip(states) {
        let value = match state {
            State::Metric(metric) => render_metric(aggregation, metric),
            State::Buckets(buckets) => render_buckets(aggregation, buckets, count)?,
        };
        all.insert(aggregation.name.clone(), value);
    }
    Ok(all)
}

/// Counts a bucket against the limit.
fn admit(count: &mut usize) -> Result<(), Error> {
    *count += 1;
    if *count > BUCKETS_ANSWERED_MAX {
        return Err(Error::Buckets(BUCKETS_ANSWERED_MAX));
    }
    Ok(())
}

fn render_buckets(
    aggregation: &Aggregation,
    buckets: &Buckets,
    count: &mut usize,
) -> Result<Value, Error> {
    match &aggregation.kind {
        Kind::Terms {
            size,
            order,
            min_doc_count,
        } => render_terms(aggregation, buckets, (*size, *order, *min_doc_count), count),
        Kind::DateHistogram {
            interval,
            offset,
            min_doc_count,
            extended,
        } => {
            let place = |time: i64| super::collect::place(time, *interval, *offset);
            let extended = extended.map(|(from, to)| (place(from), place(to)));
            let head = |place: i64| {
                let millis = place.saturating_mul(*interval).saturating_add(*offset) / 1_000_000;
                vec![
                    ("key_as_string", json!(iso_millis(millis))),
                    ("key", json!(millis)),
                ]
            };
            let places = places(buckets, *min_doc_count, extended)?;
            render_places(aggregation, buckets, &places, head, count)
        }
        Kind::Histogram {
            interval,
            offset,
            min_doc_count,
        } => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a place is about a float anyway"
            )]
            let head = |place: i64| vec![("key", json!(place as f64 * interval + offset))];
            let places = places(buckets, *min_doc_count, None)?;
            render_places(aggregation, buckets, &places, head, count)
        }
        Kind::Range { ranges } => {
            let places: Vec<i64> = (0..).zip(ranges).map(|(place, _)| place).collect();
            let head = |place: i64| {
                let range = usize::try_from(place)
                    .ok()
                    .and_then(|place| ranges.get(place));
                range.map_or_else(Vec::new, range_head)
            };
            render_places(aggregation, buckets, &places, head, count)
        }
        Kind::Metric(_) => Ok(Value::Null),
    }
}

fn range_head(range: &RangeBucket) -> Vec<(&'static str, Value)> {
    let mut head = vec![("key", json!(range.key))];
    head.extend(range.from.map(|from| ("from", json!(from))));
    head.extend(range.to.map(|to| ("to", json!(to))));
    head
}

/// The places to show: all that have enough records, with the gaps between them when none are asked.
fn places(
    buckets: &Buckets,
    min_doc_count: u64,
    extended: Option<(i64, i64)>,
) -> Result<Vec<i64>, Error> {
    let full = buckets
        .map
        .iter()
        .filter(|(_, bucket)| bucket.count >= min_doc_count);
    let full = full.filter_map(|(key, _)| {
        if let Key::Place(place) = key {
            Some(*place)
        } else {
            None
        }
    });
    let full: Vec<i64> = full.collect();
    if min_doc_count > 0 {
        return Ok(full);
    }
    let ends = full
        .iter()
        .copied()
        .chain(extended.into_iter().flat_map(|(from, to)| [from, to]));
    let (Some(first), Some(last)) = (ends.clone().min(), ends.max()) else {
        return Ok(full);
    };
    let span = last
        .checked_sub(first)
        .and_then(|span| usize::try_from(span).ok());
    match span {
        Some(span) if span < BUCKETS_ANSWERED_MAX => Ok((first..=last).collect()),
        _ => Err(Error::Buckets(BUCKETS_ANSWERED_MAX)),
    }
}

fn render_places(
    aggregation: &Aggregation,
    buckets: &Buckets,
    places: &[i64],
    head: impl Fn(i64) -> Vec<(&'static str, Value)>,
    count: &mut usize,
) -> Result<Value, Error> {
    let none = Bucket {
        count: 0,
        children: empty(&aggregation.children),
    };
    let mut all = Vec::with_capacity(places.len());
    for &place in places {
        let bucket = buckets.map.get(&Key::Place(place)).unwrap_or(&none);
        all.push(render_bucket(aggregation, head(place), bucket, count)?);
    }
    Ok(json!({ "buckets": all }))
}

fn render_bucket(
    aggregation: &Aggregation,
    head: Vec<(&'static str, Value)>,
    bucket: &Bucket,
    count: &mut usize,
) -> Result<Value, Error> {
    admit(count)?;
    let mut object: Map<String, Value> = head
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    object.insert("doc_count".into(), json!(bucket.count));
    object.extend(render_level(
        &aggregation.children,
        &bucket.children,
        count,
    )?);
    Ok(Value::Object(object))
}

fn render_terms(
    aggregation: &Aggregation,
    buckets: &Buckets,
    (size, order, min_doc_count): (usize, TermsOrder, u64),
    count: &mut usize,
) -> Result<Value, Error> {
    let mut all: Vec<_> = buckets
        .map
        .iter()
        .filter(|(_, bucket)| bucket.count >= min_doc_count)
        .collect();
    match order {
        TermsOrder::CountDescending => {
            all.sort_by_key(|(_, bucket)| std::cmp::Reverse(bucket.count))
        }
        TermsOrder::CountAscending => all.sort_by_key(|(_, bucket)| bucket.count),
        TermsOrder::KeyAscending => {}
        TermsOrder::KeyDescending => all.reverse(),
    }
    let others: u64 = all.iter().skip(size).map(|(_, bucket)| bucket.count).sum();
    let mut shown = Vec::new();
    for (key, bucket) in all.into_iter().take(size) {
        shown.push(render_bucket(aggregation, key_head(key), bucket, count)?);
    }
    Ok(json!({
        "doc_count_error_upper_bound": buckets.error,
        "sum_other_doc_count": others + buckets.cut_count,
        "buckets": shown,
    }))
}

fn key_head(key: &Key) -> Vec<(&'static str, Value)> {
    match key {
        Key::Text(text) => vec![("key", json!(text))],
        Key::Number(number) => {
            let literal = number.to_string();
            let value = serde_json::from_str(&literal).unwrap_or(Value::String(literal));
            vec![("key", value)]
        }
        Key::Bool(truth) => {
            vec![
                ("key", json!(u8::from(*truth))),
                ("key_as_string", json!(truth.to_string())),
            ]
        }
        Key::Place(place) => vec![("key", json!(place))],
    }
}

/// `2026-01-02T03:04:05.000Z`, as Elasticsearch writes it.
fn iso_millis(millis: i64) -> String {
    let text = Timestamp::from_millis(millis).to_string();
    match (text.strip_suffix('Z'), text.find('.')) {
        (Some(whole), None) => format!("{whole}.000Z"),
        (Some(whole), Some(point)) => format!("{whole:0<width$}Z", width = point + 4),
        (None, _) => text,
    }
}

fn render_metric(aggregation: &Aggregation, state: &MetricState) -> Value {
    let Kind::Metric(metric) = &aggregation.kind else {
        return Value::Null;
    };
    let is_time = aggregation.field.nature() == Nature::Time;
    match state {
        MetricState::Count(count) => json!({ "value": count }),
        MetricState::Distinct(distinct) => json!({ "value": distinct.count() }),
        MetricState::Numbers(numbers) => render_numbers(metric, numbers, is_time),
        MetricState::Quantiles(quantiles) => {
            let Metric::Percentiles(percents) = metric else {
                return Value::Null;
            };
            let values: BTreeMap<String, Value> = percents
                .iter()
                .map(|&percent| (format!("{percent:?}"), json!(quantiles.percentile(percent))))
                .collect();
            let mut ordered = Map::new();
            for percent in percents {
                let key = format!("{percent:?}");
                ordered.insert(
                    key.clone(),
                    values.get(&key).cloned().unwrap_or(Value::Null),
                );
            }
            json!({ "values": ordered })
        }
    }
}

fn render_numbers(metric: &Metric, numbers: &Numbers, is_time: bool) -> Value {
    let any = numbers.count > 0;
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts beyond 2^53 do not occur"
    )]
    let mean = any.then(|| numbers.sum / numbers.count as f64);
    let (min, max) = (any.then_some(numbers.min), any.then_some(numbers.max));
    let single = |value: Option<f64>| {
        let mut object = Map::new();
        object.insert("value".into(), json!(value));
        if let Some(value) = value.filter(|_| is_time) {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a time")]
            object.insert("value_as_string".into(), json!(iso_millis(value as i64)));
        }
        Value::Object(object)
    };
    match metric {
        Metric::Avg => single(mean),
        Metric::Min => single(min),
        Metric::Max => single(max),
        Metric::Sum => json!({ "value": numbers.sum }),
        _ => json!({
            "count": numbers.count, "min": min, "max": max, "avg": mean, "sum": numbers.sum,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_of_fraction() {
        assert_eq!(iso_millis(1_767_323_045_000), "2026-01-02T03:04:05.000Z");
        assert_eq!(iso_millis(1_767_323_045_120), "2026-01-02T03:04:05.120Z");
        assert_eq!(iso_millis(-1), "1969-12-31T23:59:59.999Z");
    }
}
