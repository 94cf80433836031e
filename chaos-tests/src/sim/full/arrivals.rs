//! C4 for what moves: at the moment at which the map lists a node for a sealed shard, in the place of another one
//! or beside the others, that node has the shard whole. Before, the old replica counts, and is not deleted. And where
//! a node's replica is given up without another one in its place, enough of the others have theirs.

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

/// A sealed shard whose nodes are others than before.
#[derive(Debug, PartialEq, Eq)]
struct Moved {
    shard: ShardId,
    /// Nodes that were none of its.
    new: Vec<NodeId>,
    /// All of its nodes, if they are fewer than they were.
    fewer: Option<Vec<NodeId>>,
}

impl Arrivals {
    /// What nodes lack that the newest facts among these nodes have just placed on them, or on them alone. One that
    /// does not run at that moment is not asked.
    pub(super) fn check(&mut self, running: &BTreeMap<NodeId, Node>) -> Vec<String> {
        let newest = running.values().map(Node::facts);
        let newest = newest.max_by_key(|facts| facts.applied);
        let Some(facts) = newest.filter(|facts| facts.applied > self.applied) else {
            return Vec::new();
        };
        self.applied = facts.applied;
        let mut violations = Vec::new();
        for Moved { shard, new, fewer } in self.moved(&facts) {
            for node in new {
                violations.extend(lacks(running, node, shard).map(|what| {
                    format!("C4 the map lists node {node} for {shard}, and it {what}")
                }));
            }
            let Some(left) = fewer else { continue };
            let whole = left
                .iter()
                .filter(|node| lacks(running, **node, shard).is_none());
            let (whole, copies) = (whole.count(), facts.copies());
            if whole < copies {
                violations.push(format!(
                    "C4 {shard} is left to {left:?}, of which {whole} have it, for {copies} copies"
                ));
            }
        }
        violations
    }

    /// The shards that were sealed already and are elsewhere since.
    fn moved(&mut self, facts: &State) -> Vec<Moved> {
        let mut moved = Vec::new();
        for shard in facts.sealed.keys() {
            let Some(slot) = facts.slot(*shard) else {
                continue;
            };
            let Some(before) = self.voters.insert(*shard, slot.voters.clone()) else {
                continue;
            };
            if before != slot.voters {
                let new = slot.voters.iter().filter(|voter| !before.contains(voter));
                moved.push(Moved {
                    shard: *shard,
                    new: new.copied().collect(),
                    fewer: (slot.voters.len() < before.len()).then(|| slot.voters.clone()),
                });
            }
        }
        moved
    }
}

/// Why a running node does not have a sealed shard; nothing if it has it, or does not run.
fn lacks(running: &BTreeMap<NodeId, Node>, node: NodeId, shard: ShardId) -> Option<String> {
    match running.get(&node)?.sealed() {
        Ok(sealed) if sealed.contains_key(&shard) => None,
        Ok(_) => Some("does not have it".to_owned()),
        Err(error) => Some(format!("cannot read it: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Bucket, Plan, Seal, Slot};
    use hushlog_record::Timestamp;

    use super::*;

    #[test]
    fn what_moves_is_seen_once_and_who_was_there_from_the_first_is_not() {
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
        let mut seen = |voters: &[NodeId]| arrivals.moved(&facts(voters)).pop();
        let moved = |new: &[NodeId], fewer: Option<&[NodeId]>| {
            Some(Moved {
                shard: ShardId { bucket: 1, slot: 0 },
                new: new.to_vec(),
                fewer: fewer.map(<[NodeId]>::to_vec),
            })
        };
        assert_eq!(seen(&[1, 2, 3]), None);
        assert_eq!(seen(&[1, 2, 4]), moved(&[4], None));
        assert_eq!(seen(&[1, 2, 4]), None);
        assert_eq!(seen(&[1, 2]), moved(&[], Some(&[1, 2])));
    }
}
