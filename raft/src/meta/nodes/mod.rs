//! Which nodes take part, which are on their way out, and which replicas are on their way to another node.
//!
//! Everything is compare-and-set: two movers, or one that does not know what became of its last step, do
//! no harm. Replicas of sealed shards move; those of open shards never do, since the next bucket simply is
//! elsewhere. It decides nothing: who is asked to go, and where replicas go, others decide.

mod codec;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use hushlog_record::{NodeId, ShardId};

use super::state::{Slot, State};
use super::{Answer, Node};
use crate::limits::NODES_MAX;

pub(super) use codec::{put_change, put_roster, take_change, take_roster};

/// How a node takes part in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It may come, and has not come yet: nothing is placed on it.
    Joining,
    /// It holds what is placed on it.
    #[default]
    Active,
    /// It is to leave: nothing new is placed on it, and what it has moves away.
    Draining,
    /// It has been silent for too long: as if it were to leave, until it speaks again.
    Dead,
}

impl Standing {
    /// Its name in the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Dead => "dead",
        }
    }
}

/// A replica of a sealed shard on its way. The shard's voters are as before until it has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Whose replica goes when this one has come; `None` where the shard is to have one more.
    pub from: Option<NodeId>,
    /// Who gets it.
    pub to: NodeId,
    /// Log index of the command that began it: no other move has it.
    pub since: u64,
}

/// How the nodes take part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Nodes that are not simply active.
    standings: BTreeMap<NodeId, Standing>,
    /// Nodes that have left. Their numbers never come again.
    pub removed: BTreeSet<NodeId>,
    /// Replicas on their way, one per shard at most.
    pub moves: BTreeMap<ShardId, Move>,
    /// Whether replicas are to be spread evenly over the nodes; ends by itself.
    pub rebalancing: bool,
}

/// A change of who takes part and where replicas are. Applying one twice leaves the same state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Lets a node come.
    Admit(Node),
    /// Changes how a node takes part, if it is as the proposer knows it.
    Stand {
        /// Which.
        node: NodeId,
        /// As it is.
        from: Standing,
        /// As it shall be.
        to: Standing,
    },
    /// Forgets a node that has nothing any more.
    Remove(NodeId),
    /// Sends a replica of a sealed shard on its way, if the shard's voters are these.
    Begin {
        /// Which shard.
        shard: ShardId,
        /// Its voters, ascending.
        voters: Vec<NodeId>,
        /// Whose replica goes in the end.
        from: Option<NodeId>,
        /// Who gets one.
        to: NodeId,
    },
    /// Ends a move.
    End {
        /// Of which shard.
        shard: ShardId,
        /// Which of its moves.
        since: u64,
        /// Whether the replica has arrived: only then the map changes.
        arrived: bool,
    },
    /// Takes a draining node off a sealed shard that has enough other replicas, if its voters are these.
    Leave {
        /// Which shard.
        shard: ShardId,
        /// Its voters, ascending.
        voters: Vec<NodeId>,
        /// Who leaves.
        node: NodeId,
    },
    /// Has replicas spread evenly, or no longer.
    Rebalance(bool),
}

impl Change {
    /// Its name, for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Admit(_) => "admit node",
            Self::Stand { .. } => "change standing",
            Self::Remove(_) => "remove node",
            Self::Begin { .. } => "begin move",
            Self::End { .. } => "end move",
            Self::Leave { .. } => "leave shard",
            Self::Rebalance(_) => "rebalance",
        }
    }
}

/// Voters of a group where so many copies are wanted and so many nodes can hold one: an odd number, since
/// an even one survives no more than the odd one below it. Two nodes give single voters.
pub fn copies(wanted: u32, nodes: usize) -> usize {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    match wanted.min(nodes) {
        0..=2 => 1,
        copies => copies - (1 - copies % 2),
    }
}

impl Roster {
    /// Whether nothing is on its way and everyone is simply active.
    pub fn is_settled(&self) -> bool {
        self.standings.is_empty() && self.moves.is_empty() && !self.rebalancing
    }
}

impl State {
    /// How a node takes part; `None` for one that is not known, or not any more.
    pub fn standing(&self, node: NodeId) -> Option<Standing> {
        let known = self.nodes.contains_key(&node);
        known.then(|| {
            self.roster
                .standings
                .get(&node)
                .copied()
                .unwrap_or_default()
        })
    }

    /// The nodes that stand like this, ascending.
    pub fn standing_as(&self, standing: Standing) -> impl Iterator<Item = NodeId> {
        let nodes = self.nodes.keys().copied();
        nodes.filter(move |node| self.standing(*node) == Some(standing))
    }

    /// Whether the node was a member once and has left for good.
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.roster.removed.contains(&node)
    }

    /// Whether a replica of the shard belongs on the node, or is on its way there.
    pub fn belongs(&self, shard: ShardId, node: NodeId) -> bool {
        let voter = self
            .slot(shard)
            .is_some_and(|slot| slot.voters.contains(&node));
        let coming = self.roster.moves.get(&shard);
        voter || coming.is_some_and(|coming| coming.to == node)
    }

    /// Whether what the node has of the shard is to be deleted: it is sealed, and placed on others alone.
    pub fn is_elsewhere(&self, shard: ShardId, node: NodeId) -> bool {
        self.sealed.contains_key(&shard) && self.slot(shard).is_some() && !self.belongs(shard, node)
    }

    /// How many copies of every record there should be, with the nodes that are there. One that is dead
    /// counts: that it is silent makes two copies of three enough to go on with, not one.
    pub fn copies(&self) -> usize {
        let dead = self.standing_as(Standing::Dead).count();
        copies(
            self.replication,
            self.standing_as(Standing::Active).count() + dead,
        )
    }

    /// How many shards have a replica on the node, or one on its way there.
    pub fn shards_on(&self, node: NodeId) -> usize {
        let all = self.buckets.values().flat_map(|bucket| bucket.shards());
        all.filter(|(shard, _)| self.belongs(*shard, node)).count()
    }

    /// Why a node cannot be drained, in one sentence; `None` where it can.
    pub fn drain_obstacle(&self, node: NodeId) -> Option<String> {
        if self.standing(node) == Some(Standing::Joining) {
            return None;
        }
        let staying = self
            .standing_as(Standing::Active)
            .filter(|n| *n != node)
            .count();
        if staying == 0 {
            return Some(format!(
                "node {node} is the only one that takes data; add another node first"
            ));
        }
        let copies = self.copies();
        (staying < copies).then(|| {
            format!(
                "every record has {copies} copies, and without node {node} only {staying} nodes are left \
                 to hold them; add a node first, or ask for fewer copies"
            )
        })
    }

    pub(super) fn change(&mut self, change: &Change) -> Answer {
        let outcome = match change {
            Change::Admit(node) => self.admit(node),
            Change::Stand { node, from, to } => self.stand(*node, *from, *to),
            Change::Remove(node) => self.remove(*node),
            Change::Begin {
                shard,
                voters,
                from,
                to,
            } => self.begin(*shard, voters, *from, *to),
            Change::End {
                shard,
                since,
                arrived,
            } => self.end(*shard, *since, *arrived),
            Change::Leave {
                shard,
                voters,
                node,
            } => self.leave(*shard, voters, *node),
            Change::Rebalance(on) => {
                self.roster.rebalancing = *on;
                Ok(())
            }
        };
        outcome.map_or_else(Answer::Conflict, |()| Answer::Done)
    }

    /// Adds a node or changes its addresses. One that comes to a cluster that has data is joining first: it
    /// must be heard before anything is placed on it.
    pub(super) fn register(&mut self, node: &Node) -> Result<(), String> {
        if self.is_removed(node.id) {
            return Err(gone(node.id));
        }
        if !self.nodes.contains_key(&node.id) {
            if self.nodes.len() >= NODES_MAX {
                return Err(format!("there are {NODES_MAX} nodes already"));
            }
            if !self.buckets.is_empty() {
                self.roster.standings.insert(node.id, Standing::Joining);
            }
        }
        self.nodes.insert(node.id, node.clone());
        Ok(())
    }

    fn admit(&mut self, node: &Node) -> Result<(), String> {
        if node.id == 0 || node.grpc.is_empty() {
            return Err("a node has a number from 1, and an address".into());
        }
        if let Some(known) = self.nodes.get(&node.id) {
            return if known.grpc == node.grpc {
                Ok(())
            } else {
                Err(format!("node {} is known under another address", node.id))
            };
        }
        self.register(node)
    }

    fn stand(&mut self, node: NodeId, from: Standing, to: Standing) -> Result<(), String> {
        let Some(now) = self.standing(node) else {
            return Err(format!("node {node} is not known"));
        };
        if now == to {
            return Ok(());
        }
        if now != from {
            return Err(format!("node {node} is {} meanwhile", now.name()));
        }
        if to == Standing::Draining
            && let Some(reason) = self.drain_obstacle(node)
        {
            return Err(reason);
        }
        match to {
            Standing::Active => self.roster.standings.remove(&node),
            _ => self.roster.standings.insert(node, to),
        };
        Ok(())
    }

    fn remove(&mut self, node: NodeId) -> Result<(), String> {
        if self.is_removed(node) {
            return Ok(());
        }
        if self.standing(node) != Some(Standing::Draining) {
            return Err(format!("node {node} is not being drained"));
        }
        if self.shards_on(node) > 0 {
            return Err(format!("node {node} still has replicas"));
        }
        self.nodes.remove(&node);
        self.roster.standings.remove(&node);
        self.roster.removed.insert(node);
        Ok(())
    }

    fn begin(
        &mut self,
        shard: ShardId,
        voters: &[NodeId],
        from: Option<NodeId>,
        to: NodeId,
    ) -> Result<(), String> {
        if let Some(known) = self.roster.moves.get(&shard) {
            let same = (known.from, known.to) == (from, to);
            return if same { Ok(()) } else { Err(CHANGED.into()) };
        }
        self.sealed_slot(shard, voters)?;
        if self.standing(to) != Some(Standing::Active) {
            return Err(format!("node {to} takes no replicas"));
        }
        if voters.contains(&to) || from.is_some_and(|from| !voters.contains(&from)) {
            return Err(CHANGED.into());
        }
        let since = self.applied;
        self.roster.moves.insert(shard, Move { from, to, since });
        Ok(())
    }

    fn end(&mut self, shard: ShardId, since: u64, arrived: bool) -> Result<(), String> {
        // One that is not there any more has ended.
        let Some(ended) = self.roster.moves.get(&shard).copied() else {
            return Ok(());
        };
        if ended.since != since {
            return Ok(());
        }
        self.roster.moves.remove(&shard);
        if let Some(slot) = self.slot_mut(shard).filter(|_| arrived) {
            slot.voters.retain(|voter| Some(*voter) != ended.from);
            slot.voters.push(ended.to);
            settle(slot);
        }
        Ok(())
    }

    fn leave(&mut self, shard: ShardId, voters: &[NodeId], node: NodeId) -> Result<(), String> {
        if self.roster.moves.contains_key(&shard) {
            return Err(CHANGED.into());
        }
        if self
            .slot(shard)
            .is_some_and(|slot| !slot.voters.contains(&node))
        {
            return Ok(());
        }
        self.sealed_slot(shard, voters)?;
        if self.standing(node) != Some(Standing::Draining) || voters.len() <= self.copies() {
            return Err("the replica is needed".into());
        }
        if let Some(slot) = self.slot_mut(shard) {
            slot.voters.retain(|voter| *voter != node);
            settle(slot);
        }
        Ok(())
    }

    /// The slot of a sealed shard, if its voters are these.
    fn sealed_slot(&self, shard: ShardId, voters: &[NodeId]) -> Result<&Slot, String> {
        if !self.sealed.contains_key(&shard) {
            return Err("the shard is not sealed".into());
        }
        let slot = self.slot(shard).filter(|slot| slot.voters == voters);
        slot.ok_or_else(|| CHANGED.to_owned())
    }

    fn slot_mut(&mut self, shard: ShardId) -> Option<&mut Slot> {
        let bucket = self.buckets.get_mut(&shard.bucket)?;
        bucket.slots.iter_mut().find(|slot| slot.slot == shard.slot)
    }
}

const CHANGED: &str = "where the shard's replicas are has changed meanwhile";

fn gone(node: NodeId) -> String {
    format!("node {node} was removed from this cluster, and its number is never used again")
}

/// Has a slot's voters ascend, and one of them lead.
fn settle(slot: &mut Slot) {
    slot.voters.sort_unstable();
    if !slot.voters.contains(&slot.preferred_leader) {
        slot.preferred_leader = slot.voters.first().copied().unwrap_or_default();
    }
}
