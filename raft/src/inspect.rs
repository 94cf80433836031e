//! What lies in a store, for those who check the groups from outside: simulations and tools.
//!
//! Reads rows as the log store writes them; never changes one, and knows nothing of a running group.

use std::collections::BTreeSet;

use bytes::Bytes;
use hushlog_record::block::Block;
use hushlog_record::id::META_GROUP;
use hushlog_record::{GroupId, NodeId};
use hushlog_storage::store::Space;

use crate::codec::{
    Encoder, decode_entry, decode_log_id, decode_vote, encode_entry, is_membership,
};
use crate::command::{Command, Data};
use crate::log_store::keys;
use crate::meta;
use crate::shard::Record;
use crate::types::{Payload, next_index};
use crate::{CodecError, types};

/// One row of a group, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A log entry.
    Entry {
        /// Its index.
        index: u64,
        /// Its term.
        term: u64,
        /// CRC32 of the whole stored form.
        digest: u32,
    },
    /// For whom the replica has voted.
    Vote {
        /// In this term.
        term: u64,
        /// For this node.
        node: u64,
        /// Whether a majority has confirmed that node as leader.
        granted: bool,
    },
    /// Entries before this are committed.
    Committed(u64),
    /// Entries before this are dropped.
    Purged(u64),
    /// A snapshot of everything before this.
    Snapshot(u64),
}

/// The facts of the meta group as a snapshot holds them.
pub fn facts(state: &meta::State) -> Vec<u8> {
    let mut out = Encoder::default();
    state.encode(&mut out);
    out.finish()
}

/// Reads facts, also those of earlier releases.
///
/// # Errors
/// When they are damaged.
pub fn read_facts(bytes: &[u8]) -> Result<meta::State, CodecError> {
    meta::State::decode(bytes)
}

/// The group of a row, and what it says; nothing for rows of others.
///
/// # Errors
/// When the row is damaged.
pub fn row(space: Space, key: &[u8], value: &[u8]) -> Result<Option<(GroupId, Fact)>, CodecError> {
    let Some((group, rest)) = key.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let group = u64::from_be_bytes(*group);
    let fact = match (space, rest) {
        (Space::Log, _) => {
            let types::LogId { leader_id, index } =
                decode_entry(&Bytes::copy_from_slice(value))?.log_id;
            Fact::Entry {
                index,
                term: *leader_id,
                digest: crc32fast::hash(value),
            }
        }
        (Space::State, [keys::TAG_VOTE]) => {
            let vote = decode_vote(value)?;
            Fact::Vote {
                term: vote.leader_id.term,
                node: vote.leader_id.voted_for,
                granted: vote.committed,
            }
        }
        (Space::State, [keys::TAG_COMMITTED]) => {
            Fact::Committed(next_index(Some(&decode_log_id(value)?)))
        }
        (Space::State, [keys::TAG_PURGED]) => {
            Fact::Purged(next_index(Some(&decode_log_id(value)?)))
        }
        (Space::State, [keys::TAG_SNAPSHOT]) if group == META_GROUP => {
            Fact::Snapshot(meta::snapshot_end(value)?)
        }
        (Space::State, [keys::TAG_SNAPSHOT]) => {
            let (record, _) = Record::decode(&Bytes::copy_from_slice(value))?;
            Fact::Snapshot(next_index(record.last.as_ref()))
        }
        (Space::State | Space::Meta, _) => return Ok(None),
    };
    Ok(Some((group, fact)))
}

/// Who votes from a log entry on, one set for each of the joint configurations; nothing for an entry that
/// changes no members.
///
/// # Errors
/// When the entry is damaged.
pub fn configs(value: &[u8]) -> Result<Option<Vec<BTreeSet<NodeId>>>, CodecError> {
    if !is_membership(value) {
        return Ok(None);
    }
    let entry = decode_entry(&Bytes::copy_from_slice(value))?;
    Ok(match entry.payload {
        Payload::Membership(membership) => Some(membership.get_joint_config().clone()),
        Payload::Blank | Payload::Normal(_) => None,
    })
}

/// The stored form of a log entry with another block in it; nothing for an entry without one. For those who check that
/// what is wrong is found.
///
/// # Errors
/// When the entry is damaged.
pub fn entry_with(stored: &Bytes, block: Block) -> Result<Option<Bytes>, CodecError> {
    let mut entry = decode_entry(stored)?;
    let Payload::Normal(Command::Data(data)) = &mut entry.payload else {
        return Ok(None);
    };
    *data = Data::whole(block);
    Ok(Some(encode_entry(&entry)))
}

/// The key of a log entry.
pub fn entry_key(group: GroupId, index: u64) -> Bytes {
    keys::entry(group, index)
}

/// The key of a group's vote.
pub fn vote_key(group: GroupId) -> Bytes {
    keys::vote(group)
}

/// The key of a group's snapshot.
pub fn snapshot_key(group: GroupId) -> Bytes {
    keys::snapshot(group)
}

/// The key of what is left of a group whose shard is sealed.
pub fn sealed_key(group: GroupId) -> Bytes {
    keys::sealed(group)
}

/// The key of the position that a group's log begins at.
pub fn purged_key(group: GroupId) -> Bytes {
    keys::purged(group)
}

/// The group and the index in the key of a log entry, or in the end of a range of them.
pub fn position_of(key: &[u8]) -> Option<(GroupId, u64)> {
    let (group, rest) = key.split_first_chunk::<8>()?;
    let (index, _) = rest.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*group), u64::from_be_bytes(*index)))
}
