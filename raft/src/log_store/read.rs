//! Reading a group's log: from the cache where it can, in bounded pieces from the disk where not.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures_util::{Stream, stream};
use hushlog_storage::store::{ScanLimit, Space, Store};
use openraft::OptionalSend;
use openraft::storage::RaftLogReader;

use super::{Log, LogStore, keys, other};
use crate::codec::{decode_entry, entry_bytes};
use crate::limits::{APPEND_BYTES_MAX, STREAM_CHUNK_BYTES_MAX};
use crate::types::{Entry, TypeConfig, Vote, next_index};

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        self.log.read(from, to, usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log.state.lock().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        // What follows a purged entry is no continuation of it: a reader that is late gets nothing
        // rather than entries with a hole before them.
        if start < self.log.state.lock().first {
            return Ok(Vec::new());
        }
        self.log.read(start, end, APPEND_BYTES_MAX).await
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (next, to) = bounds(&range);
        let walk = Walk {
            log: Arc::clone(&self.log),
            next,
            to,
            ready: VecDeque::new(),
        };
        Box::pin(stream::try_unfold(walk, Walk::step))
    }
}

/// A walk through a range that holds one piece of it at a time.
struct Walk {
    log: Arc<Log>,
    next: u64,
    to: u64,
    ready: VecDeque<Entry>,
}

impl Walk {
    async fn step(mut self) -> Result<Option<(Entry, Self)>, io::Error> {
        if self.ready.is_empty() {
            self.ready = self
                .log
                .read(self.next, self.to, STREAM_CHUNK_BYTES_MAX)
                .await?
                .into();
        }
        Ok(self.ready.pop_front().map(|entry| {
            self.next = entry.log_id.index + 1;
            (entry, self)
        }))
    }
}

/// Where the next entry of a range is.
enum Place {
    /// Nowhere: the range is at its end, or what was asked for was read from memory.
    Done,
    /// On disk, up to this index.
    Disk { from: u64, to: u64 },
}

impl Log {
    /// The entries of `[from, to)` that exist, up to `bytes_max` bytes and at least one.
    async fn read(
        self: &Arc<Self>,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> io::Result<Vec<Entry>> {
        let mut out = Vec::new();
        let mut budget = bytes_max;
        let mut next = from;
        while let Place::Disk { from, to } = self.read_memory(next, to, &mut budget, &mut out) {
            if budget == 0 && !out.is_empty() {
                break;
            }
            next = self.read_disk(from, to, &mut budget, &mut out).await?;
        }
        Ok(out)
    }

    /// Reads as far as memory and budget go; says what has to come from the disk before.
    fn read_memory(&self, from: u64, to: u64, budget: &mut usize, out: &mut Vec<Entry>) -> Place {
        let state = self.state.lock();
        let first = state.first;
        if first > from && !out.is_empty() {
            return Place::Done;
        }
        let from = from.max(first);
        let to = to.min(next_index(state.last.as_ref()));
        if from >= to {
            return Place::Done;
        }
        if from < state.cache.first() {
            return Place::Disk {
                from,
                to: to.min(state.cache.first()),
            };
        }
        state.cache.read(from, to, budget, out);
        Place::Done
    }

    /// Reads one piece of synced entries and returns the index after it. What does not fit empties
    /// the budget.
    async fn read_disk(
        self: &Arc<Self>,
        from: u64,
        to: u64,
        budget: &mut usize,
        out: &mut Vec<Entry>,
    ) -> io::Result<u64> {
        let group = self.group;
        let piece = (*budget).min(STREAM_CHUNK_BYTES_MAX);
        let scan = self
            .writer
            .read(move |store| scan(store, group, from, to, piece));
        let rows = scan.await.map_err(other)??;
        if rows.is_empty() {
            return Err(self.hole(from));
        }
        let mut next = from;
        for entry in rows {
            if entry.log_id.index != next {
                return Err(self.hole(next));
            }
            let bytes = entry_bytes(&entry);
            if !out.is_empty() && bytes > *budget {
                *budget = 0;
                return Ok(next);
            }
            *budget = budget.saturating_sub(bytes);
            out.push(entry);
            next += 1;
        }
        Ok(next)
    }

    fn hole(&self, index: u64) -> io::Error {
        let why = format!("group {}: log entry {index} is missing", self.group);
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

fn scan(
    store: &dyn Store,
    group: u64,
    from: u64,
    to: u64,
    bytes_max: usize,
) -> io::Result<Vec<Entry>> {
    let (from, to) = (keys::entry(group, from), keys::entry(group, to));
    let limit = ScanLimit::bytes(bytes_max);
    let rows = store.scan(Space::Log, &from, &to, limit).map_err(other)?;
    rows.iter()
        .map(|(key, stored)| {
            let entry = decode_entry(stored)?;
            if keys::index_of(key) != Some(entry.log_id.index) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a log entry lies under another entry's key",
                ));
            }
            Ok(entry)
        })
        .collect()
}
