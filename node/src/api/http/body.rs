//! Reading request bodies: under a byte limit, against the node's memory, and not for ever.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hushlog_ingest::body::{Encoding, decode};
use tokio::time::{Instant, timeout};

use super::ingest::{encodings, undecodable};
use crate::api::{Api, Failure, Kind};
use crate::gateway::{Full, Gateway, Permit, Way, full};
use crate::limits::{BODY_BYTES_PER_SECOND_MIN, BODY_GRACE, BODY_SILENCE_MAX};

/// What one body may be.
pub(super) struct Limits<'a> {
    /// Largest body in bytes, before and after decoding.
    pub(super) bytes_max: usize,
    /// Where room comes from, and refusals are counted.
    pub(super) gateway: &'a Gateway,
    /// By which protocol it comes.
    pub(super) way: Way,
}

/// Reads a whole body with room for it in memory, as it comes: for what it becomes by decoding room is taken then.
pub(super) async fn read(
    body: Body,
    headers: &HeaderMap,
    limits: Limits<'_>,
) -> Result<(Bytes, Permit), Failure> {
    let (gateway, way) = (limits.gateway, limits.way);
    let read = read_within(body, headers, limits).await;
    read.inspect_err(|failure| gateway.turned_away(way, failure))
}

async fn read_within(
    mut body: Body,
    headers: &HeaderMap,
    limits: Limits<'_>,
) -> Result<(Bytes, Permit), Failure> {
    let admission = limits.gateway.admission();
    let announced = announced(headers);
    if announced.is_some_and(|bytes| bytes > limits.bytes_max) {
        return Err(too_large(limits.bytes_max));
    }
    let mut permit = admission
        .take(announced.unwrap_or(0))
        .map_err(|Full| full())?;
    let mut received = BytesMut::with_capacity(announced.unwrap_or(0));
    let began = Instant::now();
    while let Some(chunk) = next_chunk(&mut body, began, received.len()).await? {
        if received.len() + chunk.len() > limits.bytes_max {
            return Err(too_large(limits.bytes_max));
        }
        admission
            .grow(&mut permit, received.len() + chunk.len())
            .map_err(|Full| full())?;
        received.extend_from_slice(&chunk);
    }
    Ok((received.freeze(), permit))
}

/// A small body, such as a query, before it has been read.
pub(super) struct Small {
    body: Body,
    encodings: Vec<Encoding>,
}

impl<S: Send + Sync> FromRequest<S> for Small {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        Ok(Self {
            encodings: encodings(request.headers())?,
            body: request.into_body(),
        })
    }
}

impl Small {
    /// Reads it, without its encodings: at most `bytes_max`, before and after decoding.
    pub(super) async fn read(mut self, api: &Api, bytes_max: usize) -> Result<Bytes, Failure> {
        let mut received = BytesMut::new();
        let began = Instant::now();
        while let Some(chunk) = next_chunk(&mut self.body, began, received.len()).await? {
            if received.len() + chunk.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            received.extend_from_slice(&chunk);
        }
        let (received, encodings) = (received.freeze(), self.encodings);
        if encodings.is_empty() {
            return Ok(received);
        }
        let decode = move || {
            let decoded = decode(&received, &encodings, bytes_max).map_err(undecodable)?;
            Ok(decoded.into_owned().into())
        };
        api.offload.run(decode).await?
    }
}

/// The next piece. A body may be silent for a while, and must not be slower than a minimum on the
/// whole: else one byte per second would hold memory for ever.
async fn next_chunk(
    body: &mut Body,
    began: Instant,
    received: usize,
) -> Result<Option<Bytes>, Failure> {
    let slow = || Failure::new(Kind::RequestTimeout, "the body arrived too slowly");
    let earned = Duration::from_secs((received / BODY_BYTES_PER_SECOND_MIN) as u64);
    let left = (began + BODY_GRACE + earned).saturating_duration_since(Instant::now());
    loop {
        let frame = timeout(left.min(BODY_SILENCE_MAX), body.frame())
            .await
            .map_err(|_| slow())?;
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => {
                return Err(Failure::new(
                    Kind::InvalidBody,
                    "the body ended before its announced end",
                ));
            }
        }
    }
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

pub(crate) fn too_large(limit: usize) -> Failure {
    let message = format!("the body is larger than {limit} bytes; send it in smaller parts");
    Failure::new(Kind::TooLarge, message)
}
