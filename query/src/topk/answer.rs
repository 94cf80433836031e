//! The body of a top-k answer.

use hushlog_record::{ExceptionId, LogId, Timestamp};
use hushlog_sketch::{Exceptions, Top};

use super::{TopK, TopKPartial};
use crate::hit::push_text;
use crate::merge::Shards;

/// Merges what the shards counted into the body of the answer.
pub fn render(
    request: &TopK,
    partials: &[TopKPartial],
    shards: &Shards,
    execution_time_ms: u64,
) -> String {
    let mut all = Exceptions::new();
    partials
        .iter()
        .for_each(|partial| all.merge(&partial.exceptions));
    let mut out = String::from("{\"window\":");
    push_text(&request.window, &mut out);
    out.push_str(",\"service\":");
    match &request.service {
        Some(service) => push_text(service, &mut out),
        None => out.push_str("null"),
    }
    let start = Timestamp::from_nanos(request.times.start);
    let end = Timestamp::from_nanos(request.times.end);
    out.push_str(&format!(
        ",\"start\":\"{start}\",\"end\":\"{end}\",\"exceptions\":["
    ));
    for (i, top) in all.top(request.k, request.fold_services).iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_top(top, &mut out);
    }
    out.push_str(&format!(
        "],\"shards\":{},\"partial\":{},\"execution_time_ms\":{execution_time_ms}}}",
        shards.json(),
        shards.is_partial()
    ));
    out
}

fn push_top(top: &Top, out: &mut String) {
    match &top.service_name {
        Some(service) => {
            let id = ExceptionId::of(&top.type_name, service);
            out.push_str(&format!("{{\"exception_id\":\"{id}\",\"exception_type\":"));
            push_text(&top.type_name, out);
            out.push_str(",\"service_name\":");
            push_text(service, out);
        }
        // An exception's id is of one service; a row over all of them has none.
        None => {
            out.push_str("{\"exception_id\":null,\"exception_type\":");
            push_text(&top.type_name, out);
            out.push_str(",\"service_name\":null");
        }
    }
    let first = Timestamp::from_nanos(top.first_seen);
    let last = Timestamp::from_nanos(top.last_seen);
    let samples: Vec<_> = top
        .samples
        .iter()
        .map(|id| format!("\"{}\"", LogId(*id)))
        .collect();
    out.push_str(&format!(
        ",\"count\":{},\"count_error\":{},\"first_seen\":\"{first}\",\"last_seen\":\"{last}\",\"sample_log_ids\":[{}]}}",
        top.count,
        top.count_error,
        samples.join(",")
    ));
}
