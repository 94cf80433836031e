//! Searching, and looking up by id.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use hushlog_record::LogId;
use serde::Deserialize;
use tokio::time::Instant;

use super::body::Small;
use super::{Api, Failure, Kind, raw_json};
use crate::api::Answer;
use crate::limits::{CONTEXT_ROWS_MAX, QUERY_BODY_BYTES_MAX};

/// 206 when a shard is missing: no answer is silently partial.
pub(super) fn respond(answer: Answer) -> Response {
    let status = if answer.partial {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    raw_json(status, answer.json)
}

/// `POST /api/v1/logs/query`.
pub(super) async fn search(State(api): State<Api>, body: Small) -> Result<Response, Failure> {
    let _room = api.admit_query()?;
    let body = body.read(&api, QUERY_BODY_BYTES_MAX).await?;
    let began = Instant::now();
    let answer = api.reader.search(body, api.query_deadline()).await;
    api.query_latency("search").observe(began.elapsed());
    answer.map(respond)
}

/// `GET /api/v1/logs/{log_id}`.
pub(super) async fn by_id(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id = log_id(&id)?;
    let _room = api.admit_query()?;
    let began = Instant::now();
    let found = api.reader.get(id, api.query_deadline()).await;
    api.query_latency("get").observe(began.elapsed());
    found?
        .map(|body| raw_json(StatusCode::OK, body))
        .ok_or_else(no_record)
}

/// How many neighbours.
#[derive(Deserialize)]
pub(super) struct Sides {
    before: Option<String>,
    after: Option<String>,
}

/// `GET /api/v1/logs/{log_id}/context`.
pub(super) async fn context(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(sides): Query<Sides>,
) -> Result<Response, Failure> {
    let id = log_id(&id)?;
    let before = rows("before", sides.before.as_deref())?;
    let after = rows("after", sides.after.as_deref())?;
    let _room = api.admit_query()?;
    let answer = api
        .reader
        .context(id, before, after, api.query_deadline())
        .await?;
    answer.map(respond).ok_or_else(no_record)
}

fn log_id(text: &str) -> Result<LogId, Failure> {
    text.parse()
        .map_err(|_| Failure::new(Kind::InvalidArgument, "a log id is a UUID of 36 characters"))
}

fn rows(name: &str, value: Option<&str>) -> Result<u32, Failure> {
    const ROWS: u32 = 20;
    let Some(value) = value else { return Ok(ROWS) };
    value
        .parse()
        .ok()
        .filter(|rows| *rows <= CONTEXT_ROWS_MAX)
        .ok_or_else(|| {
            let message = format!("`{name}` must be a number from 0 to {CONTEXT_ROWS_MAX}");
            Failure::new(Kind::InvalidArgument, message)
        })
}

fn no_record() -> Failure {
    Failure::new(Kind::NotFound, "no record has this id")
}
