//! The one place where a failure becomes a status, for HTTP and gRPC alike.
//!
//! A message is one sentence that a person can act on; it never carries text of a record.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tonic::metadata::MetadataValue;

use crate::limits::RETRY_AFTER;

/// What kind of failure it is; decides status and `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is nothing in the body.
    EmptyBody,
    /// The body is not what its type says.
    InvalidBody,
    /// The query language was not spoken correctly.
    InvalidQuery,
    /// A parameter is out of its range or malformed.
    InvalidArgument,
    /// No such thing, and everyone who could hold it was asked.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// This release does not have it.
    NotImplemented,
    /// The client sent its body too slowly.
    RequestTimeout,
    /// The body is over the limit.
    TooLarge,
    /// A content type or encoding that is not spoken.
    UnsupportedMediaType,
    /// The node takes no more for the moment; nothing of the request was stored.
    Overloaded,
    /// A service is over its rate limit; nothing of the request was stored.
    RateLimited,
    /// There is no quorum or no leader; nothing of the request was stored.
    Unavailable,
    /// A shard that is needed for a whole answer did not answer.
    Incomplete,
    /// Something was proposed and not all of it is known to be stored.
    OutcomeUnknown,
    /// The time for the answer is over.
    DeadlineExceeded,
    /// The disk is full; nothing of the request was stored.
    DiskFull,
    /// There is no such pattern that could be taken, or it contradicts others.
    InvalidPattern,
    /// The pattern is there already, and another.
    PatternExists,
    /// A change of the patterns is made, and not in force everywhere yet.
    PolicyPending,
    /// The request's key was used for other content before; this content is not stored.
    KeyReused,
    /// A node cannot come or go like this.
    NodeConflict,
    /// A mistake in Hushlog.
    Internal,
}

impl Kind {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::EmptyBody
            | Self::InvalidBody
            | Self::InvalidQuery
            | Self::InvalidArgument
            | Self::InvalidPattern => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Overloaded | Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable | Self::Incomplete | Self::PolicyPending => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::OutcomeUnknown | Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::KeyReused | Self::PatternExists | Self::NodeConflict => StatusCode::CONFLICT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code of error bodies.
    pub const fn code(self) -> &'static str {
        match self {
            Self::EmptyBody => "empty_body",
            Self::InvalidBody => "invalid_body",
            Self::InvalidQuery => "invalid_query",
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotImplemented => "not_implemented",
            Self::RequestTimeout => "request_timeout",
            Self::TooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Incomplete => "incomplete",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::DiskFull => "disk_full",
            Self::InvalidPattern => "invalid_pattern",
            Self::PatternExists => "pattern_exists",
            Self::PolicyPending => "policy_pending",
            Self::KeyReused => "idempotency_key_reused",
            Self::NodeConflict => "node_conflict",
            Self::Internal => "internal",
        }
    }

    /// The gRPC status. What a client may retry without a key is `UNAVAILABLE`.
    pub const fn grpc(self) -> tonic::Code {
        match self {
            Self::EmptyBody
            | Self::InvalidBody
            | Self::InvalidQuery
            | Self::InvalidArgument
            | Self::InvalidPattern
            | Self::UnsupportedMediaType => tonic::Code::InvalidArgument,
            Self::NotFound => tonic::Code::NotFound,
            Self::MethodNotAllowed | Self::NotImplemented => tonic::Code::Unimplemented,
            Self::RequestTimeout | Self::OutcomeUnknown | Self::DeadlineExceeded => {
                tonic::Code::DeadlineExceeded
            }
            Self::KeyReused | Self::PatternExists => tonic::Code::AlreadyExists,
            Self::NodeConflict => tonic::Code::FailedPrecondition,
            Self::TooLarge | Self::DiskFull => tonic::Code::ResourceExhausted,
            Self::Overloaded
            | Self::RateLimited
            | Self::Unavailable
            | Self::Incomplete
            | Self::PolicyPending => tonic::Code::Unavailable,
            Self::Internal => tonic::Code::Internal,
        }
    }

    const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Overloaded
            | Self::RateLimited
            | Self::Unavailable
            | Self::Incomplete
            | Self::PolicyPending => Some(RETRY_AFTER),
            _ => None,
        }
    }
}

/// A request that is not answered as it was meant to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// One sentence that a person can act on.
    pub message: String,
    /// Byte offset in the body or query that is meant.
    pub position: Option<usize>,
    /// Names of what did not answer, for a change that must reach all of it.
    pub missing: Vec<String>,
    /// How long to wait before a retry, where that is known.
    pub wait: Option<Duration>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            position: None,
            missing: Vec::new(),
            wait: None,
        }
    }

    /// The same, pointing to a byte offset.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// The same, naming what did not answer.
    #[must_use]
    pub fn missing(mut self, names: Vec<String>) -> Self {
        self.missing = names;
        self
    }

    /// The same, to be tried again after so long.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// When a retry makes sense, if it does without a key.
    pub fn retry_after(&self) -> Option<Duration> {
        self.wait.or_else(|| self.kind.retry_after())
    }

    /// The same in whole seconds, never too early.
    fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.retry_after()?;
        let part = u64::from(wait.subsec_nanos() > 0);
        Some((wait.as_secs() + part).max(1))
    }

    /// The body of `api.md`.
    pub fn body(&self, request_id: &str) -> Value {
        let mut error = json!({
            "code": self.kind.code(),
            "message": self.message,
            "request_id": request_id,
        });
        if let (Some(position), Some(object)) = (self.position, error.as_object_mut()) {
            object.insert("position".into(), position.into());
        }
        if let (false, Some(object)) = (self.missing.is_empty(), error.as_object_mut()) {
            object.insert("missing".into(), self.missing.clone().into());
        }
        json!({ "error": error })
    }
}

impl From<crate::offload::Error> for Failure {
    fn from(error: crate::offload::Error) -> Self {
        let kind = match error {
            crate::offload::Error::Panicked => Kind::Internal,
            crate::offload::Error::Ended => Kind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

/// The status alone, with the failure beside it: the outermost layer, which knows the request's id,
/// writes the body.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        if let Some(seconds) = self.retry_after_seconds() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        let retry_after = failure.retry_after_seconds();
        let mut status = Self::new(failure.kind.grpc(), failure.message);
        let code = MetadataValue::from_static(failure.kind.code());
        status.metadata_mut().insert("hushlog-code", code);
        if let Some(seconds) = retry_after {
            let metadata = status.metadata_mut();
            metadata.insert("retry-after", MetadataValue::from(seconds));
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_contract() {
        let cases = [
            (Kind::EmptyBody, 400, false),
            (Kind::InvalidBody, 400, false),
            (Kind::InvalidQuery, 400, false),
            (Kind::NotFound, 404, false),
            (Kind::MethodNotAllowed, 405, false),
            (Kind::NotImplemented, 501, false),
            (Kind::RequestTimeout, 408, false),
            (Kind::TooLarge, 413, false),
            (Kind::UnsupportedMediaType, 415, false),
            (Kind::Overloaded, 429, true),
            (Kind::RateLimited, 429, true),
            (Kind::Unavailable, 503, true),
            (Kind::OutcomeUnknown, 504, false),
            (Kind::DiskFull, 507, false),
            (Kind::KeyReused, 409, false),
            (Kind::Internal, 500, false),
        ];
        for (kind, status, retry) in cases {
            let response = Failure::new(kind, "x").into_response();
            assert_eq!(response.status(), status, "{kind:?}");
            assert_eq!(
                response.headers().contains_key("retry-after"),
                retry,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
        for (millis, told) in [(0, "1"), (1_000, "1"), (1_001, "2"), (59_500, "60")] {
            let wait = Duration::from_millis(millis);
            let failure = Failure::new(Kind::RateLimited, "x").after(wait);
            let status = tonic::Status::from(failure.clone());
            let in_metadata = status.metadata().get("retry-after");
            assert_eq!(
                in_metadata.map(|value| value.as_bytes()),
                Some(told.as_bytes())
            );
            assert_eq!(failure.into_response().headers()["retry-after"], told);
        }
    }

    #[test]
    fn bodies_point_to_the_place() {
        let body = Failure::new(Kind::InvalidBody, "no").at(7).body("r1");
        let expected = json!({"error": {
            "code": "invalid_body", "message": "no", "request_id": "r1", "position": 7
        }});
        assert_eq!(body, expected);
    }

    #[test]
    fn grpc_tells_exporters_to_retry_overload() {
        let status = tonic::Status::from(Failure::new(Kind::Overloaded, "x"));
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert!(status.metadata().contains_key("retry-after"));
    }
}
