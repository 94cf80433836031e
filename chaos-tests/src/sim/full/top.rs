//! C10 for exceptions: what top-k counts of a service, against what was sent.
//!
//! Every record of a level ERROR carries one exception of the same type, so that a service has one row.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::clients::{Answer, Clients, Exceptions};
use crate::sim::stage::EPOCH;

/// Longer than clocks are wrong, so that the window covers whatever time a record was given.
const AHEAD: i64 = 2 * 3_600_000;
/// What every exception is.
pub(super) const TYPE: &str = "MailError";

/// Asks a node for a service's exceptions at the end of a run, and holds the answer to what was sent.
pub(super) async fn check(clients: &Clients, node: u64, service: u64) {
    let base = clients.base();
    let asked_at = base.trace.millis();
    let end = hushlog_record::Timestamp::from_millis(EPOCH + AHEAD);
    let path = format!("/api/v1/exceptions/top-k?k=10&window=24h&service=svc-{service}&end={end}");
    let request = (Method::GET, node, path.as_str());
    let answer = clients
        .ask(request, &[], Bytes::new(), Duration::from_secs(8))
        .await;
    let may_be = clients.exceptions(service, asked_at);
    // One that has left meanwhile answers nothing.
    if let Some(wrong) = judge(&answer, service, &may_be).filter(|_| clients.is_open(node)) {
        clients.violate(format!(
            "C10 top-k of svc-{service} at node {node}: {wrong}"
        ));
    }
    base.stats.lock().reads += 1;
}

/// What is wrong with an answer, if anything is.
fn judge(answer: &Answer, service: u64, may_be: &Exceptions) -> Option<String> {
    let body = match answer {
        Ok((StatusCode::OK, body)) if body["partial"] == Value::Bool(false) => body,
        other => return Some(format!("{other:?}")),
    };
    let empty = Vec::new();
    let rows = body["exceptions"].as_array().unwrap_or(&empty);
    let name = format!("svc-{service}");
    let strange = rows
        .iter()
        .find(|row| row["exception_type"] != TYPE || row["service_name"] != name.as_str());
    if strange.is_some() || rows.len() > 1 {
        return Some(format!("nobody sent these: {rows:?}"));
    }
    let number = |name: &str| rows.first().map_or(Some(0), |row| row[name].as_u64());
    let (Some(count), Some(error)) = (number("count"), number("count_error")) else {
        return Some(format!("no count in {rows:?}"));
    };
    let Exceptions { acked, most } = *may_be;
    let is_right = acked <= count && count.saturating_sub(error) <= most;
    (!is_right).then(|| {
        format!("{count} counted, at most {error} too many; {acked} were acknowledged, {most} sent")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_that_cannot_be_is_seen() {
        let answer = |rows: Value| {
            Ok((
                StatusCode::OK,
                json!({"partial": false, "exceptions": rows}),
            ))
        };
        let row = |count: u64, error: u64| {
            answer(json!([{
                "exception_type": TYPE, "service_name": "svc-1", "count": count, "count_error": error,
            }]))
        };
        let judged = |answer: &Answer, acked, most| judge(answer, 1, &Exceptions { acked, most });
        assert_eq!(judged(&row(7, 0), 7, 7), None);
        assert_eq!(judged(&row(8, 0), 7, 9), None);
        assert_eq!(judged(&row(8, 1), 7, 7), None);
        assert!(judged(&row(6, 0), 7, 9).is_some(), "one is missing");
        assert!(judged(&row(8, 0), 7, 7).is_some(), "one too many");
        assert_eq!(judged(&answer(json!([])), 0, 3), None);
        assert!(judged(&answer(json!([])), 1, 3).is_some(), "none is there");
        let other = answer(json!([{"exception_type": "X", "service_name": "svc-1", "count": 7}]));
        assert!(judged(&other, 7, 7).is_some(), "nobody sent it");
        let partial = Ok((StatusCode::OK, json!({"partial": true, "exceptions": []})));
        assert!(judged(&partial, 0, 0).is_some());
    }
}
