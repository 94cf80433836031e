//! Pieces of a group's log as they lie on the disk: what replicas compare, and what mends damaged ones.
//!
//! Only entries that are applied and synced here: those are the same on every replica. What is in memory is
//! never looked at, since it says nothing of the disk.

use std::ops::Range;

use bytes::Bytes;
use hushlog_record::ShardId;
use hushlog_storage::store::{Batch, Durability, ScanLimit, Space, Store};
use hushlog_storage::writer::WriterHandle;

use super::{LogStore, fact, keys};
use crate::Error;
use crate::codec::{self, decode_entry, decode_log_id};
use crate::command::Command;
use crate::limits::{LOG_PIECE_BYTES_MAX, LOG_PIECE_ENTRIES_MAX};
use crate::types::{Payload, next_index};

/// A piece of a shard's applied log, as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// Its entries, half-open.
    pub range: Range<u64>,
    /// Bytes that were read.
    pub bytes: u64,
    /// Entries that are missing or cannot be read, ascending.
    pub damaged: Vec<u64>,
    /// All of them, where none is damaged.
    pub entries: Option<LogEntries>,
}

/// Entries as they lie on the disk of a replica, one after the other, each whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntries {
    from: u64,
    stored: Vec<Bytes>,
}

impl LogEntries {
    /// What another replica of this shard has sent.
    ///
    /// # Errors
    /// When an entry is damaged, another one than its place says, or of another shard.
    pub fn new(shard: ShardId, from: u64, stored: Vec<Bytes>) -> Result<Self, codec::Error> {
        for (index, entry) in (from..).zip(&stored) {
            check(index, entry)?;
            check_shard(shard, entry)?;
        }
        Ok(Self { from, stored })
    }

    /// The entries, half-open.
    pub fn range(&self) -> Range<u64> {
        self.from..self.from + self.stored.len() as u64
    }

    /// As they are sent.
    pub fn stored(&self) -> &[Bytes] {
        &self.stored
    }
}

/// Whether the entry can be read, and is the one with this index.
fn check(index: u64, stored: &Bytes) -> Result<(), codec::Error> {
    let entry = decode_entry(stored)?;
    if entry.log_id.index == index {
        Ok(())
    } else {
        let what = "a log entry lies under another entry's key".into();
        Err(codec::Error::Invalid("log entry", what))
    }
}

/// Whether the entry, if it holds a block, is of this shard.
fn check_shard(shard: ShardId, stored: &Bytes) -> Result<(), codec::Error> {
    match decode_entry(stored)?.payload {
        Payload::Normal(Command::Data(data)) if data.block.header().shard != shard => {
            let what = "a log entry holds a block of another shard".into();
            Err(codec::Error::Invalid("log entry", what))
        }
        Payload::Normal(_) | Payload::Blank | Payload::Membership(_) => Ok(()),
    }
}

/// Rows of `[from, to)`, as many as a piece has.
fn rows(store: &dyn Store, group: u64, range: &Range<u64>) -> Result<Vec<(u64, Bytes)>, Error> {
    let limit = ScanLimit {
        bytes_max: LOG_PIECE_BYTES_MAX,
        rows_max: LOG_PIECE_ENTRIES_MAX,
    };
    let (from, to) = (
        keys::entry(group, range.start),
        keys::entry(group, range.end),
    );
    let rows = store.scan(Space::Log, &from, &to, limit)?;
    let rows = rows.into_iter();
    Ok(rows
        .filter_map(|(key, stored)| Some((keys::index_of(&key)?, stored)))
        .collect())
}

/// The entries that are missing or cannot be read in `[from, to)`, of which these rows are there; those that
/// are missing count up to the limit of a piece.
fn damaged_of(range: Range<u64>, rows: &[(u64, Bytes)]) -> Vec<u64> {
    let mut damaged = Vec::new();
    let mut next = range.start;
    for (index, stored) in rows {
        damaged.extend((next..*index).take(LOG_PIECE_ENTRIES_MAX));
        if check(*index, stored).is_err() {
            damaged.push(*index);
        }
        next = index + 1;
    }
    damaged.extend((next..range.end).take(LOG_PIECE_ENTRIES_MAX));
    damaged
}

/// Entries of a shard's log that are missing or cannot be read, ascending, up to the limit of a piece; of a shard
/// whose group does not run. Blocks on the disk.
///
/// # Errors
/// [`Error::Storage`] and [`Error::Codec`].
pub fn damaged_log(writer: &WriterHandle, shard: ShardId) -> Result<Vec<u64>, Error> {
    let (store, group) = (&**writer.store(), shard.group());
    let purged = fact(store, &keys::purged(group), decode_log_id)?;
    let mut next = next_index(purged.as_ref());
    let end = keys::entries_end(group);
    let last = store.last(Space::Log, &keys::entry(group, next), &end)?;
    let Some(last) = last.and_then(|(key, _)| keys::index_of(&key)) else {
        return Ok(Vec::new());
    };
    let mut damaged = Vec::new();
    while next <= last && damaged.len() < LOG_PIECE_ENTRIES_MAX {
        let rows = rows(store, group, &(next..last + 1))?;
        let end = rows.last().map_or(last + 1, |(index, _)| index + 1);
        damaged.extend(damaged_of(next..end, &rows));
        next = end;
    }
    damaged.truncate(LOG_PIECE_ENTRIES_MAX);
    Ok(damaged)
}

/// Writes entries that another replica has applied over damaged ones, of a shard whose group does not run.
///
/// # Errors
/// [`Error::Storage`].
pub async fn mend_stored_log(
    writer: &WriterHandle,
    shard: ShardId,
    entries: &LogEntries,
) -> Result<(), Error> {
    let mut batch = Batch::new();
    for (index, stored) in entries.range().zip(entries.stored()) {
        let key = keys::entry(shard.group(), index);
        batch.put(Space::Log, key, stored.clone());
    }
    Ok(writer.write(batch, Durability::Synced).await?)
}

impl LogStore {
    /// Entries of `[.., applied_to)` that must be on the disk.
    fn durable(&self, applied_to: u64) -> Range<u64> {
        let state = self.log.state.lock();
        state.first..applied_to.min(state.cache.synced_to())
    }

    /// The piece that begins at `from`, or where the log does if that is later; `None` at the end of what is
    /// applied and synced.
    pub(crate) async fn piece(
        &self,
        from: u64,
        applied_to: u64,
    ) -> Result<Option<LogPiece>, Error> {
        let group = self.log.group;
        loop {
            let durable = self.durable(applied_to);
            let range = from.max(durable.start)..durable.end;
            if range.is_empty() {
                return Ok(None);
            }
            let (asked, start) = (range.clone(), range.start);
            let read = self
                .log
                .writer
                .read(move |store| rows(store, group, &asked));
            let rows = read.await??;
            if self.durable(applied_to).start > start {
                // Let go of meanwhile: what is missing is not lost.
                continue;
            }
            let most = start.saturating_add(LOG_PIECE_ENTRIES_MAX as u64);
            let end = match rows.last() {
                Some((last, _)) => last + 1,
                None => range.end.min(most),
            };
            let damaged = damaged_of(start..end, &rows);
            let bytes = rows.iter().map(|(_, stored)| stored.len() as u64).sum();
            let stored = rows.into_iter().map(|(_, stored)| stored).collect();
            let entries = LogEntries {
                from: start,
                stored,
            };
            return Ok(Some(LogPiece {
                range: start..end,
                bytes,
                entries: damaged.is_empty().then_some(entries),
                damaged,
            }));
        }
    }

    /// The first of these entries, as many as a piece has, if all of them are applied and synced here and those
    /// that are given are whole.
    pub(crate) async fn entries(
        &self,
        range: Range<u64>,
        applied_to: u64,
    ) -> Result<Option<LogEntries>, Error> {
        let (group, durable) = (self.log.group, self.durable(applied_to));
        if range.is_empty() || range.start < durable.start || range.end > durable.end {
            return Ok(None);
        }
        let asked = range.clone();
        let read = self
            .log
            .writer
            .read(move |store| rows(store, group, &asked));
        let rows = read.await??;
        let Some((last, _)) = rows.last() else {
            return Ok(None);
        };
        if !damaged_of(range.start..last + 1, &rows).is_empty() {
            return Ok(None);
        }
        let stored = rows.into_iter().map(|(_, stored)| stored).collect();
        Ok(Some(LogEntries {
            from: range.start,
            stored,
        }))
    }

    /// Puts another replica's entries, which are applied there, in the place of those that are applied here.
    /// How many: none where they are not in the log any more.
    pub(crate) async fn mend(&self, entries: &LogEntries, applied_to: u64) -> Result<usize, Error> {
        let durable = self.durable(applied_to);
        let mut batch = Batch::new();
        let mut count = 0;
        for (index, stored) in (entries.from..).zip(&entries.stored) {
            if durable.contains(&index) {
                let key = keys::entry(self.log.group, index);
                batch.put(Space::Log, key, stored.clone());
                count += 1;
            }
        }
        if count > 0 {
            self.log.writer.write(batch, Durability::Synced).await?;
        }
        Ok(count)
    }
}
