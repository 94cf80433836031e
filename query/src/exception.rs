//! One exception in detail: up to three ordinary plans, and their answers in another shape.
//!
//! The first asks about the window. Where that is empty, the second asks about all that is kept, so that an
//! exception that was seen earlier is still told from one that never was. Aggregations know times to the
//! millisecond; where the oldest record is not among the samples, the last asks for it alone.

use hushlog_record::{ExceptionId, Timestamp};
use serde_json::Value;

use crate::hit::{push_text, write_json};
use crate::limits::{AFFECTED_MAX, SAMPLE_LOGS_MAX};
use crate::merge::Answer;
use crate::plan::{Interval, Plan};
use crate::topk::{Params, TopK};
use crate::{Error, when};

/// `window` when a request names none.
pub const WINDOW_DEFAULT: &str = "24h";
/// Times in aggregations are rounded down to this.
const NANOS_PER_MILLI: i64 = 1_000_000;
/// Points of a trend: intervals are chosen so that there are not many more.
const TREND_POINTS: i64 = 60;

/// Plans the details of an exception over a window that ends now.
///
/// # Errors
/// [`Error::Request`] when the window is none.
pub fn plan(id: ExceptionId, window: Option<&str>, now: Timestamp) -> Result<Plan, Error> {
    let window = Some(window.unwrap_or(WINDOW_DEFAULT).to_owned());
    let params = Params {
        window,
        ..Params::default()
    };
    let times = TopK::new(params, now)?.times;
    let length = times.end.saturating_sub(times.start);
    let interval = when_interval(length / hushlog_record::time::NANOS_PER_MINUTE);
    let trend = format!(
        r#""trend":{{"date_histogram":{{"field":"timestamp","fixed_interval":"{interval}m"}}}},"#
    );
    details(id, &range(times.start, times.end), &trend, now)
}

/// Plans the same over all that is kept, without a trend.
///
/// # Errors
/// Never in fact; those of [`Plan::new`].
pub fn plan_ever(id: ExceptionId, now: Timestamp) -> Result<Plan, Error> {
    details(id, "{}", "", now)
}

/// Plans the search for the oldest record, given what was asked about and the answer to that; `None` where the
/// answer has it.
///
/// # Errors
/// Never in fact; those of [`Plan::new`].
pub fn plan_first(
    id: ExceptionId,
    asked: Interval,
    answer: &Answer,
    now: Timestamp,
) -> Result<Option<Plan>, Error> {
    let first = answer.aggregations.as_ref();
    let first = first.and_then(|found| found["first"]["value"].as_f64());
    let Some(first) = first.filter(|_| has_more(answer)) else {
        return Ok(None);
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole milliseconds of a time"
    )]
    let first = Timestamp::from_millis(first as i64);
    let start = first.nanos().max(asked.first);
    let end = first.saturating_add(NANOS_PER_MILLI).nanos();
    let end = end.min(asked.last.saturating_add(1));
    let json = format!(
        r#"{{"query":"exception_id:{id}","filters":{{"timestamp_range":{}}},
        "sort":{{"field":"timestamp","order":"asc"}},"limit":1}}"#,
        range(start, end)
    );
    Plan::new(json.as_bytes(), now).map(Some)
}

/// A range as filters have it: the end is not in it.
fn range(start: i64, end: i64) -> String {
    let [start, end] = [start, end].map(Timestamp::from_nanos);
    format!(r#"{{"start":"{start}","end":"{end}"}}"#)
}

fn details(id: ExceptionId, range: &str, trend: &str, now: Timestamp) -> Result<Plan, Error> {
    let json = format!(
        r#"{{"query":"exception_id:{id}","filters":{{"timestamp_range":{range}}},
        "limit":{SAMPLE_LOGS_MAX},"aggregations":{{{trend}
        "first":{{"min":{{"field":"timestamp"}}}},
        "hosts":{{"terms":{{"field":"host","size":{AFFECTED_MAX}}}}},
        "regions":{{"terms":{{"field":"region","size":{AFFECTED_MAX}}}}},
        "users":{{"terms":{{"field":"fields.user_id","size":{AFFECTED_MAX}}}}},
        "signatures":{{"terms":{{"field":"exception.signature","size":{AFFECTED_MAX}}}}}}}}}"#
    );
    Plan::new(json.as_bytes(), now)
}

/// Whether records were found that are not among the hits.
fn has_more(answer: &Answer) -> bool {
    answer.total > answer.hits.len() as u64
}

/// Minutes per point of a trend.
fn when_interval(minutes: i64) -> i64 {
    const STEPS: [i64; 9] = [1, 5, 15, 30, 60, 180, 360, 720, 1_440];
    let fits = STEPS
        .into_iter()
        .find(|step| minutes / step <= TREND_POINTS);
    fits.unwrap_or(when::NANOS_PER_DAY / hushlog_record::time::NANOS_PER_MINUTE)
}

/// What was found of one exception.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The answer about the window; or, where that found nothing, about all that is kept.
    pub answer: &'a Answer,
    /// Whether that is about the window. If not, the exception did not occur in it.
    pub in_window: bool,
    /// The answer to the search for the oldest record, if one was needed.
    pub first: Option<&'a Answer>,
}

/// The body of the answer; `None` when the exception was not found.
pub fn render(id: ExceptionId, seen: &Seen<'_>) -> Option<String> {
    let answer = seen.answer;
    let newest = answer.hits.first()?;
    let exception = newest.record.exception.as_ref()?;
    let aggregations = answer.aggregations.as_ref()?;
    // Counts are those of the window.
    let count = |count: u64| if seen.in_window { count } else { 0 };
    let mut out = format!("{{\"exception_id\":\"{id}\",\"exception_type\":");
    push_text(&exception.type_name, &mut out);
    out.push_str(",\"service_name\":");
    push_text(&newest.record.service_name, &mut out);
    out.push_str(&format!(
        ",\"count\":{},\"first_seen\":{},\"last_seen\":\"{}\",\"trend\":[",
        count(answer.total),
        first_seen(seen),
        newest.record.timestamp
    ));
    let points = buckets(aggregations, "trend").map(|b| {
        format!(
            "{{\"timestamp\":{},\"count\":{}}}",
            b["key_as_string"], b["doc_count"]
        )
    });
    out.push_str(&points.collect::<Vec<_>>().join(","));
    out.push_str("],\"sample_logs\":[");
    for (i, hit) in answer.hits.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_json(&hit.record, &mut out);
    }
    out.push_str("],\"affected\":{");
    for (i, name) in ["hosts", "regions", "users"].into_iter().enumerate() {
        let keys = buckets(aggregations, name).map(|bucket| bucket["key"].to_string());
        let keys = keys.collect::<Vec<_>>().join(",");
        out.push_str(&format!(
            "{}\"{name}\":[{keys}]",
            if i > 0 { "," } else { "" }
        ));
    }
    out.push_str("},\"signatures\":[");
    let signatures = buckets(aggregations, "signatures").map(|bucket| {
        format!(
            "{{\"signature\":{},\"count\":{}}}",
            bucket["key"],
            count(bucket["doc_count"].as_u64().unwrap_or_default())
        )
    });
    out.push_str(&signatures.collect::<Vec<_>>().join(","));
    out.push_str("]}");
    Some(out)
}

/// The time of the oldest record, as JSON: to the nanosecond, but for a record that was not found again.
fn first_seen(seen: &Seen<'_>) -> String {
    let answer = seen.answer;
    let oldest = match seen.first {
        Some(first) => first.hits.first(),
        None => answer.hits.last().filter(|_| !has_more(answer)),
    };
    let rough = || {
        let aggregations = answer.aggregations.as_ref();
        aggregations.map_or(Value::Null, |found| {
            found["first"]["value_as_string"].clone()
        })
    };
    oldest.map_or_else(
        || rough().to_string(),
        |hit| format!("\"{}\"", hit.record.timestamp),
    )
}

fn buckets<'a>(aggregations: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    aggregations[name]["buckets"]
        .as_array()
        .into_iter()
        .flatten()
}
