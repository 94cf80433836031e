//! The loop of a run: faults by the clock, clients, one step of the network, the invariants.
//!
//! What the nodes are, and what is asked of them, is the layer's [`Scene`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hushlog_node::clock::Clock;
use hushlog_node::entropy::Entropy;
use hushlog_raft::{Role, Status, inspect};
use hushlog_record::{GroupId, Timestamp};
use hushlog_storage::store::{Mem, Space, Store};
use parking_lot::Mutex;
use turmoil::Sim;

use super::disk::Disk;
use super::ledger::Ledger;
use super::net::{LATENCY, Links, TCP_CAPACITY, host, nothing_sent};
use super::report::{Stats, take_panics};
use super::schedule::{Kind, Layer, Row, Schedule};
use super::struck;
use super::trace::Trace;

/// Length of a step: the network delivers, then every node runs for so long.
const TICK: Duration = Duration::from_millis(TICK_MILLIS);
/// The same in milliseconds.
const TICK_MILLIS: u64 = 5;
/// No new requests in so much of the end, in milliseconds.
const LAST: u64 = 5_000;
/// So much longer a run goes on while something that the nodes do by themselves, a cut, a close or a new
/// bucket, is just on its way, in milliseconds.
const GRACE: u64 = 2_000;
/// The same while a node is out of service for its damage: the others wait for it for some time before they
/// begin a group, or finish a shard, without it.
const GRACE_WITHOUT_ONE: u64 = 15_000;
/// More violations than this say nothing new.
const VIOLATIONS_MAX: usize = 5;
/// Start of the simulated wall clock, in milliseconds.
pub const EPOCH: i64 = 1_800_000_000_000;

/// What every layer has: nodes' disks and clocks, and what is remembered of a run.
pub struct Base {
    /// Where every stream of the run comes from.
    pub entropy: Entropy,
    /// What happened.
    pub trace: Trace,
    /// Raft's invariants.
    pub ledger: Arc<Mutex<Ledger>>,
    /// The disks, by node.
    pub disks: BTreeMap<u64, Arc<Disk>>,
    /// Number of nodes that begin the cluster.
    pub nodes: u64,
    /// How many of them hold a shard.
    pub replication: u64,
    /// From here on nothing goes wrong any more, in milliseconds.
    pub heal_at: u64,
    /// Milliseconds that every sync takes longer, by node.
    pub slow: Mutex<BTreeMap<u64, u64>>,
    /// Milliseconds that a node's wall clock is ahead.
    pub skew: Mutex<BTreeMap<u64, i64>>,
    /// Directions in which messages pass.
    pub open: Mutex<BTreeSet<(u64, u64)>>,
    /// Groups of which a row was damaged for good, by node.
    pub damaged: Mutex<BTreeSet<(u64, GroupId)>>,
    /// Those of them that have met it, and have stopped since the node's last start.
    pub stopped: Mutex<BTreeSet<(u64, GroupId)>>,
    /// Those of them that have met it when the node was to open them, and wait for others to mend it.
    waiting: Mutex<BTreeSet<(u64, GroupId)>>,
    /// Nodes that do not start for their damage.
    pub refused: Mutex<BTreeSet<u64>>,
    /// Counts.
    pub stats: Mutex<Stats>,
    /// Syncs that a slow disk has held up, by node.
    slowed: Mutex<BTreeMap<u64, u64>>,
    /// How often somebody looked at a clock that was wrong, by node.
    misread: Mutex<BTreeMap<u64, u64>>,
    boots: Mutex<BTreeMap<u64, u64>>,
}

impl Base {
    /// Empty disks and right clocks.
    pub fn new(schedule: &Schedule, trace: &Trace) -> Self {
        let ledger = Ledger::new(trace.clone(), schedule.nodes, schedule.replication());
        let ledger = Arc::new(Mutex::new(ledger));
        // Only whole nodes are sent what must be masked.
        let watched = schedule.layer == Layer::Full;
        let disks = (1..=schedule.hosts())
            .map(|node| {
                (
                    node,
                    Arc::new(Disk::new(node, Arc::clone(&ledger), watched)),
                )
            })
            .collect();
        Self {
            entropy: Entropy::seeded(schedule.seed),
            trace: trace.clone(),
            ledger,
            disks,
            nodes: schedule.nodes,
            replication: schedule.replication(),
            heal_at: schedule.heal_at(),
            slow: Mutex::default(),
            skew: Mutex::default(),
            open: Mutex::default(),
            damaged: Mutex::default(),
            stopped: Mutex::default(),
            waiting: Mutex::default(),
            refused: Mutex::default(),
            stats: Mutex::default(),
            slowed: Mutex::default(),
            misread: Mutex::default(),
            boots: Mutex::default(),
        }
    }

    /// Milliseconds that the sync that begins now takes longer.
    pub fn held_up(&self, node: u64) -> u64 {
        let slow = self.slow.lock().get(&node).copied().unwrap_or(0);
        if slow > 0 {
            *self.slowed.lock().entry(node).or_default() += 1;
        }
        slow
    }

    /// Syncs of a node that were held up so far.
    pub(super) fn slowed(&self, node: u64) -> u64 {
        self.slowed.lock().get(&node).copied().unwrap_or(0)
    }

    /// Counts a look at a node's clock, if it is wrong.
    fn look(&self, node: u64) {
        if self.skew.lock().get(&node).is_some_and(|skew| *skew != 0) {
            *self.misread.lock().entry(node).or_default() += 1;
        }
    }

    /// Whether a row of this node has a flipped bit.
    pub fn is_damaged(&self, node: u64) -> bool {
        self.damaged.lock().iter().any(|(of, _)| *of == node)
    }

    /// Whether this group has met its damage on this node and takes no part, or not yet again.
    pub fn has_stopped(&self, node: u64, group: GroupId) -> bool {
        let one = (node, group);
        self.stopped.lock().contains(&one) || self.waiting.lock().contains(&one)
    }

    /// Whether a node is out of service because a flipped bit was noticed in one of its groups.
    pub fn is_out(&self, node: u64) -> bool {
        let of_it = |groups: &Mutex<BTreeSet<_>>| {
            let groups = groups.lock();
            groups.iter().any(|(of, _): &(u64, GroupId)| *of == node)
        };
        of_it(&self.stopped) || of_it(&self.waiting) || self.refused.lock().contains(&node)
    }

    /// Whether any node is.
    pub fn is_any_out(&self) -> bool {
        let none = self.stopped.lock().is_empty() && self.waiting.lock().is_empty();
        !none || !self.refused.lock().is_empty()
    }

    /// How often somebody looked at a node's wrong clock so far.
    pub(super) fn misread(&self, node: u64) -> u64 {
        self.misread.lock().get(&node).copied().unwrap_or(0)
    }

    /// Counts a start of a node.
    pub fn boot(&self, node: u64) -> u64 {
        let mut boots = self.boots.lock();
        let boot = boots.entry(node).or_default();
        *boot += 1;
        self.stopped.lock().retain(|(of, _)| *of != node);
        self.refused.lock().remove(&node);
        self.trace.line(format_args!("n{node} starts ({boot})"));
        *boot
    }

    /// The disk of a node.
    pub fn disk(&self, node: u64) -> Arc<Disk> {
        let disk = self.disks.get(&node).expect("every node has a disk");
        Arc::clone(disk)
    }

    /// What a node's wall clock shows, in milliseconds.
    pub fn wall(&self, node: u64) -> i64 {
        let skew = self.skew.lock().get(&node).copied().unwrap_or(0);
        EPOCH + i64::try_from(self.trace.millis()).unwrap_or(0) + skew
    }
}

/// A node's wall clock.
pub struct Wall {
    /// Where the time comes from.
    pub base: Arc<Base>,
    /// Whose it is.
    pub node: u64,
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        self.base.look(self.node);
        Timestamp::from_millis(self.base.wall(self.node))
    }
}

/// When something happens, and what still will.
#[derive(Clone, Copy)]
pub struct Now {
    /// Simulated milliseconds.
    pub millis: u64,
    /// The faults are over: nobody gives up any more.
    pub calm: bool,
    /// From here on there are no new requests.
    pub last: u64,
}

/// The nodes of a layer and their clients.
pub trait Scene {
    /// One step of what is asked of the nodes; gives what was violated.
    fn tick(&mut self, now: Now) -> Vec<String>;

    /// What every running node knows of its groups.
    fn statuses(&self) -> Vec<(u64, Status)>;

    /// A node has lost its power.
    fn lost(&mut self, node: u64);

    /// The number of a group that every node has.
    fn group(&self, group: u16) -> Option<GroupId>;

    /// Asks the leader of a group to hand over; whether there was one to ask.
    fn transfer(&self, group: u16, to: u64) -> bool;

    /// A node leaves the voters of a group, or is taken in again; whether that changes anything.
    fn leave(&self, group: u16, node: u64, gone: bool) -> bool;

    /// Groups that are not open on a node that runs, since it cannot read all of their logs.
    fn unreadable(&self) -> Vec<(u64, GroupId)> {
        Vec::new()
    }

    /// Whether nothing is on its way between the nodes at this moment.
    fn is_at_rest(&self) -> bool {
        true
    }

    /// So much longer a run goes on while something is on its way, in milliseconds.
    fn grace(&self) -> u64 {
        GRACE
    }

    /// A node is to stop in good order; whether it runs.
    fn stop(&self, _node: u64) -> bool {
        false
    }

    /// Whether what an operator had to ask for was asked, and taken.
    fn is_taken(&self, _kind: &Kind) -> bool {
        false
    }

    /// A node has lost its power and its disk, and never comes back.
    fn gone(&self, _node: u64) {}

    /// Nodes that have ended by themselves since the last call, since they are no members any more.
    fn left(&self) -> Vec<u64> {
        Vec::new()
    }

    /// What does not hold although the faults have been over for a while.
    fn at_the_end(&mut self) -> Vec<String>;
}

/// A simulated network on which hosts are still to be put.
pub fn network(schedule: &Schedule) -> Sim<'static> {
    turmoil::Builder::new()
        .simulation_duration(Duration::from_millis(schedule.millis * 2))
        .tick_duration(TICK)
        .min_message_latency(LATENCY.0)
        .max_message_latency(LATENCY.1)
        .tcp_capacity(TCP_CAPACITY)
        .epoch(SystemTime::UNIX_EPOCH)
        .rng_seed(schedule.seed)
        .build()
}

/// A run on its way.
pub struct Stage<'a, S> {
    schedule: &'a Schedule,
    base: Arc<Base>,
    scene: S,
    sim: Sim<'static>,
    links: Links,
    /// Nodes without power, counted, since faults may overlap.
    down: Vec<u32>,
    /// Faults by number, from their start to their end.
    started: Vec<bool>,
    ended: Vec<bool>,
    /// What had come by when each began, or was last of no effect.
    before: Vec<u64>,
    /// Whether each has struck something.
    struck: Vec<bool>,
    /// Replicas that rest.
    resting: BTreeSet<(u64, GroupId)>,
    violations: Vec<String>,
}

impl<'a, S: Scene> Stage<'a, S> {
    /// A run of `schedule`; the hosts are on `sim` already.
    pub fn new(schedule: &'a Schedule, base: Arc<Base>, scene: S, sim: Sim<'static>) -> Self {
        let links = Links::new(schedule.hosts());
        *base.open.lock() = links.open();
        nothing_sent();
        let nodes = usize::try_from(schedule.hosts()).unwrap_or(0) + 1;
        Self {
            schedule,
            base,
            scene,
            sim,
            links,
            down: vec![0; nodes],
            started: vec![false; schedule.faults.len()],
            ended: vec![false; schedule.faults.len()],
            before: vec![0; schedule.faults.len()],
            struck: vec![false; schedule.faults.len()],
            resting: BTreeSet::new(),
            violations: Vec::new(),
        }
    }

    /// Runs to the end; gives counts and what was violated.
    pub fn run(mut self) -> (Stats, Vec<String>) {
        let mut now = 0;
        let end = self.schedule.millis;
        while self.goes_on(now, end) && self.violations.len() < VIOLATIONS_MAX {
            self.base.trace.set_time(now);
            self.faults(now);
            for node in self.scene.left() {
                // Its process has ended, and nobody starts it again.
                self.base.trace.line(format_args!("n{node} has left"));
                self.crash(node, 0);
            }
            self.violations.extend(self.scene.tick(Now {
                millis: now,
                calm: now >= self.schedule.heal_at(),
                last: self.schedule.millis.saturating_sub(LAST),
            }));
            if let Err(error) = self.sim.step() {
                self.violations.push(format!("a node ended: {error}"));
            }
            now = u64::try_from(self.sim.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.invariants();
        }
        if self.violations.is_empty() {
            self.violations = self.scene.at_the_end();
            let mut ledger = self.base.ledger.lock();
            ledger.check_the_end();
            self.violations.extend(ledger.take_violations());
        }
        for (struck, fault) in self.struck.iter_mut().zip(&self.schedule.faults) {
            *struck |= self.scene.is_taken(&fault.kind);
        }
        let mut stats = *self.base.stats.lock();
        let ledger = self.base.ledger.lock();
        stats.millis = now;
        let begun = self.started.iter().filter(|begun| **begun).count();
        let struck = self.struck.iter().filter(|struck| **struck).count();
        stats.faults = struck as u64;
        stats.idle = (begun - struck) as u64;
        stats.elections = ledger.elections() as u64;
        stats.commits = ledger.commits() as u64;
        drop(ledger);
        (stats, self.violations)
    }

    fn goes_on(&self, now: u64, end: u64) -> bool {
        let grace = if self.base.is_any_out() {
            GRACE_WITHOUT_ONE.max(self.scene.grace())
        } else {
            self.scene.grace()
        };
        now < end || (now < end + grace && !self.scene.is_at_rest())
    }

    fn invariants(&mut self) {
        let mut ledger = self.base.ledger.lock();
        ledger.on_links(self.base.trace.millis(), &self.base.open.lock());
        for (node, status) in self.scene.statuses() {
            let replica = (node, status.group);
            let mut stats = self.base.stats.lock();
            if status.resting && self.resting.insert(replica) {
                stats.rests += 1;
            } else if !status.resting && self.resting.remove(&replica) {
                stats.wakings += 1;
            }
            drop(stats);
            if status.role != Role::Stopped {
                ledger.on_status(node, &status, &self.base.disks);
            } else if self.base.damaged.lock().contains(&(node, status.group)) {
                self.base.stopped.lock().insert((node, status.group));
            }
        }
        let mut waiting: BTreeSet<_> = self.scene.unreadable().into_iter().collect();
        waiting.retain(|group| self.base.damaged.lock().contains(group));
        *self.base.waiting.lock() = waiting;
        self.violations.extend(ledger.take_violations());
        let panics = take_panics();
        self.violations
            .extend(panics.into_iter().map(|panic| format!("panic: {panic}")));
    }

    fn faults(&mut self, now: u64) {
        let schedule = self.schedule;
        for (number, fault) in schedule.faults.iter().enumerate() {
            let (started, ended) = (self.started.get(number), self.ended.get(number));
            let (started, ended) = (started == Some(&true), ended == Some(&true));
            if !started && now >= fault.at {
                self.base.trace.line(format_args!("fault {:?}", fault.kind));
                mark(&mut self.started, number);
                self.note(number, &fault.kind);
                if self.start(&fault.kind) {
                    mark(&mut self.struck, number);
                }
            }
            if started && !ended {
                self.look(number, &fault.kind, now, fault.at);
            }
            if started && !ended && now < fault.until {
                self.go_on(&fault.kind, now, fault.at);
            }
            if started && !ended && now >= fault.until {
                self.base.trace.line(format_args!("over {:?}", fault.kind));
                mark(&mut self.ended, number);
                self.end(&fault.kind, now, fault.at);
            }
        }
    }

    /// Remembers what has come by before a fault has any effect.
    fn note(&mut self, number: usize, kind: &Kind) {
        let seen = struck::come_by(kind, &self.base);
        if let Some(before) = self.before.get_mut(number) {
            *before = seen;
        }
    }

    /// Looks whether a fault that lasts has struck by now.
    fn look(&mut self, number: usize, kind: &Kind, now: u64, at: u64) {
        if self.struck.get(number) != Some(&false) {
            return;
        }
        // What came by in the tick before, while the link was up, was not hit.
        if let Kind::Flap { every, .. } = kind
            && !flap_is_down(now.saturating_sub(TICK_MILLIS), at, *every)
        {
            return self.note(number, kind);
        }
        let before = self.before.get(number).copied().unwrap_or(0);
        if struck::is_hit(kind, before, struck::come_by(kind, &self.base)) {
            mark(&mut self.struck, number);
        }
    }

    /// Begins a fault; whether it has struck at once.
    fn start(&mut self, kind: &Kind) -> bool {
        match kind {
            Kind::Crash { node, kept } => return self.crash(*node, *kept),
            Kind::Blackout { kept } => {
                let hit = (1..=self.schedule.hosts()).filter(|node| self.crash(*node, *kept));
                return hit.count() > 0;
            }
            Kind::FailSync { node, .. } => self.base.disk(*node).mem().fail_next_sync("injected"),
            Kind::FailWrite { node } => self.base.disk(*node).mem().fail_next_write("injected"),
            Kind::Full { node, bytes } => self.base.disk(*node).mem().set_space_left(Some(*bytes)),
            Kind::SlowDisk { node, millis } => {
                self.slow(*node, i64::try_from(*millis).unwrap_or(0))
            }
            Kind::Flip {
                node,
                group,
                row,
                bit,
            } => return self.flip(*node, *group, *row, *bit),
            Kind::Transfer { group, to } => return self.scene.transfer(*group, *to),
            Kind::Leave { group, node } => return self.scene.leave(*group, *node, true),
            Kind::Skew { node, millis } => self.skew(*node, *millis),
            // Asked of the cluster by its operator.
            Kind::Join { .. } | Kind::Drain { .. } => {}
            Kind::Die { node } => {
                self.crash(*node, 0);
                self.scene.gone(*node);
                // One that had no power does not come back either.
                return true;
            }
            Kind::Stop { node } => return self.scene.stop(*node),
            network => self.network(network, true),
        }
        false
    }

    fn end(&mut self, kind: &Kind, now: u64, at: u64) {
        match kind {
            Kind::Crash { node, .. } | Kind::Flip { node, .. } => self.boot(*node),
            Kind::Blackout { .. } => {
                for node in 1..=self.schedule.hosts() {
                    self.boot(node);
                }
            }
            Kind::FailSync { node, kept } => self.restart(*node, *kept),
            Kind::FailWrite { node } => self.restart(*node, 0),
            Kind::Full { node, .. } => {
                self.base.disk(*node).mem().set_space_left(None);
                self.restart(*node, 0);
            }
            Kind::SlowDisk { node, millis } => {
                self.slow(*node, -i64::try_from(*millis).unwrap_or(0));
            }
            Kind::Transfer { .. } | Kind::Join { .. } | Kind::Drain { .. } | Kind::Die { .. } => {}
            Kind::Stop { node } => self.restart(*node, 0),
            Kind::Leave { group, node } => {
                self.scene.leave(*group, *node, false);
            }
            Kind::Skew { node, millis } => self.skew(*node, -millis),
            Kind::Flap { a, b, every } => {
                if flap_is_down(now.saturating_sub(TICK_MILLIS), at, *every) {
                    self.cut_both(*a, *b, false);
                }
            }
            network => self.network(network, false),
        }
    }

    /// What changes while a fault lasts.
    fn go_on(&mut self, kind: &Kind, now: u64, at: u64) {
        if let Kind::Flap { a, b, every } = kind {
            let before = flap_is_down(now.saturating_sub(TICK_MILLIS), at, *every);
            let down = flap_is_down(now, at, *every);
            if down != before {
                self.cut_both(*a, *b, down);
            }
        }
    }

    fn network(&mut self, kind: &Kind, on: bool) {
        let (links, sim) = (&mut self.links, &mut self.sim);
        match kind {
            Kind::Cut { a, b } => {
                links.cut(sim, *a, *b, on);
                links.cut(sim, *b, *a, on);
            }
            // It begins with the link down.
            Kind::Flap { a, b, .. } => {
                links.cut(sim, *a, *b, on);
                links.cut(sim, *b, *a, on);
            }
            Kind::CutOneWay { from, to } => links.cut(sim, *from, *to, on),
            Kind::Isolate { node } => links.isolate(sim, *node, true, on),
            Kind::Mute { node } => links.isolate(sim, *node, false, on),
            Kind::Hold { a, b } => links.hold(sim, *a, *b, on),
            Kind::Loss { a, b, permille } => links.lose(sim, *a, *b, *permille, on),
            Kind::Delay { a, b, millis } => links.delay(sim, *a, *b, *millis, on),
            other => unreachable!("{other:?} is none of the network"),
        }
        *self.base.open.lock() = self.links.open();
    }

    fn cut_both(&mut self, a: u64, b: u64, on: bool) {
        self.network(&Kind::Cut { a, b }, on);
    }

    /// Takes a node's power; whether it had any.
    fn crash(&mut self, node: u64, kept: usize) -> bool {
        let Some(down) = usize::try_from(node)
            .ok()
            .and_then(|node| self.down.get_mut(node))
        else {
            return false;
        };
        *down += 1;
        let had_power = *down == 1;
        if had_power {
            self.power_off(node, kept);
        }
        had_power
    }

    fn power_off(&mut self, node: u64, kept: usize) {
        self.base.trace.line(format_args!("n{node} loses power"));
        self.sim.crash(host(node));
        self.scene.lost(node);
        self.base.disk(node).crash(kept);
    }

    fn boot(&mut self, node: u64) {
        let Some(down) = usize::try_from(node)
            .ok()
            .and_then(|node| self.down.get_mut(node))
        else {
            return;
        };
        *down = down.saturating_sub(1);
        if *down == 0 {
            self.sim.bounce(host(node));
        }
    }

    /// Off and on at once; without power already, its disk just has no faults any more.
    fn restart(&mut self, node: u64, kept: usize) {
        let down = usize::try_from(node)
            .ok()
            .and_then(|node| self.down.get(node));
        if down == Some(&0) {
            self.power_off(node, kept);
            self.sim.bounce(host(node));
        } else {
            self.base.disk(node).crash(0);
        }
    }

    fn slow(&self, node: u64, millis: i64) {
        let mut slow = self.base.slow.lock();
        let slow = slow.entry(node).or_default();
        *slow = slow.saturating_add_signed(millis);
    }

    fn skew(&self, node: u64, millis: i64) {
        *self.base.skew.lock().entry(node).or_default() += millis;
    }

    /// Flips a bit of a row and takes the node's power; whether there was such a row.
    fn flip(&mut self, node: u64, group: u16, row: Row, bit: usize) -> bool {
        let disk = self.base.disk(node);
        let mut hit = false;
        if let Some(number) = self.scene.group(group)
            && let Some((space, key)) = flipped_key(disk.mem(), number, row)
        {
            // What is not synced is gone with the power.
            let is_synced = disk.mem().durable(space, &key).is_some();
            hit = is_synced && disk.mem().flip_bit(space, &key, bit);
            if hit {
                self.base
                    .trace
                    .line(format_args!("n{node} g{number} bit {bit} of {row:?} flips"));
                self.base.ledger.lock().damage(node, &key);
                self.base.damaged.lock().insert((node, number));
            }
        }
        self.crash(node, 0);
        hit
    }
}

/// The key of a row that lies on a disk.
fn flipped_key(mem: &Mem, group: GroupId, row: Row) -> Option<(Space, Bytes)> {
    match row {
        Row::Entry { back } => {
            let (from, to) = (
                inspect::entry_key(group, 0),
                inspect::entry_key(group + 1, 0),
            );
            let (key, _) = mem.last(Space::Log, &from, &to).ok()??;
            let (_, last) = inspect::position_of(&key)?;
            Some((
                Space::Log,
                inspect::entry_key(group, last.saturating_sub(back)),
            ))
        }
        Row::Vote => Some((Space::State, inspect::vote_key(group))),
        Row::Snapshot => Some((Space::State, inspect::snapshot_key(group))),
    }
}

fn mark(flags: &mut [bool], number: usize) {
    if let Some(flag) = flags.get_mut(number) {
        *flag = true;
    }
}

fn flap_is_down(now: u64, at: u64, every: u64) -> bool {
    (now.saturating_sub(at) / every.max(TICK_MILLIS)).is_multiple_of(2)
}
