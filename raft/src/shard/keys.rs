//! The request keys of a shard on the disk: in chunks, one per cut, so that a cut writes what was learnt
//! since the one before and not all that is remembered.
//!
//! ```text
//! Space::State  group u64 | 7 | ordinal u64 of the first  →  version u8 = 2 · count u32, entries · CRC32 u32
//! ```
//!
//! Entries of version 1 are without policies.
//!
//! A key's ordinal is how many the replica had learnt before it. Which of them are remembered is said by
//! the snapshot ([`Window`]); chunks before it are removed in the batch that moves it.

use std::collections::BTreeSet;

use hushlog_record::{GroupId, Timestamp};
use hushlog_storage::store::{Batch, ScanLimit, Space, Store};

use super::Table;
use super::producers::{Form, TableEntry, put_entry, take_entry};
use crate::Error;
use crate::codec::{self, Decoder, Encoder};
use crate::log_store::keys;

const VERSION_WITHOUT_POLICIES: u8 = 1;
const VERSION: u8 = 2;
const WHAT: &str = "request keys";

/// The keys that a shard remembers at one position, by their ordinals: `[from, to)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// Latest admission time seen.
    pub(crate) now: Timestamp,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Keys that were learnt one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Ordinal of the first.
    pub(crate) first: u64,
    pub(crate) entries: Vec<TableEntry>,
}

impl Chunk {
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::versioned(VERSION);
        out.len(self.entries.len());
        for entry in &self.entries {
            put_entry(&mut out, entry);
        }
        out.finish_with_crc()
    }

    fn decode(first: u64, stored: &[u8]) -> Result<Self, codec::Error> {
        let mut input = Decoder::whole(WHAT, stored)?;
        let form = match input.version_up_to(VERSION)? {
            VERSION_WITHOUT_POLICIES => Form::V2,
            _ => Form::V3,
        };
        let count = input.count(form.entry_bytes())?;
        let entries = (0..count).map(|_| take_entry(&mut input, form));
        let entries = entries.collect::<Result<_, _>>()?;
        input.end()?;
        Ok(Self { first, entries })
    }
}

/// Which chunks a group has on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    firsts: BTreeSet<u64>,
}

impl Chunks {
    /// What is on the disk. Blocks on it.
    pub(crate) fn open(store: &dyn Store, group: GroupId) -> Result<Self, Error> {
        let rows = scan(store, group, 0)?;
        let firsts = rows.iter().filter_map(|(key, _)| keys::ordinal_of(key));
        Ok(Self {
            firsts: firsts.collect(),
        })
    }

    /// The keys of this window. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Codec`] also when some are missing.
    pub(crate) fn load(
        &self,
        store: &dyn Store,
        group: GroupId,
        window: &Window,
    ) -> Result<Table, Error> {
        let mut table = Table {
            now: window.now,
            entries: Vec::new(),
        };
        let mut next = window.from;
        for (key, value) in scan(store, group, self.start(window.from))? {
            let first = keys::ordinal_of(&key).unwrap_or(0);
            let chunk = Chunk::decode(first, &value)?;
            let known = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
            if first > next {
                break;
            }
            let left = usize::try_from(window.to - next).unwrap_or(usize::MAX);
            let before = table.entries.len();
            table
                .entries
                .extend(chunk.entries.into_iter().skip(known).take(left));
            next += (table.entries.len() - before) as u64;
        }
        if next != window.to {
            let why = format!("they end at {next}, not at {}", window.to);
            return Err(codec::Error::Invalid(WHAT, why).into());
        }
        Ok(table)
    }

    /// Adds a chunk, and removes those that end before `from`.
    pub(crate) fn put(&mut self, batch: &mut Batch, group: GroupId, chunk: &Chunk, from: u64) {
        if !chunk.entries.is_empty() {
            batch.put(
                Space::State,
                keys::request_keys(group, chunk.first),
                chunk.encode(),
            );
            self.firsts.insert(chunk.first);
        }
        let start = self.start(from);
        if self.firsts.first().is_some_and(|first| *first < start) {
            batch.delete_range(
                Space::State,
                keys::request_keys(group, 0),
                keys::request_keys(group, start),
            );
            self.firsts = self.firsts.split_off(&start);
        }
    }

    /// Removes all.
    pub(crate) fn clear(&mut self, batch: &mut Batch, group: GroupId) {
        remove_all(batch, group);
        self.firsts.clear();
    }

    /// The first of the chunk that holds this ordinal.
    fn start(&self, ordinal: u64) -> u64 {
        let held = self.firsts.range(..=ordinal).next_back();
        held.copied().unwrap_or(0)
    }
}

/// Removes the request keys of a group.
pub(crate) fn remove_all(batch: &mut Batch, group: GroupId) {
    batch.delete_range(
        Space::State,
        keys::request_keys(group, 0),
        keys::request_keys_end(group),
    );
}

fn scan(
    store: &dyn Store,
    group: GroupId,
    from: u64,
) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, Error> {
    let from = keys::request_keys(group, from);
    let end = keys::request_keys_end(group);
    Ok(store.scan(Space::State, &from, &end, ScanLimit::NONE)?)
}

#[cfg(test)]
mod tests {
    use hushlog_record::ShardId;
    use hushlog_record::block::PartKey;
    use hushlog_storage::store::{Durability, Mem};

    use super::*;
    use crate::shard::Origin;

    const GROUP: GroupId = 9;

    fn chunk(ordinals: std::ops::Range<u64>) -> Chunk {
        let entry = |ordinal| TableEntry {
            key: PartKey {
                producer: 1,
                sequence: ordinal,
                chunk: 0,
            },
            origin: Origin {
                shard: ShardId { bucket: 1, slot: 0 },
                seq: ordinal,
            },
            admitted_at: Timestamp::from_nanos(5),
            learnt_at: ordinal,
            content: ordinal,
            policy_epoch: 1 + ordinal,
        };
        Chunk {
            first: ordinals.start,
            entries: ordinals.map(entry).collect(),
        }
    }

    fn write(store: &Mem, chunks: &mut Chunks, chunk: &Chunk, from: u64) {
        let mut batch = Batch::new();
        chunks.put(&mut batch, GROUP, chunk, from);
        store.write(batch, Durability::Synced).unwrap();
    }

    fn load(store: &Mem, chunks: &Chunks, from: u64, to: u64) -> Result<Vec<u64>, Error> {
        let now = Timestamp::from_nanos(7);
        let table = chunks.load(store, GROUP, &Window { now, from, to })?;
        assert_eq!(table.now, now);
        Ok(table.entries.iter().map(|e| e.key.sequence).collect())
    }

    #[test]
    fn a_window_over_several_chunks_comes_back_and_what_is_before_it_goes() {
        let store = Mem::new();
        let mut chunks = Chunks::default();
        for (range, from) in [(0..3, 0), (3..5, 1), (5..5, 1), (5..9, 1)] {
            write(&store, &mut chunks, &chunk(range), from);
        }
        assert_eq!(
            load(&store, &chunks, 1, 9).unwrap(),
            (1..9).collect::<Vec<_>>()
        );
        assert_eq!(load(&store, &chunks, 4, 6).unwrap(), [4, 5]);
        assert_eq!(load(&store, &chunks, 6, 6).unwrap(), [0; 0]);
        assert!(load(&store, &chunks, 6, 10).is_err(), "9 is not there");

        write(&store, &mut chunks, &chunk(9..10), 4);
        let reopened = Chunks::open(&store, GROUP).unwrap();
        assert_eq!(reopened.firsts, BTreeSet::from([3, 5, 9]));
        assert_eq!(
            load(&store, &reopened, 4, 10).unwrap(),
            (4..10).collect::<Vec<_>>()
        );
        assert!(load(&store, &reopened, 2, 10).is_err(), "2 is gone");
    }

    #[test]
    fn a_chunk_that_is_written_again_with_more_counts_once() {
        let store = Mem::new();
        let mut chunks = Chunks::default();
        write(&store, &mut chunks, &chunk(0..2), 0);
        write(&store, &mut chunks, &chunk(0..4), 0);
        write(&store, &mut chunks, &chunk(4..5), 0);
        assert_eq!(load(&store, &chunks, 0, 5).unwrap(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_chunk_without_policies_is_still_read() {
        let mut chunk = chunk(3..4);
        let new = chunk.encode();
        // version, count, key, content; then the policy, which the first version has not.
        let policy_at = 1 + 4 + 28 + 8;
        let mut old = [&new[..policy_at], &new[policy_at + 8..new.len() - 4]].concat();
        old[0] = VERSION_WITHOUT_POLICIES;
        old.extend(crc32fast::hash(&old).to_be_bytes());
        chunk.entries[0].policy_epoch = 1;
        assert_eq!(Chunk::decode(3, &old), Ok(chunk));
    }

    #[test]
    fn a_damaged_chunk_is_noticed() {
        let bytes = chunk(3..6).encode();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Chunk::decode(3, &bad).is_err(), "byte {at}");
        }
    }
}
