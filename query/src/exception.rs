//! One exception in detail: an ordinary plan, and its answer in another shape.

use hushlog_record::{ExceptionId, Timestamp};
use serde_json::Value;

use crate::hit::{push_text, write_json};
use crate::limits::{AFFECTED_MAX, SAMPLE_LOGS_MAX};
use crate::merge::Answer;
use crate::plan::Plan;
use crate::topk::{Params, TopK};
use crate::{Error, when};

/// `window` when a request names none.
pub const WINDOW_DEFAULT: &str = "24h";
/// Points of a trend: intervals are chosen so that there are not many more.
const TREND_POINTS: i64 = 60;

/// Plans the details of an exception over a window of whole minutes that ends now.
///
/// # Errors
/// [`Error::Request`] when the window is none.
pub fn plan(id: ExceptionId, window: Option<&str>, now: Timestamp) -> Result<Plan, Error> {
    let window = Some(window.unwrap_or(WINDOW_DEFAULT).to_owned());
    let window = TopK::new(
        Params {
            window,
            ..Params::default()
        },
        now,
    )?;
    let length = window.minutes.end - window.minutes.start;
    let interval = when_interval(length);
    let start = Timestamp::from_minute(window.minutes.start);
    let end = Timestamp::from_minute(window.minutes.end);
    let json = format!(
        r#"{{"query":"exception_id:{id}","filters":{{"timestamp_range":{{"start":"{start}","end":"{end}"}}}},
        "limit":{SAMPLE_LOGS_MAX},"aggregations":{{
        "trend":{{"date_histogram":{{"field":"timestamp","fixed_interval":"{interval}m"}}}},
        "first":{{"min":{{"field":"timestamp"}}}},"last":{{"max":{{"field":"timestamp"}}}},
        "hosts":{{"terms":{{"field":"host","size":{AFFECTED_MAX}}}}},
        "regions":{{"terms":{{"field":"region","size":{AFFECTED_MAX}}}}},
        "users":{{"terms":{{"field":"fields.user_id","size":{AFFECTED_MAX}}}}},
        "signatures":{{"terms":{{"field":"exception.signature","size":{AFFECTED_MAX}}}}}}}}}"#
    );
    Plan::new(json.as_bytes(), now)
}

/// Minutes per point of a trend.
fn when_interval(minutes: i64) -> i64 {
    const STEPS: [i64; 9] = [1, 5, 15, 30, 60, 180, 360, 720, 1_440];
    let fits = STEPS
        .into_iter()
        .find(|step| minutes / step <= TREND_POINTS);
    fits.unwrap_or(when::NANOS_PER_DAY / hushlog_record::time::NANOS_PER_MINUTE)
}

/// The body of the answer; `None` when the exception did not occur.
pub fn render(id: ExceptionId, answer: &Answer) -> Option<String> {
    let newest = answer.hits.first()?;
    let exception = newest.record.exception.as_ref()?;
    let aggregations = answer.aggregations.as_ref()?;
    let mut out = format!("{{\"exception_id\":\"{id}\",\"exception_type\":");
    push_text(&exception.type_name, &mut out);
    out.push_str(",\"service_name\":");
    push_text(&newest.record.service_name, &mut out);
    let time = |name: &str| &aggregations[name]["value_as_string"];
    out.push_str(&format!(
        ",\"count\":{},\"first_seen\":{},\"last_seen\":{},\"trend\":[",
        answer.total,
        time("first"),
        time("last")
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
            bucket["key"], bucket["doc_count"]
        )
    });
    out.push_str(&signatures.collect::<Vec<_>>().join(","));
    out.push_str("]}");
    Some(out)
}

fn buckets<'a>(aggregations: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    aggregations[name]["buckets"]
        .as_array()
        .into_iter()
        .flatten()
}
