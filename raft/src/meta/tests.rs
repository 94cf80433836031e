//! The cluster's facts: compare-and-set on buckets, encodings that come back equal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hushlog_record::{ShardId, Timestamp};
use hushlog_storage::store::Mem;
use hushlog_storage::writer::Writer;

use super::expired::put_expired;
use super::limits::put_limits;
use super::nodes::put_roster;
use super::plan::{put_classes, put_plan, take_classes, take_plan};
use super::policy::put_policy;
use super::retention::put_retention;
use super::rewrite::put_rewrite;
use super::seal::put_seal;
use super::state::{put_node, put_slots};
use super::{
    Answer, Because, Change, Class, Command, Cutoffs, Form, Keeping, Leave, Limit, LimitRule, Node,
    Plan, Policy, Rate, RetentionRule, Roster, Seal, Shared, Slot, Spread, Standing, State,
};
use crate::codec::{Decoder, Encoder};
use crate::limits::{CUTOFF_SERVICES_MAX, REWRITES_MAX};
use crate::types::{Entry, Payload, log_id};

fn node(id: u64) -> Node {
    Node {
        id,
        grpc: format!("127.0.0.1:{}", 7000 + id),
        http: format!("127.0.0.1:{}", 8000 + id),
        region: "eu".into(),
        zone: format!("z{id}"),
    }
}

fn open(expected: u64, at: i64) -> Command {
    let slot = |slot| Slot {
        slot,
        voters: vec![1, 2, 3],
        preferred_leader: u64::from(slot) + 1,
    };
    Command::OpenBucket {
        expected,
        opened_at: Timestamp::from_nanos(at),
        slots: vec![slot(0), slot(1)],
        plan: Plan {
            classes: vec![class(Keeping::Longer, &[1], &["c"])],
            ..spread(&["a", "b"], &[0, 1])
        },
    }
}

/// These services over these slots.
fn spread(services: &[&str], slots: &[u16]) -> Plan {
    let rate = Rate {
        bytes: 900,
        records: 7,
    };
    let slots = slots.to_vec();
    let spread = Spread { slots, rate };
    Plan {
        because: Because::Bytes,
        rate,
        spread: services
            .iter()
            .map(|s| ((*s).to_owned(), spread.clone()))
            .collect(),
        classes: Vec::new(),
    }
}

/// These services in these slots of their own.
fn class(keeping: Keeping, slots: &[u16], services: &[&str]) -> Class {
    Class {
        keeping,
        slots: slots.to_vec(),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
    }
}

fn commands() -> Vec<Command> {
    let mut commands = vec![Command::SetCluster {
        cluster: 77,
        replication: 3,
    }];
    commands.extend((1..=3).map(|id| Command::RegisterNode(node(id))));
    commands.extend([open(0, 10), open(1, 20), Command::SetReplication(1)]);
    commands.push(finish(1, 0, 7));
    commands.push(policy(2, "a"));
    commands.extend([keep(None, Some(48)), keep(Some("a"), Some(1))]);
    commands.extend([keep(Some("b"), Some(9)), keep(Some("a"), None)]);
    commands.push(drop_bucket(1, 4));
    commands.extend(changes().into_iter().map(Command::Nodes));
    commands.extend([limit(None, Some(9)), limit(Some("a"), Some(1))]);
    commands.extend([limit(Some("b"), Some(5)), limit(Some("a"), None)]);
    commands.push(rewrite(7, 8, 1));
    commands
}

/// Leaves rows out of the first shard: so many are left.
fn rewrite(before: u8, digest: u8, rows: u64) -> Command {
    let Command::Finish { shard, seal } = finish(1, 0, digest) else {
        unreachable!("it finishes");
    };
    let at = Timestamp::from_nanos;
    Command::Rewrite(Leave {
        shard,
        before: [before; 32],
        rules: 4,
        seal: Seal { rows, ..seal },
        cutoffs: Cutoffs {
            default: at(i64::MIN),
            services: BTreeMap::from([("a".to_owned(), at(digest.into()))]),
        },
        services: BTreeMap::from([("a".to_owned(), 1)]),
    })
}

/// One of each kind; some are refused.
fn changes() -> Vec<Change> {
    let shard = ShardId { bucket: 1, slot: 0 };
    let voters = vec![1, 2, 3];
    vec![
        Change::Admit(node(4)),
        Change::Stand {
            node: 4,
            from: Standing::Joining,
            to: Standing::Active,
        },
        Change::Stand {
            node: 3,
            from: Standing::Active,
            to: Standing::Draining,
        },
        Change::Begin {
            shard,
            voters: voters.clone(),
            from: Some(3),
            to: 4,
        },
        Change::End {
            shard,
            since: 9,
            arrived: true,
        },
        Change::Leave {
            shard,
            voters,
            node: 3,
        },
        Change::Remove(3),
        Change::Rebalance(true),
    ]
}

fn policy(epoch: u64, bytes: &'static str) -> Command {
    Command::SetPolicy(Policy {
        epoch,
        bytes: bytes.into(),
    })
}

/// Keeps a service's records for so many hours.
fn keep(service: Option<&str>, hours: Option<u64>) -> Command {
    Command::SetRetention(RetentionRule {
        service: service.map(str::to_owned),
        period: hours.map(|hours| Duration::from_secs(hours * 3_600)),
    })
}

/// Lets a service send so many records a second, and a thousand times the bytes.
fn limit(service: Option<&str>, rate: Option<u64>) -> Command {
    Command::SetLimit(LimitRule {
        service: service.map(str::to_owned),
        limit: rate.map(|rate| Limit {
            records_per_second: Some(rate),
            bytes_per_second: (rate > 1).then_some(rate * 1_000),
        }),
    })
}

fn drop_bucket(bucket: u64, rules: u64) -> Command {
    Command::DropBucket {
        bucket,
        rules,
        services: BTreeMap::from([("a".to_owned(), 4)]),
    }
}

fn finish(bucket: u64, slot: u16, digest: u8) -> Command {
    Command::Finish {
        shard: ShardId { bucket, slot },
        seal: Seal {
            digest: [digest; 32],
            segmented_to: 40,
            rows: 3,
            bytes: 900,
            time_min: Timestamp::from_nanos(-5),
            time_max: Timestamp::from_nanos(5),
        },
    }
}

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

fn encoded(state: &State) -> Vec<u8> {
    let mut out = Encoder::default();
    state.encode(&mut out);
    out.finish()
}

#[test]
fn a_policy_follows_the_one_before_and_buckets_keep_that_of_their_opening() {
    let mut state = State::default();
    for command in &commands()[..5] {
        state.apply(command);
    }
    let refused = |answer| matches!(answer, Answer::Conflict(_));
    assert_eq!(state.policy, Policy::default());
    assert!(refused(state.apply(&policy(1, "b"))), "it has another");
    assert!(refused(state.apply(&policy(3, "b"))), "2 was never there");
    for _ in 0..2 {
        assert_eq!(state.apply(&policy(2, "b")), Answer::Done);
    }
    assert!(refused(state.apply(&policy(2, "c"))), "it was another");
    assert_eq!(state.policy.bytes, "b");
    state.apply(&open(1, 20));
    let epochs: Vec<_> = state.buckets.values().map(|b| b.policy_epoch).collect();
    assert_eq!(epochs, [1, 2]);
    let before = |state: &State, epoch| {
        let shards = state.shards_before_policy(epoch);
        shards.map(|(shard, _)| shard).collect::<Vec<_>>()
    };
    let shard = |slot| ShardId { bucket: 1, slot };
    assert_eq!(before(&state, 2), [shard(0), shard(1)]);
    assert_eq!(before(&state, 3).len(), 4);
    state.apply(&finish(1, 0, 7));
    assert_eq!(before(&state, 2), [shard(1)]);
}

#[test]
fn a_drop_as_earlier_builds_proposed_it_is_read() {
    let mut out = Encoder::default();
    out.u8(9).u64(5).u64(7);
    let bytes = out.finish();
    let read = Command::decode(&mut Decoder::new("command", &bytes)).unwrap();
    let services = BTreeMap::new();
    let expected = Command::DropBucket {
        bucket: 5,
        rules: 7,
        services,
    };
    assert_eq!(read, expected);
}

/// The facts as an earlier build wrote them: without classes, without rewrites before version 7, plans before 6, without how nodes take part before version 5, without
/// rate limits before 4, without policies and retention before 3, and without sealed shards in version 1.
fn encode_old(state: &State, version: u8) -> Vec<u8> {
    let mut out = Encoder::versioned(version);
    out.u128(state.cluster)
        .u32(state.replication)
        .u64(state.applied);
    out.len(state.nodes.len());
    for node in state.nodes.values() {
        put_node(&mut out, node);
    }
    out.len(state.buckets.len());
    for bucket in state.buckets.values() {
        out.u64(bucket.bucket).i64(bucket.opened_at.nanos());
        match bucket.closed_at {
            None => out.u8(0),
            Some(at) => out.u8(1).i64(at.nanos()),
        };
        if version > 2 {
            out.u64(bucket.policy_epoch);
        }
        put_slots(&mut out, &bucket.slots);
        if version > 5 {
            put_plan(&mut out, &bucket.plan);
        }
    }
    if version > 1 {
        out.len(state.sealed.len());
        for (shard, seal) in &state.sealed {
            out.u64(shard.group());
            put_seal(&mut out, seal);
        }
    }
    if version > 2 {
        put_policy(&mut out, &state.policy);
        put_retention(&mut out, &state.retention);
    }
    if version > 3 {
        put_limits(&mut out, &state.limits);
        put_expired(&mut out, &state.expired);
    }
    if version > 4 {
        put_roster(&mut out, &state.roster);
    }
    if version > 6 {
        out.len(state.rewrites.len());
        for (shard, rewrite) in &state.rewrites {
            out.u64(shard.group());
            put_rewrite(&mut out, rewrite);
        }
    }
    out.finish()
}

#[test]
fn facts_of_earlier_versions_are_read() {
    let all = commands().len();
    for (version, known) in [
        (1, 6),
        (2, 8),
        (3, 14),
        (4, all),
        (5, all),
        (6, all),
        (7, all),
    ] {
        let mut state = State::default();
        for command in &commands()[..known] {
            state.apply(command);
        }
        let mut expected = state.clone();
        if version < 3 {
            for bucket in expected.buckets.values_mut() {
                bucket.policy_epoch = 0;
            }
        }
        if version < 6 {
            for bucket in expected.buckets.values_mut() {
                bucket.plan = Plan::default();
            }
        }
        for bucket in expected.buckets.values_mut() {
            bucket.plan.classes.clear();
        }
        if version < 7 {
            expected.rewrites.clear();
        }
        if version < 5 {
            expected.roster = Roster::default();
        }
        let mut bytes = encode_old(&state, version);
        assert_eq!(State::decode(&bytes).unwrap(), expected);
        bytes[0] = 9;
        assert!(State::decode(&bytes).is_err());
    }
}

/// As in `docs/formats.md`, with every number written out: other builds must read it so.
#[test]
fn a_plan_has_these_bytes() {
    let mut out = Encoder::default();
    put_plan(&mut out, &spread(&["ab"], &[0, 1]));
    let rate = [0, 0, 0, 0, 0, 0, 3, 132, 0, 0, 0, 0, 0, 0, 0, 7];
    let mut expected = vec![3];
    expected.extend(rate);
    expected.extend([0, 0, 0, 1, 0, 0, 0, 2, b'a', b'b']);
    expected.extend(rate);
    expected.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(out.finish(), expected);
    expected[0] = 8;
    let read = take_plan(&mut Decoder::new("plan", &expected));
    assert!(read.is_err(), "no build knows this reason");
}

#[test]
fn a_bucket_as_earlier_builds_opened_it_is_read() {
    let mut out = Encoder::default();
    out.u8(3).u64(4).i64(9);
    let Command::OpenBucket { slots, .. } = open(4, 9) else {
        panic!("it opens a bucket");
    };
    put_slots(&mut out, &slots);
    let bytes = out.finish();
    let read = Command::decode(&mut Decoder::new("command", &bytes)).unwrap();
    let expected = Command::OpenBucket {
        expected: 4,
        opened_at: Timestamp::from_nanos(9),
        slots,
        plan: Plan::default(),
    };
    assert_eq!(read, expected);
}

#[test]
fn classes_have_these_bytes_and_those_that_are_not_known_are_refused() {
    let mut out = Encoder::default();
    put_classes(&mut out, &[class(Keeping::Shorter, &[1, 2], &["ab"])]);
    let mut expected = vec![0, 0, 0, 1, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    expected.extend([0, 0, 0, 1, 0, 0, 0, 2, b'a', b'b']);
    assert_eq!(out.finish(), expected);
    expected[4] = 3;
    assert!(take_classes(&mut Decoder::new("classes", &expected)).is_err());
    // As builds opened buckets that knew of none.
    let Command::OpenBucket { slots, plan, .. } = open(4, 9) else {
        panic!("it opens a bucket");
    };
    let mut out = Encoder::default();
    out.u8(16).u64(4).i64(9);
    put_slots(&mut out, &slots);
    put_plan(&mut out, &plan);
    let bytes = out.finish();
    let read = Command::decode(&mut Decoder::new("command", &bytes)).unwrap();
    let expected = Command::OpenBucket {
        expected: 4,
        opened_at: Timestamp::from_nanos(9),
        slots,
        plan: Plan {
            classes: Vec::new(),
            ..plan
        },
    };
    assert_eq!(read, expected);
}

#[test]
fn classes_have_the_last_slots_and_leave_some_to_the_others() {
    let mut state = State::default();
    for command in &commands()[..4] {
        state.apply(command);
    }
    let opened = |state: &mut State, classes: Vec<Class>| {
        let Command::OpenBucket { slots, .. } = open(0, 10) else {
            panic!("it opens a bucket");
        };
        state.apply(&Command::OpenBucket {
            expected: 0,
            opened_at: Timestamp::from_nanos(10),
            slots: slots
                .iter()
                .chain(&slots)
                .cloned()
                .zip(0..)
                .map(|(slot, number)| Slot {
                    slot: number,
                    ..slot
                })
                .collect(),
            plan: Plan {
                classes,
                ..Plan::default()
            },
        })
    };
    let names: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let many: Vec<&str> = names.into_iter().collect();
    let (shorter, longer) = (Keeping::Shorter, Keeping::Longer);
    for classes in [
        vec![class(longer, &[2], &["a"])],
        vec![class(longer, &[4], &["a"])],
        vec![class(longer, &[], &["a"])],
        vec![class(longer, &[3], &[])],
        vec![class(longer, &[3], &many)],
        vec![class(longer, &[0, 1, 2, 3], &["a"])],
        vec![class(longer, &[2], &["a"]), class(shorter, &[3], &["b"])],
        vec![class(longer, &[2], &["a"]), class(longer, &[3], &["b"])],
    ] {
        let refused = opened(&mut state, classes);
        assert!(matches!(refused, Answer::Conflict(_)));
    }
    let both = vec![class(shorter, &[1], &["a"]), class(longer, &[2, 3], &["b"])];
    assert_eq!(opened(&mut state, both), Answer::Bucket(1));
    assert_eq!(state.buckets[&1].common_slots(), 1);
    let class = |service| state.buckets[&1].plan.class_of(service).map(|c| c.keeping);
    assert_eq!(
        ["a", "b", "c"].map(class),
        [Some(shorter), Some(longer), None]
    );
}

#[test]
fn a_plan_that_does_not_fit_its_slots_opens_nothing() {
    let mut state = State::default();
    for command in &commands()[..4] {
        state.apply(command);
    }
    let before = state.clone();
    let long = "s".repeat(257);
    let many: Vec<String> = (0..33).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let plans = [
        spread(&["a"], &[]),
        spread(&["a"], &[2]),
        spread(&["a"], &[1, 0]),
        spread(&["a"], &[1, 1]),
        spread(&[&long], &[0]),
        spread(&many, &[0]),
    ];
    for planned in plans {
        let Command::OpenBucket { slots, .. } = open(0, 1) else {
            panic!("it opens a bucket");
        };
        let opened = state.apply(&Command::OpenBucket {
            expected: 0,
            opened_at: Timestamp::from_nanos(1),
            slots,
            plan: planned,
        });
        assert!(matches!(opened, Answer::Conflict(_)), "{opened:?}");
        assert_eq!(state, before);
    }
    assert_eq!(state.apply(&open(0, 1)), Answer::Bucket(1));
    let Command::OpenBucket { plan, .. } = open(0, 1) else {
        panic!("it opens a bucket");
    };
    assert_eq!(state.open_bucket().unwrap().plan, plan);
}

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

#[test]
fn a_bucket_is_opened_once_however_often_it_is_asked_for() {
    let mut state = State::default();
    assert!(matches!(state.apply(&open(0, 1)), Answer::Conflict(_)));
    for command in &commands()[..4] {
        assert_eq!(state.apply(command), Answer::Done);
    }
    assert_eq!(state.apply(&open(0, 10)), Answer::Bucket(1));
    let once = state.clone();
    assert_eq!(state.apply(&open(0, 11)), Answer::Bucket(1));
    assert_eq!(state, once);
    assert_eq!(state.apply(&open(1, 20)), Answer::Bucket(2));
    assert_eq!(state.buckets[&1].closed_at, Some(Timestamp::from_nanos(20)));
    assert_eq!(state.open_bucket().map(|bucket| bucket.bucket), Some(2));
}

#[test]
fn a_cluster_keeps_its_first_id() {
    let mut state = State::default();
    let set = |cluster| Command::SetCluster {
        cluster,
        replication: 3,
    };
    assert_eq!(state.apply(&set(5)), Answer::Done);
    assert_eq!(state.apply(&set(5)), Answer::Done);
    assert!(matches!(state.apply(&set(6)), Answer::Conflict(_)));
    assert_eq!(state.cluster, 5);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "two threads are what it is about"
)]
fn a_watcher_may_look_at_the_group_while_entries_are_applied() {
    let writer = Writer::inline(Arc::new(Mem::new()));
    let shared = Shared::open(writer.handle()).unwrap();
    let entry = |index| Entry {
        log_id: log_id(1, index),
        payload: Payload::Blank,
    };
    let entries = 20_000;
    std::thread::scope(|scope| {
        let watched = shared.watch();
        let reader = &shared;
        scope.spawn(move || {
            // Would wait for ever if applying held the facts while it told the watchers.
            while watched.borrow().applied + 1 < entries {
                let facts = watched.borrow();
                assert!(facts.applied <= reader.applied_to());
            }
        });
        for index in 0..entries {
            shared.apply(entry(index));
        }
    });
    assert_eq!(shared.applied_to(), entries);
}

#[test]
fn commands_answers_and_facts_come_back_as_they_were() {
    let mut state = State::default();
    for command in commands() {
        let mut out = Encoder::default();
        command.encode(&mut out);
        let bytes = out.finish();
        let mut input = Decoder::new("command", &bytes);
        assert_eq!(Command::decode(&mut input).unwrap(), command);
        input.end().unwrap();

        let answer = state.apply(&command);
        let mut out = Encoder::default();
        answer.encode(&mut out);
        assert_eq!(
            Answer::decode(&mut Decoder::new("answer", &out.finish())).unwrap(),
            answer
        );
    }
    let bytes = encoded(&state);
    assert_eq!(State::decode(&bytes).unwrap(), state);
    for len in 0..bytes.len() {
        assert!(State::decode(&bytes[..len]).is_err(), "cut at {len}");
    }
}
