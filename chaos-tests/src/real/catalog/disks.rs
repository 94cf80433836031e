//! Disks that fail, fill up, are slow, rot or lie.

use super::maker::{Maker, words};
use crate::real::disk::Place;
use crate::real::schedule::{Action, DiskFault, Who};

/// One failed sync, then all of them: the store is done with until the node starts again.
pub(super) fn sync_error(m: &mut Maker) {
    let faults = [DiskFault::SyncFails(1), DiskFault::SyncsFail];
    for (index, fault) in m.order().into_iter().zip(faults) {
        sync_error_round(m, Who::Node(index), fault);
    }
    for fault in faults {
        sync_error_round(m, Who::Leader, fault);
    }
}

pub(super) fn sync_error_round(m: &mut Maker, who: Who, fault: DiskFault) {
    let same = if who == Who::Leader { Who::Same } else { who };
    m.then(Action::Disk(who, fault));
    m.then(Action::Unready(
        same,
        5_000,
        words(&["writes have stopped"]),
    ));
    m.wait(1_000);
    m.then(Action::HealDisk(same));
    m.then(Action::NoAck(vec![same]));
    m.then(Action::Unready(
        same,
        1_000,
        words(&["writes have stopped"]),
    ));
    m.then(Action::Start(vec![same]));
    m.then(Action::Acks(5_000));
    m.wait_some();
}

pub(super) fn sync_error_handover(m: &mut Maker) {
    for fault in [DiskFault::SyncFails(1), DiskFault::SyncsFail] {
        m.then(Action::Disk(Who::Leader, fault));
        m.then(Action::Acks(5_000));
        m.then(Action::Deposed(Who::Same, 5_000));
        m.then(Action::HealDisk(Who::Same));
        m.then(Action::Start(vec![Who::Same]));
        m.wait_some();
    }
}

pub(super) fn disk_full_one(m: &mut Maker) {
    m.schedule.disk_mib = 256;
    m.set("CHAOS_NO_PREALLOCATION", "1");
    for index in m.order() {
        let who = vec![Who::Node(index)];
        m.then(Action::Fill(who.clone()));
        m.then(Action::Unready(who[0], 10_000, words(&["no space left"])));
        m.then(Action::Free(who.clone()));
        m.then(Action::Start(who));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
}

/// Whoever is full does not stop the others, and resumes by itself.
pub(super) fn disk_full_resume(m: &mut Maker) {
    m.schedule.disk_mib = 256;
    m.set("CHAOS_NO_PREALLOCATION", "1");
    m.then(Action::Fill(vec![Who::Leader]));
    let who = Who::Same;
    m.then(Action::Unready(who, 10_000, words(&["no space left"])));
    m.wait(2_000);
    m.then(Action::Acks(5_000));
    m.then(Action::Free(vec![who]));
    m.then(Action::Ready(who, 15_000));
}

/// Who is started on a full disk gives its ballast back, and goes on by itself once there is space.
pub(super) fn disk_full_start(m: &mut Maker) {
    // With room for a ballast beside the reserve.
    m.schedule.disk_mib = 512;
    for index in m.order() {
        let who = Who::Node(index);
        m.then(Action::Kill(vec![who]));
        m.then(Action::Fill(vec![who]));
        m.then(Action::StartOn(who, who));
        m.wait(5_000);
        m.then(Action::Free(vec![who]));
        m.then(Action::Ready(who, 15_000));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
}

/// The log has space set aside, and the ballast is given back: nobody takes data, everybody goes on.
pub(super) fn disk_full_all(m: &mut Maker) {
    m.schedule.disk_mib = 256;
    m.then(Action::Fill(m.everyone()));
    m.then(Action::DiskFull(Who::Node(0), 10_000));
    m.then(Action::DiskFull(Who::Node(1), 10_000));
    m.then(Action::Reads(Who::Node(2)));
    m.then(Action::Free(m.everyone()));
    for who in m.everyone() {
        m.then(Action::Ready(who, 15_000));
    }
    m.then(Action::Acks(10_000));
}

pub(super) fn slow_disk(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::Disk(Who::Leader, DiskFault::SlowSync(200)));
        m.then(Action::Acks(5_000));
        m.wait(3_000);
        m.then(Action::Acks(5_000));
        m.then(Action::HealDisk(Who::Same));
        m.wait_some();
    }
}

pub(super) fn slow_disk_handover(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::Disk(Who::Leader, DiskFault::SlowSync(200)));
        m.then(Action::Deposed(Who::Same, 15_000));
        m.then(Action::Acks(3_000));
        m.then(Action::HealDisk(Who::Same));
        m.wait_some();
    }
}

pub(super) fn stuck_disk(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::Disk(Who::Leader, DiskFault::Stuck));
        m.then(Action::Deposed(Who::Same, 15_000));
        m.then(Action::Acks(5_000));
        m.then(Action::HealDisk(Who::Same));
        m.then(Action::Ready(Who::Same, 15_000));
        m.wait_some();
    }
}

pub(super) fn read_only(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::ReadOnly(Who::Leader));
        m.then(Action::Unready(
            Who::Same,
            5_000,
            words(&["writes have stopped"]),
        ));
        m.then(Action::NoAck(vec![Who::Same]));
        m.then(Action::Kill(vec![Who::Same]));
        m.then(Action::Remount(Who::Same));
        m.then(Action::Start(vec![Who::Same]));
        m.wait_some();
    }
}

pub(super) fn read_error(m: &mut Maker) {
    m.set("HUSHLOG_CUT_BYTES", "32KiB");
    m.wait(6_000);
    for index in m.order() {
        let who = Who::Node(index);
        // After a restart nothing of a segment is in memory.
        m.then(Action::Kill(vec![who]));
        m.then(Action::Start(vec![who]));
        m.then(Action::Disk(who, DiskFault::ReadsFail));
        m.then(Action::Honest(who));
        m.then(Action::Acks(5_000));
        m.then(Action::HealDisk(who));
        m.then(Action::Reads(who));
        m.wait_some();
    }
}

/// A dead node's log has one bit wrong. It is started alone, so that nobody can give back what the flip
/// took: it must refuse, or have all that it had.
pub(super) fn flip_log(m: &mut Maker) {
    flips(m, Place::Wal, 6);
}

pub(super) fn flips(m: &mut Maker, place: Place, count: usize) {
    for round in 0..count {
        m.wait_some();
        flip_round(m, Who::Node(round % m.schedule.nodes), place);
    }
}

pub(super) fn flip_round(m: &mut Maker, who: Who, place: Place) {
    m.then(Action::Kill(vec![who]));
    m.then(Action::Flip(who, place));
    m.then(Action::Isolate(who));
    m.then(Action::Start(vec![who]));
    m.then(Action::Judged(who));
    m.then(Action::Kill(vec![who]));
    m.then(Action::FlipBack(who));
    m.then(Action::Links(Vec::new()));
    m.then(Action::Start(vec![who]));
}

/// Files of segments, of sealed shards and of open ones, that are gone, too short or have a wrong bit, on
/// nodes that are dead and on nodes that run: every one is what the others have soon after, and nothing is
/// wrong meanwhile.
pub(super) fn repair(m: &mut Maker) {
    // Every node answers, builds and repairs at once: the load leaves them time for it.
    m.schedule.disk_mib = 2_048;
    m.schedule.pace.pause_ms = 100;
    m.set("HUSHLOG_CLUSTER_BUCKET", "8s");
    m.set("HUSHLOG_SCRUB_PAUSE", "1s");
    m.set("HUSHLOG_SCRUB_RATE", "16MiB");
    m.wait(18_000);
    m.then(Action::Sealed(30_000));
    let order: Vec<Who> = m.order().into_iter().map(Who::Node).collect();
    for (who, place) in [(order[0], Place::Rows), (order[1], Place::Segment)] {
        m.then(Action::Kill(vec![who]));
        m.then(Action::Shorten(who, place));
        m.then(Action::Start(vec![who]));
        m.then(Action::Honest(who));
        m.then(Action::Mended(who, 60_000));
        m.then(Action::Flip(who, Place::Rows));
        m.then(Action::Flip(who, Place::Segment));
        m.then(Action::Mended(who, 60_000));
        m.then(Action::Delete(who, place));
        m.then(Action::Honest(who));
        m.then(Action::Mended(who, 60_000));
        m.then(Action::Reads(who));
        m.wait_some();
    }
}

/// Segments with wrong bits: answers are right, or say that they are not whole.
pub(super) fn flip_segment(m: &mut Maker) {
    m.set("HUSHLOG_CUT_BYTES", "32KiB");
    m.set("HUSHLOG_SCRUB_PAUSE", "1s");
    m.wait(6_000);
    for index in m.order().into_iter().take(2) {
        let who = Who::Node(index);
        m.then(Action::Kill(vec![who]));
        for _ in 0..3 {
            m.then(Action::Flip(who, Place::Segment));
        }
        m.then(Action::StartOn(who, who));
        m.then(Action::Judged(who));
        m.wait(2_000);
        m.then(Action::Honest(Who::Node(0)));
        m.then(Action::Honest(Who::Node(1)));
        m.then(Action::Honest(Who::Node(2)));
        m.then(Action::Acks(5_000));
        m.then(Action::Mended(who, 60_000));
    }
}

pub(super) fn lying_disks(m: &mut Maker) {
    for who in m.everyone() {
        m.then(Action::Disk(who, DiskFault::Lies));
    }
    m.wait(2_500);
    m.then(Action::CutPower(m.everyone()));
    for who in m.everyone() {
        m.then(Action::HealDisk(who));
    }
    m.then(Action::Start(m.everyone()));
    m.wait(1_000);
    m.then(Action::Acks(10_000));
}
