//! `POST /loki/api/v1/push`: Loki's clients, JSON or snappy protobuf.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hushlog_ingest::body::Encoding;
use serde_json::json;

use super::body::{Limits, read};
use super::ingest::{content_type, decoded, encodings, environment, service};
use super::{Api, Failure, Kind, receipts, too_large};
use crate::api::loki;
use crate::gateway::{Batch, Room, Source, Way};

/// What a body is made of.
enum Form {
    /// Under these encodings.
    Json(Vec<Encoding>),
    /// One block of snappy, whatever the header says.
    Protobuf,
}

/// How many entries of a request were rejected alone, and why the first one was.
const REJECTED: HeaderName = HeaderName::from_static("x-hushlog-rejected");

/// Takes one push request. Loki answers 400 where entries are rejected alone, though it stores the others;
/// some of its clients then send all of them again. So a request of which anything is stored is a success here,
/// with a header that says what was rejected; one of which nothing is stored is a 400. Receipts, where they are
/// asked for, make it a 200 with a body.
pub(super) async fn push(
    State(api): State<Api>,
    Query(asked): Query<receipts::Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let with_receipts = asked.wants()?;
    let form = form(&headers)?;
    let limits = Limits {
        bytes_max: api.body_bytes_max,
        gateway: &api.gateway,
        way: Way::Loki,
    };
    let (body, permit) = read(body, &headers, limits).await?;
    let batch = Batch {
        way: Way::Loki,
        source: source(form, body, api.body_bytes_max),
        service: service(&headers),
        environment: environment(&headers),
        key: None,
        bytes: 0,
    };
    let pushed = match api.gateway.push(batch, permit).await {
        Ok(pushed) => pushed,
        // A request without entries is no mistake in this protocol.
        Err(failure) if failure.kind == Kind::EmptyBody => {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        Err(failure) => return Err(failure),
    };
    let rejected = pushed.rejections.first().map(|first| {
        let count = pushed.rejected;
        format!("{count}; {}", first.reason)
    });
    if let (Some(rejected), 0) = (&rejected, pushed.accepted) {
        let message = format!("nothing is stored, rejected entries: {rejected}");
        return Err(Failure::new(Kind::InvalidBody, message));
    }
    let mut response = if with_receipts {
        let body = json!({ "receipts": receipts::rendered(&pushed.receipts) });
        super::json(StatusCode::OK, &body)
    } else {
        StatusCode::NO_CONTENT.into_response()
    };
    if let Some(rejected) = rejected.and_then(|rejected| HeaderValue::from_str(&rejected).ok()) {
        response.headers_mut().insert(REJECTED, rejected);
    }
    Ok(response)
}

fn form(headers: &HeaderMap) -> Result<Form, Failure> {
    match content_type(headers).as_str() {
        "application/json" => Ok(Form::Json(encodings(headers)?)),
        "" | "application/x-protobuf" => {
            let encoding = headers.get(header::CONTENT_ENCODING);
            match encoding.map(|encoding| encoding.as_bytes()) {
                None | Some(b"" | b"snappy") => Ok(Form::Protobuf),
                Some(_) => {
                    let message = "protobuf comes as one block of snappy, not in other encodings";
                    Err(Failure::new(Kind::UnsupportedMediaType, message))
                }
            }
        }
        _ => {
            let message = "send Content-Type: application/json or application/x-protobuf";
            Err(Failure::new(Kind::UnsupportedMediaType, message))
        }
    }
}

fn source(form: Form, body: Bytes, limit: usize) -> Source {
    Box::new(move |room, each| match form {
        Form::Json(encodings) => {
            let decoded = decoded(room, &body, &encodings, limit)?;
            loki::read_json(&decoded, room, each)
        }
        Form::Protobuf => loki::read_protobuf(&unpacked(room, &body, limit)?, room, each),
    })
}

/// The block's content. Its length stands at its start; room is taken before it is filled.
fn unpacked(room: &mut Room<'_>, block: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
    let bad = |_| Failure::new(Kind::InvalidBody, "the body is not a block of snappy");
    let len = snap::raw::decompress_len(block).map_err(bad)?;
    if len > limit {
        return Err(too_large(limit));
    }
    room.grow(block.len() + len)?;
    snap::raw::Decoder::new().decompress_vec(block).map_err(bad)
}
