//! Nodes that come and go, and replicas that move, as the facts take them.

use std::collections::BTreeMap;

use hushlog_record::Timestamp;

use super::super::{Bucket, Command, Plan, Seal};
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
        plan: Plan::default(),
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
