//! Who holds the shards of a new bucket: a pure function of the facts and of what was measured.
//!
//! It never moves a shard that exists; the next bucket simply is elsewhere, and is opened early where the
//! present one has a replica on a node that must go.

use std::collections::BTreeSet;

use hushlog_raft::meta::{self, Because, Standing, State, copies};
use hushlog_record::NodeId;

use super::classes::apart;
use super::plan::{Measured, sizes};
use super::settings::ClusterSettings;

/// A node that may hold slots.
#[derive(Clone, Copy, Debug)]
struct Site<'a> {
    node: NodeId,
    /// Region and zone, if it has told.
    zone: Option<(&'a str, &'a str)>,
    /// What is on it so far.
    load: u64,
    /// What it should lead so far.
    leads: u64,
}

/// A bucket as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    /// Its slots; none where there is no node.
    pub(crate) slots: Vec<meta::Slot>,
    /// What else is planned; not why it is opened.
    pub(crate) plan: meta::Plan,
}

/// Places slots that weigh so much, with as many voters each as there can be, the heaviest first: each in
/// different zones as far as there are so many, on the nodes that have least, and led by the one of them that
/// leads least.
///
/// With fewer nodes than `replication` every node is a voter; two nodes give single-voter groups, since two
/// voters lose their quorum with either of them.
fn place(
    sites: &mut [Site<'_>],
    weights: &[u64],
    replication: u32,
    bucket: u64,
) -> Vec<meta::Slot> {
    let count = sites.len();
    if count == 0 {
        return Vec::new();
    }
    let voters_each = copies(replication, count);
    // Where nothing else decides, another node comes first than in the bucket before.
    let turn = usize::try_from(bucket % count as u64).unwrap_or(0);
    let mut by_weight: Vec<(u16, u64)> = (0..).zip(weights.iter().copied()).collect();
    by_weight.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let mut slots: Vec<meta::Slot> = Vec::with_capacity(by_weight.len());
    for (slot, weight) in by_weight {
        let order = |place: usize| (place + count - turn) % count;
        let mut chosen: Vec<usize> = Vec::with_capacity(voters_each);
        for _ in 0..voters_each {
            let near = |site: &Site<'_>| {
                let others = chosen.iter().filter_map(|place| sites.get(*place));
                let same = |other: &&Site<'_>| site.zone.is_some() && other.zone == site.zone;
                others.filter(same).count()
            };
            let free = sites.iter().enumerate();
            let free = free.filter(|(place, _)| !chosen.contains(place));
            let best = free.min_by_key(|(place, site)| (near(site), site.load, order(*place)));
            chosen.extend(best.map(|(place, _)| place));
        }
        let leads = |place: &usize| sites.get(*place).map_or(u64::MAX, |site| site.leads);
        let leader = chosen.iter().copied();
        let leader = leader.min_by_key(|place| (leads(place), order(*place)));
        let mut voters = Vec::with_capacity(chosen.len());
        let mut preferred_leader = 0;
        for place in chosen {
            let Some(site) = sites.get_mut(place) else {
                continue;
            };
            site.load += weight;
            voters.push(site.node);
            if Some(place) == leader {
                site.leads += weight;
                preferred_leader = site.node;
            }
        }
        voters.sort_unstable();
        slots.push(meta::Slot {
            slot,
            voters,
            preferred_leader,
        });
    }
    slots.sort_unstable_by_key(|slot| slot.slot);
    slots
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

/// The bucket after the last one, as it should be planned now.
pub(crate) fn next_bucket(state: &State, settings: &ClusterSettings, measured: &Measured) -> Next {
    let nodes = candidates(state);
    if nodes.is_empty() {
        return Next::default();
    }
    let last = state.buckets.values().next_back();
    let apart = apart(&state.retention, settings.retention);
    let sizes = sizes(measured, last, settings.bounds_of(nodes.len()), &apart);
    let mut sites: Vec<Site<'_>> = nodes.iter().map(|node| site(state, *node)).collect();
    let number = last.map_or(0, |bucket| bucket.bucket) + 1;
    Next {
        slots: place(&mut sites, &sizes.weights, state.replication, number),
        plan: meta::Plan {
            because: Because::default(),
            rate: measured.all,
            spread: sizes.spread,
            classes: sizes.classes,
        },
    }
}

fn site(state: &State, node: NodeId) -> Site<'_> {
    let known = state.nodes.get(&node).filter(|node| !node.zone.is_empty());
    Site {
        node,
        zone: known.map(|node| (node.region.as_str(), node.zone.as_str())),
        load: 0,
        leads: 0,
    }
}

/// Why the open bucket should end before its time, if it should, given what the next one would be.
pub(crate) fn ends_early(state: &State, next: &[meta::Slot]) -> Option<Because> {
    let open = state.open_bucket()?;
    let (now, then) = (nodes_of(&open.slots), nodes_of(next));
    let left = now.difference(&then);
    let mut leaving = left.filter(|node| {
        let standing = state.standing(**node);
        matches!(standing, Some(Standing::Draining | Standing::Dead))
    });
    if leaving.next().is_some() {
        return Some(Because::Leaving);
    }
    let fewest = |slots: &[meta::Slot]| slots.iter().map(|slot| slot.voters.len()).min();
    if fewest(next) > fewest(&open.slots) {
        return Some(Because::Copies);
    }
    (state.roster.rebalancing && then.len() > now.len()).then_some(Because::Nodes)
}

fn nodes_of(slots: &[meta::Slot]) -> BTreeSet<NodeId> {
    let voters = slots.iter().flat_map(|slot| slot.voters.iter());
    voters.copied().collect()
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Bucket, Change, Command, Node};
    use hushlog_record::Timestamp;
    use proptest::prelude::*;

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
        let next = next_bucket(state, &settings(), &Measured::default());
        for bucket in state.buckets.values_mut() {
            bucket.closed_at = Some(Timestamp::from_nanos(2));
        }
        let bucket = state.buckets.len() as u64 + 1;
        let opened = Bucket {
            bucket,
            opened_at: Timestamp::from_nanos(1),
            closed_at: None,
            policy_epoch: 1,
            slots: next.slots,
            plan: next.plan,
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

    fn early(state: &State) -> Option<Because> {
        let next = next_bucket(state, &settings(), &Measured::default());
        ends_early(state, &next.slots)
    }

    #[test]
    fn a_bucket_ends_early_where_a_node_of_it_must_go_and_only_once() {
        let mut state = state(4, 3);
        assert_eq!(early(&state), None);
        stand(&mut state, 4, Standing::Active, Standing::Draining);
        assert_eq!(early(&state), Some(Because::Leaving));
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
        assert_eq!(early(&state), Some(Because::Copies));
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
        assert_eq!(early(&state), Some(Because::Nodes));
        open(&mut state);
        assert_eq!(early(&state), None);
    }

    #[test]
    fn slots_and_buckets_follow_the_number_of_nodes_unless_they_are_set() {
        let settings = settings();
        let least = |settings: &ClusterSettings, nodes| settings.bounds_of(nodes).least;
        assert_eq!((least(&settings, 1), least(&settings, 3)), (1, 3));
        assert!(settings.bounds_of(3).most > 3);
        assert!(settings.bucket_of(1) > settings.bucket_of(3));
        let mut config = Config::defaults();
        config.cluster.slots = 2;
        config.cluster.bucket = std::time::Duration::from_secs(7);
        let settings = ClusterSettings::of(&config);
        assert_eq!((least(&settings, 1), least(&settings, 3)), (2, 2));
        assert_eq!(settings.bounds_of(3).most, 2);
        assert_eq!(settings.bucket_of(1), settings.bucket_of(3));
    }

    /// Nodes 1 to `count`, in so many zones; none has told where there are no zones.
    fn sites(count: u64, zones: usize) -> Vec<Site<'static>> {
        const ZONES: [&str; 4] = ["a", "b", "c", "d"];
        let zone = |node: u64| {
            let place = usize::try_from(node).unwrap_or(0).checked_rem(zones)?;
            Some(("home", *ZONES.get(place)?))
        };
        let site = |node| Site {
            node,
            zone: zone(node),
            load: 0,
            leads: 0,
        };
        (1..=count).map(site).collect()
    }

    fn even(nodes: u64, slots: usize, replication: u32, bucket: u64) -> Vec<meta::Slot> {
        place(&mut sites(nodes, 0), &vec![1; slots], replication, bucket)
    }

    #[test]
    fn one_node_holds_everything() {
        let plan = even(1, 1, 3, 1);
        assert_eq!(
            plan,
            [meta::Slot {
                slot: 0,
                voters: vec![1],
                preferred_leader: 1
            }]
        );
        assert!(place(&mut [], &[1], 3, 1).is_empty());
    }

    #[test]
    fn three_nodes_hold_three_slots_with_a_leader_each() {
        for bucket in 1..5 {
            let plan = even(3, 3, 3, bucket);
            assert!(plan.iter().all(|slot| slot.voters == [1, 2, 3]));
            let mut leaders: Vec<_> = plan.iter().map(|slot| slot.preferred_leader).collect();
            leaders.sort_unstable();
            assert_eq!(leaders, [1, 2, 3], "bucket {bucket}");
        }
    }

    #[test]
    fn leaders_move_from_bucket_to_bucket() {
        let first = even(3, 3, 3, 1);
        let second = even(3, 3, 3, 2);
        assert_ne!(first[0].preferred_leader, second[0].preferred_leader);
    }

    #[test]
    fn groups_have_an_odd_number_of_voters() {
        for (nodes, replication, voters) in [(2, 3, 1), (4, 4, 3), (5, 5, 5)] {
            let plan = even(nodes, 4, replication, 1);
            assert!(plan.iter().all(|slot| slot.voters.len() == voters));
        }
    }

    #[test]
    fn replicas_are_in_different_zones_where_there_are_so_many() {
        for bucket in 0..7 {
            let mut sites = sites(7, 3);
            let plan = place(&mut sites, &[9, 3, 1, 1, 1, 7, 2], 3, bucket);
            for slot in &plan {
                let zones: BTreeSet<u64> = slot.voters.iter().map(|node| node % 3).collect();
                assert_eq!(zones.len(), 3, "{slot:?}");
            }
            let used = nodes_of(&plan);
            assert_eq!(used.len(), 7, "each takes part");
        }
        let plan = place(&mut sites(5, 2), &[1; 5], 3, 1);
        for slot in &plan {
            let zones: BTreeSet<u64> = slot.voters.iter().map(|node| node % 2).collect();
            assert_eq!((zones.len(), slot.voters.len()), (2, 3));
        }
    }

    proptest! {
        #[test]
        fn bytes_and_leads_are_balanced(
            weights in proptest::collection::vec(1u64..1_000, 1..60),
            nodes in 1u64..20,
            replication in 1u32..6,
            bucket in 0u64..100,
        ) {
            let mut sites = sites(nodes, 0);
            let plan = place(&mut sites, &weights, replication, bucket);
            prop_assert_eq!(plan.len(), weights.len());
            let voters = copies(replication, sites.len());
            for (slot, number) in plan.iter().zip(0..) {
                prop_assert_eq!(slot.slot, number);
                let ascends = slot.voters.windows(2).all(|pair| pair[0] < pair[1]);
                prop_assert!(ascends && slot.voters.len() == voters);
                prop_assert!(slot.voters.contains(&slot.preferred_leader));
            }
            let heaviest = weights.iter().copied().max().unwrap_or(0);
            let range = |of: fn(&Site<'_>) -> u64| {
                let all = || sites.iter().map(of);
                all().max().unwrap_or(0) - all().min().unwrap_or(0)
            };
            prop_assert!(range(|site| site.load) <= heaviest);
            if voters == sites.len() {
                prop_assert!(range(|site| site.leads) <= heaviest);
            }
            let most = sites.iter().map(|site| site.leads).max().unwrap_or(0);
            let all: u64 = weights.iter().sum();
            prop_assert!(most <= 2 * all / nodes + heaviest, "{} of {}", most, all);
        }

        #[test]
        fn as_many_slots_as_nodes_are_led_by_about_one_each(nodes in 1u64..40, bucket in 0u64..50) {
            let slots = usize::try_from(nodes).expect("few");
            let plan = even(nodes, slots, 3, bucket);
            for node in 1..=nodes {
                let leads = plan.iter().filter(|slot| slot.preferred_leader == node).count();
                prop_assert!(leads <= 2, "node {} leads {}", node, leads);
            }
        }
    }
}
