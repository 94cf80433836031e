//! What every group handle does the same way: leadership, proposals, read positions, the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hushlog_record::museum::{Bug, planted};
use hushlog_record::{GroupId, NodeId};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{
    ClientWriteError, Fatal, InitializeError, LinearizableReadError, RaftError,
};
use openraft::metrics::RaftMetrics;
use openraft::{ReadPolicy, ServerState};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::rest::Rest;
use super::{Attempt, Context, Member, Role, Status, pause};
use crate::command::{Applied, Command};
use crate::limits::{STALLED_AFTER, STALLED_PATIENCE};
use crate::log_store::LogStore;
use crate::machine::Machine;
use crate::network::{Factory, Silence, cluster_bytes};
use crate::runtime;
use crate::types::{Peer, Raft, TypeConfig, next_index};
use crate::{Error, ProposeError};

pub(super) type Metrics = RaftMetrics<TypeConfig>;

pub(crate) struct Core {
    pub(crate) context: Context,
    pub(crate) group: GroupId,
    pub(crate) raft: Raft,
    pub(super) log: LogStore,
    pristine: bool,
    pub(super) silence: Silence,
    pub(super) rest: Rest,
    /// When a leader was last heard here, and answered; openraft does not tell.
    heard: Mutex<Option<Instant>>,
    /// When a message of a leader last came, whether or not this replica could answer it: it cannot while its disk
    /// takes nothing.
    reached: Mutex<Option<Instant>>,
    /// Whether proposals through this replica wait in vain for a leader.
    stalled: AtomicBool,
}

/// Positions of the Raft log and the machine, to fill a [`Status`] with.
pub(super) struct Applying {
    pub(super) segmented_to: u64,
    pub(super) applied_to: u64,
    pub(super) closed: bool,
    pub(super) policy_epoch: u64,
}

impl Core {
    pub(super) async fn open(
        context: &Context,
        group: GroupId,
        machine: Machine,
    ) -> Result<Self, Error> {
        let store = LogStore::open(group, context.writer.clone())?;
        let pristine = store.is_pristine();
        let log = store.clone();
        let silence = Silence::default();
        let factory = Factory {
            cluster: cluster_bytes(context.cluster),
            from: context.node,
            group,
            connect: Arc::clone(&context.connect),
            incarnations: context.incarnations.clone(),
            log: store.clone(),
            silence: silence.clone(),
        };
        let config = context.settings.config(group)?;
        let raft = Raft::new(context.node, config, factory, store, machine);
        let raft = runtime::scope(runtime::mix(context.seed, group), raft)
            .await
            .map_err(|error| stopped(group, &error))?;
        Ok(Self {
            context: context.clone(),
            group,
            raft,
            log,
            pristine,
            silence,
            rest: Rest::new(context, group),
            heard: Mutex::default(),
            reached: Mutex::default(),
            stalled: AtomicBool::new(false),
        })
    }

    /// A message of the group's leader was taken.
    pub(crate) fn heard(&self) {
        *self.heard.lock() = Some(Instant::now());
    }

    /// A message has come of a leader of this term.
    pub(crate) fn reached(&self, term: u64) {
        if term >= self.metrics(|metrics| metrics.current_term) {
            *self.reached.lock() = Some(Instant::now());
        }
    }

    /// Whether there is nobody to propose to, as far as this replica can know: no majority, and no message of a
    /// leader either.
    pub(super) fn is_cut_off(&self) -> bool {
        let reached = self.reached.lock().map(|reached| reached.elapsed());
        reached.is_none_or(|since| since >= STALLED_AFTER) && !self.has_quorum(STALLED_AFTER)
    }

    /// Whether a majority was in touch with the leader within `silence`, as far as this replica can
    /// know: a leader knows when a majority answered, a follower when the leader was heard.
    pub(super) fn has_quorum(&self, silence: Duration) -> bool {
        let (leads, alone, acked, term) = self.metrics(|metrics| {
            let mut voters = metrics.membership_config.voter_ids();
            (
                metrics.state == ServerState::Leader,
                voters.next() == Some(self.context.node) && voters.next().is_none(),
                metrics.last_quorum_acked,
                metrics.current_term,
            )
        });
        let since = if leads {
            let acked = acked.map(|acked| openraft::Instant::elapsed(&*acked));
            // While it rests, its members say in another way that they follow.
            let rested = self.rest.confirmed(term).map(|since| since.elapsed());
            acked.into_iter().chain(rested).min()
        } else {
            self.heard.lock().map(|heard| heard.elapsed())
        };
        (leads && alone) || since.is_some_and(|since| since < silence)
    }

    /// How long a proposal that nobody takes is tried again. Once one has waited in vain, the next
    /// ones are refused soon, until a leader takes one.
    pub(super) fn patience(&self) -> Duration {
        if self.stalled.load(Ordering::Relaxed) {
            STALLED_PATIENCE
        } else {
            self.context.settings.patience
        }
    }

    pub(super) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Waits for the end of a proposal, and sees meanwhile whether it waits in vain. The next ones must not wait
    /// as long then: nobody knows how soon their callers, or the one of this, lose patience.
    pub(super) async fn watched<T>(&self, proposal: impl Future<Output = T>) -> T {
        let mut proposal = std::pin::pin!(proposal);
        loop {
            if let Ok(end) = timeout(STALLED_AFTER, &mut proposal).await {
                return end;
            }
            if self.is_cut_off() {
                self.set_stalled(true);
            }
        }
    }

    /// Waits until this replica no longer takes `node` for the leader.
    pub(super) async fn deposed(&self, node: NodeId) {
        let mut metrics = self.raft.server_metrics();
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if leader.is_some_and(|leader| leader != node) {
                return;
            }
            if metrics.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether the group had neither votes nor entries here when it was opened.
    pub(super) fn is_pristine(&self) -> bool {
        self.pristine
    }

    pub(super) async fn initialize(&self, members: BTreeMap<NodeId, Peer>) -> Result<(), Error> {
        match self.raft.initialize(members).await {
            // Initialised before, here or through a peer.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(error)) => Err(Error::Refused(error.to_string())),
            Err(RaftError::Fatal(error)) => Err(stopped(self.group, &error)),
        }
    }

    pub(super) fn metrics<T>(&self, read: impl FnOnce(&Metrics) -> T) -> T {
        read(&self.raft.metrics().borrow_watched())
    }

    pub(super) fn leader(&self) -> Option<NodeId> {
        self.metrics(|metrics| metrics.current_leader)
    }

    pub(super) fn is_leader(&self) -> bool {
        self.raft.is_leader()
    }

    /// The leader and its address, unless it is this node.
    pub(super) fn remote_leader(&self) -> Option<(NodeId, Peer)> {
        self.metrics(|metrics| {
            let leader = metrics
                .current_leader
                .filter(|leader| *leader != self.context.node)?;
            let peer = metrics.membership_config.get_node(&leader)?;
            Some((leader, peer.clone()))
        })
    }

    /// The other members and their addresses.
    pub(super) fn peers(&self) -> Vec<(NodeId, String)> {
        self.metrics(|metrics| {
            let nodes = metrics.membership_config.nodes();
            nodes
                .filter(|(node, _)| **node != self.context.node)
                .map(|(node, peer)| (*node, peer.addr.clone()))
                .collect()
        })
    }

    /// On how many disks an acknowledged entry is at least.
    pub(super) fn copies(&self) -> u32 {
        let voters = self.metrics(|metrics| metrics.membership_config.voter_ids().count());
        u32::try_from(voters / 2 + 1).unwrap_or(u32::MAX)
    }

    /// Proposes at this node; the answer comes when the entry is applied here.
    pub(super) async fn write(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<(u64, Applied), Attempt> {
        if let Some(failure) = self.context.writer.failed().borrow().clone() {
            return Err(Attempt::Final(if failure.full {
                ProposeError::DiskFull
            } else {
                ProposeError::WritesFailed(failure.reason)
            }));
        }
        if let Err(error) = self.metrics(|metrics| metrics.running_state.clone()) {
            return Err(Attempt::Retry(format!("the group has stopped: {error}")));
        }
        let _user = self.use_awake(deadline).await;
        match timeout_at(deadline, self.raft.client_write(command)).await {
            Ok(Ok(response)) => Ok((response.log_id.index, response.data)),
            Ok(Err(error)) => Err(not_written(error)),
            Err(_) if planted(Bug::UnknownCalledRefused) => Err(Attempt::Retry(LATE.into())),
            Err(_) => Err(Attempt::Unknown(LATE.into())),
        }
    }

    /// Makes these nodes the voters, at the leader: the new ones follow until they have caught up, then
    /// one joint change (Ongaro, *Consensus: Bridging Theory and Practice*, 4.3) takes all of them in and
    /// the others out. A change that was interrupted is finished by the next.
    pub(super) async fn change_voters(
        &self,
        voters: &BTreeMap<NodeId, Peer>,
        deadline: Instant,
    ) -> Result<(), Attempt> {
        let _user = self.use_awake(deadline).await;
        let now: BTreeSet<NodeId> =
            self.metrics(|metrics| metrics.membership_config.voter_ids().collect());
        let new = voters.iter().filter(|(node, _)| !now.contains(node));
        for (node, peer) in new {
            let joined = self.raft.add_learner(*node, peer.clone(), true);
            match timeout_at(deadline, joined).await {
                Ok(joined) => joined.map_err(not_written)?,
                Err(_) => return Err(Attempt::Unknown(format!("node {node} does not catch up"))),
            };
        }
        let all: BTreeSet<NodeId> = voters.keys().copied().collect();
        let changed = self.raft.change_membership(all, false);
        match timeout_at(deadline, changed).await {
            Ok(changed) => changed.map(|_| ()).map_err(not_written),
            Err(_) => Err(Attempt::Unknown(LATE.into())),
        }
    }

    /// Confirms leadership and returns the first position that a reader need not wait for.
    pub(super) async fn read_index(&self, deadline: Instant) -> Result<u64, Option<NodeId>> {
        let confirm = self.raft.get_read_log_id(ReadPolicy::ReadIndex);
        match timeout_at(deadline, confirm).await {
            Ok(Ok((read, _))) => Ok(read.index() + 1),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Err(forward.leader_id)
            }
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }

    /// Waits a moment, or until the leader changes; whether there is still time before `deadline`.
    pub(super) async fn pause(&self, deadline: Instant) -> bool {
        let mut metrics = self.raft.server_metrics();
        let leader = metrics.borrow_watched().current_leader;
        let until = deadline.min(Instant::now() + pause());
        let changed = async {
            while metrics.changed().await.is_ok() {
                if metrics.borrow_watched().current_leader != leader {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        // Either way there is something new to try.
        drop(timeout_at(until, changed).await);
        Instant::now() < deadline
    }

    /// Looks at the machine after the log, since the machine moves first.
    pub(super) fn status(&self, applying: impl FnOnce() -> Applying) -> Status {
        // Not under the lock of the metrics (see `Rest`).
        let resting = self.is_resting();
        self.metrics(|metrics| {
            let applying = applying();
            let status = Status {
                group: self.group,
                term: metrics.current_term,
                role: Role::of(metrics.state),
                leader: metrics.current_leader,
                trimmed_to: next_index(metrics.purged.as_ref()),
                segmented_to: applying.segmented_to,
                applied_to: applying.applied_to,
                // The machine may have moved on since the metrics were taken.
                committed_to: next_index(metrics.local_committed.as_ref()).max(applying.applied_to),
                appended_to: metrics
                    .last_log_index
                    .map_or(0, |i| i + 1)
                    .max(applying.applied_to),
                closed: applying.closed,
                policy_epoch: applying.policy_epoch,
                unfit: self.context.is_unfit(),
                resting,
                members: members(metrics),
            };
            assert!(
                status.applied_to <= status.committed_to && status.trimmed_to <= status.applied_to,
                "positions are out of order: {status:?}"
            );
            status
        })
    }

    pub(super) async fn transfer_leader(&self, to: NodeId) -> Result<(), Error> {
        if !self.is_leader() {
            return Err(Error::NotLeader {
                group: self.group,
                leader: self.leader(),
            });
        }
        let soon = Instant::now() + self.context.settings.heartbeat;
        let _user = self.use_awake(soon).await;
        let transfer = self.raft.trigger().transfer_leader(to).await;
        transfer.map_err(|error| stopped(self.group, &error))
    }

    /// Falls silent as the leader of this term for so long.
    pub(super) fn abdicate(&self, silence: Duration) {
        let term = self.metrics(|metrics| metrics.current_term);
        self.silence.keep(term, silence);
        self.end_lead_silently();
    }

    /// Asks for a snapshot.
    pub(super) async fn snapshot(&self) -> Result<(), Error> {
        let snapshot = self.raft.trigger().snapshot().await;
        snapshot.map_err(|error| stopped(self.group, &error))
    }

    /// From where on a member needs the log, at the leader; elsewhere nobody asks for it.
    pub(super) fn needed_from(&self) -> u64 {
        self.metrics(|metrics| {
            let Some(replication) = &metrics.replication else {
                return u64::MAX;
            };
            let members = metrics.membership_config.nodes();
            let others = members.filter(|(node, _)| **node != self.context.node);
            let needed = others.map(|(node, _)| {
                let matched = replication.get(node).and_then(Option::as_ref);
                next_index(matched)
            });
            needed.min().unwrap_or(u64::MAX)
        })
    }

    /// Lets go of the log before `to`, as far as a snapshot covers it.
    pub(super) async fn purge(&self, to: u64) -> Result<(), Error> {
        let done = self.metrics(|metrics| {
            let covered = next_index(metrics.snapshot.as_ref());
            covered.min(to) <= next_index(metrics.purged.as_ref())
        });
        if done {
            return Ok(());
        }
        let purged = self.raft.trigger().purge_log(to - 1).await;
        purged.map_err(|error| stopped(self.group, &error))
    }

    pub(super) async fn shutdown(&self) {
        self.context.groups.remove(self.group);
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(group = self.group, %error, "raft core ended by a panic");
        }
    }
}

pub(super) const LATE: &str = "no majority has answered in time";

pub(super) type WriteError = RaftError<TypeConfig, ClientWriteError<TypeConfig>>;

pub(super) fn not_written(error: WriteError) -> Attempt {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            Attempt::Retry(match forward.leader_id {
                Some(leader) => format!("node {leader} leads: {:?}", forward.reason),
                None => format!("no leader is known: {:?}", forward.reason),
            })
        }
        RaftError::APIError(error @ ClientWriteError::LogEntryDiscarded(_)) => {
            Attempt::Unknown(error.to_string())
        }
        RaftError::APIError(error) => Attempt::Retry(error.to_string()),
        RaftError::Fatal(error) => Attempt::Unknown(error.to_string()),
    }
}

fn stopped(group: GroupId, error: &Fatal<TypeConfig>) -> Error {
    Error::Stopped {
        group,
        reason: error.to_string(),
    }
}

fn members(metrics: &Metrics) -> Vec<Member> {
    let stored = &metrics.membership_config;
    let voters: Vec<NodeId> = stored.voter_ids().collect();
    let last = metrics.last_log_index.map_or(0, |index| index + 1);
    let lag = |node: &NodeId| {
        let matched = metrics.replication.as_ref()?.get(node)?.as_ref()?;
        Some(last.saturating_sub(matched.index + 1))
    };
    let member = |(node, peer): (&NodeId, &Peer)| Member {
        node: *node,
        addr: peer.addr.clone(),
        voter: voters.contains(node),
        lag: lag(node),
    };
    stored.nodes().map(member).collect()
}
