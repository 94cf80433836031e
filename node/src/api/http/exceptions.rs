//! The most frequent exceptions, and one of them in detail.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use hushlog_record::ExceptionId;
use serde::Deserialize;
use tokio::time::Instant;

use super::query::respond;
use super::{Api, Failure, Kind};
use crate::api::{TopK, window};
use crate::limits::TOP_K_MAX;

/// Parameters of top-k as text: each is checked by name.
#[derive(Default, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) k: Option<String>,
    pub(crate) window: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) end: Option<String>,
    pub(crate) tumbling: Option<String>,
    pub(crate) group_by: Option<String>,
}

/// `GET /api/v1/exceptions/top-k`.
pub(super) async fn top_k(
    State(api): State<Api>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Failure> {
    let question = question(parameters)?;
    let _room = api.admit_query()?;
    let began = Instant::now();
    let answer = api.reader.top_k(question, api.query_deadline()).await;
    api.query_latency("top_k").observe(began.elapsed());
    answer.map(respond)
}

/// Checks the parameters; both protocols ask through here.
pub(crate) fn question(parameters: Parameters) -> Result<TopK, Failure> {
    let invalid = |message: String| Failure::new(Kind::InvalidArgument, message);
    let k = parameters.k.as_deref().unwrap_or("10");
    let k = k
        .parse()
        .ok()
        .filter(|k| (1..=TOP_K_MAX).contains(k))
        .ok_or_else(|| invalid(format!("`k` must be a number from 1 to {TOP_K_MAX}")))?;
    let end = match parameters.end.as_deref() {
        None | Some("") => None,
        Some(end) => {
            let end = end.parse();
            Some(end.map_err(|_| invalid("`end` must be an RFC 3339 time".into()))?)
        }
    };
    let tumbling = match parameters.tumbling.as_deref() {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(_) => return Err(invalid("`tumbling` must be true or false".into())),
    };
    let fold_services = match parameters.group_by.as_deref() {
        None | Some("") => false,
        Some("type") => true,
        Some(_) => return Err(invalid("`group_by` can only be `type`".into())),
    };
    let window = parameters.window.unwrap_or_else(|| "1h".into());
    Ok(TopK {
        k,
        duration: window::parse(&window)?,
        window,
        service: parameters.service.filter(|name| !name.is_empty()),
        environment: parameters.environment.filter(|name| !name.is_empty()),
        end,
        tumbling,
        fold_services,
    })
}

/// The window of one exception.
#[derive(Deserialize)]
pub(super) struct Window {
    window: Option<String>,
}

/// `GET /api/v1/exceptions/{exception_id}`.
pub(super) async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(parameters): Query<Window>,
) -> Result<Response, Failure> {
    let (id, window) = identify(&id, parameters.window.as_deref().unwrap_or("24h"))?;
    let _room = api.admit_query()?;
    let answer = api
        .reader
        .exception(id, window, api.query_deadline())
        .await?;
    answer.map(respond).ok_or_else(never_seen)
}

pub(crate) fn identify(id: &str, window: &str) -> Result<(ExceptionId, Duration), Failure> {
    let id = id.parse().map_err(|_| {
        Failure::new(
            Kind::InvalidArgument,
            "an exception id is 16 hexadecimal digits",
        )
    })?;
    Ok((id, window::parse(window)?))
}

pub(crate) fn never_seen() -> Failure {
    let why = "no exception with this id is kept, at any time";
    Failure::new(Kind::NotFound, why)
}
