//! Who holds the shards of a new bucket: a pure function of the nodes and the bucket's number.
//!
//! It never moves a shard that exists; the next bucket simply is elsewhere.

use hushlog_record::NodeId;

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
    replication: usize,
    bucket: u64,
) -> Vec<SlotPlan> {
    let count = nodes.len();
    let voters_per_slot = match replication.min(count) {
        0..=2 => 1,
        voters => voters - (1 - voters % 2),
    };
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

#[cfg(test)]
mod tests {
    use super::*;

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
