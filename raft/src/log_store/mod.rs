//! The Raft log of one group in the node's one database.
//!
//! Votes and entries of all groups go through one writer in one order, so that one sync serves them
//! all. An append is readable at once through the [cache](cache::Cache) and reported as flushed only
//! after its sync. The committed position is kept without a sync: it may lag, never lead.
//!
//! Never retries a write: the first failure stops the group, and the writer refuses the rest.

mod cache;
pub(crate) mod keys;
mod piece;
mod read;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use hushlog_record::museum::{Bug, planted};
use hushlog_storage::store::{Batch, Durability, Space, Store};
use hushlog_storage::writer::WriterHandle;
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use parking_lot::Mutex;

use crate::codec::{
    self, decode_entry, decode_log_id, decode_vote, encode_entry, encode_log_id, encode_vote,
};
use crate::limits::CACHE_BYTES_MAX;
use crate::types::{Entry, LogId, TypeConfig, Vote, next_index};
use cache::Cache;
pub use piece::{LogEntries, LogPiece, damaged_log, mend_stored_log};

/// One group's log. Cheap to clone; every clone sees the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Arc<Log>,
}

struct Log {
    group: u64,
    writer: WriterHandle,
    state: Mutex<State>,
}

struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// Index of the first entry that there should be.
    first: u64,
    cache: Cache,
}

fn other(error: hushlog_storage::Error) -> io::Error {
    io::Error::other(error)
}

/// Reads a small fact of the group.
fn fact<T>(
    store: &dyn Store,
    key: &[u8],
    decode: fn(&[u8]) -> Result<T, codec::Error>,
) -> Result<Option<T>, crate::Error> {
    Ok(store
        .get(Space::State, key)?
        .map(|bytes| decode(&bytes))
        .transpose()?)
}

impl LogStore {
    /// Opens the group's log as the last run left it; blocks on the disk.
    pub(crate) fn open(group: u64, writer: WriterHandle) -> Result<Self, crate::Error> {
        Self::open_with(group, writer, CACHE_BYTES_MAX)
    }

    fn open_with(group: u64, writer: WriterHandle, cache: usize) -> Result<Self, crate::Error> {
        let store = Arc::clone(writer.store());
        let vote = fact(&*store, &keys::vote(group), decode_vote)?;
        let committed = fact(&*store, &keys::committed(group), decode_log_id)?;
        let purged = fact(&*store, &keys::purged(group), decode_log_id)?;
        let from = keys::entry(group, next_index(purged.as_ref()));
        let last = match store.last(Space::Log, &from, &keys::entries_end(group))? {
            Some((_, stored)) => Some(decode_entry(&stored)?.log_id),
            None => purged,
        };
        let first = next_index(purged.as_ref());
        let cache = Cache::new(next_index(last.as_ref()), cache);
        let state = Mutex::new(State {
            vote,
            committed,
            purged,
            last,
            first,
            cache,
        });
        Ok(Self {
            log: Arc::new(Log {
                group,
                writer,
                state,
            }),
        })
    }

    /// The latest term that this replica has voted in; 0 before any.
    pub(crate) fn term(&self) -> u64 {
        let vote = self.log.state.lock().vote;
        vote.map_or(0, |vote| vote.leader_id.term)
    }

    /// Whether the group has never voted nor logged anything here.
    pub(crate) fn is_pristine(&self) -> bool {
        let state = self.log.state.lock();
        state.vote.is_none() && state.last.is_none()
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let state = self.log.state.lock();
        Ok(LogState {
            last_purged_log_id: state.purged,
            last_log_id: state.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        if planted(Bug::VoteNotSaved) {
            self.log.state.lock().vote = Some(*vote);
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put(Space::State, keys::vote(self.log.group), encode_vote(vote));
        self.log
            .writer
            .write(batch, Durability::Synced)
            .await
            .map_err(other)?;
        self.log.state.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let mut batch = Batch::new();
        match &committed {
            Some(id) => {
                batch.put(
                    Space::State,
                    keys::committed(self.log.group),
                    encode_log_id(id),
                );
            }
            None => batch.delete(Space::State, keys::committed(self.log.group)),
        }
        self.log.state.lock().committed = committed;
        self.log.submit(batch);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.state.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        self.log.writer.room().await;
        self.log.append(entries, flushed)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let next = next_index(last.as_ref());
        let group = self.log.group;
        let mut batch = Batch::new();
        batch.delete_range(
            Space::Log,
            keys::entry(group, next),
            keys::entries_end(group),
        );
        {
            let mut state = self.log.state.lock();
            assert!(
                next_index(state.committed.as_ref()) <= next,
                "a committed entry is never truncated"
            );
            if next >= next_index(state.last.as_ref()) {
                return Ok(());
            }
            state.cache.truncate(next);
            state.last = last.or(state.purged);
        }
        // Waits, so that the completion of an older append cannot mark a newer entry as synced.
        self.log
            .writer
            .write(batch, Durability::Buffered)
            .await
            .map_err(other)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let next = upto.index + 1;
        let group = self.log.group;
        let mut batch = Batch::new();
        batch.put(Space::State, keys::purged(group), encode_log_id(&upto));
        batch.delete_range(Space::Log, keys::entry(group, 0), keys::entry(group, next));
        {
            let mut state = self.log.state.lock();
            state.purged = Some(upto);
            state.first = state.first.max(next);
            state.cache.purge(next);
            if next_index(state.last.as_ref()) < next {
                state.last = Some(upto);
            }
        }
        self.log.submit(batch);
        Ok(())
    }
}

impl Log {
    /// Queues a write that nobody waits for; its failure stops the writer and so the group.
    fn submit(&self, batch: Batch) {
        let group = self.group;
        let done = move |result: Result<(), hushlog_storage::Error>| {
            if let Err(error) = result {
                tracing::error!(group, %error, "raft state could not be written");
            }
        };
        self.writer
            .submit(batch, Durability::Buffered, Box::new(done));
    }

    fn append(
        self: &Arc<Self>,
        entries: Vec<Entry>,
        flushed: IOFlushed<TypeConfig>,
    ) -> io::Result<()> {
        let mut batch = Batch::new();
        let mut next = {
            let state = self.state.lock();
            state.last.map(|last| last.index + 1)
        };
        for entry in &entries {
            let index = entry.log_id.index;
            assert!(
                next.is_none_or(|next| next == index),
                "the log has no holes"
            );
            next = Some(index + 1);
            batch.put(
                Space::Log,
                keys::entry(self.group, index),
                encode_entry(entry),
            );
        }
        let Some(synced_to) = next.filter(|_| !entries.is_empty()) else {
            flushed.io_completed(Ok(()));
            return Ok(());
        };
        {
            let mut state = self.state.lock();
            if let (None, Some(entry)) = (state.last, entries.first()) {
                // A log begins wherever its first leader began it.
                state.first = entry.log_id.index;
            }
            for entry in entries {
                state.last = Some(entry.log_id);
                state.cache.push(entry);
            }
        }
        let log = Arc::clone(self);
        let done = move |result: Result<(), hushlog_storage::Error>| {
            if result.is_ok() {
                log.state.lock().cache.synced(synced_to);
            }
            flushed.io_completed(result.map_err(other));
        };
        let durability = if planted(Bug::AckBeforeSync) {
            Durability::Buffered
        } else {
            Durability::Synced
        };
        self.writer.submit(batch, durability, Box::new(done));
        Ok(())
    }
}
