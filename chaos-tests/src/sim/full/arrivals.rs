//! C4 for what moves: at the moment at which the map lists a node for a sealed shard, in the place of another one
//! or beside the others, that node has the shard whole. Before, the old replica counts, and is not deleted.

use std::collections::BTreeMap;

use hushlog_node::Node;
use hushlog_raft::meta::State;
use hushlog_record::{NodeId, ShardId};

/// Where sealed shards were when the facts were last looked at.
#[derive(Default)]
pub(super) struct Arrivals {
    applied: u64,
    voters: BTreeMap<ShardId, Vec<NodeId>>,
}

impl Arrivals {
    /// What nodes lack that the newest facts among these nodes have just placed on them. One that does not run at
    /// that moment is not asked.
    pub(super) fn check(&mut self, running: &BTreeMap<NodeId, Node>) -> Vec<String> {
        let newest = running.values().map(Node::facts);
        let newest = newest.max_by_key(|facts| facts.applied);
        let Some(facts) = newest.filter(|facts| facts.applied > self.applied) else {
            return Vec::new();
        };
        self.applied = facts.applied;
        let arrived = self.arrived(&facts).into_iter();
        let lacking = arrived.filter_map(|(shard, node)| {
            let what = match running.get(&node)?.sealed() {
                Ok(sealed) if sealed.contains_key(&shard) => return None,
                Ok(_) => "does not have it".to_owned(),
                Err(error) => format!("cannot read it: {error}"),
            };
            Some(format!(
                "C4 the map lists node {node} for {shard}, and it {what}"
            ))
        });
        lacking.collect()
    }

    /// The shards that nodes are listed for and were not, when they were sealed already.
    fn arrived(&mut self, facts: &State) -> Vec<(ShardId, NodeId)> {
        let mut arrived = Vec::new();
        for shard in facts.sealed.keys() {
            let Some(slot) = facts.slot(*shard) else {
                continue;
            };
            if let Some(before) = self.voters.insert(*shard, slot.voters.clone()) {
                let new = slot.voters.iter().filter(|voter| !before.contains(voter));
                arrived.extend(new.map(|voter| (*shard, *voter)));
            }
        }
        arrived
    }
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Bucket, Plan, Seal, Slot};
    use hushlog_record::Timestamp;

    use super::*;

    #[test]
    fn who_is_new_in_the_place_of_another_is_seen_once_and_who_was_there_from_the_first_is_not() {
        let at = Timestamp::from_nanos(1);
        let facts = |voters: &[NodeId]| {
            let slot = Slot {
                slot: 0,
                voters: voters.to_vec(),
                preferred_leader: 1,
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
            let shard = ShardId { bucket: 1, slot: 0 };
            State {
                buckets: BTreeMap::from([(1, bucket)]),
                sealed: BTreeMap::from([(shard, seal)]),
                ..State::default()
            }
        };
        let mut arrivals = Arrivals::default();
        let mut seen = |voters: &[NodeId]| {
            let arrived = arrivals.arrived(&facts(voters));
            arrived
                .into_iter()
                .map(|(_, node)| node)
                .collect::<Vec<_>>()
        };
        assert_eq!(seen(&[1, 2, 3]), [0; 0]);
        assert_eq!(seen(&[1, 2, 4]), [4]);
        assert_eq!(seen(&[1, 2, 4]), [0; 0]);
        assert_eq!(seen(&[1, 2]), [0; 0]);
    }
}
