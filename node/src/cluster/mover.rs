//! Has nodes come and go: the meta leader's task, one look at a time.
//!
//! What is to be done next is told by pure functions (`voters`, `moves`) from what the group has agreed on and
//! what nodes say; each step is a command or a change of the group that may be repeated. So it may be ended
//! at any point, and two leaders at once do no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hushlog_proto::hushlog::internal::v1::NodeReport;
use hushlog_raft::meta::{self, Change};
use hushlog_raft::{MetaGroup, Peer, ProposeError, Roll, hand_over};
use hushlog_record::NodeId;
use hushlog_record::id::META_GROUP;
use tokio::time::Instant;

use super::Cluster;
use super::moves::{self, Holdings, Seen};
use super::placement::{ends_early, next_bucket};
use super::plan::Measured;
use super::voters::{self, Step};

/// How often the leader looks.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How long one change may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long another node may take to say whether it is fit to lead.
const ASK_PATIENCE: Duration = Duration::from_millis(500);
/// How long a removed node still follows, so that it hears of its removal.
const INFORM_PATIENCE: Duration = Duration::from_secs(5);

/// The meta leader's task on one node.
pub(crate) struct Mover {
    pub(crate) cluster: Cluster,
    /// Since when this node has led, in which term.
    leading: Option<(u64, Instant)>,
    /// Since when each removed node is to follow no more.
    forgetting: BTreeMap<NodeId, Instant>,
    /// The facts and the answering nodes as of which no replica had anywhere to go.
    settled: Option<(u64, BTreeSet<NodeId>)>,
}

impl Mover {
    pub(crate) const fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            leading: None,
            forgetting: BTreeMap::new(),
            settled: None,
        }
    }

    fn meta(&self) -> &MetaGroup {
        self.cluster.meta()
    }

    /// Looks once, if this node leads the meta group, and takes the next steps.
    ///
    /// # Errors
    /// When a step was not taken: the next look shows whether it is still to be taken.
    pub(crate) async fn tick(&mut self) -> Result<(), ProposeError> {
        let Some(leads) = self.leads() else {
            return Ok(());
        };
        let state = self.meta().state();
        if state.cluster == 0 {
            return Ok(());
        }
        let roll = self.meta().roll();
        // One that is not possible at the moment keeps none of the others.
        let stood = self.change_standings(&state, &roll, leads).await;
        let changed = self.change_group(&state, &roll).await;
        let forgot = self.forget_removed(&state, &roll).await;
        let moved = self.move_replicas(&voters::live(&roll)).await;
        let removed = self.remove_done().await;
        stood.and(changed).and(forgot).and(moved).and(removed)
    }

    async fn change_standings(
        &self,
        state: &meta::State,
        roll: &Roll,
        leads: Duration,
    ) -> Result<(), ProposeError> {
        let dead_after = self.cluster.settings().dead_after;
        for change in voters::standings(state, roll, leads, dead_after) {
            self.propose(change).await?;
        }
        Ok(())
    }

    async fn remove_done(&self) -> Result<(), ProposeError> {
        let state = self.meta().state();
        for node in voters::done(&state, &self.meta().roll()) {
            self.propose(Change::Remove(node)).await?;
        }
        Ok(())
    }

    /// How long this node has led in its term; `None` where it does not lead.
    fn leads(&mut self) -> Option<Duration> {
        if !self.meta().is_leader() {
            self.leading = None;
            return None;
        }
        let term = self.meta().status().term;
        let since = match self.leading {
            Some((known, since)) if known == term => since,
            Some(_) | None => Instant::now(),
        };
        self.leading = Some((term, since));
        Some(since.elapsed())
    }

    async fn change_group(&self, state: &meta::State, roll: &Roll) -> Result<(), ProposeError> {
        let step = voters::next_step(state, roll, self.cluster.settings().node);
        let Some(step) = step else {
            return Ok(());
        };
        tracing::debug!(?step, "the meta group changes");
        let deadline = Instant::now() + DEADLINE;
        match step {
            Step::Follow(node) => {
                let Some(known) = state.nodes.get(&node) else {
                    return Ok(());
                };
                let addr = known.grpc.clone();
                self.meta().add_learner(node, Peer { addr }, deadline).await
            }
            Step::Vote(voters) => {
                tracing::info!(?voters, "the voters of the meta group change");
                self.meta().change_voters(voters, deadline).await
            }
            Step::HandOver => {
                let heir = hand_over(self.cluster.context(), META_GROUP, ASK_PATIENCE).await;
                tracing::info!(
                    ?heir,
                    "this node is to leave; another shall lead the meta group"
                );
                Ok(())
            }
        }
    }

    /// Lets those follow no more that were removed long enough ago; each by its own time, whatever else of the
    /// group is still to be changed. All together take no longer than one may.
    async fn forget_removed(
        &mut self,
        state: &meta::State,
        roll: &Roll,
    ) -> Result<(), ProposeError> {
        let leftover = voters::leftover(state, roll);
        self.forgetting.retain(|node, _| leftover.contains(node));
        let mut outcome = Ok(());
        let deadline = Instant::now() + DEADLINE;
        for node in leftover {
            let since = *self.forgetting.entry(node).or_insert_with(Instant::now);
            if since.elapsed() >= INFORM_PATIENCE {
                outcome = outcome.and(self.meta().remove_learner(node, deadline).await);
            }
        }
        outcome
    }

    async fn move_replicas(&mut self, live: &BTreeSet<NodeId>) -> Result<(), ProposeError> {
        let state = self.meta().state();
        let now = (state.applied, live.clone());
        if self.settled.as_ref() == Some(&now) {
            return Ok(());
        }
        let mut seen = Seen {
            live: live.clone(),
            ..Seen::default()
        };
        let asks = moves::needs_holdings(&state);
        if asks {
            let reports = self.cluster.reports().await.into_iter();
            let told = reports.filter_map(|(node, report)| Some((node, holdings(report.ok()?))));
            seen.held = told.collect();
        }
        let steps = moves::steps(&state, &seen);
        // What is on its way arrives without a change of the facts.
        self.settled = (steps.is_empty() && !asks).then_some(now);
        for step in steps {
            if step == Change::Rebalance(false) && self.spreads(&state) {
                // The next bucket is to be opened for it first.
                self.settled = None;
                continue;
            }
            self.propose(step).await?;
        }
        Ok(())
    }

    fn spreads(&self, state: &meta::State) -> bool {
        let next = next_bucket(state, self.cluster.settings(), &Measured::default());
        ends_early(state, &next.slots).is_some()
    }

    async fn propose(&self, change: Change) -> Result<(), ProposeError> {
        let (name, what) = (change.name(), format!("{change:?}"));
        let of_a_node = matches!(change, Change::Stand { .. } | Change::Remove(_));
        let command = meta::Command::Nodes(change);
        let deadline = Instant::now() + DEADLINE;
        match self.meta().propose(command, deadline).await? {
            meta::Answer::Conflict(reason) => tracing::debug!(name, reason, "not any more"),
            _ if of_a_node => tracing::info!(what, "the cluster changes"),
            _ => tracing::debug!(what, "the map changes"),
        }
        Ok(())
    }
}

/// What a node holds of sealed shards, whole.
fn holdings(report: NodeReport) -> Holdings {
    let whole = report.shards.iter().filter(|s| s.sealed && !s.damaged);
    Holdings {
        facts_applied: report.facts_applied,
        whole: whole.map(|shard| shard.group).collect(),
    }
}
