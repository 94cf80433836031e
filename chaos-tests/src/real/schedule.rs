//! Faults as an explicit list: made from a seed once, printed, and replayed as written.
//!
//! Steps are taken in order, each not before its time. A list also says what must hold on the way,
//! so that a replay asks the same as the first run did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::disk::Place;
use super::load::Pace;
use super::topo::{Damage, LinkFault};

/// Everything that decides a run, but for the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Name of the scenario.
    pub scenario: String,
    /// What it was made from; also the seed of the load.
    pub seed: u64,
    /// Nodes that begin the cluster.
    pub nodes: usize,
    /// Machines beside them that nodes can be let in on.
    #[serde(default)]
    pub spares: usize,
    /// MiB of each node's disk.
    pub disk_mib: u32,
    /// The load.
    pub pace: Pace,
    /// Settings of the nodes, by variable.
    pub settings: Vec<(String, String)>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds after the start of the load.
    pub at_ms: u64,
    /// What is done.
    #[serde(rename = "do")]
    pub action: Action,
}

/// A node, by number (from 0) or by what it is at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// This one.
    Node(usize),
    /// The one that leads most.
    Leader,
    /// The one that a replica of a sealed shard is on its way to, as soon as there is one.
    Receiver,
    /// The one that such a replica is fetched from.
    Sender,
    /// The one that the last of these meant.
    Same,
}

/// A fault of a disk by the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskFault {
    /// So many syncs of the write-ahead log fail.
    SyncFails(i64),
    /// Every sync fails.
    SyncsFail,
    /// Every sync takes so many milliseconds longer.
    SlowSync(i64),
    /// No sync returns.
    Stuck,
    /// Reads of segments fail.
    ReadsFail,
    /// Syncs do nothing and say that all is well.
    Lies,
}

/// What a step does, or what must hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `kill -9`.
    Kill(Vec<Who>),
    /// SIGSTOP.
    Freeze(Who),
    /// SIGCONT.
    Thaw(Who),
    /// Starts dead nodes and waits until they are ready.
    Start(Vec<Who>),
    /// The power fails: what was not synced is gone.
    CutPower(Vec<Who>),
    /// A fault of a disk.
    Disk(Who, DiskFault),
    /// The disk is well again.
    HealDisk(Who),
    /// The disk is full.
    Fill(Vec<Who>),
    /// There is space again.
    Free(Vec<Who>),
    /// The file system of a running node turns read-only.
    ReadOnly(Who),
    /// A dead node's disk is mounted again.
    Remount(Who),
    /// A node has a bit flipped.
    Flip(Who, Place),
    /// And back again.
    FlipBack(Who),
    /// A dead node's newest log loses its last bytes.
    Truncate(Who, u64),
    /// A node's files of a place are deleted.
    Delete(Who, Place),
    /// A node's files of a place lose their last byte.
    Shorten(Who, Place),
    /// A dead node's folder is copied aside.
    Backup(Who),
    /// And put in its place again, as it was then.
    Restore(Who),
    /// A dead node loses everything.
    Wipe(Who),
    /// The network has these faults and no others; empty: none.
    Links(Vec<LinkFault>),
    /// A node is cut off from all others.
    Isolate(Who),
    /// The established connections of a node are reset.
    Reset(Who),
    /// A node's wall clock is so many milliseconds off.
    Clock(Who, i64),
    /// A node may take so many MiB more; it is killed by the system within the time (ms).
    OutOfMemory(Who, u64, u64),
    /// A node gets this share of a core, in percent; 0: all it wants.
    Cpu(Who, u32),
    /// So many writers send batches of so many records without pause, for so many milliseconds.
    Flood(usize, u64, u64),
    /// A request that begins now is acknowledged within so many milliseconds.
    Acks(u64),
    /// No request to any of these nodes, asked at one moment, is acknowledged.
    NoAck(Vec<Who>),
    /// A request to this node, when all disks are full, is answered 507 within so many milliseconds; until
    /// then what had been reserved may be used up.
    DiskFull(Who, u64),
    /// A request to this node is refused within so many milliseconds, instead of being left without answer.
    Refuses(Who, u64),
    /// Since links were cut last, the term of no group has risen by more than this.
    Calm(u64),
    /// The flood before was more than the nodes took: some of its requests were refused.
    TooMuch,
    /// No node ever had more than so many MiB in memory since it was started.
    Memory(u64),
    /// The node answers whole queries.
    Reads(Who),
    /// Another node leads what this one led, within so many milliseconds.
    Deposed(Who, u64),
    /// A started node does not take part: it ends with code 78, or stays unready, and says one of these
    /// words.
    Refused(Who, Vec<String>),
    /// A node becomes unready, and says one of these words, within so many milliseconds.
    Unready(Who, u64, Vec<String>),
    /// A node becomes ready within so many milliseconds, without being started again.
    Ready(Who, u64),
    /// Every shard of a bucket that has long been over is sealed on every node, and there is one, within so
    /// many milliseconds.
    Sealed(u64),
    /// A node's segments are what the other nodes have, within so many milliseconds, and it says that none is
    /// damaged.
    Mended(Who, u64),
    /// A damaged node that was started alone either refuses, or has all that it had when it was killed.
    Judged(Who),
    /// Every answer of this node is right, or says that it is not whole.
    Honest(Who),
    /// The same of so many records that were sent last.
    HonestLately(Who, u64),
    /// Another node is started on this one's folder: (who, whose).
    StartOn(Who, Who),
    /// The node is given up for the rest of the run.
    Out(Who),
    /// A fresh node is let in, and started.
    Join(Who),
    /// A node is to leave.
    Drain(Who),
    /// A member dies with its disk: it never comes back.
    Die(Who),
    /// A node is stopped in good order.
    Stop(Who),
    /// Replicas are to be spread evenly.
    Spread,
    /// A node that was to leave has left within so many milliseconds: the cluster says so, and if it was there it
    /// has ended by itself.
    Gone(Who, u64),
    /// Every member is there, takes part, and every shard has its replicas, within so many milliseconds.
    Whole(u64),
    /// Every fault is over. If so many milliseconds are over too, the steps that follow are left out; else they
    /// are later by what the run is late.
    Rest(u64),
}

/// The class of faults of links.
pub(super) const NETWORK: &str = "network";

/// Classes of faults, as they are counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    pub(super) fn add(&mut self, class: &str, count: usize) {
        *self.0.entry(class.to_owned()).or_default() += count as u64;
    }

    /// All faults.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Faults of a class.
    pub fn of(&self, class: &str) -> u64 {
        self.0.get(class).copied().unwrap_or_default()
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (class, count) in &other.0 {
            *self.0.entry(class.clone()).or_default() += count;
        }
    }
}

impl Schedule {
    /// What it will do, counted; a run counts the same if every step took effect, and links that are cut were
    /// in use.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for step in &self.steps {
            if let Some((class, count)) = step.action.class() {
                tally.add(class, count);
            }
        }
        tally
    }
}

impl Action {
    /// The class of a fault, and how many it is; `None` for what heals or asks.
    pub(super) fn class(&self) -> Option<(&'static str, usize)> {
        Some(match self {
            Self::Kill(who) => ("kill", who.len()),
            Self::Freeze(_) => ("freeze", 1),
            Self::CutPower(who) => ("power cut", who.len()),
            Self::Disk(..) | Self::ReadOnly(_) => ("disk error", 1),
            Self::Fill(who) => ("disk full", who.len()),
            Self::Flip(..) => ("bit flip", 1),
            Self::Truncate(..)
            | Self::Delete(..)
            | Self::Shorten(..)
            | Self::Restore(_)
            | Self::Wipe(_)
            | Self::StartOn(..) => ("lost or swapped data", 1),
            Self::Links(faults) if faults.is_empty() => return None,
            Self::Links(_) | Self::Isolate(_) => (NETWORK, 1),
            Self::Reset(_) => ("reset", 1),
            Self::Clock(_, 0) => return None,
            Self::Clock(..) => ("clock", 1),
            Self::OutOfMemory(..) => ("out of memory", 1),
            Self::Cpu(_, 0) => return None,
            Self::Cpu(..) => ("starved cpu", 1),
            Self::Flood(..) => ("overload", 1),
            Self::Join(_) | Self::Drain(_) => ("node change", 1),
            Self::Die(_) => ("kill", 1),
            Self::Stop(_) => ("restart", 1),
            _ => return None,
        })
    }
}

/// Both directions of every link of a node, cut.
pub fn isolating(index: usize, nodes: usize) -> Vec<LinkFault> {
    let others = (0..nodes).filter(|other| *other != index);
    others
        .flat_map(|other| both_ways(index, other, Damage::Cut))
        .collect()
}

/// Both directions of one link.
pub fn both_ways(a: usize, b: usize, what: Damage) -> [LinkFault; 2] {
    [(a, b), (b, a)].map(|(from, to)| LinkFault { from, to, what })
}

impl Action {
    /// Every node that it names.
    pub(super) fn names(&mut self) -> Vec<&mut Who> {
        match self {
            Self::Kill(who)
            | Self::Start(who)
            | Self::CutPower(who)
            | Self::Fill(who)
            | Self::Free(who)
            | Self::NoAck(who) => who.iter_mut().collect(),
            Self::StartOn(who, whose) => vec![who, whose],
            Self::Freeze(who)
            | Self::Thaw(who)
            | Self::Disk(who, _)
            | Self::HealDisk(who)
            | Self::ReadOnly(who)
            | Self::Remount(who)
            | Self::Flip(who, _)
            | Self::FlipBack(who)
            | Self::Truncate(who, _)
            | Self::Delete(who, _)
            | Self::Shorten(who, _)
            | Self::Mended(who, _)
            | Self::Backup(who)
            | Self::Restore(who)
            | Self::Wipe(who)
            | Self::Isolate(who)
            | Self::Reset(who)
            | Self::Clock(who, _)
            | Self::OutOfMemory(who, ..)
            | Self::Cpu(who, _)
            | Self::DiskFull(who, _)
            | Self::Refuses(who, _)
            | Self::Reads(who)
            | Self::Deposed(who, _)
            | Self::Refused(who, _)
            | Self::Unready(who, ..)
            | Self::Ready(who, _)
            | Self::Judged(who)
            | Self::Honest(who)
            | Self::HonestLately(who, _)
            | Self::Out(who)
            | Self::Join(who)
            | Self::Drain(who)
            | Self::Die(who)
            | Self::Stop(who)
            | Self::Gone(who, _) => vec![who],
            Self::Links(_)
            | Self::Flood(..)
            | Self::Acks(_)
            | Self::Calm(_)
            | Self::Memory(_)
            | Self::TooMuch
            | Self::Rest(_)
            | Self::Sealed(_)
            | Self::Spread
            | Self::Whole(_) => Vec::new(),
        }
    }
}
