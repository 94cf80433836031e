//! `POST /api/v1/logs`.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use hushlog_ingest::RawRecord;
use hushlog_ingest::body::{self, Encoding};
use hushlog_ingest::json::{self, Declared, Each, Rejected, Shape, TOO_LARGE};
use serde_json::{Value, json};

use super::body::{Limits, read};
use super::{Api, Failure, Kind, receipts, too_large};
use crate::gateway::{Batch, Pushed, Room, Source, Way};
use crate::limits::{DECOMPRESSION_ESTIMATE, PRODUCER_BYTES_MAX};

const SERVICE: HeaderName = HeaderName::from_static("x-service-name");
const ENVIRONMENT: HeaderName = HeaderName::from_static("x-environment");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Takes one object, an array, or NDJSON.
pub(super) async fn logs(
    State(api): State<Api>,
    Query(asked): Query<receipts::Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let with_receipts = asked.wants()?;
    let form = form(&headers)?;
    let encodings = encodings(&headers)?;
    let key = key(&headers)?.map(|text| api.gateway.key_of_header(text));
    let limits = Limits {
        bytes_max: api.body_bytes_max,
        gateway: &api.gateway,
        way: Way::Http,
    };
    let (body, permit) = read(body, &headers, limits).await?;
    let batch = Batch {
        way: Way::Http,
        source: source(body, encodings, form, api.body_bytes_max),
        service: service(&headers),
        environment: environment(&headers),
        key,
        bytes: 0,
    };
    let pushed = api.gateway.push(batch, permit).await?;
    Ok(respond(&pushed, with_receipts))
}

fn source(body: Bytes, encodings: Vec<Encoding>, form: Form, limit: usize) -> Source {
    Box::new(move |room, each| {
        let decoded = decoded(room, &body, &encodings, limit)?;
        room.sent(&decoded);
        match form {
            Form::Json(declared) => json::read(&decoded, declared, each).map_err(unreadable),
            Form::Events => Ok(read_events(&decoded, each)),
        }
    })
}

/// The body without its encodings. Room is taken before it is filled, as much as the body says that it needs or
/// as is usual; what turns out to need more is begun again with four times as much. What was not needed is given
/// back.
pub(super) fn decoded<'a>(
    room: &mut Room<'_>,
    body: &'a [u8],
    encodings: &[Encoding],
    limit: usize,
) -> Result<Cow<'a, [u8]>, Failure> {
    if encodings.is_empty() {
        return body::decode(body, encodings, limit).map_err(undecodable);
    }
    let usual = || body.len().saturating_mul(DECOMPRESSION_ESTIMATE);
    let claimed = body::claimed_len(body, encodings);
    let mut granted = claimed.unwrap_or_else(usual).max(body.len()).min(limit);
    loop {
        room.grow(body.len().saturating_add(granted))?;
        match body::decode(body, encodings, granted) {
            Err(body::Error::TooLarge { .. }) if granted < limit => {
                granted = granted.saturating_mul(4).min(limit);
            }
            Ok(decoded) => {
                room.settle(body.len() + decoded.len());
                return Ok(decoded);
            }
            Err(error) => return Err(undecodable(error)),
        }
    }
}

fn unreadable(error: json::Error) -> Failure {
    match error {
        json::Error::Empty => Failure::new(Kind::EmptyBody, "the body is empty"),
        json::Error::NotJson { offset, .. } => {
            Failure::new(Kind::InvalidBody, error.to_string()).at(offset)
        }
    }
}

/// The refusal of a body that cannot be decoded.
pub(super) fn undecodable(error: body::Error) -> Failure {
    match error {
        body::Error::TooLarge { limit } => too_large(limit),
        body::Error::WindowTooLarge => Failure::new(Kind::TooLarge, error.to_string()),
        body::Error::BadEncoding { offset, .. } => {
            Failure::new(Kind::InvalidBody, error.to_string()).at(offset)
        }
        body::Error::Unsupported => Failure::new(Kind::UnsupportedMediaType, error.to_string()),
    }
}

/// The header's encodings.
pub(super) fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, Failure> {
    let unsupported = || undecodable(body::Error::Unsupported);
    let header = match headers.get(header::CONTENT_ENCODING) {
        Some(value) => Some(value.to_str().map_err(|_| unsupported())?),
        None => None,
    };
    body::encodings(header).map_err(undecodable)
}

/// The content type without its parameters, lower case; empty when there is none.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map_or(b"".as_slice(), |value| value.as_bytes());
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence).trim().to_ascii_lowercase()
}

/// What the body is made of.
#[derive(Clone, Copy)]
enum Form {
    Json(Declared),
    /// One event of plain text per line, each as a JSON string, so that it may hold line ends.
    Events,
}

fn form(headers: &HeaderMap) -> Result<Form, Failure> {
    match content_type(headers).as_str() {
        "" | "application/json" => Ok(Form::Json(Declared::Json)),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/jsonlines" => Ok(Form::Json(Declared::Lines)),
        "application/vnd.hushlog.lines+x-ndjson" => Ok(Form::Events),
        _ => Err(Failure::new(
            Kind::UnsupportedMediaType,
            "send Content-Type: application/json or application/x-ndjson",
        )),
    }
}

/// Reads events; a line that is no JSON string is taken as it stands.
fn read_events(body: &[u8], each: Each<'_>) -> Shape {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for (index, line) in lines.filter(|line| !line.is_empty()).enumerate() {
        let raw = match serde_json::from_slice::<String>(line) {
            Ok(text) => RawRecord::line(text.as_bytes()),
            Err(_) => RawRecord::line(line),
        };
        each(if raw.is_oversize() {
            Err(Rejected {
                index,
                reason: TOO_LARGE,
            })
        } else {
            Ok(raw)
        });
    }
    Shape::Lines
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let Some(value) = headers.get(KEY) else {
        return Ok(None);
    };
    let valid = value
        .to_str()
        .ok()
        .filter(|text| (1..=PRODUCER_BYTES_MAX).contains(&text.len()));
    let text = valid.ok_or_else(|| {
        let message = format!("Idempotency-Key must be 1 to {PRODUCER_BYTES_MAX} ASCII characters");
        Failure::new(Kind::InvalidArgument, message)
    })?;
    Ok(Some(text))
}

/// Service of records that name none; empty when there is none.
pub(super) fn service(headers: &HeaderMap) -> String {
    text(headers, &SERVICE)
}

/// Environment of records that name none; empty when there is none.
pub(super) fn environment(headers: &HeaderMap) -> String {
    text(headers, &ENVIRONMENT)
}

/// A header as text; what is not UTF-8 in it is replaced.
fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers
        .get(name)
        .map_or(b"".as_slice(), |value| value.as_bytes());
    String::from_utf8_lossy(value).trim().to_owned()
}

fn respond(pushed: &Pushed, with_receipts: bool) -> Response {
    let mut body = match (pushed.shape, pushed.first, pushed.rejected) {
        (Shape::One, Some(log_id), 0) => json!({
            "log_id": log_id.to_string(),
            "status": "accepted",
            "pii_detected": pushed.pii.keys().collect::<Vec<_>>(),
            "pii_masked": !pushed.pii.is_empty(),
        }),
        _ => many(pushed),
    };
    if let (true, Some(object)) = (with_receipts, body.as_object_mut()) {
        object.insert("receipts".into(), receipts::rendered(&pushed.receipts));
    }
    let status = if pushed.rejected == 0 {
        StatusCode::OK
    } else {
        StatusCode::MULTI_STATUS
    };
    super::json(status, &body)
}

fn many(pushed: &Pushed) -> Value {
    let errors: Vec<Value> = pushed
        .rejections
        .iter()
        .map(|rejected| json!({ "index": rejected.index, "reason": rejected.reason }))
        .collect();
    json!({
        "accepted": pushed.accepted,
        "rejected": pushed.rejected,
        "pii_detected": pushed.pii,
        "errors": errors,
    })
}
