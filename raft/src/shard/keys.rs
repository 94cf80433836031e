//! The keys that a shard remembers, on the disk: in chunks, one of each kind per cut, so that a cut writes
//! what was learnt since the one before and not all that is remembered.
//!
//! ```text
//! Space::State  group u64 | 7 | ordinal u64 of the first  →  version u8 = 2 · count u32, entries · CRC32 u32
//! Space::State  group u64 | 8 | ordinal u64 of the first  →  the same of ids of records
//! ```
//!
//! Entries of version 1 are without policies.
//!
//! A key's ordinal is how many of its kind the replica had learnt before it. Which of them are remembered is said by
//! the snapshot ([`Window`]); chunks before it are removed in the batch that moves it.

use std::collections::BTreeSet;

use bytes::Bytes;
use hushlog_record::{GroupId, Timestamp};
use hushlog_storage::store::{Batch, ScanLimit, Space, Store};

use super::Table;
use super::kind::{Kind, PerKind};
use super::producers::{Form, TableEntry, put_entry, take_entry};
use crate::Error;
use crate::codec::{self, Decoder, Encoder};
use crate::log_store::keys::ordinal_of;

const VERSION_WITHOUT_POLICIES: u8 = 1;
const VERSION: u8 = 2;
const WHAT: &str = "request keys";

/// The keys that a shard remembers at one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// Latest admission time seen.
    pub(crate) now: Timestamp,
    pub(crate) spans: PerKind<Span>,
}

/// Keys of one kind by their ordinals: `[from, to)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Window {
    /// Of a table that came without ordinals.
    pub(crate) fn of_table(table: &Table) -> Self {
        let count = |kind| table.of_kind(kind).count() as u64;
        Self {
            now: table.now,
            spans: PerKind::of(|kind| Span {
                from: 0,
                to: count(kind),
            }),
        }
    }
}

/// Keys that were learnt one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Ordinal of the first.
    pub(crate) first: u64,
    pub(crate) entries: Vec<TableEntry>,
}

/// What was learnt of each kind.
pub(crate) type Fresh = PerKind<Chunk>;

impl Fresh {
    /// A whole table, whose keys have the ordinals of this window.
    pub(crate) fn whole(table: &Table, window: &Window) -> Self {
        Self::of(|kind| Chunk {
            first: window.spans.get(kind).from,
            entries: table.of_kind(kind).copied().collect(),
        })
    }
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
    /// The ordinals of their first keys.
    firsts: PerKind<BTreeSet<u64>>,
}

impl Chunks {
    /// What is on the disk. Blocks on it.
    pub(crate) fn open(store: &dyn Store, group: GroupId) -> Result<Self, Error> {
        let mut chunks = Self::default();
        for kind in Kind::ALL {
            let rows = scan(store, group, kind, 0)?;
            let firsts = rows.iter().filter_map(|(key, _)| ordinal_of(key));
            *chunks.firsts.get_mut(kind) = firsts.collect();
        }
        Ok(chunks)
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
        for kind in Kind::ALL {
            let span = *window.spans.get(kind);
            let rows = scan(store, group, kind, self.start(kind, span.from))?;
            take(&rows, span, &mut table)?;
        }
        Ok(table)
    }

    /// Adds what was learnt, and removes what is before this window.
    pub(crate) fn put(
        &mut self,
        batch: &mut Batch,
        group: GroupId,
        fresh: &Fresh,
        window: &Window,
    ) {
        for kind in Kind::ALL {
            let chunk = fresh.get(kind);
            if !chunk.entries.is_empty() {
                let at = kind.stored_at(group, chunk.first);
                batch.put(Space::State, at, chunk.encode());
                self.firsts.get_mut(kind).insert(chunk.first);
            }
            let start = self.start(kind, window.spans.get(kind).from);
            let firsts = self.firsts.get_mut(kind);
            if firsts.first().is_some_and(|first| *first < start) {
                let (from, to) = (kind.stored_at(group, 0), kind.stored_at(group, start));
                batch.delete_range(Space::State, from, to);
                *firsts = firsts.split_off(&start);
            }
        }
    }

    /// Removes all.
    pub(crate) fn clear(&mut self, batch: &mut Batch, group: GroupId) {
        remove_all(batch, group);
        self.firsts = PerKind::default();
    }

    /// The first of the chunk that holds this ordinal.
    fn start(&self, kind: Kind, ordinal: u64) -> u64 {
        let held = self.firsts.get(kind).range(..=ordinal).next_back();
        held.copied().unwrap_or(0)
    }
}

/// Adds the keys of this span, which lie in these chunks.
fn take(rows: &[(Bytes, Bytes)], span: Span, table: &mut Table) -> Result<(), Error> {
    let mut next = span.from;
    for (key, value) in rows {
        let first = ordinal_of(key).unwrap_or(0);
        let chunk = Chunk::decode(first, value)?;
        let known = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        if first > next {
            break;
        }
        let left = usize::try_from(span.to - next).unwrap_or(usize::MAX);
        let before = table.entries.len();
        let entries = chunk.entries.into_iter();
        table.entries.extend(entries.skip(known).take(left));
        next += (table.entries.len() - before) as u64;
    }
    if next != span.to {
        let why = format!("they end at {next}, not at {}", span.to);
        return Err(codec::Error::Invalid(WHAT, why).into());
    }
    Ok(())
}

/// Removes the keys of a group.
pub(crate) fn remove_all(batch: &mut Batch, group: GroupId) {
    for kind in Kind::ALL {
        let (from, to) = (kind.stored_at(group, 0), kind.stored_to(group));
        batch.delete_range(Space::State, from, to);
    }
}

fn scan(
    store: &dyn Store,
    group: GroupId,
    kind: Kind,
    from: u64,
) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let (from, end) = (kind.stored_at(group, from), kind.stored_to(group));
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

    /// Of both kinds the same ordinals, so that one taken for the other is noticed by its key.
    fn write(store: &Mem, chunks: &mut Chunks, chunk: &Chunk, from: u64) {
        let named = |entry: &TableEntry| TableEntry {
            key: PartKey {
                chunk: PartKey::RECORD,
                ..entry.key
            },
            ..*entry
        };
        let fresh = Fresh {
            requests: chunk.clone(),
            records: Chunk {
                first: chunk.first,
                entries: chunk.entries.iter().map(named).collect(),
            },
        };
        let mut batch = Batch::new();
        chunks.put(&mut batch, GROUP, &fresh, &window(from, u64::MAX));
        store.write(batch, Durability::Synced).unwrap();
    }

    fn window(from: u64, to: u64) -> Window {
        Window {
            now: Timestamp::from_nanos(7),
            spans: PerKind::of(|_| Span { from, to }),
        }
    }

    fn load(store: &Mem, chunks: &Chunks, from: u64, to: u64) -> Result<Vec<u64>, Error> {
        let window = window(from, to);
        let table = chunks.load(store, GROUP, &window)?;
        assert_eq!(table.now, window.now);
        let of_kind = |kind| table.of_kind(kind).map(|entry| entry.key.sequence);
        let requests: Vec<u64> = of_kind(Kind::Request).collect();
        assert!(of_kind(Kind::Record).eq(requests.iter().copied()));
        Ok(requests)
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
        assert_eq!(reopened.firsts, PerKind::of(|_| BTreeSet::from([3, 5, 9])));
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
