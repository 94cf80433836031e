//! Who is in the meta group, and how that changes: learners first, then one joint change of the voters.
//!
//! Every call is one step that may be repeated; what is interrupted in the middle is finished by the next
//! one. It decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hushlog_record::NodeId;
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, timeout_at};

use super::core::{Core, LATE, not_written};
use super::{Attempt, MetaGroup};
use crate::ProposeError;
use crate::types::Peer;

/// The members of the meta group, as its leader knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// Whether one set of voters is replacing another at the moment.
    pub joint: bool,
    /// The members, by node.
    pub members: BTreeMap<NodeId, RollMember>,
}

/// One of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollMember {
    /// Whether it votes; in a joint group, whether it will when the change is done.
    pub voter: bool,
    /// Entries that it is behind; `None` until it has answered this leader.
    pub lag: Option<u64>,
    /// Since when it has not answered this leader; `None` when it never has.
    pub silence: Option<Duration>,
}

impl Core {
    fn roll(&self) -> Roll {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let stored = &metrics.membership_config;
        let voters = stored.membership().get_joint_config().last();
        let votes = |node: &NodeId| voters.is_some_and(|voters| voters.contains(node));
        let last = metrics.last_log_index.map_or(0, |index| index + 1);
        let member = |node: NodeId| {
            let matched = metrics.replication.as_ref().and_then(|all| all.get(&node));
            let acked = metrics.heartbeat.as_ref().and_then(|all| all.get(&node));
            let acked = acked.and_then(Option::as_ref);
            let silence = acked.map(|acked| openraft::Instant::elapsed(&**acked));
            let own = node == self.context.node;
            RollMember {
                voter: votes(&node),
                lag: matched
                    .and_then(Option::as_ref)
                    .map(|matched| last.saturating_sub(matched.index + 1))
                    .or_else(|| own.then_some(0)),
                silence: if own { Some(Duration::ZERO) } else { silence },
            }
        };
        Roll {
            joint: stored.membership().get_joint_config().len() > 1,
            members: stored
                .nodes()
                .map(|(node, _)| (*node, member(*node)))
                .collect(),
        }
    }

    async fn change_members(
        &self,
        change: ChangeMembers<NodeId, Peer>,
        deadline: Instant,
    ) -> Result<(), Attempt> {
        // What leaves the voters stays a learner: it is told that it is removed before it goes.
        let changed = self.raft.change_membership(change, true);
        match timeout_at(deadline, changed).await {
            Ok(changed) => changed.map(|_| ()).map_err(not_written),
            Err(_) => Err(Attempt::Unknown(LATE.into())),
        }
    }
}

impl MetaGroup {
    /// The members; lags and silences only at the leader.
    pub fn roll(&self) -> Roll {
        self.core().roll()
    }

    /// Has a node follow the group without a vote, at the leader. It catches up after this has returned.
    ///
    /// # Errors
    /// [`ProposeError::Unavailable`] where nothing has changed, as on a node that does not lead;
    /// [`ProposeError::OutcomeUnknown`].
    pub async fn add_learner(
        &self,
        node: NodeId,
        peer: Peer,
        deadline: Instant,
    ) -> Result<(), ProposeError> {
        let change = ChangeMembers::AddNodes(BTreeMap::from([(node, peer)]));
        self.change(change, deadline).await
    }

    /// Ends the part of a node that has no vote, at the leader.
    ///
    /// # Errors
    /// As [`add_learner`](Self::add_learner).
    pub async fn remove_learner(
        &self,
        node: NodeId,
        deadline: Instant,
    ) -> Result<(), ProposeError> {
        let change = ChangeMembers::RemoveNodes(BTreeSet::from([node]));
        self.change(change, deadline).await
    }

    /// Makes these members the voters, in one joint change, at the leader; who is not among them follows
    /// without a vote, also the leader, which leads no more then.
    ///
    /// # Errors
    /// As [`add_learner`](Self::add_learner).
    pub async fn change_voters(
        &self,
        voters: BTreeSet<NodeId>,
        deadline: Instant,
    ) -> Result<(), ProposeError> {
        let change = ChangeMembers::ReplaceAllVoters(voters);
        self.change(change, deadline).await
    }

    async fn change(
        &self,
        change: ChangeMembers<NodeId, Peer>,
        deadline: Instant,
    ) -> Result<(), ProposeError> {
        let changed = self.core().change_members(change, deadline).await;
        changed.map_err(Attempt::into_error)
    }
}
