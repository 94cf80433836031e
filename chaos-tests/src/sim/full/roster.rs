//! Nodes that come and go in a run: who has come, who is gone, whom others call, and what must hold of the
//! cluster's members in the end.
//!
//! Every sealed shard has its replicas on nodes that live; nothing is on its way; who was let in takes part,
//! who was to leave has left, has ended by itself, and is asked nothing any more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hushlog_node::net::{BindError, Listener, Net, Stream};
use hushlog_raft::meta::{Standing, State};
use hushlog_record::NodeId;
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::sim::net::{Simulated, host};
use crate::sim::schedule::{Kind, Schedule};
use crate::sim::stage::Base;

/// How often a host looks whether it is its turn.
const LOOK: Duration = Duration::from_millis(50);
/// Longest time, in milliseconds, that others may go on calling a node that has left, once nothing is wrong
/// with the network any more.
const CALLED_MAX: u64 = 12_000;
/// What a node says that may not take part any more.
const REMOVED: &str = "was removed";

/// Who has come and who is gone.
#[derive(Default)]
pub(super) struct Roster {
    changes: Changes,
    inner: Mutex<Inner>,
}

/// The node changes of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Nodes that are let in: when, and whether replicas are spread then.
    pub(super) joins: BTreeMap<NodeId, (u64, bool)>,
    /// Nodes that are to leave, and when that is first asked for.
    pub(super) drains: BTreeMap<NodeId, u64>,
    /// Whether nodes are stopped in good order.
    stops: bool,
    /// Whether there is any change of nodes.
    pub(super) any: bool,
}

/// What an operator asks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    Join,
    Drain,
}

#[derive(Default)]
struct Inner {
    come: BTreeSet<NodeId>,
    stopping: BTreeSet<NodeId>,
    /// Nodes that never come back.
    lost: BTreeSet<NodeId>,
    left: BTreeSet<NodeId>,
    /// Those of them that the stage has not heard of yet.
    untold: Vec<NodeId>,
    /// What the cluster has taken.
    taken: BTreeSet<(NodeId, Order)>,
    /// When the cluster said that a node was removed.
    removed_at: BTreeMap<NodeId, u64>,
    /// When a node last called another one.
    called_at: BTreeMap<(NodeId, String), u64>,
}

impl Changes {
    pub(super) fn of(schedule: &Schedule) -> Self {
        let mut changes = Self::default();
        for fault in &schedule.faults {
            match fault.kind {
                Kind::Join { node, spread } => {
                    changes.joins.insert(node, (fault.at, spread));
                }
                Kind::Drain { node } => {
                    changes.drains.insert(node, fault.at);
                }
                Kind::Stop { .. } => changes.stops = true,
                Kind::Die { .. } => {}
                _ => continue,
            }
            changes.any = true;
        }
        changes
    }
}

impl Roster {
    pub(super) fn new(changes: Changes) -> Self {
        Self {
            changes,
            inner: Mutex::default(),
        }
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// A machine for this node is there.
    pub(super) fn comes(&self, node: NodeId) {
        self.inner.lock().come.insert(node);
    }

    /// Waits until there is a machine for a node that does not begin the cluster.
    pub(super) async fn has_come(&self, node: NodeId) {
        while !self.inner.lock().come.contains(&node) {
            sleep(LOOK).await;
        }
    }

    /// A node is started: whatever was asked of its last process is over.
    pub(super) fn starts(&self, node: NodeId) {
        self.inner.lock().stopping.remove(&node);
    }

    pub(super) fn stop(&self, node: NodeId) {
        self.inner.lock().stopping.insert(node);
    }

    /// Waits until a node is to stop.
    pub(super) async fn is_to_stop(&self, node: NodeId) {
        if !self.changes.stops {
            return std::future::pending().await;
        }
        while !self.inner.lock().stopping.contains(&node) {
            sleep(LOOK).await;
        }
    }

    /// Whether a node is to stop.
    pub(super) fn stopping(&self, node: NodeId) -> bool {
        self.inner.lock().stopping.contains(&node)
    }

    /// Whether a node that says so when it ends, or does not start, has left; that is noted.
    pub(super) fn leaves(&self, node: NodeId, said: &str) -> bool {
        let leaves = said.contains(REMOVED);
        let mut inner = self.inner.lock();
        if leaves && inner.left.insert(node) {
            inner.untold.push(node);
        }
        leaves
    }

    /// The nodes that have left since this was last asked.
    pub(super) fn take_left(&self) -> Vec<NodeId> {
        std::mem::take(&mut self.inner.lock().untold)
    }

    pub(super) fn is_lost(&self, node: NodeId) {
        self.inner.lock().lost.insert(node);
    }

    /// The cluster has taken an order.
    pub(super) fn takes(&self, node: NodeId, order: Order) {
        self.inner.lock().taken.insert((node, order));
    }

    /// Whether the cluster has taken what this asks for.
    pub(super) fn is_taken(&self, kind: &Kind) -> bool {
        let order = match kind {
            Kind::Join { node, .. } => (*node, Order::Join),
            Kind::Drain { node } => (*node, Order::Drain),
            _ => return false,
        };
        self.inner.lock().taken.contains(&order)
    }

    /// The cluster says that a node is no member any more.
    pub(super) fn removed(&self, node: NodeId, millis: u64) {
        self.inner.lock().removed_at.insert(node, millis);
    }

    /// What does not hold of the members, given what the running nodes know.
    pub(super) fn check(
        &self,
        running: &BTreeSet<NodeId>,
        facts: &State,
        base: &Base,
    ) -> Vec<String> {
        // While a replica is out for its damage the others wait for it, longer than a run lasts.
        if !self.changes.any || base.is_any_out() {
            return Vec::new();
        }
        let inner = self.inner.lock();
        let mut wrong = judge(facts, running, &inner.lost, &self.changes);
        for node in &facts.roster.removed {
            let ended = inner.left.contains(node) || inner.lost.contains(node);
            if !ended || running.contains(node) {
                wrong.push(format!("C11 node {node} was removed and goes on"));
            }
        }
        let calm = base.heal_at;
        for (node, removed) in &inner.removed_at {
            let until = calm.max(*removed) + CALLED_MAX;
            let name = host(*node);
            let late = inner
                .called_at
                .iter()
                .filter(|((_, called), _)| *called == name);
            for ((from, _), at) in late.filter(|(_, at)| **at > until) {
                wrong.push(format!(
                    "node {from} still calls node {node} at {at} ms, which was removed at {removed} ms"
                ));
            }
        }
        wrong
    }
}

/// The same of the facts alone. `lost` are nodes that never come back.
fn judge(
    facts: &State,
    running: &BTreeSet<NodeId>,
    lost: &BTreeSet<NodeId>,
    changes: &Changes,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let active = |node: &NodeId| facts.standing(*node) == Some(Standing::Active);
    let takers: BTreeSet<NodeId> = running
        .iter()
        .filter(|node| active(node))
        .copied()
        .collect();
    for node in changes.joins.keys() {
        let asked = changes.drains.contains_key(node) || lost.contains(node);
        if !asked && !takers.contains(node) {
            wrong.push(format!("C11 node {node} was let in and takes no part"));
        }
    }
    for node in changes.drains.keys() {
        let refused = active(node) && facts.drain_obstacle(*node).is_some();
        let unknown = facts.standing(*node).is_none();
        // One that is dead may not be let go while too few others are there.
        let kept = lost.contains(node) && facts.drain_obstacle(*node).is_some();
        if !(unknown || refused || kept) {
            let standing = facts.standing(*node).map(Standing::name);
            wrong.push(format!("C11 node {node} was to leave and is {standing:?}"));
        }
        if facts.is_removed(*node) && facts.shards_on(*node) > 0 {
            wrong.push(format!("node {node} was removed and has shards"));
        }
    }
    if !facts.roster.moves.is_empty() || facts.roster.rebalancing {
        wrong.push(format!(
            "C11 replicas are still on their way: {:?}",
            facts.roster
        ));
    }
    let copies = facts.copies().min(takers.len());
    for shard in facts.sealed.keys() {
        let Some(slot) = facts.slot(*shard) else {
            continue;
        };
        let here = slot.voters.iter().filter(|voter| running.contains(voter));
        if here.count() < copies {
            wrong.push(format!(
                "C11 {shard} is on {:?}, of which too few live for {copies} copies",
                slot.voters
            ));
        }
    }
    wrong
}

/// The network of one node, which notes whom it calls.
pub(super) struct Watched {
    pub(super) node: NodeId,
    pub(super) base: Arc<Base>,
    pub(super) roster: Arc<Roster>,
}

impl Net for Watched {
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>, BindError>> {
        Box::pin(async move { Simulated.bind(address).await })
    }

    fn dial(&self, address: String) -> BoxFuture<'static, std::io::Result<Stream>> {
        let called = address.split(':').next().unwrap_or_default().to_owned();
        let mut inner = self.roster.inner.lock();
        inner
            .called_at
            .insert((self.node, called), self.base.trace.millis());
        drop(inner);
        Simulated.dial(address)
    }
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Bucket, Change, Command, Node, Plan, Seal, Slot};
    use hushlog_record::{ShardId, Timestamp};

    use super::*;

    const SHARD: ShardId = ShardId { bucket: 1, slot: 0 };

    /// Four nodes and a sealed shard on these, three copies wanted.
    fn facts(voters: &[NodeId]) -> State {
        let at = Timestamp::from_nanos(1);
        let node = |id| Node {
            id,
            grpc: host(id),
            http: String::new(),
            region: String::new(),
            zone: String::new(),
        };
        let slot = Slot {
            slot: 0,
            voters: voters.to_vec(),
            preferred_leader: voters[0],
        };
        let bucket = Bucket {
            bucket: 1,
            opened_at: at,
            closed_at: Some(at),
            policy_epoch: 1,
            slots: vec![slot],
            plan: Plan::default(),
        };
        let seal = Seal {
            digest: [7; 32],
            segmented_to: 4,
            rows: 1,
            bytes: 9,
            time_min: at,
            time_max: at,
        };
        State {
            replication: 3,
            nodes: (1..=4).map(|id| (id, node(id))).collect(),
            buckets: BTreeMap::from([(1, bucket)]),
            sealed: BTreeMap::from([(SHARD, seal)]),
            ..State::default()
        }
    }

    fn stand(state: &mut State, node: NodeId, to: Standing) {
        let from = state.standing(node).expect("known");
        state.apply(&Command::Nodes(Change::Stand { node, from, to }));
    }

    fn seen(facts: &State, running: &[NodeId], lost: &[NodeId], changes: &Changes) -> usize {
        let set = |nodes: &[NodeId]| nodes.iter().copied().collect();
        judge(facts, &set(running), &set(lost), changes).len()
    }

    #[test]
    fn members_that_are_not_as_they_should_be_are_seen() {
        let none = Changes::default();
        let all = [1, 2, 3, 4];
        assert_eq!(seen(&facts(&[1, 2, 3]), &all, &[], &none), 0);
        assert_eq!(
            seen(&facts(&[1, 2, 3]), &[1, 2, 4], &[3], &none),
            1,
            "node 4 should have what node 3 had"
        );
        let mut three = facts(&[1, 2, 3]);
        three.nodes.remove(&4);
        stand(&mut three, 3, Standing::Dead);
        assert_eq!(
            seen(&three, &[1, 2], &[3], &none),
            0,
            "there is nobody else"
        );
        let mut rebalancing = facts(&[1, 2, 3]);
        rebalancing.roster.rebalancing = true;
        assert_eq!(seen(&rebalancing, &all, &[], &none), 1);

        let joins = Changes {
            joins: BTreeMap::from([(4, (0, false))]),
            ..Changes::default()
        };
        assert_eq!(seen(&facts(&[1, 2, 3]), &all, &[], &joins), 0);
        let mut coming = facts(&[1, 2, 3]);
        stand(&mut coming, 4, Standing::Joining);
        assert_eq!(seen(&coming, &all, &[], &joins), 1);

        let drains = Changes {
            drains: BTreeMap::from([(4, 0)]),
            ..Changes::default()
        };
        assert_eq!(seen(&facts(&[1, 2, 3]), &all, &[], &drains), 1, "not asked");
        let mut leaving = facts(&[1, 2, 3]);
        stand(&mut leaving, 4, Standing::Draining);
        assert_eq!(seen(&leaving, &all, &[], &drains), 1);
        let removed = Command::Nodes(Change::Remove(4));
        leaving.apply(&removed);
        assert_eq!(seen(&leaving, &all[..3], &[], &drains), 0);
    }
}
