//! Processes that are killed, stand still, lose their power, run out of memory or of time.

use super::maker::Maker;
use crate::real::load::Pace;
use crate::real::schedule::{Action, Who};

/// Each node once, the leader twice, then all at one moment.
pub(super) fn kill(m: &mut Maker) {
    for index in m.order() {
        m.then(Action::Kill(vec![Who::Node(index)]));
        m.then(Action::Acks(5_000));
        m.wait_some();
        m.then(Action::Start(vec![Who::Node(index)]));
        m.wait_some();
    }
    for _ in 0..2 {
        m.then(Action::Kill(vec![Who::Leader]));
        m.then(Action::Acks(5_000));
        m.then(Action::Start(vec![Who::Same]));
        m.wait_some();
    }
    m.then(Action::Kill(m.everyone()));
    m.then(Action::Start(m.everyone()));
    m.then(Action::Acks(10_000));
}

/// Buckets of five seconds: nodes end, and stand still, while shards close, are sealed and give way to
/// the next ones.
pub(super) fn buckets(m: &mut Maker) {
    m.set("HUSHLOG_CLUSTER_BUCKET", "5s");
    // Several segments a shard, which are merged while nodes end and begin.
    m.set("HUSHLOG_CUT_AGE", "1s");
    m.set("HUSHLOG_MERGE_DELAY", "3s");
    m.wait(5_000);
    for index in m.order().into_iter().take(2) {
        m.then(Action::Kill(vec![Who::Node(index)]));
        m.then(Action::Acks(8_000));
        m.wait(5_500);
        m.then(Action::Start(vec![Who::Node(index)]));
        m.then(Action::Acks(8_000));
        m.wait_some();
    }
    m.then(Action::Freeze(Who::Leader));
    m.wait(5_500);
    m.then(Action::Thaw(Who::Same));
    m.then(Action::Acks(8_000));
    m.then(Action::CutPower(m.everyone()));
    m.then(Action::Start(m.everyone()));
    m.then(Action::Acks(10_000));
    m.wait(10_500);
    m.then(Action::Sealed(60_000));
}

/// The leader stands still for longer than an election; on its wake it must not answer from the past.
pub(super) fn freeze(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::Freeze(Who::Leader));
        m.then(Action::Acks(6_000));
        m.then(Action::Deposed(Who::Same, 5_000));
        m.wait(9_000);
        m.then(Action::Thaw(Who::Same));
        m.then(Action::Acks(5_000));
        m.then(Action::Ready(Who::Same, 10_000));
        m.wait_some();
    }
}

pub(super) fn power_one(m: &mut Maker) {
    for index in m.order() {
        m.then(Action::CutPower(vec![Who::Node(index)]));
        m.then(Action::Acks(5_000));
        m.then(Action::Start(vec![Who::Node(index)]));
        m.wait_some();
    }
    for _ in 0..3 {
        m.then(Action::CutPower(vec![Who::Leader]));
        m.then(Action::Start(vec![Who::Same]));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
}

pub(super) fn power_all(m: &mut Maker) {
    for _ in 0..4 {
        m.wait_some();
        m.then(Action::CutPower(m.everyone()));
        m.then(Action::Start(m.everyone()));
        m.then(Action::Acks(10_000));
    }
}

/// Wall clocks of single nodes jump ahead and back, the leader's among them.
pub(super) fn clock(m: &mut Maker) {
    const HOUR_MS: i64 = 3_600_000;
    for millis in [HOUR_MS, -HOUR_MS, 26 * HOUR_MS, -600_000] {
        m.then(Action::Clock(Who::Leader, millis));
        m.wait(2_000);
        m.then(Action::Acks(5_000));
        m.then(Action::Clock(Who::Same, 0));
        m.wait_some();
        m.then(Action::Acks(5_000));
    }
}

pub(super) fn out_of_memory(m: &mut Maker) {
    m.schedule.pace.batch = 200;
    for index in m.order() {
        let who = Who::Node(index);
        m.then(Action::OutOfMemory(who, 8, 30_000));
        m.then(Action::Acks(5_000));
        m.then(Action::Start(vec![who]));
        m.wait_some();
    }
}

pub(super) fn starved_cpu(m: &mut Maker) {
    for _ in 0..3 {
        m.then(Action::Cpu(Who::Leader, 10));
        m.wait(5_000);
        m.then(Action::Acks(15_000));
        m.then(Action::Cpu(Who::Same, 0));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
}

/// Much more than three nodes on this machine can take, with little memory to take it: all that a node keeps by
/// limits of its own has little.
pub(super) fn overload(m: &mut Maker) {
    m.set("HUSHLOG_LIMITS_INGEST_MEMORY", "8MiB");
    m.set("HUSHLOG_LIMITS_BODY", "4MiB");
    m.set("HUSHLOG_LIMITS_TAIL_MEMORY", "64MiB");
    m.set("HUSHLOG_LIMITS_QUERY_MEMORY", "128MiB");
    m.set("HUSHLOG_LIMITS_QUERY_MEMORY_EACH", "64MiB");
    m.set("HUSHLOG_CUT_BACKLOG", "64MiB");
    m.schedule.disk_mib = 2_048;
    m.then(Action::Flood(24, 2_000, 60_000));
    m.then(Action::TooMuch);
    m.then(Action::Memory(768));
    m.then(Action::Acks(30_000));
    for who in m.everyone() {
        m.then(Action::Ready(who, 5_000));
    }
}

/// The leader is killed fifty times and stopped ten times; how long nobody is acknowledged is measured.
pub(super) fn failover(m: &mut Maker) {
    m.schedule.pace = Pace {
        readers: 0,
        ..Pace::default()
    };
    for round in 0..60 {
        let action = if round % 6 == 5 {
            Action::Freeze(Who::Leader)
        } else {
            Action::Kill(vec![Who::Leader])
        };
        let froze = matches!(action, Action::Freeze(_));
        m.then(action);
        m.then(Action::Acks(3_000));
        m.then(if froze {
            Action::Thaw(Who::Same)
        } else {
            Action::Start(vec![Who::Same])
        });
        m.then(Action::Ready(Who::Same, 20_000));
        m.wait_some();
    }
}

pub(super) fn demo_power(m: &mut Maker) {
    for index in m.order() {
        m.then(Action::CutPower(vec![Who::Node(index)]));
        m.then(Action::Acks(10_000));
        m.then(Action::Start(vec![Who::Node(index)]));
        m.wait_some();
    }
    for _ in 0..2 {
        m.then(Action::CutPower(m.everyone()));
        m.then(Action::Start(m.everyone()));
        m.then(Action::Acks(10_000));
        m.wait_some();
    }
}
