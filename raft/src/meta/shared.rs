//! The cluster's facts as the handle, the Raft core and all readers on this node share them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hushlog_record::id::META_GROUP;
use hushlog_storage::store::{Batch, Durability, Space};
use hushlog_storage::writer::WriterHandle;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::State;
use crate::codec::{
    Decoder, Encoder, Error, decode_stored_membership, encode_stored_membership, put_log_id,
    take_log_id,
};
use crate::command::{Applied, Command};
use crate::limits::META_SNAPSHOT_LOG_BYTES;
use crate::log_store::keys;
use crate::types::{Entry, LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, next_index};

const VERSION: u8 = 1;
const WHAT: &str = "meta snapshot";

/// The index of the first entry behind a stored snapshot.
///
/// # Errors
/// When the snapshot is damaged.
pub(crate) fn snapshot_end(stored: &[u8]) -> Result<u64, Error> {
    Ok(next_index(Record::decode(stored)?.last.as_ref()))
}

pub(crate) struct Shared {
    writer: WriterHandle,
    inner: Mutex<Inner>,
    state: watch::Sender<Arc<State>>,
    recording: tokio::sync::Mutex<()>,
}

struct Inner {
    facts: Arc<State>,
    applied: Option<LogId>,
    membership: StoredMembership,
    logged_bytes: u64,
    record: Option<Record>,
}

impl Inner {
    fn apply(&mut self, entry: Entry) -> Applied {
        let Entry { log_id, payload } = entry;
        let applied_to = next_index(self.applied.as_ref());
        assert!(
            log_id.index >= applied_to,
            "entry {} is applied a second time",
            log_id.index
        );
        self.applied = Some(log_id);
        let facts = Arc::make_mut(&mut self.facts);
        facts.applied = log_id.index;
        match payload {
            Payload::Blank => Applied::Nothing,
            Payload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(log_id), membership);
                Applied::Nothing
            }
            Payload::Normal(Command::Meta(command)) => {
                self.logged_bytes += command.bytes() as u64;
                Applied::Meta(facts.apply(&command))
            }
            Payload::Normal(
                Command::Data(_)
                | Command::Cut
                | Command::Close
                | Command::Inherit(_)
                | Command::Policy(_),
            ) => Applied::Foreign,
        }
    }
}

#[derive(Clone)]
struct Record {
    last: Option<LogId>,
    membership: StoredMembership,
    state: Arc<State>,
}

impl Record {
    fn encode(&self) -> Bytes {
        let mut out = Encoder::versioned(VERSION);
        put_log_id(&mut out, self.last.as_ref());
        out.bytes(&encode_stored_membership(&self.membership));
        let mut state = Encoder::default();
        self.state.encode(&mut state);
        out.bytes(&state.finish());
        out.finish_with_crc().into()
    }

    fn decode(stored: &[u8]) -> Result<Self, Error> {
        let mut input = Decoder::checked(WHAT, VERSION, stored)?;
        let record = Self {
            last: take_log_id(&mut input)?,
            membership: decode_stored_membership(input.bytes()?)?,
            state: Arc::new(State::decode(input.bytes()?)?),
        };
        input.end()?;
        Ok(record)
    }

    fn snapshot(&self) -> Snapshot {
        let meta = SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.membership.clone(),
        };
        Snapshot {
            meta,
            snapshot: self.encode().into(),
        }
    }
}

impl Shared {
    /// The facts as of the last snapshot; the Raft core applies the log after it. Blocks on the disk.
    pub(crate) fn open(writer: WriterHandle) -> Result<Self, crate::Error> {
        let stored = writer
            .store()
            .get(Space::State, &keys::snapshot(META_GROUP))?;
        let record = stored.map(|bytes| Record::decode(&bytes)).transpose()?;
        let state = record
            .as_ref()
            .map(|record| Arc::clone(&record.state))
            .unwrap_or_default();
        let inner = Inner {
            facts: Arc::clone(&state),
            applied: record.as_ref().and_then(|record| record.last),
            membership: record
                .as_ref()
                .map(|r| r.membership.clone())
                .unwrap_or_default(),
            logged_bytes: 0,
            record,
        };
        Ok(Self {
            writer,
            inner: Mutex::new(inner),
            state: watch::Sender::new(state),
            recording: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn applied_state(&self) -> (Option<LogId>, StoredMembership) {
        let inner = self.inner.lock();
        (inner.applied, inner.membership.clone())
    }

    pub(crate) fn apply(&self, entry: Entry) -> Applied {
        let answer = self.inner.lock().apply(entry);
        self.publish();
        answer
    }

    /// Shows the watchers the facts as they are now. The facts are locked inside of the watch and
    /// never the other way round, so a watcher may look at the group.
    fn publish(&self) {
        self.state
            .send_modify(|state| *state = Arc::clone(&self.inner.lock().facts));
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.inner.lock().facts)
    }

    /// The facts of the last snapshot: at least these are known after a restart.
    pub(crate) fn durable_state(&self) -> Option<Arc<State>> {
        let inner = self.inner.lock();
        inner
            .record
            .as_ref()
            .map(|record| Arc::clone(&record.state))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    pub(crate) fn applied_to(&self) -> u64 {
        next_index(self.inner.lock().applied.as_ref())
    }

    /// Whether enough has been logged since the last snapshot.
    pub(crate) fn snapshot_due(&self) -> bool {
        self.inner.lock().logged_bytes >= META_SNAPSHOT_LOG_BYTES
    }

    pub(crate) async fn build_snapshot(&self) -> io::Result<Snapshot> {
        let _recording = self.recording.lock().await;
        let record = {
            let mut inner = self.inner.lock();
            inner.logged_bytes = 0;
            Record {
                last: inner.applied,
                membership: inner.membership.clone(),
                state: Arc::clone(&inner.facts),
            }
        };
        self.write(&record).await?;
        let snapshot = record.snapshot();
        self.inner.lock().record = Some(record);
        Ok(snapshot)
    }

    pub(crate) fn current_snapshot(&self) -> Option<Snapshot> {
        self.inner.lock().record.as_ref().map(Record::snapshot)
    }

    pub(crate) async fn install(&self, meta: &SnapshotMeta, data: Bytes) -> io::Result<()> {
        let _recording = self.recording.lock().await;
        let record = Record::decode(&data)?;
        if record.last != meta.last_log_id || record.membership != meta.last_membership {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a snapshot does not belong to its description",
            ));
        }
        self.write(&record).await?;
        {
            let mut inner = self.inner.lock();
            inner.facts = Arc::clone(&record.state);
            inner.applied = record.last;
            inner.membership = record.membership.clone();
            inner.logged_bytes = 0;
            inner.record = Some(record);
        }
        self.publish();
        Ok(())
    }

    async fn write(&self, record: &Record) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.put(Space::State, keys::snapshot(META_GROUP), record.encode());
        self.writer
            .write(batch, Durability::Synced)
            .await
            .map_err(io::Error::other)
    }
}
