//! Rules of retention and of rates, and what they drop.

use super::*;

/// Buckets 1 to 4 of two shards, the first three over and finished.
fn three_finished() -> State {
    let mut state = State::default();
    let opened = (0..4).map(|last| open(last, 10));
    for command in commands()[..4].iter().cloned().chain(opened) {
        state.apply(&command);
    }
    for (bucket, slot) in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)] {
        assert_eq!(state.apply(&finish(bucket, slot, 7)), Answer::Done);
    }
    state
}

#[test]
fn a_bucket_is_dropped_whole_once_nobody_needs_it() {
    let refused = |answer| matches!(answer, Answer::Conflict(_));
    let mut state = State::default();
    for command in &commands()[..6] {
        state.apply(command);
    }
    assert!(refused(state.apply(&drop_bucket(1, 0))), "not finished");
    state.apply(&finish(1, 0, 7));
    assert!(refused(state.apply(&drop_bucket(1, 0))), "half finished");
    state.apply(&finish(1, 1, 7));
    assert!(refused(state.apply(&drop_bucket(1, 0))), "not inherited");
    assert!(refused(state.apply(&drop_bucket(2, 0))), "it is open");
    assert!(refused(state.apply(&drop_bucket(3, 0))), "not opened yet");

    let mut state = three_finished();
    let shard = |bucket, slot| ShardId { bucket, slot };
    assert!(refused(state.apply(&drop_bucket(3, 0))), "not inherited");
    assert!(!state.is_dropped(shard(1, 0)));
    let before = state.clone();
    assert_eq!(state.apply(&drop_bucket(1, 0)), Answer::Done);
    assert!(state.is_dropped(shard(1, 0)) && state.is_dropped(shard(1, 1)));
    assert!(!state.is_dropped(shard(2, 0)) && !state.is_dropped(shard(4, 1)));
    assert!(!state.is_dropped(shard(5, 0)), "it may be opened yet");
    assert_eq!((state.buckets.len(), state.sealed.len()), (3, 4));
    // Two shards of three rows, of which four are said to be of one service.
    let of_a = state.expired.services.get("a");
    assert_eq!((of_a, state.expired.others), (Some(&4), 2));
    let once = state.clone();
    assert_eq!(state.apply(&drop_bucket(1, 0)), Answer::Done);
    assert_eq!(state, once);
    assert_eq!(state.apply(&open(4, 90)), Answer::Bucket(5));

    // A bucket in the middle may go first, where clocks were wrong; those before it stay droppable.
    let mut state = before;
    assert_eq!(state.apply(&drop_bucket(2, 0)), Answer::Done);
    assert!(state.is_inherited(1));
    assert_eq!(state.apply(&drop_bucket(1, 0)), Answer::Done);
    assert!(!state.is_inherited(4));
}

#[test]
fn any_change_of_a_rule_in_between_keeps_a_bucket() {
    let mut state = three_finished();
    let refused = |answer| matches!(answer, Answer::Conflict(_));
    state.apply(&keep(None, Some(1)));
    // Without it the period is what each node's configuration says, which may be longer.
    state.apply(&keep(None, None));
    assert!(refused(state.apply(&drop_bucket(1, 1))));
    state.apply(&keep(Some("a"), Some(3)));
    assert!(refused(state.apply(&drop_bucket(1, 2))));
    assert_eq!(state.apply(&drop_bucket(1, 3)), Answer::Done);
}

#[test]
fn a_rule_beyond_the_limits_is_refused() {
    let mut state = State::default();
    let refused = state.apply(&keep(None, Some(0)));
    assert!(matches!(refused, Answer::Conflict(_)));
    assert_eq!(state, State::default());
}

#[test]
fn a_limit_is_set_and_removed_and_none_beyond_the_limits_is_taken() {
    let mut state = State::default();
    for (service, rate) in [(None, 9), (Some("a"), 1)] {
        assert_eq!(state.apply(&limit(service, Some(rate))), Answer::Done);
    }
    let rate = |state: &State, service| {
        let (limit, own) = state.limits.of(service).unwrap();
        (limit.records_per_second, limit.bytes_per_second, own)
    };
    assert_eq!(rate(&state, "a"), (Some(1), None, true));
    assert_eq!(rate(&state, "b"), (Some(9), Some(9_000), false));
    let before = state.clone();
    let refused = state.apply(&limit(Some("a"), Some(0)));
    assert!(matches!(refused, Answer::Conflict(_)));
    assert_eq!(state, before);
    for service in [Some("a"), None] {
        assert_eq!(state.apply(&limit(service, None)), Answer::Done);
    }
    assert!(state.limits.is_empty());
}
