//! The scenarios: which rows of the fault matrix each covers, and how its schedule is made from a seed.
//!
//! Makes lists of steps, runs nothing.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::disk::Place;
use super::load::Pace;
use super::nemesis::{Action, DiskFault, Schedule, Step, Who, both_ways};
use super::scenario::quiet;
use super::topo::{Damage, LinkFault};

/// One scenario.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// Rows of the fault matrix.
    pub rows: &'static [u8],
    /// Whether it is part of every test run; the others run by `make chaos`.
    pub in_ci: bool,
    /// What the product does not do yet, if that makes it fail.
    pub not_yet: Option<&'static str>,
    make: fn(&mut Maker),
}

impl Scenario {
    /// Its schedule for this seed.
    pub fn schedule(&self, seed: u64) -> Schedule {
        let mut maker = Maker {
            schedule: quiet(self.name, seed),
            at_ms: 1_500,
            rng: ChaCha8Rng::seed_from_u64(seed),
        };
        (self.make)(&mut maker);
        maker.schedule
    }
}

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

const fn ci(name: &'static str, rows: &'static [u8], make: fn(&mut Maker)) -> Scenario {
    Scenario {
        name,
        rows,
        in_ci: true,
        not_yet: None,
        make,
    }
}

const fn long(name: &'static str, rows: &'static [u8], make: fn(&mut Maker)) -> Scenario {
    Scenario {
        in_ci: false,
        ..ci(name, rows, make)
    }
}

const fn not_yet(scenario: Scenario, reason: &'static str) -> Scenario {
    Scenario {
        not_yet: Some(reason),
        ..scenario
    }
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    ci("kill", &[1, 2, 4], kill),
    ci("freeze", &[3], freeze),
    ci("power-one", &[5, 8], power_one),
    ci("power-all", &[6], power_all),
    ci("sync-error", &[9, 10], sync_error),
    not_yet(
        long("sync-error-handover", &[9, 10], sync_error_handover),
        "a node whose writes have stopped goes on leading",
    ),
    ci("disk-full-one", &[12], disk_full_one),
    not_yet(
        long("disk-full-resume", &[12], disk_full_resume),
        "writes that a full disk stopped do not resume without a restart",
    ),
    not_yet(
        long("disk-full-all", &[13], disk_full_all),
        "full disks are not answered with 507, and stop reads",
    ),
    ci("slow-disk", &[14], slow_disk),
    not_yet(
        long("slow-disk-handover", &[14], slow_disk_handover),
        "a node with a slow disk goes on leading",
    ),
    long("stuck-disk", &[14], stuck_disk),
    ci("read-only", &[15], read_only),
    ci("flip-log", &[16], flip_log),
    ci("flip-segment", &[17], flip_segment),
    ci("lost-files", &[19], lost_files),
    long("torn-log", &[8, 19], torn_log),
    ci("old-backup", &[19], old_backup),
    ci("old-backup-votes", &[19], old_backup_votes),
    ci("wiped-voter", &[38], wiped_voter),
    ci("wiped-voter-votes", &[38], wiped_voter_votes),
    long("read-error", &[20], read_error),
    ci("partition", &[21], partition),
    ci("bad-links", &[22, 23], bad_links),
    not_yet(
        long("gray-link", &[26], gray_link),
        "a leader whose large packets are lost goes on leading",
    ),
    long("flapping", &[24, 25], flapping),
    ci("resets", &[27], resets),
    ci("clock", &[32], clock),
    long("out-of-memory", &[34], out_of_memory),
    long("starved-cpu", &[35], starved_cpu),
    long("overload", &[42], overload),
    not_yet(
        long("failover", &[2, 3], failover),
        "the next acknowledgement after a leader's end takes longer than 3 s",
    ),
];

/// A cluster whose disks all lie: it must lose data, and the checks must see it.
pub const LYING_DISKS: Scenario = long("lying-disks", &[11], lying_disks);

/// `make demo-power`.
pub const DEMO_POWER: Scenario = long("demo-power", &[5, 6], demo_power);

/// A random mix of everything, as long as is asked.
pub fn soak(seed: u64, minutes: u64) -> Schedule {
    let mut maker = Maker {
        schedule: quiet("soak", seed),
        at_ms: 2_000,
        rng: ChaCha8Rng::seed_from_u64(seed),
    };
    maker.schedule.disk_mib = 8_192;
    while maker.at_ms < minutes * 60_000 {
        let block = BLOCKS[maker.rng.random_range(0..BLOCKS.len())];
        block(&mut maker);
        maker.then(Action::Acks(30_000));
        let pause = maker.rng.random_range(2_000..6_000);
        maker.wait(pause);
    }
    maker.schedule
}

/// Faults of a soak; each ends what it began. What is not kept yet is not asked.
const BLOCKS: [fn(&mut Maker); 16] = [
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
        m.then(Action::Honest(who));
    },
];

/// Builds a schedule step by step.
struct Maker {
    schedule: Schedule,
    at_ms: u64,
    rng: ChaCha8Rng,
}

impl Maker {
    fn then(&mut self, action: Action) {
        let at_ms = self.at_ms;
        self.schedule.steps.push(Step { at_ms, action });
    }

    fn wait(&mut self, millis: u64) {
        self.at_ms += millis;
    }

    /// Some time that the seed decides, so that faults meet other moments.
    fn wait_some(&mut self) {
        let millis = self.rng.random_range(300..1_200);
        self.wait(millis);
    }

    fn set(&mut self, name: &str, value: &str) {
        self.schedule
            .settings
            .push((name.to_owned(), value.to_owned()));
    }

    /// All nodes, in an order that the seed decides.
    fn order(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.schedule.nodes).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.rng.random_range(0..=last));
        }
        order
    }

    fn everyone(&self) -> Vec<Who> {
        (0..self.schedule.nodes).map(Who::Node).collect()
    }

    fn pick(&mut self) -> Who {
        Who::Node(self.rng.random_range(0..self.schedule.nodes))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Each node once, the leader twice, then all at one moment.
fn kill(m: &mut Maker) {
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

/// The leader stands still for longer than an election; on its wake it must not answer from the past.
fn freeze(m: &mut Maker) {
    for _ in 0..3 {
        m.then(Action::Freeze(Who::Leader));
        m.then(Action::Acks(6_000));
        m.then(Action::Deposed(Who::Same, 5_000));
        m.wait(5_000);
        m.then(Action::Thaw(Who::Same));
        m.then(Action::Acks(5_000));
        m.then(Action::Ready(Who::Same, 10_000));
        m.wait_some();
    }
}

fn power_one(m: &mut Maker) {
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

fn power_all(m: &mut Maker) {
    for _ in 0..4 {
        m.wait_some();
        m.then(Action::CutPower(m.everyone()));
        m.then(Action::Start(m.everyone()));
        m.then(Action::Acks(10_000));
    }
}

/// One failed sync, then all of them: the store is done with until the node starts again.
fn sync_error(m: &mut Maker) {
    let faults = [DiskFault::SyncFails(1), DiskFault::SyncsFail];
    for (index, fault) in m.order().into_iter().zip(faults.into_iter().cycle()) {
        sync_error_round(m, Who::Node(index), fault);
    }
    for fault in faults {
        sync_error_round(m, Who::Leader, fault);
    }
}

fn sync_error_round(m: &mut Maker, who: Who, fault: DiskFault) {
    let same = if who == Who::Leader { Who::Same } else { who };
    m.then(Action::Disk(who, fault));
    m.then(Action::Unready(
        same,
        5_000,
        words(&["writes have stopped"]),
    ));
    m.wait(1_000);
    m.then(Action::HealDisk(same));
    m.then(Action::NoAck(same));
    m.then(Action::Unready(
        same,
        1_000,
        words(&["writes have stopped"]),
    ));
    m.then(Action::Start(vec![same]));
    m.then(Action::Acks(5_000));
    m.wait_some();
}

fn sync_error_handover(m: &mut Maker) {
    for fault in [DiskFault::SyncFails(1), DiskFault::SyncsFail] {
        m.then(Action::Disk(Who::Leader, fault));
        m.then(Action::Acks(5_000));
        m.then(Action::Deposed(Who::Same, 5_000));
        m.then(Action::HealDisk(Who::Same));
        m.then(Action::Start(vec![Who::Same]));
        m.wait_some();
    }
}

fn disk_full_one(m: &mut Maker) {
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
fn disk_full_resume(m: &mut Maker) {
    m.schedule.disk_mib = 256;
    m.set("CHAOS_NO_PREALLOCATION", "1");
    m.then(Action::Fill(vec![Who::Leader]));
    let who = Who::Same;
    m.wait(4_000);
    m.then(Action::Acks(5_000));
    m.then(Action::Free(vec![who]));
    m.then(Action::Ready(who, 15_000));
}

fn disk_full_all(m: &mut Maker) {
    m.schedule.disk_mib = 256;
    m.set("CHAOS_NO_PREALLOCATION", "1");
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

fn slow_disk(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::Disk(Who::Leader, DiskFault::SlowSync(200)));
        m.then(Action::Acks(5_000));
        m.wait(3_000);
        m.then(Action::Acks(5_000));
        m.then(Action::HealDisk(Who::Same));
        m.wait_some();
    }
}

fn slow_disk_handover(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::Disk(Who::Leader, DiskFault::SlowSync(200)));
        m.then(Action::Deposed(Who::Same, 15_000));
        m.then(Action::Acks(3_000));
        m.then(Action::HealDisk(Who::Same));
        m.wait_some();
    }
}

fn stuck_disk(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::Disk(Who::Leader, DiskFault::Stuck));
        m.then(Action::Deposed(Who::Same, 15_000));
        m.then(Action::Acks(5_000));
        m.then(Action::HealDisk(Who::Same));
        m.then(Action::Ready(Who::Same, 15_000));
        m.wait_some();
    }
}

fn read_only(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::ReadOnly(Who::Leader));
        m.then(Action::Unready(
            Who::Same,
            5_000,
            words(&["writes have stopped"]),
        ));
        m.then(Action::NoAck(Who::Same));
        m.then(Action::Kill(vec![Who::Same]));
        m.then(Action::Remount(Who::Same));
        m.then(Action::Start(vec![Who::Same]));
        m.wait_some();
    }
}

/// A dead node's log has one bit wrong. It is started alone, so that nobody can give back what the flip
/// took: it must refuse, or have all that it had.
fn flip_log(m: &mut Maker) {
    flips(m, Place::Wal, 6);
}

fn flips(m: &mut Maker, place: Place, count: usize) {
    for round in 0..count {
        m.wait_some();
        flip_round(m, Who::Node(round % m.schedule.nodes), place);
    }
}

fn flip_round(m: &mut Maker, who: Who, place: Place) {
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

/// Segments with wrong bits: answers are right, or say that they are not whole.
fn flip_segment(m: &mut Maker) {
    m.set("HUSHLOG_CUT_BYTES", "32KiB");
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
        m.then(Action::Kill(vec![who]));
        m.then(Action::FlipBack(who));
        m.then(Action::Start(vec![who]));
    }
}

/// A deleted log, a deleted and a damaged identity, another node's folder.
fn lost_files(m: &mut Maker) {
    let order: Vec<Who> = m.order().into_iter().map(Who::Node).collect();
    let [a, b, c] = [order[0], order[1], order[2]];
    m.then(Action::Kill(vec![a]));
    m.then(Action::StartOn(a, b));
    m.then(Action::Refused(
        a,
        words(&["belongs to node", "in use by another process"]),
    ));
    m.then(Action::Kill(vec![b]));
    m.then(Action::StartOn(b, a));
    m.then(Action::Refused(b, words(&["belongs to node"])));
    m.then(Action::Start(vec![a, b]));
    m.wait_some();
    m.then(Action::Kill(vec![b]));
    m.then(Action::Flip(b, Place::Identity));
    m.then(Action::StartOn(b, b));
    m.then(Action::Refused(b, words(&["identity"])));
    m.then(Action::FlipBack(b));
    m.then(Action::Start(vec![b]));
    m.wait_some();
    m.then(Action::Kill(vec![c]));
    m.then(Action::Delete(c, Place::Wal));
    m.then(Action::StartOn(c, c));
    m.then(Action::Refused(
        c,
        words(&["lost acknowledged", "cannot open", "quarantin"]),
    ));
    m.then(Action::Acks(5_000));
    m.then(Action::Out(c));
}

fn torn_log(m: &mut Maker) {
    for round in 0..3 {
        let who = Who::Node(round);
        m.wait_some();
        m.then(Action::Kill(vec![who]));
        m.then(Action::Backup(who));
        m.then(Action::Truncate(who, 7));
        m.then(Action::Isolate(who));
        m.then(Action::Start(vec![who]));
        m.then(Action::Judged(who));
        m.then(Action::Kill(vec![who]));
        m.then(Action::Restore(who));
        m.then(Action::Links(Vec::new()));
        m.then(Action::Start(vec![who]));
    }
}

/// A folder as it was some time ago, which has forgotten what it voted and acknowledged since.
fn old_backup(m: &mut Maker) {
    let who = m.pick();
    m.then(Action::Kill(vec![who]));
    m.then(Action::Backup(who));
    m.then(Action::Start(vec![who]));
    m.wait(4_000);
    m.then(Action::Kill(vec![who]));
    m.then(Action::Restore(who));
    m.then(Action::StartOn(who, who));
    m.then(Action::Refused(
        who,
        words(&["incarnation", "outdated", "quarantin"]),
    ));
    m.then(Action::Acks(5_000));
    m.then(Action::Out(who));
}

/// An empty folder under an id that has voted before.
fn wiped_voter(m: &mut Maker) {
    let who = m.pick();
    m.then(Action::Kill(vec![who]));
    m.then(Action::Wipe(who));
    m.then(Action::StartOn(who, who));
    m.then(Action::Refused(
        who,
        words(&["incarnation", "wiped", "quarantin", "refused"]),
    ));
    m.then(Action::Acks(5_000));
    m.then(Action::Out(who));
}

/// What a voter without memory can do: two nodes acknowledge while the third is away; one of the two
/// dies, the other forgets; together with the third it has a majority that knows nothing.
fn wiped_voter_votes(m: &mut Maker) {
    let order: Vec<Who> = m.order().into_iter().map(Who::Node).collect();
    // The first node would make a cluster of its own, which is another mistake.
    let a = order
        .iter()
        .copied()
        .find(|who| *who != Who::Node(0))
        .unwrap_or(order[0]);
    let others: Vec<Who> = order.into_iter().filter(|who| *who != a).collect();
    let [b, c] = [others[0], others[1]];
    m.then(Action::Isolate(c));
    m.wait(6_000);
    m.then(Action::Acks(5_000));
    m.then(Action::Kill(vec![a, b]));
    m.then(Action::Wipe(a));
    m.then(Action::Links(Vec::new()));
    m.then(Action::StartOn(a, a));
    m.then(Action::Refused(
        a,
        words(&["incarnation", "wiped", "quarantin", "refused"]),
    ));
    m.then(Action::NoAck(c));
    m.then(Action::Out(a));
    m.then(Action::Start(vec![b]));
    m.then(Action::Acks(10_000));
}

/// The same with a folder from before.
fn old_backup_votes(m: &mut Maker) {
    let order = m.order();
    let [a, b, c] = [order[0], order[1], order[2]].map(Who::Node);
    m.then(Action::Kill(vec![a]));
    m.then(Action::Backup(a));
    m.then(Action::Start(vec![a]));
    m.then(Action::Isolate(c));
    m.wait(8_000);
    m.then(Action::Acks(5_000));
    m.then(Action::Kill(vec![a, b]));
    m.then(Action::Restore(a));
    m.then(Action::Links(Vec::new()));
    m.then(Action::StartOn(a, a));
    m.then(Action::Refused(
        a,
        words(&["incarnation", "outdated", "quarantin"]),
    ));
    m.then(Action::NoAck(c));
    m.then(Action::Out(a));
    m.then(Action::Start(vec![b]));
    m.then(Action::Acks(10_000));
}

fn read_error(m: &mut Maker) {
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

/// The leader alone on one side. It must not acknowledge, and must not answer for the whole.
fn partition(m: &mut Maker) {
    for _ in 0..3 {
        m.then(Action::Isolate(Who::Leader));
        m.then(Action::NoAck(Who::Same));
        m.then(Action::Acks(6_000));
        m.then(Action::Deposed(Who::Same, 5_000));
        m.wait_some();
        m.then(Action::Links(Vec::new()));
        m.then(Action::Ready(Who::Same, 10_000));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
    // Nobody has a majority.
    let all = [(0, 1), (0, 2), (1, 2)];
    m.then(Action::Links(
        all.iter()
            .flat_map(|(a, b)| both_ways(*a, *b, Damage::Cut))
            .collect(),
    ));
    for who in m.everyone() {
        m.then(Action::NoAck(who));
    }
    m.then(Action::Links(Vec::new()));
    m.then(Action::Acks(10_000));
}

/// One-way cuts, and a cut between two that both see the third.
fn bad_links(m: &mut Maker) {
    let order = m.order();
    let [a, b, c] = [order[0], order[1], order[2]];
    let one_way = |from, to, what| LinkFault { from, to, what };
    let rounds = [
        // Can speak, cannot hear.
        vec![one_way(b, a, Damage::Cut), one_way(c, a, Damage::Cut)],
        // Can hear, cannot speak.
        vec![one_way(b, c, Damage::Cut), one_way(b, a, Damage::Cut)],
        both_ways(a, b, Damage::Cut).to_vec(),
        both_ways(b, c, Damage::Cut).to_vec(),
    ];
    for faults in rounds {
        m.then(Action::Links(faults));
        m.wait(2_500);
        m.then(Action::Acks(15_000));
        m.then(Action::Links(Vec::new()));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
}

/// Large packets of each node in turn are lost: heartbeats pass, entries do not.
fn gray_link(m: &mut Maker) {
    for index in m.order() {
        let others = (0..m.schedule.nodes).filter(|other| *other != index);
        let faults = others.flat_map(|other| both_ways(index, other, Damage::Gray));
        m.then(Action::Links(faults.collect()));
        m.wait(1_000);
        m.then(Action::Acks(15_000));
        m.then(Action::Links(Vec::new()));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
}

fn flapping(m: &mut Maker) {
    let who = m.order();
    for round in 0..20 {
        m.then(Action::Isolate(Who::Node(who[0])));
        m.wait(1_000);
        m.then(Action::Links(Vec::new()));
        m.wait(1_000);
        if round % 5 == 4 {
            m.then(Action::Acks(5_000));
        }
    }
    for percent in [5, 15, 30] {
        let all = [(0, 1), (0, 2), (1, 2)];
        m.then(Action::Links(
            all.iter()
                .flat_map(|(a, b)| both_ways(*a, *b, Damage::Loss(percent)))
                .collect(),
        ));
        m.wait(5_000);
        m.then(Action::Links(Vec::new()));
        m.then(Action::Acks(10_000));
    }
}

fn resets(m: &mut Maker) {
    for _ in 0..3 {
        for index in m.order() {
            m.then(Action::Reset(Who::Node(index)));
            m.wait_some();
        }
        m.then(Action::Acks(3_000));
    }
}

/// Wall clocks of single nodes jump ahead and back, the leader's among them.
fn clock(m: &mut Maker) {
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

fn out_of_memory(m: &mut Maker) {
    m.schedule.pace.batch = 200;
    for index in m.order() {
        let who = Who::Node(index);
        m.then(Action::OutOfMemory(who, 8, 30_000));
        m.then(Action::Acks(5_000));
        m.then(Action::Start(vec![who]));
        m.wait_some();
    }
}

fn starved_cpu(m: &mut Maker) {
    for _ in 0..3 {
        m.then(Action::Cpu(Who::Leader, 10));
        m.wait(5_000);
        m.then(Action::Acks(15_000));
        m.then(Action::Cpu(Who::Same, 0));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
}

/// Much more than three nodes on this machine can take, with little memory to take it.
fn overload(m: &mut Maker) {
    m.set("HUSHLOG_LIMITS_INGEST_MEMORY", "8MiB");
    m.set("HUSHLOG_LIMITS_BODY", "4MiB");
    m.schedule.disk_mib = 2_048;
    m.then(Action::Flood(24, 2_000, 20_000));
    m.then(Action::Acks(30_000));
    for who in m.everyone() {
        m.then(Action::Ready(who, 5_000));
    }
}

/// The leader is killed fifty times and stopped ten times; how long nobody is acknowledged is measured.
fn failover(m: &mut Maker) {
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

fn lying_disks(m: &mut Maker) {
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

fn demo_power(m: &mut Maker) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::nemesis::Tally;

    #[test]
    fn a_test_run_has_the_faults_that_were_promised() {
        let mut tally = Tally::default();
        let mut scenarios = 0;
        for scenario in ALL.iter().filter(|s| s.in_ci && s.not_yet.is_none()) {
            tally.merge(&scenario.schedule(1).tally());
            scenarios += 1;
        }
        assert!(scenarios >= 12, "{scenarios} scenarios");
        assert!(tally.total() >= 60, "{tally:?}");
        for class in ["power cut", "disk error", "bit flip"] {
            assert!(tally.of(class) >= 6, "{class}: {tally:?}");
        }
    }

    #[test]
    fn every_row_of_the_matrix_that_is_ours_has_a_scenario() {
        let rows = [
            1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 16, 19, 20, 21, 22, 23, 26, 27, 32, 34, 35,
            38, 42,
        ];
        for row in rows {
            assert!(ALL.iter().any(|s| s.rows.contains(&row)), "row {row}");
        }
    }

    #[test]
    fn a_schedule_is_a_function_of_its_seed_and_survives_its_file() {
        for scenario in ALL {
            let once = serde_json::to_string(&scenario.schedule(7)).unwrap();
            assert_eq!(once, serde_json::to_string(&scenario.schedule(7)).unwrap());
            let read: Schedule = serde_json::from_str(&once).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), once);
        }
    }
}
