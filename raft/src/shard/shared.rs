//! The state of one shard as its handle, its Raft core and its readers share it.
//!
//! One lock, held for moments. What has to be durable is written before the state moves, in one
//! synced batch, so that a crash leaves the old state or the new one.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hushlog_record::ShardId;
use hushlog_record::block::PartKey;
use hushlog_storage::store::{Batch, Durability, Space};
use hushlog_storage::writer::WriterHandle;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::state::State;
use super::{Known, Positions, Record, Table, View};
use crate::command::Applied;
use crate::log_store::keys;
use crate::types::{Entry, LogId, Snapshot, SnapshotMeta, StoredMembership};

pub(crate) struct Shared {
    shard: ShardId,
    writer: WriterHandle,
    inner: Mutex<Inner>,
    positions: watch::Sender<Positions>,
    /// Held while a snapshot record is written, so that records reach the disk in order.
    recording: tokio::sync::Mutex<()>,
}

struct Inner {
    state: State,
    /// The snapshot as it is on disk.
    record: Option<Arc<Record>>,
}

impl Shared {
    /// The shard as of its snapshot; the Raft core applies the log after it. Blocks on the disk.
    pub(crate) fn open(shard: ShardId, writer: WriterHandle) -> Result<Self, crate::Error> {
        let stored = writer
            .store()
            .get(Space::State, &keys::snapshot(shard.group()))?;
        let record = stored
            .map(|bytes| Record::decode(&bytes))
            .transpose()?
            .map(Arc::new);
        let state = match &record {
            None => State::new(shard),
            Some(record) => State::restore(shard, record),
        };
        let positions = watch::Sender::new(state.positions());
        let inner = Mutex::new(Inner { state, record });
        Ok(Self {
            shard,
            writer,
            inner,
            positions,
            recording: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn applied_state(&self) -> (Option<LogId>, StoredMembership) {
        self.inner.lock().state.applied_state()
    }

    pub(crate) fn apply(&self, entry: Entry) -> Applied {
        let answer = self.inner.lock().state.apply(entry);
        self.publish();
        answer
    }

    /// Tells the watchers where the shard is now. The state is locked inside of the watch and never
    /// the other way round; so a watcher may look at the state, and an older position never comes
    /// after a newer one.
    fn publish(&self) {
        self.positions
            .send_modify(|positions| *positions = self.inner.lock().state.positions());
    }

    pub(crate) fn view(&self) -> View {
        self.inner.lock().state.view()
    }

    pub(crate) fn positions(&self) -> Positions {
        self.inner.lock().state.positions()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Positions> {
        self.positions.subscribe()
    }

    pub(crate) fn known(&self, key: &PartKey, content: u64) -> Option<Known> {
        self.inner.lock().state.known(key, content)
    }

    pub(crate) fn table(&self) -> Table {
        self.inner.lock().state.table()
    }

    /// Makes the manifest with the segment of the oldest pending cut durable, with the snapshot at
    /// that cut, then drops the blocks it covers. Returns the snapshot's log id.
    pub(crate) async fn segment_built(
        &self,
        range: Range<u64>,
        manifest: Bytes,
    ) -> Result<Option<LogId>, crate::Error> {
        let _recording = self.recording.lock().await;
        let record = self.inner.lock().state.record_of_cut(&range, manifest);
        let record = record.ok_or(crate::Error::NoSuchCut {
            from: range.start,
            to: range.end,
        })?;
        self.write(&record).await?;
        let last = record.last;
        self.replace(record, |state, record| state.segment_built(record));
        Ok(last)
    }

    /// The snapshot that could be made now: the whole state while there is no tail, else the last
    /// cut's.
    pub(crate) fn snapshot_to_build(&self) -> Option<Arc<Record>> {
        let inner = self.inner.lock();
        match inner.state.record_without_tail() {
            Some(record) => Some(Arc::new(record)),
            None => inner.record.clone(),
        }
    }

    pub(crate) async fn build_snapshot(&self) -> io::Result<Snapshot> {
        let _recording = self.recording.lock().await;
        let record = self.snapshot_to_build();
        let record = record.ok_or_else(|| io::Error::other("there is no durable cut yet"))?;
        let newer = self
            .inner
            .lock()
            .record
            .as_ref()
            .is_none_or(|old| old.last < record.last);
        if newer {
            self.write(&record).await.map_err(io::Error::other)?;
            self.replace((*record).clone(), |_, _| ());
        }
        Ok(snapshot_of(&record))
    }

    pub(crate) fn current_snapshot(&self) -> Option<Snapshot> {
        self.inner.lock().record.as_deref().map(snapshot_of)
    }

    /// Switches to a snapshot whose segments are on this node's disk already.
    pub(crate) async fn install(&self, meta: &SnapshotMeta, data: Bytes) -> io::Result<()> {
        let _recording = self.recording.lock().await;
        let record = Record::decode(&data)?;
        if record.last != meta.last_log_id || record.membership != meta.last_membership {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a snapshot does not belong to its description",
            ));
        }
        self.write(&record).await.map_err(io::Error::other)?;
        let shard = self.shard;
        self.replace(record, |state, record| {
            *state = State::restore(shard, record)
        });
        Ok(())
    }

    async fn write(&self, record: &Record) -> Result<(), hushlog_storage::Error> {
        let mut batch = Batch::new();
        batch.put(
            Space::State,
            keys::snapshot(self.shard.group()),
            record.encode(),
        );
        self.writer.write(batch, Durability::Synced).await
    }

    fn replace(&self, record: Record, change: impl FnOnce(&mut State, &Record)) {
        {
            let mut inner = self.inner.lock();
            change(&mut inner.state, &record);
            inner.record = Some(Arc::new(record));
        }
        self.publish();
    }
}

fn snapshot_of(record: &Record) -> Snapshot {
    Snapshot {
        meta: record.meta(),
        snapshot: record.encode(),
    }
}
