//! Facts and commands as bytes: those of earlier builds are read, and equal ones have equal bytes.

use super::*;

fn encoded(state: &State) -> Vec<u8> {
    let mut out = Encoder::default();
    state.encode(&mut out);
    out.finish()
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
