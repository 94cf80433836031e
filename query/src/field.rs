//! The names that a query can use, and what kind of column stands behind each.

use std::fmt;

/// A field of a record, as a query names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The text.
    Message,
    /// The severity.
    Level,
    /// The service.
    Service,
    /// Event time.
    Timestamp,
    /// Receive time.
    CreatedAt,
    /// The host.
    Host,
    /// The deployment environment.
    Environment,
    /// The region.
    Region,
    /// The trace.
    TraceId,
    /// The span.
    SpanId,
    /// Identity of the record.
    LogId,
    /// Type, message and stack trace of the exception together.
    Exception,
    /// Type of the exception.
    ExceptionType,
    /// Message of the exception.
    ExceptionMessage,
    /// Stack trace of the exception.
    StackTrace,
    /// What is the same for the same fault.
    ExceptionSignature,
    /// Identity of the exception.
    ExceptionId,
    /// Names of the detectors that fired.
    Pii,
    /// A field that the sender made up.
    Custom(String),
}

/// How values of a field compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Nanoseconds.
    Time,
    /// One of five severities.
    Level,
    /// A short name: a value in a query is the whole of it, letter case aside.
    Name,
    /// Text: a value in a query is one token or several consecutive ones.
    Text,
    /// An id with a fixed form.
    Id,
    /// Text, number, truth value or array, whatever the sender sent.
    Custom,
}

impl Field {
    /// The field that this name reaches. A name that is not one of the record's own is a custom
    /// field, and so is everything after `fields.`.
    pub fn resolve(name: &str) -> Self {
        match name {
            "message" | "msg" => Self::Message,
            "level" => Self::Level,
            "service" | "service_name" => Self::Service,
            "timestamp" | "@timestamp" => Self::Timestamp,
            "created_at" => Self::CreatedAt,
            "host" => Self::Host,
            "environment" => Self::Environment,
            "region" => Self::Region,
            "trace_id" => Self::TraceId,
            "span_id" => Self::SpanId,
            "log_id" => Self::LogId,
            "exception" => Self::Exception,
            "exception.type" => Self::ExceptionType,
            "exception.message" => Self::ExceptionMessage,
            "exception.stack_trace" => Self::StackTrace,
            "exception.signature" => Self::ExceptionSignature,
            "exception_id" | "exception.exception_id" => Self::ExceptionId,
            "pii" => Self::Pii,
            _ => Self::Custom(name.strip_prefix("fields.").unwrap_or(name).to_owned()),
        }
    }

    /// How its values compare.
    pub fn nature(&self) -> Nature {
        match self {
            Self::Timestamp | Self::CreatedAt => Nature::Time,
            Self::Level => Nature::Level,
            Self::Service
            | Self::Host
            | Self::Environment
            | Self::Region
            | Self::TraceId
            | Self::SpanId
            | Self::ExceptionSignature
            | Self::Pii => Nature::Name,
            Self::Message
            | Self::Exception
            | Self::ExceptionType
            | Self::ExceptionMessage
            | Self::StackTrace => Nature::Text,
            Self::LogId | Self::ExceptionId => Nature::Id,
            Self::Custom(_) => Nature::Custom,
        }
    }
}

/// The name under which [`Field::resolve`] finds it again.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "message",
            Self::Level => "level",
            Self::Service => "service_name",
            Self::Timestamp => "timestamp",
            Self::CreatedAt => "created_at",
            Self::Host => "host",
            Self::Environment => "environment",
            Self::Region => "region",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::LogId => "log_id",
            Self::Exception => "exception",
            Self::ExceptionType => "exception.type",
            Self::ExceptionMessage => "exception.message",
            Self::StackTrace => "exception.stack_trace",
            Self::ExceptionSignature => "exception.signature",
            Self::ExceptionId => "exception_id",
            Self::Pii => "pii",
            Self::Custom(name) => return write!(f, "fields.{name}"),
        })
    }
}
