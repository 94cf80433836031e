//! How much services may send: the rate limits, by service and for all others.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use hushlog_raft::limits::RATE_MAX;
use hushlog_raft::meta::{Limit, LimitRule, Limits};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::body::Small;
use super::named::{self, DEFAULT, check, check_length};
use super::{Api, Failure, Kind, json};
use crate::limits::{RATE_BODY_BYTES_MAX, RATE_TIMEOUT};

/// A body: at least one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    records_per_second: Option<u64>,
    bytes_per_second: Option<u64>,
}

/// `GET /api/v1/limits`.
pub(super) async fn list(State(api): State<Api>) -> Result<Response, Failure> {
    let limits = api.control.limits(deadline()).await?;
    let own = |(name, limit): (&String, &Limit)| rendered(name, Some((*limit, true)));
    let services: Vec<Value> = limits.services.iter().map(own).collect();
    let body = json!({ "default": of(DEFAULT, &limits), "services": services });
    Ok(json(StatusCode::OK, &body))
}

/// `GET /api/v1/limits/{service}`: what holds for it, whether it has a limit of its own or not.
pub(super) async fn one(
    State(api): State<Api>,
    Path(service): Path<String>,
) -> Result<Response, Failure> {
    check_length(&service)?;
    let limits = api.control.limits(deadline()).await?;
    Ok(json(StatusCode::OK, &of(&service, &limits)))
}

/// `PUT /api/v1/limits/{service}`.
pub(super) async fn set(
    State(api): State<Api>,
    Path(service): Path<String>,
    body: Small,
) -> Result<Response, Failure> {
    check(&api, &service)?;
    let body = body.read(&api, RATE_BODY_BYTES_MAX).await?;
    change(&api, &service, Some(limit(&body)?)).await
}

/// `DELETE /api/v1/limits/{service}`: removes its limit, if it has one.
pub(super) async fn remove(
    State(api): State<Api>,
    Path(service): Path<String>,
) -> Result<Response, Failure> {
    check_length(&service)?;
    if let Err(masked) = check(&api, &service) {
        // A name may have become one that is masked: its limit must still go. No other such name is written down.
        let limits = api.control.limits(deadline()).await?;
        if !limits.of(&service).is_some_and(|(_, is_own)| is_own) {
            return Err(masked);
        }
    }
    change(&api, &service, None).await
}

fn deadline() -> Instant {
    Instant::now() + RATE_TIMEOUT
}

async fn change(api: &Api, service: &str, limit: Option<Limit>) -> Result<Response, Failure> {
    let rule = LimitRule {
        service: named::service(service),
        limit,
    };
    let limits = api.control.set_limit(rule, deadline()).await?;
    Ok(json(StatusCode::OK, &of(service, &limits)))
}

fn limit(body: &[u8]) -> Result<Limit, Failure> {
    const EXPECTED: &str = "the body must be a JSON object with `records_per_second`, \
         `bytes_per_second` or both, whole numbers";
    if body.iter().all(u8::is_ascii_whitespace) {
        let why = "the body is empty; send {\"records_per_second\":1000}";
        return Err(Failure::new(Kind::EmptyBody, why));
    }
    let rates: Rates =
        serde_json::from_slice(body).map_err(|_| Failure::new(Kind::InvalidBody, EXPECTED))?;
    let limit = Limit {
        records_per_second: rates.records_per_second,
        bytes_per_second: rates.bytes_per_second,
    };
    if limit == Limit::default() {
        return Err(Failure::new(Kind::InvalidBody, EXPECTED));
    }
    let given = [limit.records_per_second, limit.bytes_per_second];
    if given
        .iter()
        .flatten()
        .any(|rate| !(1..=RATE_MAX).contains(rate))
    {
        let why = format!("a rate is from 1 to {RATE_MAX} in a second; DELETE removes a limit");
        return Err(Failure::new(Kind::InvalidArgument, why));
    }
    Ok(limit)
}

fn of(service: &str, limits: &Limits) -> Value {
    let held = if service == DEFAULT {
        limits.default.map(|limit| (limit, true))
    } else {
        limits.of(service)
    };
    rendered(service, held)
}

fn rendered(service: &str, held: Option<(Limit, bool)>) -> Value {
    let source = match held {
        Some((_, true)) => "rule",
        Some((_, false)) => "default",
        None => "none",
    };
    let limit = held.map(|(limit, _)| limit).unwrap_or_default();
    json!({
        "service": service,
        "records_per_second": limit.records_per_second,
        "bytes_per_second": limit.bytes_per_second,
        "source": source,
    })
}
