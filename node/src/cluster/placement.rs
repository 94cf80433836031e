//! Who holds the shards of a new bucket: a pure function of the facts.
//!
//! It never moves a shard that exists; the next bucket simply is elsewhere, and is opened early where the
//! present one has a replica on a node that must go.

use std::collections::BTreeSet;

use hushlog_raft::meta::{self, Standing, State, copies};
use hushlog_record::NodeId;

use super::settings::ClusterSettings;

/// Where one slot's shard lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotPlan {
    /// Number of the slot in its bucket.
    pub(crate) slot: u16,
    /// The replicas, ascending.
    pub(crate) voters: Vec<NodeId>,
    /// Which of them should lead.
    pub(crate) preferred_leader: NodeId,
}

/// Plans a bucket of `slots` slots with `replication` voters each, leaders spread evenly.
///
/// With fewer nodes than `replication` every node is a voter; two nodes give single-voter groups,
/// since two voters lose their quorum with either of them. `nodes` must be ascending and not empty.
pub(crate) fn plan_bucket(
    nodes: &[NodeId],
    slots: u16,
    replication: u32,
    bucket: u64,
) -> Vec<SlotPlan> {
    let count = nodes.len();
    let voters_per_slot = copies(replication, count);
    // Slot i of every bucket leads on another node than in the bucket before.
    let turn = usize::try_from(bucket % count as u64).unwrap_or(0);
    (0..slots)
        .map(|slot| {
            let first = usize::from(slot) + turn;
            let member = |i: usize| nodes.get((first + i) % count).copied().unwrap_or_default();
            let mut voters: Vec<NodeId> = (0..voters_per_slot).map(member).collect();
            voters.sort_unstable();
            SlotPlan {
                slot,
                voters,
                preferred_leader: member(0),
            }
        })
        .collect()
}

/// The nodes that a new bucket may be placed on, ascending: the active ones. Where they are too few for the
/// copies that there should be, and yet a majority of those, dead ones fill up: a group goes on with two of
/// three, and has the third again when it comes back. Two nodes alone would give single copies.
pub(crate) fn candidates(state: &State) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = state.standing_as(Standing::Active).collect();
    let copies = state.copies();
    if nodes.len() < copies && nodes.len() > copies / 2 {
        let lacking = copies - nodes.len();
        nodes.extend(state.standing_as(Standing::Dead).take(lacking));
        nodes.sort_unstable();
    }
    if nodes.is_empty() {
        nodes = state.nodes.keys().copied().collect();
    }
    nodes
}

/// The bucket after the last one, as it should be planned now; no slots where there is no node.
pub(crate) fn next_bucket(state: &State, settings: &ClusterSettings) -> Vec<meta::Slot> {
    let nodes = candidates(state);
    if nodes.is_empty() {
        return Vec::new();
    }
    let last = state.buckets.keys().next_back().copied().unwrap_or(0);
    let slots = settings.slots_of(nodes.len());
    plan_bucket(&nodes, slots, state.replication, last + 1)
        .into_iter()
        .map(|plan| meta::Slot {
            slot: plan.slot,
            voters: plan.voters,
            preferred_leader: plan.preferred_leader,
        })
        .collect()
}

/// Why the open bucket should end before its time, if it should, given what the next one would be.
pub(crate) fn ends_early(state: &State, next: &[meta::Slot]) -> Option<&'static str> {
    let open = state.open_bucket()?;
    let (now, then) = (nodes_of(&open.slots), nodes_of(next));
    let left = now.difference(&then);
    let mut leaving = left.filter(|node| {
        let standing = state.standing(**node);
        matches!(standing, Some(Standing::Draining | Standing::Dead))
    });
    if leaving.next().is_some() {
        return Some("a node of it is to leave");
    }
    let fewest = |slots: &[meta::Slot]| slots.iter().map(|slot| slot.voters.len()).min();
    if fewest(next) > fewest(&open.slots) {
        return Some("there can be more copies");
    }
    (state.roster.rebalancing && then.len() > now.len()).then_some("more nodes can take part")
}

fn nodes_of(slots: &[meta::Slot]) -> BTreeSet<NodeId> {
    let voters = slots.iter().flat_map(|slot| slot.voters.iter());
    voters.copied().collect()
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Bucket, Change, Command, Node};
    use hushlog_record::Timestamp;

    use super::*;
    use crate::config::Config;

    /// Nodes that hold an open bucket of two slots, with so many copies wanted.
    fn state(nodes: u64, replication: u32) -> State {
        let mut state = State {
            replication,
            ..State::default()
        };
        for id in 1..=nodes {
            let node = Node {
                id,
                grpc: format!("10.0.0.{id}:4317"),
                http: String::new(),
                region: String::new(),
                zone: String::new(),
            };
            state.nodes.insert(id, node);
        }
        open(&mut state);
        state
    }

    fn open(state: &mut State) {
        let slots = next_bucket(state, &settings());
        for bucket in state.buckets.values_mut() {
            bucket.closed_at = Some(Timestamp::from_nanos(2));
        }
        let bucket = state.buckets.len() as u64 + 1;
        let opened = Bucket {
            bucket,
            opened_at: Timestamp::from_nanos(1),
            closed_at: None,
            policy_epoch: 1,
            slots,
        };
        state.buckets.insert(bucket, opened);
    }

    fn settings() -> ClusterSettings {
        ClusterSettings::of(&Config::defaults())
    }

    fn stand(state: &mut State, node: NodeId, from: Standing, to: Standing) {
        let change = Command::Nodes(Change::Stand { node, from, to });
        assert_eq!(state.apply(&change), meta::Answer::Done);
    }

    fn early(state: &State) -> Option<&'static str> {
        ends_early(state, &next_bucket(state, &settings()))
    }

    #[test]
    fn a_bucket_ends_early_where_a_node_of_it_must_go_and_only_once() {
        let mut state = state(4, 3);
        assert_eq!(early(&state), None);
        stand(&mut state, 4, Standing::Active, Standing::Draining);
        assert_eq!(early(&state), Some("a node of it is to leave"));
        open(&mut state);
        assert_eq!(candidates(&state), [1, 2, 3]);
        assert_eq!(early(&state), None);
    }

    #[test]
    fn a_dead_node_stays_in_the_plan_where_copies_would_be_lost_without() {
        let mut three = state(3, 3);
        stand(&mut three, 2, Standing::Active, Standing::Dead);
        assert_eq!(candidates(&three), [1, 2, 3]);
        assert_eq!(early(&three), None, "two of three go on");
        let mut five = state(5, 3);
        for node in [1, 3, 4] {
            stand(&mut five, node, Standing::Active, Standing::Dead);
        }
        assert_eq!(
            candidates(&five),
            [1, 2, 5],
            "a majority of every group answers"
        );
        stand(&mut five, 2, Standing::Active, Standing::Dead);
        assert_eq!(candidates(&five), [5]);
        let mut four = state(4, 3);
        stand(&mut four, 2, Standing::Active, Standing::Dead);
        assert_eq!(candidates(&four), [1, 3, 4]);
        assert!(early(&four).is_some());
        open(&mut four);
        stand(&mut four, 2, Standing::Dead, Standing::Active);
        assert_eq!(early(&four), None, "it is in the next one in its time");
    }

    #[test]
    fn one_node_that_grows_into_three_has_three_copies_at_once_and_never_two() {
        let mut state = state(1, 3);
        let joins = |state: &mut State, id| {
            let node = Node {
                grpc: format!("10.0.0.{id}:4317"),
                id,
                ..state.nodes[&1].clone()
            };
            let admit = Command::Nodes(Change::Admit(node));
            assert_eq!(state.apply(&admit), meta::Answer::Done);
        };
        joins(&mut state, 2);
        joins(&mut state, 3);
        assert_eq!(candidates(&state), [1], "nobody has come yet");
        stand(&mut state, 2, Standing::Joining, Standing::Active);
        assert_eq!(early(&state), None, "two nodes hold single copies");
        stand(&mut state, 3, Standing::Joining, Standing::Active);
        assert_eq!(early(&state), Some("there can be more copies"));
        open(&mut state);
        let open = state.open_bucket().expect("open");
        assert!(open.slots.iter().all(|slot| slot.voters == [1, 2, 3]));
        assert_eq!(early(&state), None);
    }

    #[test]
    fn a_new_node_takes_part_before_the_bucket_is_over_only_when_asked_for() {
        let mut state = state(3, 3);
        let node = Node {
            id: 4,
            grpc: "10.0.0.4:4317".into(),
            ..state.nodes[&1].clone()
        };
        state.nodes.insert(4, node);
        assert_eq!(early(&state), None);
        state.roster.rebalancing = true;
        assert_eq!(early(&state), Some("more nodes can take part"));
        open(&mut state);
        assert_eq!(early(&state), None);
    }

    #[test]
    fn slots_and_buckets_follow_the_number_of_nodes_unless_they_are_set() {
        let settings = settings();
        assert_eq!((settings.slots_of(1), settings.slots_of(3)), (1, 3));
        assert!(settings.bucket_of(1) > settings.bucket_of(3));
        let mut config = Config::defaults();
        config.cluster.slots = 2;
        config.cluster.bucket = std::time::Duration::from_secs(7);
        let settings = ClusterSettings::of(&config);
        assert_eq!((settings.slots_of(1), settings.slots_of(3)), (2, 2));
        assert_eq!(settings.bucket_of(1), settings.bucket_of(3));
    }

    #[test]
    fn one_node_holds_everything() {
        let plan = plan_bucket(&[7], 1, 3, 1);
        assert_eq!(
            plan,
            [SlotPlan {
                slot: 0,
                voters: vec![7],
                preferred_leader: 7
            }]
        );
    }

    #[test]
    fn three_nodes_hold_three_slots_with_a_leader_each() {
        for bucket in 1..5 {
            let plan = plan_bucket(&[1, 2, 3], 3, 3, bucket);
            assert!(plan.iter().all(|slot| slot.voters == [1, 2, 3]));
            let mut leaders: Vec<_> = plan.iter().map(|slot| slot.preferred_leader).collect();
            leaders.sort_unstable();
            assert_eq!(leaders, [1, 2, 3], "bucket {bucket}");
        }
    }

    #[test]
    fn leaders_move_from_bucket_to_bucket() {
        let first = plan_bucket(&[1, 2, 3], 3, 3, 1);
        let second = plan_bucket(&[1, 2, 3], 3, 3, 2);
        assert_ne!(first[0].preferred_leader, second[0].preferred_leader);
    }

    #[test]
    fn groups_have_an_odd_number_of_voters() {
        assert!(
            plan_bucket(&[1, 2], 2, 3, 1)
                .iter()
                .all(|slot| slot.voters.len() == 1)
        );
        assert!(
            plan_bucket(&[1, 2, 3, 4], 4, 4, 1)
                .iter()
                .all(|slot| slot.voters.len() == 3)
        );
        assert!(
            plan_bucket(&[1, 2, 3, 4, 5], 5, 5, 1)
                .iter()
                .all(|slot| slot.voters.len() == 5)
        );
    }
}
