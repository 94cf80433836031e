//! Which replicas of sealed shards should go where: a pure function of the facts and of what nodes say they
//! hold.
//!
//! A replica goes in two steps. First it is on its way: the new node fetches and verifies the files, and the
//! map is as it was. Only when that node says that it holds them whole the map changes, and the old one
//! deletes its own. So a shard never has fewer replicas on its way than before.

use std::collections::{BTreeMap, BTreeSet};

use hushlog_raft::meta::{Change, Move, Slot, Standing, State};
use hushlog_record::museum::{Bug, planted};
use hushlog_record::{GroupId, NodeId, ShardId};

/// Most steps of one look: each is a command of the meta group.
const STEPS_MAX: usize = 256;
/// Most replicas on their way to one node: it fetches one after the other.
const COMING_MAX: usize = 32;
/// How much fuller than the emptiest node the fullest may be, in parts of 100 of what it has, before one of
/// its replicas goes to that node.
const UNEVEN_PERCENT: u64 = 10;
/// With how many others the fullest node, and the emptiest, is tried before all counts as even.
const PARTNERS_MAX: usize = 8;

/// What a node says it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Up to where it knew the facts before it looked.
    pub(crate) facts_applied: u64,
    /// Groups of sealed shards that it has whole.
    pub(crate) whole: BTreeSet<GroupId>,
}

/// What nodes are like at the moment, as far as the planner needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Nodes that answer.
    pub(crate) live: BTreeSet<NodeId>,
    /// What those say that were asked.
    pub(crate) held: BTreeMap<NodeId, Holdings>,
}

impl Seen {
    fn has_whole(&self, node: NodeId, shard: ShardId) -> bool {
        let held = self.held.get(&node);
        held.is_some_and(|held| held.whole.contains(&shard.group()))
    }

    /// Whether a replica has come. Only what was looked at after the move began counts: before, the node may
    /// have been about to delete an earlier replica.
    fn has_arrived(&self, going: &Move, shard: ShardId) -> bool {
        let held = self.held.get(&going.to);
        let known = held.is_some_and(|held| held.facts_applied >= going.since);
        known && self.has_whole(going.to, shard)
    }
}

/// Whether what nodes hold is needed to know what to do next.
pub(crate) fn needs_holdings(state: &State) -> bool {
    let leaving = state.standing_as(Standing::Draining).next().is_some();
    leaving || !state.roster.moves.is_empty()
}

/// The next steps, in the order in which they should be taken; none when all is where it belongs.
pub(crate) fn steps(state: &State, seen: &Seen) -> Vec<Change> {
    let mut plan = Plan::new(state, seen);
    for (shard, seal) in &state.sealed {
        if plan.steps.len() >= STEPS_MAX {
            break;
        }
        let Some(slot) = state.slot(*shard) else {
            continue;
        };
        match state.roster.moves.get(shard) {
            Some(going) => plan.tend(*shard, slot, going),
            None => plan.place(*shard, slot, weight(seal.bytes)),
        }
    }
    if plan.steps.is_empty() && state.roster.rebalancing {
        plan.even_out();
    }
    plan.steps
}

/// A replica without bytes weighs something too, or it would never be spread.
fn weight(bytes: u64) -> u64 {
    bytes.max(1)
}

struct Plan<'a> {
    state: &'a State,
    seen: &'a Seen,
    copies: usize,
    /// Bytes on each node that takes replicas, with those on their way.
    load: BTreeMap<NodeId, u64>,
    /// Replicas on their way to each.
    coming: BTreeMap<NodeId, usize>,
    steps: Vec<Change>,
}

impl<'a> Plan<'a> {
    fn new(state: &'a State, seen: &'a Seen) -> Self {
        let takers = state.standing_as(Standing::Active);
        let takers = takers.filter(|node| seen.live.contains(node));
        let mut load: BTreeMap<NodeId, u64> = takers.map(|node| (node, 0)).collect();
        let mut coming = BTreeMap::new();
        for (shard, seal) in &state.sealed {
            let going = state.roster.moves.get(shard);
            let voters = state.slot(*shard).map(|slot| slot.voters.as_slice());
            let stay = voters.unwrap_or_default().iter().copied();
            let stay = stay.filter(|voter| going.and_then(|going| going.from) != Some(*voter));
            for node in stay.chain(going.map(|going| going.to)) {
                if let Some(load) = load.get_mut(&node) {
                    *load += weight(seal.bytes);
                }
            }
            if let Some(going) = going {
                *coming.entry(going.to).or_default() += 1;
            }
        }
        Self {
            state,
            seen,
            copies: state.copies(),
            load,
            coming,
            steps: Vec::new(),
        }
    }

    /// Ends a move that has come to its end, or cannot: what waits for a source that does not answer would
    /// keep others from coming.
    fn tend(&mut self, shard: ShardId, slot: &Slot, going: &Move) {
        let takes = self.state.standing(going.to) == Some(Standing::Active);
        let come = self.seen.has_arrived(going, shard) || planted(Bug::MoveUnverified);
        let arrived = takes && come;
        if arrived || !takes || !self.has_source(slot) {
            self.steps.push(Change::End {
                shard,
                since: going.since,
                arrived,
            });
        }
    }

    /// Begins what a shard needs.
    fn place(&mut self, shard: ShardId, slot: &Slot, bytes: u64) {
        let state = self.state;
        let stands = |standing| move |node: &&NodeId| state.standing(**node) == Some(standing);
        let draining = slot.voters.iter().find(stands(Standing::Draining));
        let dead = slot.voters.iter().find(stands(Standing::Dead));
        if let Some(node) = draining.copied() {
            if self.can_do_without(shard, slot, node) {
                self.steps.push(Change::Leave {
                    shard,
                    voters: slot.voters.clone(),
                    node,
                });
            } else {
                self.send(shard, slot, Some(node), bytes);
            }
        } else if let Some(node) = dead.copied() {
            self.send(shard, slot, Some(node), bytes);
        } else if slot.voters.len() < self.copies {
            self.send(shard, slot, None, bytes);
        }
    }

    /// Whether enough other nodes have the shard whole.
    fn can_do_without(&self, shard: ShardId, slot: &Slot, node: NodeId) -> bool {
        let others = slot.voters.iter().filter(|voter| **voter != node);
        let whole = others.filter(|voter| self.seen.has_whole(**voter, shard));
        whole.count() >= self.copies
    }

    /// Whether a node that should have the shard answers.
    fn has_source(&self, slot: &Slot) -> bool {
        slot.voters
            .iter()
            .any(|voter| self.seen.live.contains(voter))
    }

    fn send(&mut self, shard: ShardId, slot: &Slot, from: Option<NodeId>, bytes: u64) {
        if !self.has_source(slot) {
            return;
        }
        let Some(to) = self.best_for(slot, from) else {
            return;
        };
        self.begin(shard, slot, from, to, bytes);
    }

    fn begin(&mut self, shard: ShardId, slot: &Slot, from: Option<NodeId>, to: NodeId, bytes: u64) {
        *self.load.entry(to).or_default() += bytes;
        *self.coming.entry(to).or_default() += 1;
        self.steps.push(Change::Begin {
            shard,
            voters: slot.voters.clone(),
            from,
            to,
        });
    }

    /// Where a shard's next replica should be: where there is none yet, if possible in a zone where there is
    /// none that stays, and where there is most room.
    fn best_for(&self, slot: &Slot, from: Option<NodeId>) -> Option<NodeId> {
        let stay = slot.voters.iter().filter(|voter| Some(**voter) != from);
        let zones: BTreeSet<(&str, &str)> = stay.filter_map(|node| self.zone(*node)).collect();
        let takers = self.load.iter().filter(|(node, _)| {
            let coming = self.coming.get(node).copied().unwrap_or(0);
            !slot.voters.contains(node) && coming < COMING_MAX
        });
        let best = takers.min_by_key(|(node, load)| {
            let together = self.zone(**node).is_some_and(|zone| zones.contains(&zone));
            (together, **load, **node)
        });
        best.map(|(node, _)| *node)
    }

    fn zone(&self, node: NodeId) -> Option<(&'a str, &'a str)> {
        let node = self.state.nodes.get(&node)?;
        (!node.zone.is_empty()).then_some((node.region.as_str(), node.zone.as_str()))
    }

    /// Sends replicas from the fullest node to the emptiest until they are about even; says so when there is
    /// nothing left to do.
    fn even_out(&mut self) {
        while self.steps.len() < STEPS_MAX
            && let Some(Exchange {
                shard,
                slot,
                bytes,
                from,
                to,
            }) = self.exchange()
        {
            if let Some(load) = self.load.get_mut(&from) {
                *load -= bytes;
            }
            self.begin(shard, slot, Some(from), to, bytes);
        }
        // One that is silent for a moment is not even with the others yet.
        let mut active = self.state.standing_as(Standing::Active);
        let all_answer = active.all(|node| self.load.contains_key(&node));
        if self.steps.is_empty() && self.state.roster.moves.is_empty() && all_answer {
            self.steps.push(Change::Rebalance(false));
        }
    }

    /// The next replica to go from a full node to an empty one: from the fullest to the emptiest, and where
    /// these have nothing to exchange between one of them and those that come next.
    fn exchange(&self) -> Option<Exchange<'a>> {
        let mut by_load: Vec<(u64, NodeId)> = self
            .load
            .iter()
            .map(|(node, load)| (*load, *node))
            .collect();
        by_load.sort_unstable();
        let (emptiest, fullest) = (*by_load.first()?, *by_load.last()?);
        let givers = by_load.iter().rev().take(PARTNERS_MAX);
        let takers = by_load.iter().take(PARTNERS_MAX);
        let pairs = givers.map(|giver| (*giver, emptiest));
        let mut pairs = pairs.chain(takers.map(|taker| (fullest, *taker)));
        pairs.find_map(|((most, from), (least, to))| {
            let coming = self.coming.get(&to).copied().unwrap_or(0);
            let gap = most.saturating_sub(least);
            if coming >= COMING_MAX || gap <= most / 100 * UNEVEN_PERCENT {
                return None;
            }
            let (shard, slot, bytes) = self.largest_below(gap, from, to)?;
            Some(Exchange {
                shard,
                slot,
                bytes,
                from,
                to,
            })
        })
    }

    /// Whether the replicas of a shard are in no fewer zones when one goes from one node to another.
    fn keeps_zones(&self, slot: &Slot, from: NodeId, to: NodeId) -> bool {
        let Some(zone) = self.zone(to) else {
            return true;
        };
        let stay = slot.voters.iter().filter(|voter| **voter != from);
        let mut zones = stay.filter_map(|voter| self.zone(*voter));
        self.zone(from) == Some(zone) || zones.all(|other| other != zone)
    }

    /// The largest replica that one node can give another so that the gap between them shrinks.
    fn largest_below(
        &self,
        gap: u64,
        from: NodeId,
        to: NodeId,
    ) -> Option<(ShardId, &'a Slot, u64)> {
        let going: BTreeSet<ShardId> = self.steps.iter().filter_map(begun).collect();
        let shards = self.state.sealed.iter().filter_map(|(shard, seal)| {
            let slot = self.state.slot(*shard)?;
            let free = !self.state.roster.moves.contains_key(shard) && !going.contains(shard);
            let fits = slot.voters.contains(&from)
                && !slot.voters.contains(&to)
                && self.keeps_zones(slot, from, to);
            (free && fits).then_some((*shard, slot, weight(seal.bytes)))
        });
        let smaller = shards.filter(|(_, _, bytes)| *bytes < gap);
        smaller.max_by_key(|(shard, _, bytes)| (*bytes, *shard))
    }
}

/// A replica that one node can give another.
struct Exchange<'a> {
    shard: ShardId,
    slot: &'a Slot,
    bytes: u64,
    from: NodeId,
    to: NodeId,
}

fn begun(step: &Change) -> Option<ShardId> {
    match step {
        Change::Begin { shard, .. } => Some(*shard),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Answer, Bucket, Command, Node, Plan, Seal};
    use hushlog_record::Timestamp;

    use super::*;

    fn shard(bucket: u64) -> ShardId {
        ShardId { bucket, slot: 0 }
    }

    /// So many nodes, and one sealed shard per bucket with these voters and bytes; the last bucket is open.
    fn state(nodes: u64, shards: &[(&[NodeId], u64)]) -> State {
        let node = |id| Node {
            id,
            grpc: format!("10.0.0.{id}:4317"),
            http: String::new(),
            region: "eu".into(),
            zone: String::new(),
        };
        let mut state = State {
            replication: 3,
            applied: 100,
            nodes: (1..=nodes).map(|id| (id, node(id))).collect(),
            ..State::default()
        };
        let at = Timestamp::from_nanos;
        for (bucket, (voters, bytes)) in (1..).zip(shards) {
            let slot = Slot {
                slot: 0,
                voters: voters.to_vec(),
                preferred_leader: voters[0],
            };
            let over = Bucket {
                bucket,
                opened_at: at(1),
                closed_at: Some(at(2)),
                policy_epoch: 1,
                slots: vec![slot],
                plan: Plan::default(),
            };
            state.buckets.insert(bucket, over);
            let seal = Seal {
                digest: [0; 32],
                segmented_to: 9,
                rows: 1,
                bytes: *bytes,
                time_min: at(1),
                time_max: at(1),
            };
            state.sealed.insert(shard(bucket), seal);
        }
        state
    }

    fn stand(state: &mut State, node: NodeId, to: Standing) {
        let from = state.standing(node).expect("known");
        let change = Command::Nodes(Change::Stand { node, from, to });
        assert_eq!(state.apply(&change), Answer::Done);
    }

    fn live(nodes: impl IntoIterator<Item = NodeId>) -> Seen {
        Seen {
            live: nodes.into_iter().collect(),
            held: BTreeMap::new(),
        }
    }

    /// All of these nodes hold what the map says, and what is on its way to them.
    fn all_arrived(state: &State, nodes: impl IntoIterator<Item = NodeId> + Clone) -> Seen {
        let holdings = |node| {
            let shards = state
                .sealed
                .keys()
                .filter(|shard| state.belongs(**shard, node));
            Holdings {
                facts_applied: state.applied,
                whole: shards.map(|shard| shard.group()).collect(),
            }
        };
        Seen {
            held: nodes
                .clone()
                .into_iter()
                .map(|node| (node, holdings(node)))
                .collect(),
            ..live(nodes)
        }
    }

    /// Takes the steps; every one of them must be taken by the facts.
    fn take(state: &mut State, steps: &[Change]) {
        for step in steps {
            state.applied += 1;
            let answer = state.apply(&Command::Nodes(step.clone()));
            assert_eq!(answer, Answer::Done, "{step:?}");
        }
    }

    /// Takes steps until there are none; gives how often it looked. Everything arrives.
    fn settle(state: &mut State, nodes: impl IntoIterator<Item = NodeId> + Clone) -> usize {
        for looks in 0..200 {
            let steps = steps(state, &all_arrived(state, nodes.clone()));
            if steps.is_empty() {
                return looks;
            }
            let before: Vec<usize> = voters(state).iter().map(Vec::len).collect();
            take(state, &steps);
            let leaving = state.standing_as(Standing::Draining).count() > 0;
            let after: Vec<usize> = voters(state).iter().map(Vec::len).collect();
            let fewer = before
                .iter()
                .zip(&after)
                .any(|(before, after)| after < before);
            assert!(leaving || !fewer, "a shard has lost a replica");
        }
        panic!("it never settles")
    }

    fn voters(state: &State) -> Vec<Vec<NodeId>> {
        let slots = state.sealed.keys().filter_map(|shard| state.slot(*shard));
        slots.map(|slot| slot.voters.clone()).collect()
    }

    #[test]
    fn nothing_moves_where_all_is_well() {
        let state = state(4, &[(&[1, 2, 3], 10), (&[2, 3, 4], 10)]);
        assert_eq!(steps(&state, &live(1..=4)), []);
        assert!(!needs_holdings(&state));
    }

    #[test]
    fn replicas_of_a_draining_node_go_first_and_are_taken_off_the_map_last() {
        let mut state = state(4, &[(&[1, 2, 3], 10), (&[2, 3, 4], 10)]);
        stand(&mut state, 3, Standing::Draining);
        let first = steps(&state, &live(1..=4));
        let begins = first.iter().map(|step| match step {
            Change::Begin { from, to, .. } => (*from, *to),
            other => panic!("{other:?}"),
        });
        let begins: Vec<_> = begins.collect();
        assert_eq!(begins, [(Some(3), 4), (Some(3), 1)]);
        take(&mut state, &first);
        assert!(needs_holdings(&state));
        assert_eq!(steps(&state, &live(1..=4)), [], "nothing has come yet");
        // What was said before the move began does not count.
        let mut old = all_arrived(&state, 1..=4);
        for held in old.held.values_mut() {
            held.facts_applied = 100;
        }
        assert_eq!(steps(&state, &old), []);
        settle(&mut state, 1..=4);
        assert_eq!(voters(&state), [[1, 2, 4], [1, 2, 4]]);
        assert_eq!(state.shards_on(3), 0);
    }

    #[test]
    fn a_move_to_a_node_that_goes_itself_is_given_up_and_begun_anew() {
        let mut state = state(5, &[(&[1, 2, 3], 10)]);
        stand(&mut state, 3, Standing::Draining);
        let first = steps(&state, &live(1..=5));
        take(&mut state, &first);
        let going = state.roster.moves[&shard(1)];
        assert_eq!(going.to, 4);
        stand(&mut state, 4, Standing::Dead);
        let end = Change::End {
            shard: shard(1),
            since: going.since,
            arrived: false,
        };
        assert_eq!(
            steps(&state, &all_arrived(&state, 1..=5)),
            std::slice::from_ref(&end)
        );
        take(&mut state, &[end]);
        settle(&mut state, [1, 2, 3, 5]);
        assert_eq!(voters(&state), [[1, 2, 5]]);
    }

    #[test]
    fn what_a_dead_node_held_is_copied_where_there_is_room_and_kept_where_there_is_none() {
        let mut three = state(3, &[(&[1, 2, 3], 10)]);
        stand(&mut three, 3, Standing::Dead);
        assert_eq!(steps(&three, &all_arrived(&three, 1..=2)), []);
        let mut four = state(4, &[(&[1, 2, 3], 10), (&[2, 3, 4], 10)]);
        stand(&mut four, 3, Standing::Dead);
        settle(&mut four, [1, 2, 4]);
        assert_eq!(voters(&four), [[1, 2, 4], [1, 2, 4]]);
        stand(&mut four, 3, Standing::Active);
        assert!(four.is_elsewhere(shard(1), 3));
        assert_eq!(steps(&four, &live(1..=4)), []);
    }

    #[test]
    fn one_copy_becomes_three_when_two_nodes_have_joined() {
        let mut state = state(3, &[(&[1], 10), (&[1], 20)]);
        settle(&mut state, 1..=3);
        assert_eq!(voters(&state), [[1, 2, 3], [1, 2, 3]]);
    }

    #[test]
    fn nothing_goes_to_a_silent_node() {
        let mut state = state(5, &[(&[1, 2, 3], 10)]);
        stand(&mut state, 3, Standing::Draining);
        assert_eq!(steps(&state, &live([1, 2, 3])), []);
        let to = |steps: Vec<Change>| match steps.as_slice() {
            [Change::Begin { to, .. }] => *to,
            other => panic!("{other:?}"),
        };
        assert_eq!(to(steps(&state, &live([1, 2, 3, 5]))), 5);
    }

    #[test]
    fn back_to_fewer_copies_replicas_are_given_up_only_where_others_are_whole() {
        let mut state = state(3, &[(&[1, 2, 3], 10)]);
        state.replication = 1;
        stand(&mut state, 3, Standing::Draining);
        assert_eq!(
            steps(&state, &live(1..=3)),
            [],
            "nobody has said that it has it whole"
        );
        settle(&mut state, 1..=3);
        assert_eq!(voters(&state), [[1, 2]]);
        stand(&mut state, 2, Standing::Draining);
        settle(&mut state, 1..=3);
        assert_eq!(voters(&state), [[1]]);
    }

    #[test]
    fn zones_come_before_room() {
        let mut state = state(5, &[(&[1, 2, 3], 10), (&[1, 2, 5], 90)]);
        for (node, zone) in [(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "c")] {
            state.nodes.get_mut(&node).expect("there").zone = zone.into();
        }
        stand(&mut state, 3, Standing::Draining);
        let steps = steps(&state, &live(1..=5));
        assert!(matches!(steps[0], Change::Begin { to: 5, .. }), "{steps:?}");
    }

    #[test]
    fn a_rebalance_evens_bytes_out_and_ends() {
        let shards: Vec<(&[NodeId], u64)> = vec![(&[1, 2, 3], 100); 20];
        let mut state = state(5, &shards);
        assert_eq!(steps(&state, &live(1..=5)), [], "nobody has asked for it");
        state.roster.rebalancing = true;
        settle(&mut state, 1..=5);
        assert!(!state.roster.rebalancing && state.roster.moves.is_empty());
        let on = |node| state.shards_on(node);
        let counts: Vec<usize> = (1..=5).map(on).collect();
        assert!(
            counts.iter().all(|count| (11..=13).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn what_only_a_dead_node_has_keeps_nothing_else_from_coming() {
        let mut shards: Vec<(&[NodeId], u64)> = vec![(&[2], 10); 2 * COMING_MAX];
        shards.push((&[1], 10));
        let mut state = state(4, &shards);
        let all = steps(&state, &live(1..=4));
        take(&mut state, &all);
        stand(&mut state, 2, Standing::Dead);
        // What waits for it is given up.
        let given_up = steps(&state, &all_arrived(&state, [1, 3, 4]));
        take(&mut state, &given_up);
        let looks = settle(&mut state, [1, 3, 4]);
        assert!(looks < 10 && state.roster.moves.is_empty());
        assert_eq!(voters(&state).last(), Some(&vec![1, 3, 4]));
    }

    #[test]
    fn a_rebalance_waits_for_a_node_that_is_silent_for_a_moment() {
        let shards: Vec<(&[NodeId], u64)> = vec![(&[1, 2, 3], 100); 9];
        let mut state = state(4, &shards);
        state.roster.rebalancing = true;
        assert_eq!(steps(&state, &live(1..=3)), []);
        assert!(!steps(&state, &live(1..=4)).is_empty());
    }

    #[test]
    fn a_rebalance_leaves_no_zone_without_its_copy() {
        let shards: Vec<(&[NodeId], u64)> = vec![(&[1, 2, 3], 100); 20];
        let mut state = state(4, &shards);
        for (node, zone) in [(1, "a"), (2, "b"), (3, "c"), (4, "a")] {
            state.nodes.get_mut(&node).expect("there").zone = zone.into();
        }
        state.roster.rebalancing = true;
        settle(&mut state, 1..=4);
        let counts: Vec<usize> = (1..=4).map(|node| state.shards_on(node)).collect();
        assert_eq!(counts, [10, 20, 20, 10]);
    }

    #[test]
    fn one_huge_shard_is_no_reason_to_go_on_for_ever() {
        let mut state = state(4, &[(&[1, 2, 3], 1_000), (&[1, 2, 3], 0)]);
        state.roster.rebalancing = true;
        let looks = settle(&mut state, 1..=4);
        assert!(looks < 10 && !state.roster.rebalancing);
    }

    #[test]
    fn one_look_has_an_end() {
        let shards: Vec<(&[NodeId], u64)> = vec![(&[1, 2, 3], 10); 1_000];
        let mut state = state(4, &shards);
        stand(&mut state, 3, Standing::Draining);
        let first = steps(&state, &live(1..=4));
        assert_eq!(first.len(), COMING_MAX);
        settle(&mut state, 1..=4);
        assert_eq!(state.shards_on(3), 0);
    }
}
