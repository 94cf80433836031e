//! The state machine that the Raft library drives: a shard's or the meta group's, behind one type.
//!
//! Thin: it walks the stream of committed entries and hands each to the state, which does the work
//! under its own lock. Applying never waits for a disk.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};

use crate::snapshot::Body;
use crate::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::{meta, shard};

/// The state of one group.
#[derive(Clone)]
pub(crate) enum Machine {
    Shard(Arc<shard::Shared>),
    Meta(Arc<meta::Shared>),
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Body;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok(match self {
            Self::Shard(shared) => shared.applied_state(),
            Self::Meta(shared) => shared.applied_state(),
        })
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let answer = match self {
                Self::Shard(shared) => shared.apply(entry),
                Self::Meta(shared) => shared.apply(entry),
            };
            if let Some(responder) = responder {
                responder.send(answer);
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        match self {
            Self::Shard(shared) => {
                let record = shared.snapshot_to_build();
                let any = record.filter(|(record, _)| force || record.last.is_some());
                any.map(|_| Builder(self.clone()))
            }
            Self::Meta(_) => Some(Builder(self.clone())),
        }
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.clone())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: Body) -> io::Result<()> {
        let data = data.bytes()?;
        match self {
            Self::Shard(shared) => shared.install(meta, data).await,
            Self::Meta(shared) => shared.install(meta, data).await,
        }
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        match self {
            Self::Shard(shared) => shared.current_snapshot().await,
            Self::Meta(shared) => Ok(shared.current_snapshot()),
        }
    }
}

/// Makes the snapshot that the library asked for.
pub(crate) struct Builder(Machine);

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Body;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        match &self.0 {
            Machine::Shard(shared) => shared.build_snapshot().await,
            Machine::Meta(shared) => shared.build_snapshot().await,
        }
    }
}
