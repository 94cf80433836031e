//! A snapshot's data as the Raft library carries it around: the bytes, or where they are.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::shard;

/// The data of a snapshot. The library asks for one with every trim of a log and throws its data away;
/// only for a follower that fell behind they are read.
#[derive(Clone)]
pub(crate) enum Body {
    /// The bytes.
    Whole(Bytes),
    /// A shard's, as long as it is the newest one on the disk.
    Stored(Arc<shard::Shared>, Arc<shard::Record>),
}

impl Body {
    /// The bytes. May block on the disk.
    pub(crate) fn bytes(&self) -> io::Result<Bytes> {
        match self {
            Self::Whole(bytes) => Ok(bytes.clone()),
            Self::Stored(shared, record) => shared.sent(record),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

/// Sizes only.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stored(..) => f.write_str("on the disk"),
        }
    }
}
