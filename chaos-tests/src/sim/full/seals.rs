//! C4 for what is finished: every replica of a sealed shard holds the same segments, those that the
//! cluster agreed on. C11: a bucket that has long been over is sealed on every node that holds it, unless one
//! of them is out of service for its damage: the others wait for it longer than a run lasts.

use std::collections::{BTreeMap, BTreeSet};

use hushlog_node::Node;
use hushlog_raft::meta::State;
use hushlog_record::ShardId;

use super::World;

/// What is not sealed and should be, or is not what was agreed on. So many of the last buckets, the open one
/// among them, may still be on their way to their seals.
pub(super) fn check(world: &World, running: &BTreeMap<u64, Node>, under_way: u64) -> Vec<String> {
    let nodes = world.base.disks.keys().copied();
    let out: BTreeSet<u64> = nodes.filter(|node| world.base.is_out(*node)).collect();
    let judged = running
        .iter()
        .filter(|(node, _)| !out.contains(node))
        .map(|(node, running)| match running.sealed() {
            Ok(sealed) => judge(*node, &running.facts(), &sealed, under_way, &out),
            Err(error) => vec![format!("C4 node {node} cannot read a manifest: {error}")],
        });
    judged.flatten().collect()
}

/// The same of one node: what it knows of the cluster, and the digests of what is sealed on it.
fn judge(
    node: u64,
    facts: &State,
    sealed: &BTreeMap<ShardId, [u8; 32]>,
    under_way: u64,
    out: &BTreeSet<u64>,
) -> Vec<String> {
    let last = facts.buckets.keys().next_back().copied().unwrap_or(0);
    let over = facts
        .buckets
        .values()
        .filter(|bucket| bucket.bucket + under_way <= last);
    let here = over
        .flat_map(|bucket| bucket.shards())
        .filter(|(_, slot)| slot.voters.contains(&node))
        .filter(|(_, slot)| !slot.voters.iter().any(|voter| out.contains(voter)));
    let late = here.filter(|(shard, _)| !sealed.contains_key(shard));
    let late = late.map(|(shard, _)| format!("C11 {shard} is not sealed on node {node}"));
    let other = sealed.iter().filter(|(shard, digest)| {
        let agreed = facts.sealed.get(shard).map(|seal| &seal.digest);
        agreed != Some(digest)
    });
    let other =
        other.map(|(shard, _)| format!("C4 {shard} on node {node} is not what was agreed on"));
    late.chain(other).collect()
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Bucket, Plan, Seal, Slot};
    use hushlog_record::Timestamp;

    use super::*;

    const FIRST: ShardId = ShardId { bucket: 1, slot: 0 };

    /// Three buckets of one shard on nodes 1 to 3, the first of them sealed with digest 7.
    fn facts() -> State {
        let at = Timestamp::from_nanos;
        let bucket = |bucket: u64| Bucket {
            bucket,
            opened_at: at(0),
            closed_at: (bucket < 3).then(|| at(1)),
            policy_epoch: 1,
            slots: vec![Slot {
                slot: 0,
                voters: vec![1, 2, 3],
                preferred_leader: 1,
            }],
            plan: Plan::default(),
        };
        let seal = Seal {
            digest: [7; 32],
            segmented_to: 4,
            rows: 1,
            bytes: 9,
            time_min: at(0),
            time_max: at(0),
        };
        State {
            buckets: (1..=3).map(|number| (number, bucket(number))).collect(),
            sealed: BTreeMap::from([(FIRST, seal)]),
            ..State::default()
        }
    }

    #[test]
    fn a_shard_that_should_be_sealed_and_one_that_differs_are_seen() {
        let sealed = |digest| BTreeMap::from([(FIRST, [digest; 32])]);
        let nothing = BTreeMap::new();
        let judged = |node, facts: &State, sealed: &BTreeMap<_, _>, out: &[u64]| {
            let out = out.iter().copied().collect();
            judge(node, facts, sealed, 2, &out)
        };
        assert_eq!(judged(1, &facts(), &sealed(7), &[]), [""; 0]);
        assert_eq!(judged(4, &facts(), &nothing, &[]), [""; 0], "not its own");
        let late = judged(1, &facts(), &nothing, &[4]);
        assert_eq!(late, ["C11 b1-s0 is not sealed on node 1"]);
        assert_eq!(judged(1, &facts(), &nothing, &[3]), [""; 0], "one is out");
        let other = judged(1, &facts(), &sealed(8), &[3]);
        assert_eq!(other, ["C4 b1-s0 on node 1 is not what was agreed on"]);
        let mut unknown = facts();
        unknown.sealed.clear();
        assert_eq!(judged(1, &unknown, &sealed(7), &[]).len(), 1);
    }
}
