//! `/api/v1/pii/patterns`: what the cluster masks beside the built-in detectors.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use hushlog_pii::Pattern;
use serde_json::{Value, json};

use super::body::Small;
use super::{Api, Failure, Kind, json};
use crate::api::patterns::{self, Change, change};
use crate::api::policy::Changed;
use crate::limits::PATTERN_BODY_BYTES_MAX;

/// `GET /api/v1/pii/patterns`.
pub(super) async fn list(State(api): State<Api>) -> Result<Response, Failure> {
    let (epoch, patterns) = patterns::list(&api).await?;
    let body = json!({ "policy_epoch": epoch, "patterns": patterns });
    Ok(json(StatusCode::OK, &body))
}

/// `GET /api/v1/pii/patterns/{id}`.
pub(super) async fn get(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let (epoch, pattern) = patterns::get(&api, &id).await?;
    Ok(json(StatusCode::OK, &with_epoch(pattern, epoch)))
}

/// `POST /api/v1/pii/patterns`.
pub(super) async fn add(State(api): State<Api>, body: Small) -> Result<Response, Failure> {
    let members = patterns::members(&read(&api, body).await?)?;
    let added = Box::pin(change(&api, Change::Add(members))).await?;
    let status = if added.is_made {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(answer(status, &added))
}

/// `PUT /api/v1/pii/patterns/{id}`.
pub(super) async fn set(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Small,
) -> Result<Response, Failure> {
    let members = patterns::members(&read(&api, body).await?)?;
    let changed = Box::pin(change(&api, Change::Set(id, members))).await?;
    Ok(answer(StatusCode::OK, &changed))
}

/// `DELETE /api/v1/pii/patterns/{id}`.
pub(super) async fn remove(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let removed = Box::pin(change(&api, Change::Remove(id.clone()))).await?;
    let body = json!({ "pattern_id": id, "deleted": true, "policy_epoch": removed.epoch });
    Ok(json(StatusCode::OK, &body))
}

pub(super) async fn read(api: &Api, body: Small) -> Result<Bytes, Failure> {
    let body = body.read(api, PATTERN_BODY_BYTES_MAX).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        let message = "the body is empty; send a JSON object";
        return Err(Failure::new(Kind::EmptyBody, message));
    }
    Ok(body)
}

fn answer(status: StatusCode, changed: &Changed<Pattern>) -> Response {
    json(
        status,
        &with_epoch(patterns::show(&changed.outcome), changed.epoch),
    )
}

pub(super) fn with_epoch(mut pattern: Value, epoch: u64) -> Value {
    if let Some(members) = pattern.as_object_mut() {
        members.insert("policy_epoch".into(), epoch.into());
    }
    pattern
}
