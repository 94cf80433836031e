//! What a key in a block names: a request, or one record. Each kind is remembered for itself, so that
//! clients that name every record do not make a shard forget its requests.

use bytes::Bytes;
use hushlog_record::GroupId;
use hushlog_record::block::PartKey;

use crate::limits::{PRODUCER_KEYS_MAX, RECORD_KEYS_MAX};
use crate::log_store::keys;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request, or a piece of one.
    Request,
    /// A record that its client has named.
    Record,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Request, Self::Record];

    pub(crate) const fn of(key: &PartKey) -> Self {
        if key.is_of_record() {
            Self::Record
        } else {
            Self::Request
        }
    }

    /// How many of them a shard remembers.
    pub(crate) const fn keys_max(self) -> usize {
        match self {
            Self::Request => PRODUCER_KEYS_MAX,
            Self::Record => RECORD_KEYS_MAX,
        }
    }

    /// Where the chunk whose first key has this ordinal lies in the store.
    pub(super) fn stored_at(self, group: GroupId, first: u64) -> Bytes {
        match self {
            Self::Request => keys::request_keys(group, first),
            Self::Record => keys::record_keys(group, first),
        }
    }

    /// Where its chunks end in the store.
    pub(super) fn stored_to(self, group: GroupId) -> Bytes {
        match self {
            Self::Request => keys::request_keys_end(group),
            Self::Record => keys::record_keys_end(group),
        }
    }
}

/// One for each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerKind<T> {
    pub(crate) requests: T,
    pub(crate) records: T,
}

impl<T> PerKind<T> {
    /// What `make` makes for each.
    pub(crate) fn of(mut make: impl FnMut(Kind) -> T) -> Self {
        Self {
            requests: make(Kind::Request),
            records: make(Kind::Record),
        }
    }

    pub(crate) const fn get(&self, kind: Kind) -> &T {
        match kind {
            Kind::Request => &self.requests,
            Kind::Record => &self.records,
        }
    }

    pub(crate) const fn get_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Request => &mut self.requests,
            Kind::Record => &mut self.records,
        }
    }
}
