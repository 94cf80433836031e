//! What masking does to a text; nothing of it is kept.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hushlog_pii::{Findings, Span};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Small;
use super::{Api, Failure, Kind, json};
use crate::api::policy::newest;
use crate::limits::PII_TEST_BYTES_MAX;

#[derive(Deserialize)]
struct Test {
    text: String,
    /// The service and the place that the text is taken to be of; a message of none without them.
    #[serde(default)]
    service: String,
    #[serde(default = "message")]
    path: String,
}

fn message() -> String {
    "message".to_owned()
}

/// `POST /api/v1/pii/test`.
pub(super) async fn test(State(api): State<Api>, body: Small) -> Result<Response, Failure> {
    // JSON may spell each byte in six.
    let body = body.read(&api, PII_TEST_BYTES_MAX * 6 + 64).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::new(
            Kind::EmptyBody,
            "the body is empty; send {\"text\":\"…\"}",
        ));
    }
    if let Err(failure) = newest(&api).await {
        // What this node knows is shown, with its epoch.
        tracing::debug!(%failure, "the test shows what this node knows");
    }
    let masker = api.masking.current();
    let answer = api.offload.run(move || {
        let test: Test = serde_json::from_slice(&body).map_err(|_| {
            Failure::new(
                Kind::InvalidBody,
                "the body must be a JSON object with a string `text`, and perhaps `service` and `path`",
            )
        })?;
        if test.text.len() > PII_TEST_BYTES_MAX {
            return Err(super::too_large(PII_TEST_BYTES_MAX));
        }
        let findings = masker.mask_text_in(&test.text, &test.service, &test.path);
        Ok(describe(&test.text, &findings, masker.epoch()))
    });
    Ok(json(StatusCode::OK, &answer.await??))
}

/// Offsets go out in code points of the text that was sent.
fn describe(text: &str, findings: &Findings<'_>, epoch: u64) -> Value {
    let spans = shown(text, &findings.spans);
    let observed = shown(text, &findings.observed);
    json!({
        "masked": findings.masked,
        "spans": spans,
        "observed": observed,
        "policy_epoch": epoch,
    })
}

/// Spans in the order of their starts. The text is counted once, however many lie in one another.
fn shown(text: &str, spans: &[Span]) -> Vec<Value> {
    let mut spans: Vec<&Span> = spans.iter().collect();
    spans.sort_by_key(|span| (span.start, span.end));
    let mut bytes: Vec<usize> = spans.iter().flat_map(|s| [s.start, s.end]).collect();
    bytes.sort_unstable();
    bytes.dedup();
    let mut counted = (0, 0);
    let count = |byte: &usize| {
        let more = text
            .get(counted.0..*byte)
            .map_or(0, |part| part.chars().count());
        counted = (*byte, counted.1 + more);
        counted.1
    };
    let counts: Vec<usize> = bytes.iter().map(count).collect();
    let code_points = |byte: usize| {
        let place = bytes.binary_search(&byte).ok();
        place.and_then(|place| counts.get(place))
    };
    let span = |span: &Span| {
        json!({
            "start": code_points(span.start),
            "end": code_points(span.end),
            "detector": span.detector,
            "strategy": span.strategy.name(),
        })
    };
    spans.into_iter().map(span).collect()
}

#[cfg(test)]
mod tests {
    use hushlog_pii::Strategy;

    use super::*;

    fn span(start: usize, end: usize) -> Span {
        Span {
            start,
            end,
            detector: "some".into(),
            strategy: Strategy::Redact,
        }
    }

    #[test]
    fn spans_in_one_another_are_shown_in_code_points() {
        let spans = [span(4, 9), span(0, 12), span(2, 9), span(2, 4)];
        let places: Vec<_> = shown("éé…é…", &spans)
            .iter()
            .map(|span| [span["start"].as_u64(), span["end"].as_u64()])
            .collect();
        let expected = [[0, 5], [1, 2], [1, 4], [2, 4]];
        assert_eq!(places, expected.map(|place| place.map(Some)));
    }

    /// Counted for each of them, the text would be read for 200 GB: this would not come to its end.
    #[test]
    fn very_many_spans_in_one_another_are_counted_once() {
        let text = "é".repeat(1 << 20);
        let spans: Vec<Span> = (0..100_000).map(|i| span(2 * i, text.len())).collect();
        let shown = shown(&text, &spans);
        assert_eq!(shown.len(), spans.len());
        let last = shown.last().expect("there are some");
        assert_eq!(
            (&last["start"], &last["end"]),
            (&json!(99_999), &json!(1 << 20))
        );
    }
}
