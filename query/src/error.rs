//! What can go wrong with a question, and whose fault it is.

use crate::language;

/// A request was refused, or a shard could not answer it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The query string is malformed.
    #[error(transparent)]
    Query(#[from] language::Error),
    /// The request is malformed; the message begins with the path of the key.
    #[error("{0}")]
    Request(String),
    /// The answer would have too many aggregation buckets.
    #[error(
        "the aggregations have more than {0} buckets; use a longer interval, a smaller size or a filter"
    )]
    Buckets(usize),
    /// The query needs more memory than it may use.
    #[error(
        "the query needs more than {0} bytes of memory; ask for fewer logs or buckets, or filter more"
    )]
    Memory(usize),
    /// Other queries use the node's memory.
    #[error("the node's memory for queries is in use; try again in a moment")]
    Busy,
    /// The time for the query is over.
    #[error("the query ran out of time; filter more or raise timeout_ms")]
    Timeout,
    /// Nobody waits for the answer any more.
    #[error("the query was cancelled")]
    Cancelled,
    /// Bytes from another node are not what they should be.
    #[error("{0} from another node is damaged or of another release")]
    Damaged(&'static str),
    /// A shard's data could not be read.
    #[error("reading a segment: {0}")]
    Data(String),
}

impl Error {
    /// Whether the request is at fault, not the node.
    pub const fn is_bad_request(&self) -> bool {
        matches!(
            self,
            Self::Query(_) | Self::Request(_) | Self::Buckets(_) | Self::Memory(_)
        )
    }

    /// The stable code of the HTTP interface.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Query(_) => "malformed_query",
            Self::Request(_) => "bad_request",
            Self::Buckets(_) => "too_many_buckets",
            Self::Memory(_) => "query_too_large",
            Self::Busy => "overloaded",
            Self::Timeout => "query_timeout",
            Self::Cancelled => "cancelled",
            Self::Damaged(_) | Self::Data(_) => "internal",
        }
    }
}
