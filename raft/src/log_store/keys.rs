//! Where a group's facts lie in the node's one database.
//!
//! ```text
//! Space::Log    group u64 | index u64   → a log entry
//! Space::State  group u64 | tag u8      → 1 vote, 2 committed, 3 purged, 4 snapshot,
//!                                        5 sealed, 6 request keys of a sealed shard
//! Space::State  group u64 | 7 | ordinal u64 → a chunk of request keys
//! Space::State  group u64 | 8 | ordinal u64 → a chunk of ids of records
//! ```
//! Big-endian, so that a group's entries lie together and in order.

use bytes::Bytes;

pub(crate) const TAG_VOTE: u8 = 1;
pub(crate) const TAG_COMMITTED: u8 = 2;
pub(crate) const TAG_PURGED: u8 = 3;
pub(crate) const TAG_SNAPSHOT: u8 = 4;
pub(crate) const TAG_SEALED: u8 = 5;
pub(crate) const TAG_SEALED_KEYS: u8 = 6;
pub(crate) const TAG_REQUEST_KEYS: u8 = 7;
pub(crate) const TAG_RECORD_KEYS: u8 = 8;

/// The key of a log entry.
pub(crate) fn entry(group: u64, index: u64) -> Bytes {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&group.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    Bytes::copy_from_slice(&key)
}

/// The index in an entry's key.
pub(crate) fn index_of(key: &[u8]) -> Option<u64> {
    let (_, index) = key
        .split_last_chunk::<8>()
        .map(|(group, index)| (group, *index))?;
    Some(u64::from_be_bytes(index))
}

/// The first key after all entries of a group.
pub(crate) fn entries_end(group: u64) -> Bytes {
    let mut key = entry(group, u64::MAX).to_vec();
    key.push(0);
    key.into()
}

fn state(group: u64, tag: u8) -> Bytes {
    let mut key = [0; 9];
    key[..8].copy_from_slice(&group.to_be_bytes());
    key[8] = tag;
    Bytes::copy_from_slice(&key)
}

pub(crate) fn vote(group: u64) -> Bytes {
    state(group, TAG_VOTE)
}

pub(crate) fn committed(group: u64) -> Bytes {
    state(group, TAG_COMMITTED)
}

pub(crate) fn purged(group: u64) -> Bytes {
    state(group, TAG_PURGED)
}

pub(crate) fn snapshot(group: u64) -> Bytes {
    state(group, TAG_SNAPSHOT)
}

pub(crate) fn sealed(group: u64) -> Bytes {
    state(group, TAG_SEALED)
}

pub(crate) fn sealed_keys(group: u64) -> Bytes {
    state(group, TAG_SEALED_KEYS)
}

/// The key of a chunk of request keys, by the ordinal of its first.
pub(crate) fn request_keys(group: u64, first: u64) -> Bytes {
    chunk(group, TAG_REQUEST_KEYS, first)
}

/// The first key after all chunks of request keys of a group.
pub(crate) fn request_keys_end(group: u64) -> Bytes {
    state(group, TAG_REQUEST_KEYS + 1)
}

/// The key of a chunk of ids of records, by the ordinal of its first.
pub(crate) fn record_keys(group: u64, first: u64) -> Bytes {
    chunk(group, TAG_RECORD_KEYS, first)
}

/// The first key after all chunks of ids of records of a group.
pub(crate) fn record_keys_end(group: u64) -> Bytes {
    state(group, TAG_RECORD_KEYS + 1)
}

fn chunk(group: u64, tag: u8, first: u64) -> Bytes {
    let mut key = state(group, tag).to_vec();
    key.extend_from_slice(&first.to_be_bytes());
    key.into()
}

/// The ordinal in a chunk's key.
pub(crate) fn ordinal_of(key: &[u8]) -> Option<u64> {
    index_of(key)
}
