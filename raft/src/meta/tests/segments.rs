//! What becomes of a bucket's segments: finished, merged, rewritten.

use super::*;

#[test]
fn only_a_shard_of_a_bucket_that_is_over_is_finished_and_the_first_seal_holds() {
    let mut state = State::default();
    for command in &commands()[..5] {
        state.apply(command);
    }
    let refused = |answer| matches!(answer, Answer::Conflict(_));
    assert!(refused(state.apply(&finish(1, 0, 7))), "it is open");
    state.apply(&open(1, 20));
    assert!(refused(state.apply(&finish(1, 9, 7))), "no such slot");
    assert!(refused(state.apply(&finish(2, 0, 7))), "it is open");
    assert_eq!(state.apply(&finish(1, 0, 7)), Answer::Done);
    let once = state.clone();
    assert_eq!(state.apply(&finish(1, 0, 7)), Answer::Done);
    assert!(refused(state.apply(&finish(1, 0, 8))));
    assert_eq!(state, once);
}

#[test]
fn a_merge_replaces_the_segments_that_it_was_made_of_and_no_others() {
    let mut state = State::default();
    for command in &commands()[..5] {
        state.apply(command);
    }
    state.apply(&open(1, 20));
    let shard = ShardId { bucket: 1, slot: 0 };
    let Command::Finish { seal, .. } = finish(1, 0, 8) else {
        unreachable!("it finishes");
    };
    let merge = |before: u8, seal: &Seal| Command::Merge {
        shard,
        before: [before; 32],
        seal: seal.clone(),
    };
    let refused = |answer| matches!(answer, Answer::Conflict(_));
    assert!(refused(state.apply(&merge(7, &seal))), "it is not finished");
    state.apply(&finish(1, 0, 7));
    let fewer = Seal {
        rows: seal.rows - 1,
        ..seal
    };
    assert!(refused(state.apply(&merge(7, &fewer))), "a row is lost");
    assert!(refused(state.apply(&merge(6, &seal))), "of other segments");
    assert_eq!(state.sealed[&shard].digest, [7; 32]);
    for _ in 0..2 {
        assert_eq!(state.apply(&merge(7, &seal)), Answer::Done);
        assert_eq!(state.sealed[&shard], seal);
    }
    let other = Seal {
        digest: [9; 32],
        ..seal
    };
    assert!(
        refused(state.apply(&merge(7, &other))),
        "somebody was first"
    );
}

/// Two buckets, the first of which is over and has a finished shard of 3 rows, and four changes of rules.
fn with_rules() -> State {
    let mut state = State::default();
    for command in &commands()[..13] {
        state.apply(command);
    }
    state
}

#[test]
fn a_rewrite_leaves_rows_out_for_ever_and_counts_them_once() {
    let mut state = with_rules();
    let shard = ShardId { bucket: 1, slot: 0 };
    let first = Form::of(&state.sealed[&shard]);
    for _ in 0..2 {
        assert_eq!(state.apply(&rewrite(7, 8, 1)), Answer::Done);
    }
    assert_eq!((state.expired.rows(), state.expired.services["a"]), (2, 1));
    let second = Form::of(&state.sealed[&shard]);
    assert_eq!((first.rows, second.rows), (3, 1));
    let other = Form { rows: 2, ..first };
    let known = [first, second, other].map(|form| state.has_held(shard, 40, form));
    assert_eq!(known, [true, true, false]);
    assert!(!state.has_held(shard, 41, second), "of other blocks");
    let third = Form {
        rows: 0,
        bounds: None,
    };
    let later = [first, second, third].map(|form| state.may_come_to(shard, 40, form));
    assert_eq!(later, [false, false, true]);
    // Whoever was first is right, and what is merged then has the rows that are left.
    assert!(matches!(
        state.apply(&rewrite(7, 9, 0)),
        Answer::Conflict(_)
    ));
    assert_eq!(state.apply(&rewrite(8, 9, 0)), Answer::Done);
    assert_eq!((state.expired.rows(), state.expired.others), (3, 1));
    assert!(state.has_held(shard, 40, first), "it may be long ago");
    let mut out = Encoder::default();
    state.encode(&mut out);
    assert_eq!(State::decode(&out.finish()).unwrap(), state);
}

#[test]
fn a_rewrite_that_was_judged_by_others_rules_or_loses_rows_changes_nothing() {
    let mut state = with_rules();
    let changed = |change: &dyn Fn(&mut Leave)| {
        let Command::Rewrite(mut leave) = rewrite(7, 8, 1) else {
            unreachable!("it rewrites");
        };
        change(&mut leave);
        Command::Rewrite(leave)
    };
    let many = |leave: &mut Leave| {
        let names = (0..=CUTOFF_SERVICES_MAX).map(|n| (n.to_string(), Timestamp::from_nanos(1)));
        leave.cutoffs.services = names.collect();
    };
    let before = state.clone();
    for change in [
        &|leave: &mut Leave| leave.rules = 3,
        &|leave: &mut Leave| leave.before = [6; 32],
        &|leave: &mut Leave| leave.shard.slot = 1,
        &|leave: &mut Leave| leave.seal.rows = 3,
        &|leave: &mut Leave| leave.seal.segmented_to = 41,
        &|leave: &mut Leave| leave.seal.time_max = Timestamp::from_nanos(6),
        &many,
    ] as [&dyn Fn(&mut Leave); 7]
    {
        let refused = state.apply(&changed(change));
        assert!(matches!(refused, Answer::Conflict(_)));
        assert_eq!(state, before);
    }
    state.apply(&rewrite(7, 8, 1));
    // What is gone does not come back by saying that it should not have gone.
    let mut back = rewrite(8, 9, 0);
    if let Command::Rewrite(leave) = &mut back {
        leave.cutoffs = Cutoffs::default();
    }
    assert!(matches!(state.apply(&back), Answer::Conflict(_)));
    for digest in 9..40 {
        let before = digest - 1;
        let Some(seal) = state.sealed.get_mut(&ShardId { bucket: 1, slot: 0 }) else {
            panic!("it is finished");
        };
        seal.rows = 3;
        state.apply(&rewrite(before, digest, 1));
    }
    let rewrite = state.rewrites.values().next().unwrap();
    assert_eq!(rewrite.before.len(), REWRITES_MAX);
}
