//! How long records are kept: the rules, by service and for all others.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use hushlog_raft::limits::{RETENTION_MAX, RETENTION_MIN};
use hushlog_raft::meta::RetentionRule;
use serde::Deserialize;
use serde_json::{Number, Value, json};
use tokio::time::Instant;

use super::body::Small;
use super::named::{self, DEFAULT, check, check_length};
use super::{Api, Failure, Kind, json};
use crate::cluster::retention::{Periods, Source};
use crate::limits::{RETENTION_BODY_BYTES_MAX, RETENTION_TIMEOUT};

const HOUR_SECONDS: u64 = 3_600;
const DAY_HOURS: u64 = 24;

/// A body: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Period {
    days: Option<u64>,
    hours: Option<u64>,
}

/// `GET /api/v1/retention`.
pub(super) async fn list(State(api): State<Api>) -> Result<Response, Failure> {
    let periods = api.control.retention(deadline()).await?;
    let services: Vec<Value> = periods
        .rules()
        .map(|(name, period)| rendered(name, (period, Source::Rule)))
        .collect();
    let default = rendered(DEFAULT, periods.by_default());
    let body = json!({ "default": default, "services": services });
    Ok(json(StatusCode::OK, &body))
}

/// `GET /api/v1/retention/{service}`: what holds for it, whether it has a rule of its own or not.
pub(super) async fn one(
    State(api): State<Api>,
    Path(service): Path<String>,
) -> Result<Response, Failure> {
    check_length(&service)?;
    let periods = api.control.retention(deadline()).await?;
    Ok(answer(&service, &periods))
}

/// `PUT /api/v1/retention/{service}`.
pub(super) async fn set(
    State(api): State<Api>,
    Path(service): Path<String>,
    body: Small,
) -> Result<Response, Failure> {
    check(&api, &service)?;
    let body = body.read(&api, RETENTION_BODY_BYTES_MAX).await?;
    change(&api, &service, Some(period(&body)?)).await
}

/// `DELETE /api/v1/retention/{service}`: removes its rule, if it has one.
pub(super) async fn remove(
    State(api): State<Api>,
    Path(service): Path<String>,
) -> Result<Response, Failure> {
    check_length(&service)?;
    if let Err(masked) = check(&api, &service) {
        // A name may have become one that is masked: its rule must still go. No other such name is written down.
        let periods = api.control.retention(deadline()).await?;
        if !periods.rules().any(|(name, _)| name == service) {
            return Err(masked);
        }
    }
    change(&api, &service, None).await
}

fn deadline() -> Instant {
    Instant::now() + RETENTION_TIMEOUT
}

async fn change(api: &Api, service: &str, period: Option<Duration>) -> Result<Response, Failure> {
    let rule = RetentionRule {
        service: named::service(service),
        period,
    };
    let periods = api.control.set_retention(rule, deadline()).await?;
    Ok(answer(service, &periods))
}

fn period(body: &[u8]) -> Result<Duration, Failure> {
    const EXPECTED: &str =
        "the body must be a JSON object with either `days` or `hours`, a whole number";
    if body.iter().all(u8::is_ascii_whitespace) {
        let why = "the body is empty; send {\"days\":30} or {\"hours\":12}";
        return Err(Failure::new(Kind::EmptyBody, why));
    }
    let hours = match serde_json::from_slice(body) {
        Ok(Period {
            days: Some(days),
            hours: None,
        }) => days.checked_mul(DAY_HOURS),
        Ok(Period {
            days: None,
            hours: Some(hours),
        }) => Some(hours),
        Ok(_) | Err(_) => return Err(Failure::new(Kind::InvalidBody, EXPECTED)),
    };
    hours
        .and_then(|hours| hours.checked_mul(HOUR_SECONDS))
        .map(Duration::from_secs)
        .filter(|period| (RETENTION_MIN..=RETENTION_MAX).contains(period))
        .ok_or_else(|| {
            let (hour, days) = (HOUR_SECONDS, DAY_HOURS * HOUR_SECONDS);
            let why = format!(
                "a retention is from {} hour to {} days",
                RETENTION_MIN.as_secs() / hour,
                RETENTION_MAX.as_secs() / days
            );
            Failure::new(Kind::InvalidArgument, why)
        })
}

fn answer(service: &str, periods: &Periods) -> Response {
    let held = if service == DEFAULT {
        periods.by_default()
    } else {
        periods.of(service)
    };
    json(StatusCode::OK, &rendered(service, held))
}

fn rendered(service: &str, (period, source): (Duration, Source)) -> Value {
    json!({
        "service": service,
        "days": number(period, DAY_HOURS * HOUR_SECONDS),
        "hours": number(period, HOUR_SECONDS),
        "source": source.name(),
    })
}

/// So many units, whole where they are.
fn number(period: Duration, unit_seconds: u64) -> Option<Number> {
    let seconds = period.as_secs();
    if period.subsec_nanos() == 0 && seconds.is_multiple_of(unit_seconds) {
        return Some((seconds / unit_seconds).into());
    }
    Number::from_f64(period.as_secs_f64() / unit_seconds as f64)
}
