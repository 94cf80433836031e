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

use super::keys::{Chunks, Fresh};
use super::state::State;
use super::{Known, Positions, Record, Sealed, Table, View, drop_shard};
use crate::command::Applied;
use crate::log_store::keys;
use crate::snapshot::Body;
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
    /// Where its request keys are on the disk.
    chunks: Chunks,
    /// Whether the sealed shard has taken the group's place in the store.
    sealed: bool,
}

impl Shared {
    /// The shard as of its snapshot; the Raft core applies the log after it. Without a snapshot it
    /// begins with this policy epoch. Blocks on the disk.
    pub(crate) async fn open(
        shard: ShardId,
        policy_epoch: u64,
        writer: WriterHandle,
    ) -> Result<Self, crate::Error> {
        let (store, group) = (writer.store(), shard.group());
        let stored = store.get(Space::State, &keys::snapshot(group))?;
        let mut chunks = Chunks::open(&**store, group)?;
        let (state, record) = match stored.map(|bytes| Record::decode(&bytes)).transpose()? {
            None => (State::new(shard, policy_epoch), None),
            Some((record, Some(table))) => {
                // An earlier build has written it whole.
                let all = Fresh::whole(&table, &record.keys);
                let mut batch = Batch::new();
                batch.put(Space::State, keys::snapshot(group), record.encode_stored());
                chunks.put(&mut batch, group, &all, &record.keys);
                writer.write(batch, Durability::Synced).await?;
                let state = State::restore(shard, &record, &table);
                (state, Some(Arc::new(record)))
            }
            Some((record, None)) => {
                let table = chunks.load(&**store, group, &record.keys)?;
                let state = State::restore(shard, &record, &table);
                (state, Some(Arc::new(record)))
            }
        };
        let positions = watch::Sender::new(state.positions());
        let inner = Mutex::new(Inner {
            state,
            record,
            chunks,
            sealed: false,
        });
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

    pub(crate) fn trim_to(&self, keep: u64, needed_from: u64) -> u64 {
        self.inner.lock().state.trim_to(keep, needed_from)
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
        let (record, fresh) = record.ok_or(crate::Error::NoSuchCut {
            from: range.start,
            to: range.end,
        })?;
        self.write(&record, &fresh).await?;
        let last = record.last;
        self.replace(record, |state, record| state.segment_built(record));
        Ok(last)
    }

    /// Makes a manifest durable that lists the same rows in fewer segments, if `before` is the one that holds.
    /// Whether it was.
    pub(crate) async fn segments_merged(
        &self,
        before: &Bytes,
        manifest: Bytes,
    ) -> Result<bool, crate::Error> {
        let _recording = self.recording.lock().await;
        let record = {
            let inner = self.inner.lock();
            let record = inner.record.clone();
            record.filter(|record| record.manifest == *before && inner.state.manifest() == before)
        };
        let Some(record) = record else {
            return Ok(false);
        };
        let record = Record {
            manifest,
            ..(*record).clone()
        };
        self.write(&record, &Fresh::default()).await?;
        self.replace(record, State::segments_merged);
        Ok(true)
    }

    /// What is left of the shard when it is finished; `None` while it takes data, has a tail, or has not
    /// inherited what it hands on.
    pub(crate) fn finished(&self) -> Option<(Sealed, Table)> {
        let inner = self.inner.lock();
        let (record, _) = inner.state.record_without_tail()?;
        (record.closed && record.inherited).then(|| {
            let sealed = Sealed {
                segmented_to: record.segmented_to,
                manifest: record.manifest,
            };
            (sealed, inner.state.table())
        })
    }

    /// Writes the sealed shard in the place of its group, which must not run any more.
    pub(crate) async fn seal(&self, sealed: &Sealed, table: &Table) -> Result<(), crate::Error> {
        let _recording = self.recording.lock().await;
        sealed.install(&self.writer, self.shard, table).await?;
        self.inner.lock().sealed = true;
        Ok(())
    }

    /// Removes all that the store has of the group, which must not run any more.
    pub(crate) async fn discard(&self) -> Result<(), crate::Error> {
        let _recording = self.recording.lock().await;
        drop_shard(&self.writer, self.shard).await
    }

    /// The snapshot that could be made now: the whole state while there is no tail, else the last
    /// cut's.
    pub(crate) fn snapshot_to_build(&self) -> Option<(Arc<Record>, Fresh)> {
        let inner = self.inner.lock();
        match inner.state.record_without_tail() {
            Some((record, fresh)) => Some((Arc::new(record), fresh)),
            None => Some((inner.record.clone()?, Fresh::default())),
        }
    }

    /// Its data is read from the disk by whoever asks for it: nobody does when a log is only trimmed.
    pub(crate) async fn build_snapshot(self: &Arc<Self>) -> io::Result<Snapshot> {
        let _recording = self.recording.lock().await;
        let record = self.snapshot_to_build();
        let (record, fresh) =
            record.ok_or_else(|| io::Error::other("there is no durable cut yet"))?;
        let newer = self
            .inner
            .lock()
            .record
            .as_ref()
            .is_none_or(|old| old.last < record.last);
        if newer {
            self.write(&record, &fresh)
                .await
                .map_err(io::Error::other)?;
            self.replace((*record).clone(), State::recorded);
        }
        Ok(Snapshot {
            meta: record.meta(),
            snapshot: Body::Stored(Arc::clone(self), record),
        })
    }

    /// The snapshot on the disk, with its request keys. Blocks on the disk.
    pub(crate) async fn current_snapshot(&self) -> io::Result<Option<Snapshot>> {
        // Until the keys are read: a later snapshot removes those that it does not remember.
        let _recording = self.recording.lock().await;
        let record = self.inner.lock().record.clone();
        let Some(record) = record else {
            return Ok(None);
        };
        Ok(Some(Snapshot {
            meta: record.meta(),
            snapshot: Body::Whole(self.sent(&record)?),
        }))
    }

    /// A snapshot as it is sent, as long as it is the newest one on the disk. Blocks on the disk.
    pub(crate) fn sent(&self, record: &Record) -> io::Result<Bytes> {
        let chunks = self.inner.lock().chunks.clone();
        let store = self.writer.store();
        let table = chunks
            .load(&**store, self.shard.group(), &record.keys)
            .map_err(io::Error::other)?;
        Ok(record.encode_sent(&table))
    }

    /// Switches to a snapshot whose segments are on this node's disk already.
    pub(crate) async fn install(&self, meta: &SnapshotMeta, data: Bytes) -> io::Result<()> {
        let _recording = self.recording.lock().await;
        let (record, table) = Record::decode(&data)?;
        let table = table.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a snapshot without its keys")
        })?;
        if record.last != meta.last_log_id || record.membership != meta.last_membership {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a snapshot does not belong to its description",
            ));
        }
        let shard = self.shard;
        let all = Fresh::whole(&table, &record.keys);
        let mut batch = Batch::new();
        self.inner.lock().chunks.clear(&mut batch, shard.group());
        self.write_in(batch, &record, &all)
            .await
            .map_err(io::Error::other)?;
        self.replace(record, |state, record| {
            *state = State::restore(shard, record, &table)
        });
        Ok(())
    }

    async fn write(&self, record: &Record, fresh: &Fresh) -> Result<(), hushlog_storage::Error> {
        self.write_in(Batch::new(), record, fresh).await
    }

    /// Writes a snapshot and the keys that no earlier one had, together with what is in `batch`.
    async fn write_in(
        &self,
        mut batch: Batch,
        record: &Record,
        fresh: &Fresh,
    ) -> Result<(), hushlog_storage::Error> {
        if self.inner.lock().sealed {
            // Nothing of the group may come back behind its seal.
            return Err(hushlog_storage::Error::Stopped);
        }
        let group = self.shard.group();
        batch.put(Space::State, keys::snapshot(group), record.encode_stored());
        self.inner
            .lock()
            .chunks
            .put(&mut batch, group, fresh, &record.keys);
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
