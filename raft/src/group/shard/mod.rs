//! The handle of one shard's group on this node.

mod in_flight;
mod propose;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::store::{Batch, Durability};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, timeout_at};
use tonic::Status as Refused;

use crate::command::{Applied, Command};
use crate::group::core::{Applying, Core};
use crate::group::handover;
use crate::group::intake::Hold;
use crate::group::read::{self, Barrier};
use crate::group::{Attempt, Context, Group, Installer, Status};
use crate::log_store::{LogEntries, LogPiece};
use crate::machine::Machine;
use crate::shard::{Positions, Record, Sealed, Shared, Table, View};
use crate::types::{Peer, SnapshotMeta, next_index};
use crate::{Error, ProposeError, ReadError};

use in_flight::InFlight;
pub(super) use propose::is_keyed;

/// One shard's group. A cheap clone.
#[derive(Clone)]
pub struct ShardGroup {
    inner: Arc<Inner>,
}

struct Inner {
    shard: ShardId,
    core: Core,
    shared: Arc<Shared>,
    installer: Arc<dyn Installer>,
    in_flight: InFlight,
    fetching: Arc<tokio::sync::Mutex<()>>,
}

impl ShardGroup {
    /// Opens the shard's group as the last run left it and takes part in it from then on. A shard that
    /// has nothing yet takes blocks from `policy_epoch` on: a fact of its bucket, the same for every
    /// member.
    ///
    /// # Errors
    /// [`Error::Open`] if it is open already; [`Error::Storage`], [`Error::Codec`] and
    /// [`Error::Stopped`] if the store cannot be read.
    pub async fn open(
        context: &Context,
        shard: ShardId,
        policy_epoch: u64,
        installer: Arc<dyn Installer>,
    ) -> Result<Self, Error> {
        if context.groups.get(shard.group()).is_some() {
            return Err(Error::Open(shard.group()));
        }
        let shared = Shared::open(shard, policy_epoch, context.writer.clone());
        let shared = Arc::new(shared.await?);
        let machine = Machine::Shard(Arc::clone(&shared));
        let core = Core::open(context, shard.group(), machine).await?;
        let in_flight = InFlight::default();
        let fetching = Arc::default();
        let inner = Inner {
            shard,
            core,
            shared,
            installer,
            in_flight,
            fetching,
        };
        let group = Self {
            inner: Arc::new(inner),
        };
        context
            .groups
            .add(shard.group(), Group::Shard(group.clone()))?;
        Ok(group)
    }

    /// Whether this node had nothing of the group when it was opened.
    pub fn is_pristine(&self) -> bool {
        self.core().is_pristine()
    }

    /// Gives a pristine group its first members. Every one of them may do so, with equal members;
    /// nothing happens when the group has begun.
    ///
    /// # Errors
    /// [`Error::Refused`] if this node is not among the members; [`Error::Stopped`].
    pub async fn initialize(&self, members: BTreeMap<NodeId, Peer>) -> Result<(), Error> {
        self.core().initialize(members).await
    }

    /// The shard.
    pub fn shard(&self) -> ShardId {
        self.inner.shard
    }

    /// Fixes the next segment's range, at the leader; `None` when there is nothing to cut.
    ///
    /// # Errors
    /// As [`ProposeError`] says; [`ProposeError::Unavailable`] on a node that does not lead.
    pub async fn cut(&self, deadline: Instant) -> Result<Option<Range<u64>>, ProposeError> {
        match self.command(Command::Cut, deadline).await? {
            Applied::Cut(range) => Ok(range),
            other => Err(ProposeError::Invalid(other.to_string())),
        }
    }

    /// Ends the intake of data, at the leader.
    ///
    /// # Errors
    /// As [`cut`](Self::cut).
    pub async fn close(&self, deadline: Instant) -> Result<(), ProposeError> {
        self.command(Command::Close, deadline).await.map(|_| ())
    }

    /// Refuses blocks that were masked under a policy before this epoch from then on, at the leader. What
    /// is proposed when this has returned is refused wherever it comes from.
    ///
    /// # Errors
    /// As [`cut`](Self::cut).
    pub async fn raise_policy(&self, epoch: u64, deadline: Instant) -> Result<(), ProposeError> {
        let raised = self.command(Command::Policy(epoch), deadline).await;
        raised.map(|_| ())
    }

    /// Remembers the request keys of the shards before this one, at the leader.
    ///
    /// # Errors
    /// As [`cut`](Self::cut).
    pub async fn inherit(&self, table: Table, deadline: Instant) -> Result<(), ProposeError> {
        let table = table.settle();
        self.command(Command::Inherit(Arc::new(table)), deadline)
            .await
            .map(|_| ())
    }

    /// Makes these nodes the voters, at the leader. New ones follow until they have caught up; the
    /// others leave. A change that was interrupted is finished by the next. A leader that is to leave
    /// hands its lead to a voter that stays and refuses; that one is to be asked then.
    ///
    /// # Errors
    /// As [`cut`](Self::cut); [`ProposeError::OutcomeUnknown`] also when a new voter does not catch up
    /// before `deadline`.
    pub async fn change_voters(
        &self,
        voters: &BTreeMap<NodeId, Peer>,
        deadline: Instant,
    ) -> Result<(), ProposeError> {
        if !voters.contains_key(&self.core().context.node) {
            return Err(self.step_aside(voters).await);
        }
        loop {
            match self.core().change_voters(voters, deadline).await {
                // The change before this one is not committed yet: a fresh group's first members.
                Err(Attempt::Retry(_))
                    if self.core().is_leader() && self.core().pause(deadline).await => {}
                change => return change.map_err(Attempt::into_error),
            }
        }
    }

    /// Hands the lead to the voter that follows most closely of those that stay: a leader that is no
    /// voter any more could not be made one again before its own removal is committed.
    async fn step_aside(&self, staying: &BTreeMap<NodeId, Peer>) -> ProposeError {
        let members = self.status().members.into_iter();
        let heirs = members.filter(|member| member.voter && staying.contains_key(&member.node));
        let heir = heirs.min_by_key(|member| member.lag.unwrap_or(u64::MAX));
        let why = match heir {
            Some(heir) => match self.core().transfer_leader(heir.node).await {
                Ok(()) => format!("this node is to leave; node {} shall lead", heir.node),
                Err(error) => format!("this node is to leave and cannot hand over: {error}"),
            },
            None => "this node is to leave and no other voter stays".into(),
        };
        ProposeError::Unavailable(why)
    }

    async fn command(&self, command: Command, deadline: Instant) -> Result<Applied, ProposeError> {
        match self.core().write(command, deadline).await {
            Ok((_, answer)) => Ok(answer),
            Err(attempt) => Err(attempt.into_error()),
        }
    }

    /// The segment of the oldest pending cut is durable here, and `manifest` lists it. One synced
    /// write makes the manifest and the snapshot at that cut durable; then the covered blocks leave
    /// the memory and, with a later [`ShardGroup::trim`], the log.
    ///
    /// # Errors
    /// [`Error::NoSuchCut`] if `range` is not the oldest pending cut; [`Error::Storage`].
    pub async fn segment_built(&self, range: Range<u64>, manifest: Bytes) -> Result<(), Error> {
        self.inner.shared.segment_built(range, manifest).await?;
        self.core().snapshot().await
    }

    /// Segments of this replica were merged: `manifest` lists the same rows as `before`, durable here. Whether
    /// `before` was still what it has; if not, nothing has changed.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn segments_merged(&self, before: &Bytes, manifest: Bytes) -> Result<bool, Error> {
        self.inner.shared.segments_merged(before, manifest).await
    }

    /// Lets go of log that segments cover, but for what [`Settings`](crate::Settings) says to keep, and
    /// all of it while the disk is full. Cheap where there is nothing to do: to be called again and again.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn trim(&self) -> Result<(), Error> {
        let context = &self.core().context;
        let keep = match context.intake.hold() {
            Some(Hold::DiskFull) => 0,
            Some(Hold::Backlog) | None => context.settings.log_keep,
        };
        let to = self.inner.shared.trim_to(keep, self.core().needed_from());
        self.core().purge(to).await
    }

    /// The piece of the applied log that begins at `from`, or where the log does if that is later, as it lies on
    /// the disk here; `None` at its end.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn log_piece(&self, from: u64) -> Result<Option<LogPiece>, Error> {
        let applied_to = self.inner.shared.positions().applied_to;
        self.core().log.piece(from, applied_to).await
    }

    /// The first of these entries as they lie on the disk here, as many as a piece has; `None` if not all of them
    /// are applied here, or one that would be given is damaged.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn log_entries(&self, range: Range<u64>) -> Result<Option<LogEntries>, Error> {
        let applied_to = self.inner.shared.positions().applied_to;
        self.core().log.entries(range, applied_to).await
    }

    /// Writes entries that another replica has applied over those of the same places that are applied here:
    /// these are damaged, and what is applied is the same everywhere. How many are still in the log.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn mend_log(&self, entries: &LogEntries) -> Result<usize, Error> {
        let applied_to = self.inner.shared.positions().applied_to;
        self.core().log.mend(entries, applied_to).await
    }

    /// What this replica would be sealed with; `None` while the shard takes data, or not all that it has
    /// is in segments here.
    pub fn finished(&self) -> Option<(Sealed, Table)> {
        self.inner.shared.finished()
    }

    /// Stops the group for good and leaves the sealed shard in its place. Only for what the meta group
    /// knows as finished with these segments. When this fails, or the node ends before it returns, the
    /// next start has the group as it was, or the sealed shard.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn seal(&self, sealed: &Sealed, table: &Table) -> Result<(), Error> {
        let core = self.core();
        core.context.groups.finish(core.group);
        core.shutdown().await;
        self.inner.shared.seal(sealed, table).await
    }

    /// Stops the group for good and removes all that the store has of it. Only for a shard that the meta
    /// group has dropped, and knows so durably here.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn discard(&self) -> Result<(), Error> {
        let core = self.core();
        core.context.groups.finish(core.group);
        core.shutdown().await;
        self.inner.shared.discard().await
    }

    /// Held while segments of the shard are put on this node's disk, so that a build and a fetch never
    /// write the same folder.
    pub async fn installing(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.inner.fetching).lock_owned().await
    }

    /// The request keys that this shard remembers.
    pub fn producers(&self) -> Table {
        self.inner.shared.table()
    }

    /// One unchanging view of what is applied.
    pub fn view(&self) -> Arc<View> {
        Arc::new(self.inner.shared.view())
    }

    /// Sees every change of the positions.
    pub fn watch(&self) -> watch::Receiver<Positions> {
        self.inner.shared.watch()
    }

    /// Waits until this replica, leader or not, has applied everything that was acknowledged before
    /// the call.
    ///
    /// # Errors
    /// As [`ReadError`] says.
    pub async fn read_barrier(&self, deadline: Instant) -> Result<(), ReadError> {
        read::barrier(self, deadline).await
    }

    /// The leader that this replica knows of.
    pub fn leader(&self) -> Option<NodeId> {
        self.core().leader()
    }

    /// Whether this replica leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.core().is_leader()
    }

    /// Whether a majority was in touch with the leader within `silence`, as far as this replica knows.
    pub fn has_quorum(&self, silence: Duration) -> bool {
        self.core().has_quorum(silence)
    }

    /// Whether nobody uses the group, and its timers are stopped here.
    pub fn is_resting(&self) -> bool {
        self.core().is_resting()
    }

    /// What this replica knows of the group.
    pub fn status(&self) -> Status {
        self.core().status(|| {
            let positions = self.inner.shared.positions();
            Applying {
                segmented_to: positions.segmented_to,
                applied_to: positions.applied_to,
                closed: positions.closed,
                policy_epoch: positions.policy_epoch,
            }
        })
    }

    /// What another member knows of the group.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when it does not answer; [`ReadError::NotFound`] for a node that is
    /// no member.
    pub async fn status_of(&self, node: NodeId, deadline: Instant) -> Result<Status, ReadError> {
        read::status_of(self.core(), node, deadline).await
    }

    /// Hands the leadership to another voter.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Stopped`].
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), Error> {
        self.core().transfer_leader(to).await
    }

    /// Hands the leadership to another voter that says within `patience` that it is fit to lead; whether
    /// it is.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Stopped`].
    pub async fn offer_lead(&self, to: NodeId, patience: Duration) -> Result<bool, Error> {
        handover::offer(self.core(), to, patience).await
    }

    /// Ends this replica's part in the group until it is opened anew: that takes up what is stored then, and what
    /// was on its way to the disk is there when this returns.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn leave(&self) -> Result<(), Error> {
        let core = self.core();
        core.shutdown().await;
        let writer = &core.context.writer;
        Ok(writer.write(Batch::new(), Durability::Synced).await?)
    }

    /// Ends this replica's part in the group; what it stored stays.
    pub async fn shutdown(&self) {
        self.core().shutdown().await;
    }

    pub(crate) fn core(&self) -> &Core {
        &self.inner.core
    }

    pub(super) async fn fetch_segments(
        &self,
        from: NodeId,
        meta: &SnapshotMeta,
        data: &Bytes,
    ) -> Result<OwnedMutexGuard<()>, Refused> {
        let guard = self.installing().await;
        let (record, _) =
            Record::decode(data).map_err(|error| Refused::data_loss(error.to_string()))?;
        if next_index(meta.last_log_id.as_ref()) <= self.inner.shared.positions().applied_to {
            return Ok(guard);
        }
        let mut sources = self.core().peers();
        for (node, peer) in record.membership.nodes() {
            if *node != self.core().context.node && sources.iter().all(|(known, _)| known != node) {
                sources.push((*node, peer.addr.clone()));
            }
        }
        sources.sort_by_key(|(node, _)| (*node != from, *node));
        let fetch = self
            .inner
            .installer
            .fetch(self.inner.shard, &sources, record.manifest.clone());
        fetch.await.map_err(Refused::aborted)?;
        Ok(guard)
    }
}

impl Barrier for ShardGroup {
    fn core(&self) -> &Core {
        &self.inner.core
    }

    async fn applied(&self, read_to: u64, deadline: Instant) -> Result<(), ReadError> {
        let mut positions = self.inner.shared.watch();
        let reached = positions.wait_for(|positions| positions.applied_to >= read_to);
        match timeout_at(deadline, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let applied_to = self.inner.shared.positions().applied_to;
                Err(ReadError::Behind {
                    applied_to,
                    read_to,
                })
            }
        }
    }
}
