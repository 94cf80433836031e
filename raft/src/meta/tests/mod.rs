//! The cluster's facts: compare-and-set on buckets and policies; the samples that the other files take.

mod formats;
mod rules;
mod segments;

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
