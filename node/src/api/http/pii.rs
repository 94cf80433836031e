//! What masking does to a text; nothing of it is kept.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hushlog_pii::{Findings, Span};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::read_small;
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
pub(super) async fn test(State(api): State<Api>, body: Body) -> Result<Response, Failure> {
    // JSON may spell each byte in six.
    let body = read_small(body, PII_TEST_BYTES_MAX * 6 + 64).await?;
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

/// Spans in the order of their starts.
fn shown(text: &str, spans: &[Span]) -> Vec<Value> {
    let mut spans: Vec<&Span> = spans.iter().collect();
    spans.sort_by_key(|span| (span.start, span.end));
    let mut counted = (0, 0);
    let mut code_points = |byte: usize| {
        // Those that are only observed may lie in one another.
        if byte < counted.0 {
            counted = (0, 0);
        }
        let more = text
            .get(counted.0..byte)
            .map_or(0, |part| part.chars().count());
        counted = (byte, counted.1 + more);
        counted.1
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
