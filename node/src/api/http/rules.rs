//! `/api/v1/pii/detectors`, `/countries`, `/settings` and `/findings`: what the built-in detectors do, and what
//! all rules have found.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::body::Small;
use super::patterns::{read, with_epoch};
use super::{Api, Failure, json};
use crate::api::policy::Changed;
use crate::api::rules::{self, Members, Settings};

/// `GET /api/v1/pii/detectors`.
pub(super) async fn detectors(State(api): State<Api>) -> Result<Response, Failure> {
    let (epoch, detectors) = rules::detectors(&api).await?;
    let body = json!({ "policy_epoch": epoch, "detectors": detectors });
    Ok(json(StatusCode::OK, &body))
}

/// `GET /api/v1/pii/detectors/{name}`.
pub(super) async fn detector(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let (epoch, detector) = rules::detector(&api, &name).await?;
    Ok(json(StatusCode::OK, &with_epoch(detector, epoch)))
}

/// `PUT /api/v1/pii/detectors/{name}`.
pub(super) async fn set_detector(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Small,
) -> Result<Response, Failure> {
    let members = Members::read(&read(&api, body).await?)?;
    let changed = Box::pin(rules::set_detector(&api, &name, Some(members))).await?;
    Ok(answer(changed))
}

/// `DELETE /api/v1/pii/detectors/{name}`: as this release has it.
pub(super) async fn reset_detector(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let changed = Box::pin(rules::set_detector(&api, &name, None)).await?;
    Ok(answer(changed))
}

/// `GET /api/v1/pii/countries`.
pub(super) async fn countries(State(api): State<Api>) -> Result<Response, Failure> {
    let (epoch, countries) = rules::countries(&api).await?;
    let body = json!({ "policy_epoch": epoch, "countries": countries });
    Ok(json(StatusCode::OK, &body))
}

/// `PUT /api/v1/pii/countries/{code}`: its numbers are looked for.
pub(super) async fn add_country(
    State(api): State<Api>,
    Path(code): Path<String>,
) -> Result<Response, Failure> {
    let changed = Box::pin(rules::set_country(&api, &code, true)).await?;
    Ok(answer(changed))
}

/// `DELETE /api/v1/pii/countries/{code}`.
pub(super) async fn remove_country(
    State(api): State<Api>,
    Path(code): Path<String>,
) -> Result<Response, Failure> {
    let changed = Box::pin(rules::set_country(&api, &code, false)).await?;
    Ok(answer(changed))
}

/// `GET /api/v1/pii/settings`.
pub(super) async fn settings(State(api): State<Api>) -> Result<Response, Failure> {
    let (epoch, settings) = rules::settings(&api).await?;
    Ok(json(StatusCode::OK, &with_epoch(settings, epoch)))
}

/// `PUT /api/v1/pii/settings`.
pub(super) async fn set_settings(State(api): State<Api>, body: Small) -> Result<Response, Failure> {
    let asked = Settings::read(&read(&api, body).await?)?;
    let changed = Box::pin(rules::set_settings(&api, asked)).await?;
    Ok(answer(changed))
}

/// Why the findings of a node are missing that has shown its books.
const EARLIER_RELEASE: &str = "it is of an earlier release, which does not show them";

/// `GET /api/v1/pii/findings`: how often each rule has found something, on all nodes since they started.
pub(super) async fn findings(State(api): State<Api>) -> Result<Response, Failure> {
    let books = api.control.books().await;
    let mut rules: Vec<_> = books.findings().collect();
    rules.sort_by_key(|(rule, _)| *rule);
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|(rule, found)| json!({"rule": rule, "masked": found.masked, "observed": found.observed}))
        .collect();
    let silent = books.silent.iter().map(|node| (node, EARLIER_RELEASE));
    let missing: BTreeMap<String, &str> = books
        .missing
        .iter()
        .map(|(node, why)| (node, why.as_str()))
        .chain(silent)
        .map(|(node, why)| (node.to_string(), why))
        .collect();
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::PARTIAL_CONTENT
    };
    let partial = !missing.is_empty();
    let body = json!({"rules": rules, "partial": partial, "nodes_missing": missing});
    Ok(json(status, &body))
}

fn answer(changed: Changed<Value>) -> Response {
    json(StatusCode::OK, &with_epoch(changed.outcome, changed.epoch))
}
