//! Which nodes take part, which are on their way out, and which replicas are on their way to another node.
//!
//! Everything is compare-and-set: two movers, or one that does not know what became of its last step, do
//! no harm. Replicas of sealed shards move; those of open shards never do, since the next bucket simply is
//! elsewhere. It decides nothing: who is asked to go, and where replicas go, others decide.

use std::collections::{BTreeMap, BTreeSet};

use hushlog_record::{NodeId, ShardId};

use super::state::{Slot, State, take_shard};
use super::{Answer, Node};
use crate::codec::{Decoder, Encoder, Error};
use crate::limits::NODES_MAX;

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

    const fn number(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Joining => 1,
            Self::Draining => 2,
            Self::Dead => 3,
        }
    }

    fn take(input: &mut Decoder<'_>) -> Result<Self, Error> {
        match input.u8()? {
            0 => Ok(Self::Active),
            1 => Ok(Self::Joining),
            2 => Ok(Self::Draining),
            3 => Ok(Self::Dead),
            other => Err(input.invalid(format!("standing {other}"))),
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

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Admit(node) => 34 + node.grpc.len() + node.http.len(),
            Self::Stand { .. } => 12,
            Self::Remove(_) => 10,
            Self::Begin { voters, .. } | Self::Leave { voters, .. } => 40 + 8 * voters.len(),
            Self::End { .. } => 19,
            Self::Rebalance(_) => 3,
        }
    }
}

const KIND_ADMIT: u8 = 1;
const KIND_STAND: u8 = 2;
const KIND_REMOVE: u8 = 3;
const KIND_BEGIN: u8 = 4;
const KIND_END: u8 = 5;
const KIND_LEAVE: u8 = 6;
const KIND_REBALANCE: u8 = 7;

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

/// 0 stands for none: no node has this number.
fn put_option(out: &mut Encoder, node: Option<NodeId>) {
    out.u64(node.unwrap_or(0));
}

fn take_option(input: &mut Decoder<'_>) -> Result<Option<NodeId>, Error> {
    Ok(Some(input.u64()?).filter(|node| *node != 0))
}

fn put_voters(out: &mut Encoder, voters: &[NodeId]) {
    out.len(voters.len());
    for voter in voters {
        out.u64(*voter);
    }
}

fn take_voters(input: &mut Decoder<'_>) -> Result<Vec<NodeId>, Error> {
    (0..input.count(8)?).map(|_| input.u64()).collect()
}

pub(super) fn put_roster(out: &mut Encoder, roster: &Roster) {
    out.len(roster.standings.len());
    for (node, standing) in &roster.standings {
        out.u64(*node).u8(standing.number());
    }
    out.len(roster.removed.len());
    for node in &roster.removed {
        out.u64(*node);
    }
    out.len(roster.moves.len());
    for (shard, going) in &roster.moves {
        out.u64(shard.group());
        put_option(out, going.from);
        out.u64(going.to).u64(going.since);
    }
    out.u8(u8::from(roster.rebalancing));
}

pub(super) fn take_roster(input: &mut Decoder<'_>) -> Result<Roster, Error> {
    let mut roster = Roster::default();
    for _ in 0..input.count(9)? {
        let node = input.u64()?;
        roster.standings.insert(node, Standing::take(input)?);
    }
    for _ in 0..input.count(8)? {
        roster.removed.insert(input.u64()?);
    }
    for _ in 0..input.count(4 * 8)? {
        let shard = take_shard(input)?;
        let going = Move {
            from: take_option(input)?,
            to: input.u64()?,
            since: input.u64()?,
        };
        roster.moves.insert(shard, going);
    }
    roster.rebalancing = input.flag()?;
    Ok(roster)
}

pub(super) fn put_change(out: &mut Encoder, change: &Change) {
    match change {
        Change::Admit(node) => {
            out.u8(KIND_ADMIT);
            super::state::put_node(out, node);
        }
        Change::Stand { node, from, to } => {
            let kind = out.u8(KIND_STAND).u64(*node);
            kind.u8(from.number()).u8(to.number());
        }
        Change::Remove(node) => {
            out.u8(KIND_REMOVE).u64(*node);
        }
        Change::Begin {
            shard,
            voters,
            from,
            to,
        } => {
            out.u8(KIND_BEGIN).u64(shard.group());
            put_voters(out, voters);
            put_option(out, *from);
            out.u64(*to);
        }
        Change::End {
            shard,
            since,
            arrived,
        } => {
            let kind = out.u8(KIND_END).u64(shard.group());
            kind.u64(*since).u8(u8::from(*arrived));
        }
        Change::Leave {
            shard,
            voters,
            node,
        } => {
            out.u8(KIND_LEAVE).u64(shard.group());
            put_voters(out, voters);
            out.u64(*node);
        }
        Change::Rebalance(on) => {
            out.u8(KIND_REBALANCE).u8(u8::from(*on));
        }
    }
}

pub(super) fn take_change(input: &mut Decoder<'_>) -> Result<Change, Error> {
    Ok(match input.u8()? {
        KIND_ADMIT => Change::Admit(super::state::take_node(input)?),
        KIND_STAND => Change::Stand {
            node: input.u64()?,
            from: Standing::take(input)?,
            to: Standing::take(input)?,
        },
        KIND_REMOVE => Change::Remove(input.u64()?),
        KIND_BEGIN => Change::Begin {
            shard: take_shard(input)?,
            voters: take_voters(input)?,
            from: take_option(input)?,
            to: input.u64()?,
        },
        KIND_END => Change::End {
            shard: take_shard(input)?,
            since: input.u64()?,
            arrived: input.flag()?,
        },
        KIND_LEAVE => Change::Leave {
            shard: take_shard(input)?,
            voters: take_voters(input)?,
            node: input.u64()?,
        },
        KIND_REBALANCE => Change::Rebalance(input.flag()?),
        other => return Err(input.invalid(format!("change of nodes {other}"))),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hushlog_record::Timestamp;

    use super::super::{Bucket, Command, Seal};
    use super::*;

    fn node(id: NodeId) -> Node {
        Node {
            id,
            grpc: format!("10.0.0.{id}:4317"),
            http: String::new(),
            region: String::new(),
            zone: String::new(),
        }
    }

    const SHARD: ShardId = ShardId { bucket: 1, slot: 0 };

    /// Nodes 1 to `nodes`, of which the first `replicas` hold the one sealed shard; bucket 2 is open.
    fn state(nodes: u64, replicas: u64) -> State {
        let slot = Slot {
            slot: 0,
            voters: (1..=replicas).collect(),
            preferred_leader: 1,
        };
        let bucket = |bucket, closed_at| Bucket {
            bucket,
            opened_at: Timestamp::from_nanos(1),
            closed_at,
            policy_epoch: 1,
            slots: vec![slot.clone()],
        };
        let seal = Seal {
            digest: [1; 32],
            segmented_to: 9,
            rows: 1,
            bytes: 100,
            time_min: Timestamp::from_nanos(1),
            time_max: Timestamp::from_nanos(1),
        };
        State {
            replication: 3,
            applied: 50,
            nodes: (1..=nodes).map(|id| (id, node(id))).collect(),
            buckets: BTreeMap::from([
                (1, bucket(1, Some(Timestamp::from_nanos(2)))),
                (2, bucket(2, None)),
            ]),
            sealed: BTreeMap::from([(SHARD, seal)]),
            ..State::default()
        }
    }

    fn apply(state: &mut State, change: Change) -> Answer {
        state.applied += 1;
        state.apply(&Command::Nodes(change))
    }

    fn stand(node: NodeId, from: Standing, to: Standing) -> Change {
        Change::Stand { node, from, to }
    }

    fn begin(voters: &[NodeId], from: Option<NodeId>, to: NodeId) -> Change {
        Change::Begin {
            shard: SHARD,
            voters: voters.to_vec(),
            from,
            to,
        }
    }

    fn end(since: u64, arrived: bool) -> Change {
        let shard = SHARD;
        Change::End {
            shard,
            since,
            arrived,
        }
    }

    fn voters(state: &State) -> &[NodeId] {
        &state.slot(SHARD).expect("it is on the map").voters
    }

    fn refused(answer: &Answer) -> bool {
        matches!(answer, Answer::Conflict(_))
    }

    #[test]
    fn groups_have_an_odd_number_of_voters() {
        for (wanted, nodes, expected) in [
            (3, 1, 1),
            (3, 2, 1),
            (3, 3, 3),
            (4, 4, 3),
            (5, 9, 5),
            (1, 9, 1),
            (0, 0, 1),
        ] {
            assert_eq!(copies(wanted, nodes), expected, "{wanted} on {nodes}");
        }
    }

    #[test]
    fn a_replica_moves_only_when_it_has_arrived_and_only_once() {
        let mut state = state(5, 3);
        assert!(
            refused(&apply(&mut state, begin(&[1, 2], Some(1), 4))),
            "other voters"
        );
        assert!(
            refused(&apply(&mut state, begin(&[1, 2, 3], Some(1), 2))),
            "it has one"
        );
        assert!(
            refused(&apply(&mut state, begin(&[1, 2, 3], Some(4), 5))),
            "it has none"
        );
        assert!(
            refused(&apply(&mut state, begin(&[1, 2, 3], Some(1), 9))),
            "unknown"
        );
        assert_eq!(
            apply(&mut state, begin(&[1, 2, 3], Some(1), 4)),
            Answer::Done
        );
        let since = state.applied;
        assert_eq!(state.roster.moves[&SHARD].since, since);
        assert_eq!(
            apply(&mut state, begin(&[1, 2, 3], Some(1), 4)),
            Answer::Done
        );
        assert!(
            refused(&apply(&mut state, begin(&[1, 2, 3], Some(1), 5))),
            "one at a time"
        );
        assert!(state.belongs(SHARD, 4) && state.belongs(SHARD, 1));
        assert_eq!(voters(&state), [1, 2, 3], "nobody asks the new one yet");

        let before = state.clone();
        assert_eq!(apply(&mut state, end(since - 1, true)), Answer::Done);
        assert_eq!(state.roster, before.roster, "an end of another move");
        assert_eq!(apply(&mut state, end(since, true)), Answer::Done);
        assert_eq!(voters(&state), [2, 3, 4]);
        assert_eq!(state.slot(SHARD).expect("there").preferred_leader, 2);
        assert!(state.is_elsewhere(SHARD, 1) && !state.is_elsewhere(SHARD, 4));
        assert_eq!(apply(&mut state, end(since, true)), Answer::Done);
        assert_eq!(voters(&state), [2, 3, 4]);

        assert_eq!(apply(&mut state, begin(&[2, 3, 4], None, 1)), Answer::Done);
        let since = state.applied;
        assert_eq!(apply(&mut state, end(since, false)), Answer::Done);
        assert_eq!(voters(&state), [2, 3, 4], "it was given up");
        assert_eq!(apply(&mut state, begin(&[2, 3, 4], None, 1)), Answer::Done);
        let since = state.applied;
        apply(&mut state, end(since, true));
        assert_eq!(voters(&state), [1, 2, 3, 4], "one more");
    }

    #[test]
    fn only_sealed_shards_move_and_only_to_active_nodes() {
        let mut state = state(5, 3);
        let open = Change::Begin {
            shard: ShardId { bucket: 2, slot: 0 },
            voters: vec![1, 2, 3],
            from: Some(1),
            to: 4,
        };
        assert!(refused(&apply(&mut state, open)));
        for to in [Standing::Draining, Standing::Dead] {
            assert_eq!(
                apply(&mut state, stand(4, Standing::Active, to)),
                Answer::Done
            );
            assert!(refused(&apply(&mut state, begin(&[1, 2, 3], Some(1), 4))));
            assert_eq!(
                apply(&mut state, stand(4, to, Standing::Active)),
                Answer::Done
            );
        }
        assert_eq!(
            apply(&mut state, begin(&[1, 2, 3], Some(1), 4)),
            Answer::Done
        );
    }

    #[test]
    fn a_node_drains_only_where_the_others_can_hold_the_copies() {
        let drain = |node| stand(node, Standing::Active, Standing::Draining);
        assert!(refused(&apply(&mut state(1, 1), drain(1))), "the only one");
        assert!(
            refused(&apply(&mut state(3, 3), drain(1))),
            "three copies on two"
        );
        assert_eq!(
            apply(&mut state(2, 1), drain(1)),
            Answer::Done,
            "there is one copy"
        );
        let mut four = state(4, 3);
        assert_eq!(apply(&mut four, drain(4)), Answer::Done);
        assert_eq!(apply(&mut four, drain(4)), Answer::Done);
        assert!(refused(&apply(&mut four, drain(3))), "the second of four");
        assert!(refused(&apply(&mut four, drain(9))), "unknown");
        let mut fewer = state(3, 3);
        fewer.replication = 1;
        assert_eq!(apply(&mut fewer, drain(3)), Answer::Done);
        // A dead node is no place for a copy, and no reason for fewer copies.
        let mut dead = state(4, 3);
        apply(&mut dead, stand(4, Standing::Active, Standing::Dead));
        assert!(refused(&apply(&mut dead, drain(3))));
        let dead_drains = stand(4, Standing::Dead, Standing::Draining);
        assert_eq!(apply(&mut dead, dead_drains), Answer::Done);
    }

    #[test]
    fn a_node_leaves_when_it_has_nothing_any_more_and_never_comes_again() {
        let mut state = state(4, 1);
        state.buckets.get_mut(&2).expect("open").slots[0].voters = vec![4];
        assert!(
            refused(&apply(&mut state, Change::Remove(1))),
            "it is active"
        );
        apply(&mut state, stand(1, Standing::Active, Standing::Draining));
        assert!(
            refused(&apply(&mut state, Change::Remove(1))),
            "it has a replica"
        );
        apply(&mut state, begin(&[1], Some(1), 2));
        let since = state.applied;
        assert_eq!(state.shards_on(2), 1);
        apply(&mut state, end(since, true));
        assert_eq!(apply(&mut state, Change::Remove(1)), Answer::Done);
        let once = state.clone();
        assert_eq!(apply(&mut state, Change::Remove(1)), Answer::Done);
        assert_eq!(state.roster, once.roster);
        assert!(state.is_removed(1) && state.standing(1).is_none());
        assert!(refused(&apply(&mut state, Change::Admit(node(1)))));
        assert!(refused(&state.apply(&Command::RegisterNode(node(1)))));
        assert!(!state.nodes.contains_key(&1));
    }

    #[test]
    fn a_replica_is_given_up_where_there_are_more_than_wanted() {
        let mut state = state(3, 3);
        let leave = |voters: &[NodeId]| Change::Leave {
            shard: SHARD,
            voters: voters.to_vec(),
            node: 3,
        };
        assert!(
            refused(&apply(&mut state, leave(&[1, 2, 3]))),
            "it is active"
        );
        state.replication = 1;
        apply(&mut state, stand(3, Standing::Active, Standing::Draining));
        assert!(refused(&apply(&mut state, leave(&[1, 3]))), "other voters");
        assert_eq!(apply(&mut state, leave(&[1, 2, 3])), Answer::Done);
        assert_eq!(apply(&mut state, leave(&[1, 2, 3])), Answer::Done);
        assert_eq!(voters(&state), [1, 2]);
    }

    #[test]
    fn a_node_that_comes_to_data_joins_first() {
        let mut state = state(1, 1);
        assert_eq!(apply(&mut state, Change::Admit(node(2))), Answer::Done);
        assert_eq!(state.standing(2), Some(Standing::Joining));
        assert_eq!(apply(&mut state, Change::Admit(node(2))), Answer::Done);
        let other = |id, of| Node { id, ..node(of) };
        assert!(
            refused(&apply(&mut state, Change::Admit(other(2, 3)))),
            "another address"
        );
        assert_eq!(state.apply(&Command::RegisterNode(node(3))), Answer::Done);
        assert_eq!(state.standing(3), Some(Standing::Joining));
        assert_eq!(state.copies(), 1);
        for node in [2, 3] {
            apply(&mut state, stand(node, Standing::Joining, Standing::Active));
        }
        assert_eq!(state.copies(), 3);
        let mut fresh = State::default();
        assert_eq!(fresh.apply(&Command::RegisterNode(node(1))), Answer::Done);
        assert_eq!(fresh.standing(1), Some(Standing::Active));
    }

    #[test]
    fn a_dropped_bucket_takes_its_moves_along() {
        let mut state = state(4, 3);
        let seal = state.sealed[&SHARD].clone();
        state.buckets.get_mut(&2).expect("open").closed_at = Some(Timestamp::from_nanos(3));
        state.sealed.insert(ShardId { bucket: 2, slot: 0 }, seal);
        let last = Bucket {
            bucket: 3,
            closed_at: None,
            ..state.buckets[&2].clone()
        };
        state.buckets.insert(3, last);
        apply(&mut state, begin(&[1, 2, 3], Some(1), 4));
        let drop = Command::DropBucket {
            bucket: 1,
            rules: 0,
            services: BTreeMap::new(),
        };
        assert_eq!(state.apply(&drop), Answer::Done);
        assert!(state.roster.moves.is_empty());
    }
}
