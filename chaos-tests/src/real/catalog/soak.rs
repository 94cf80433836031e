//! A random mix of all faults.

use rand::RngExt;

use super::disks::flip_round;
use super::folders::torn_round;
use super::maker::Maker;
use crate::real::disk::Place;
use crate::real::schedule::{Action, DiskFault, Schedule, Who};
use crate::real::topo::{Damage, LinkFault};

/// Records that are compared in the middle of a soak, of those sent last; all are at its end.
const LATELY: u64 = 200_000;

/// A random mix of everything, as long as is asked: what has not begun by then is left out.
pub fn soak(seed: u64, minutes: u64) -> Schedule {
    let mut maker = Maker::new("soak", seed, 2_000);
    maker.schedule.disk_mib = 8_192;
    while maker.at_ms < minutes * 60_000 {
        let block = BLOCKS[maker.rng.random_range(0..BLOCKS.len())];
        block(&mut maker);
        maker.then(Action::Acks(30_000));
        maker.then(Action::Rest(minutes * 60_000));
        let pause = maker.rng.random_range(2_000..6_000);
        maker.wait(pause);
    }
    maker.schedule
}

/// Faults of a soak; each ends what it began. What is not kept yet is not asked.
const BLOCKS: [fn(&mut Maker); 24] = [
    |m| {
        let who = m.pick();
        m.then(Action::Kill(vec![who]));
        m.wait(2_000);
        m.then(Action::Start(vec![who]));
    },
    |m| {
        m.then(Action::Kill(vec![Who::Leader]));
        m.wait(4_000);
        m.then(Action::Start(vec![Who::Same]));
    },
    |m| {
        m.then(Action::Kill(m.everyone()));
        m.then(Action::Start(m.everyone()));
    },
    |m| {
        m.then(Action::Freeze(Who::Leader));
        m.wait(6_000);
        m.then(Action::Thaw(Who::Same));
    },
    |m| {
        m.then(Action::CutPower(vec![Who::Leader]));
        m.wait(1_000);
        m.then(Action::Start(vec![Who::Same]));
    },
    |m| {
        m.then(Action::CutPower(m.everyone()));
        m.then(Action::Start(m.everyone()));
    },
    |m| {
        m.then(Action::Disk(Who::Leader, DiskFault::SyncFails(1)));
        m.wait(3_000);
        m.then(Action::Start(vec![Who::Same]));
    },
    |m| {
        let who = m.pick();
        m.then(Action::Disk(who, DiskFault::SlowSync(200)));
        m.wait(5_000);
        m.then(Action::HealDisk(who));
    },
    |m| {
        let who = m.pick();
        m.then(Action::Disk(who, DiskFault::Stuck));
        m.wait(6_000);
        m.then(Action::HealDisk(who));
    },
    |m| {
        m.then(Action::Fill(vec![Who::Leader]));
        m.wait(4_000);
        m.then(Action::Acks(30_000));
        m.then(Action::Free(vec![Who::Same]));
        m.then(Action::Ready(Who::Same, 30_000));
    },
    |m| {
        let who = m.pick();
        flip_round(m, who, Place::Wal);
    },
    |m| {
        m.then(Action::Isolate(Who::Leader));
        m.wait(5_000);
        m.then(Action::Links(Vec::new()));
    },
    |m| {
        let order = m.order();
        let what = [Damage::Cut, Damage::Gray, Damage::Loss(20)][m.rng.random_range(0..3)];
        m.then(Action::Links(vec![LinkFault {
            from: order[0],
            to: order[1],
            what,
        }]));
        m.wait(6_000);
        m.then(Action::Links(Vec::new()));
    },
    |m| {
        let who = m.pick();
        m.then(Action::Reset(who));
    },
    |m| {
        let who = m.pick();
        let millis = m.rng.random_range(-3_600_000..3_600_000);
        m.then(Action::Clock(who, millis));
        m.wait(3_000);
        m.then(Action::Clock(who, 0));
    },
    |m| {
        let who = m.pick();
        m.then(Action::Cpu(who, 10));
        m.wait(5_000);
        m.then(Action::Cpu(who, 0));
    },
    |m| {
        let who = m.pick();
        m.then(Action::Kill(vec![who]));
        m.then(Action::Start(vec![who]));
        m.then(Action::HonestLately(who, LATELY));
    },
    |m| {
        m.then(Action::Disk(Who::Leader, DiskFault::SyncsFail));
        m.wait(3_000);
        m.then(Action::HealDisk(Who::Same));
        m.then(Action::Start(vec![Who::Same]));
    },
    |m| {
        let who = m.pick();
        m.then(Action::ReadOnly(who));
        m.wait(3_000);
        m.then(Action::Kill(vec![who]));
        m.then(Action::Remount(who));
        m.then(Action::Start(vec![who]));
    },
    |m| {
        let who = m.pick();
        m.then(Action::Kill(vec![who]));
        m.then(Action::Start(vec![who]));
        m.then(Action::Disk(who, DiskFault::ReadsFail));
        m.then(Action::HonestLately(who, LATELY));
        m.then(Action::HealDisk(who));
    },
    |m| {
        m.then(Action::Fill(m.everyone()));
        m.wait(3_000);
        m.then(Action::Free(m.everyone()));
        for who in m.everyone() {
            m.then(Action::Ready(who, 30_000));
        }
    },
    |m| {
        let who = m.pick();
        m.then(Action::Kill(vec![who]));
        for _ in 0..2 {
            m.then(Action::Flip(who, Place::Segment));
        }
        m.then(Action::Start(vec![who]));
        m.then(Action::HonestLately(who, LATELY));
        m.then(Action::Mended(who, 120_000));
    },
    |m| {
        let who = m.pick();
        torn_round(m, who);
    },
    |m| {
        m.then(Action::Flood(12, 500, 5_000));
    },
];
