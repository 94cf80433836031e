//! The handle of the meta group on this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_record::NodeId;
use hushlog_record::id::META_GROUP;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::core::{Applying, Core};
use super::read::{self, Barrier};
use super::{Attempt, Context, Group, Status};
use crate::command::{Applied, Command};
use crate::machine::Machine;
use crate::meta::{self, Shared, State};
use crate::network::Remote;
use crate::types::Peer;
use crate::{Error, ProposeError, ReadError};

/// The meta group. A cheap clone.
#[derive(Clone)]
pub struct MetaGroup {
    inner: Arc<Inner>,
}

struct Inner {
    core: Core,
    shared: Arc<Shared>,
}

impl MetaGroup {
    /// Opens the meta group as the last run left it.
    ///
    /// # Errors
    /// As [`ShardGroup::open`](crate::ShardGroup::open).
    pub async fn open(context: &Context) -> Result<Self, Error> {
        if context.groups.get(META_GROUP).is_some() {
            return Err(Error::Open(META_GROUP));
        }
        let shared = Arc::new(Shared::open(context.writer.clone())?);
        let machine = Machine::Meta(Arc::clone(&shared));
        let core = Core::open(context, META_GROUP, machine).await?;
        let group = Self {
            inner: Arc::new(Inner { core, shared }),
        };
        context.groups.add(META_GROUP, Group::Meta(group.clone()))?;
        Ok(group)
    }

    /// Whether this node had nothing of the group when it was opened.
    pub fn is_pristine(&self) -> bool {
        self.core().is_pristine()
    }

    /// As [`ShardGroup::initialize`](crate::ShardGroup::initialize).
    ///
    /// # Errors
    /// [`Error::Refused`] if this node is not among the members; [`Error::Stopped`].
    pub async fn initialize(&self, members: BTreeMap<NodeId, Peer>) -> Result<(), Error> {
        self.core().initialize(members).await
    }

    /// Changes the facts: here if this node leads, else by one hop to the leader; tries again through
    /// elections until `deadline`. When it returns, the change is applied on this node too. Commands
    /// have the same effect when they are applied twice, so an unknown outcome is tried again.
    ///
    /// # Errors
    /// As [`ProposeError`] says.
    pub async fn propose(
        &self,
        command: meta::Command,
        deadline: Instant,
    ) -> Result<meta::Answer, ProposeError> {
        let mut unknown = None;
        loop {
            let why = match self.attempt(&command, deadline).await {
                Ok((index, answer)) => {
                    if self.applied(index + 1, deadline).await.is_err() {
                        let why = "it is stored, and not applied here in time";
                        return Err(ProposeError::OutcomeUnknown(why.into()));
                    }
                    return Ok(answer);
                }
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Retry(why)) => why,
                Err(Attempt::Unknown(why)) => {
                    unknown = Some(why.clone());
                    why
                }
            };
            if !self.core().pause(deadline).await {
                return Err(match unknown {
                    Some(why) => ProposeError::OutcomeUnknown(why),
                    None => ProposeError::Unavailable(why),
                });
            }
        }
    }

    async fn attempt(
        &self,
        command: &meta::Command,
        deadline: Instant,
    ) -> Result<(u64, meta::Answer), Attempt> {
        match self.core().remote_leader() {
            None => self.propose_here(command.clone(), deadline).await,
            Some((leader, peer)) => {
                let remote = Remote::new(&self.core().context, leader, &peer);
                remote.propose_meta(command, deadline).await
            }
        }
    }

    /// One attempt at this node, which must lead.
    pub(crate) async fn propose_here(
        &self,
        command: meta::Command,
        deadline: Instant,
    ) -> Result<(u64, meta::Answer), Attempt> {
        let (index, answer) = self
            .core()
            .write(Command::Meta(Arc::new(command)), deadline)
            .await?;
        if self.inner.shared.snapshot_due()
            && let Err(error) = self.core().snapshot().await
        {
            tracing::warn!(%error, "meta snapshot could not be asked for");
        }
        match answer {
            Applied::Meta(answer) => Ok((index, answer)),
            other => Err(Attempt::Final(ProposeError::Invalid(other.to_string()))),
        }
    }

    /// The facts as applied here.
    pub fn state(&self) -> Arc<State> {
        self.inner.shared.state()
    }

    /// The facts that this node knows from its start on, should it start again now; `None` before the
    /// first snapshot.
    pub fn durable_state(&self) -> Option<Arc<State>> {
        self.inner.shared.durable_state()
    }

    /// Has the facts as applied here made durable. They are some time after this has returned.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn make_durable(&self) -> Result<(), Error> {
        self.core().snapshot().await
    }

    /// Sees every change of the facts.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.inner.shared.watch()
    }

    /// As [`ShardGroup::read_barrier`](crate::ShardGroup::read_barrier).
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

    /// As [`ShardGroup::has_quorum`](crate::ShardGroup::has_quorum).
    pub fn has_quorum(&self, silence: Duration) -> bool {
        self.core().has_quorum(silence)
    }

    /// What this replica knows of the group.
    pub fn status(&self) -> Status {
        self.core().status(|| Applying {
            segmented_to: 0,
            applied_to: self.inner.shared.applied_to(),
            closed: false,
            policy_epoch: 0,
        })
    }

    /// Hands the leadership to another voter.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Stopped`].
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), Error> {
        self.core().transfer_leader(to).await
    }

    /// Ends this replica's part in the group; what it stored stays.
    pub async fn shutdown(&self) {
        self.core().shutdown().await;
    }

    pub(crate) fn core(&self) -> &Core {
        &self.inner.core
    }
}

impl Barrier for MetaGroup {
    fn core(&self) -> &Core {
        &self.inner.core
    }

    async fn applied(&self, read_to: u64, deadline: Instant) -> Result<(), ReadError> {
        let mut state = self.inner.shared.watch();
        let reached = state.wait_for(|_| self.inner.shared.applied_to() >= read_to);
        match timeout_at(deadline, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReadError::Behind {
                applied_to: self.inner.shared.applied_to(),
                read_to,
            }),
        }
    }
}
