//! What goes wrong in a run, when, and to whom: explicit, so that a run can be repeated and shrunk.

use hushlog_node::entropy::{Entropy, Stream};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::roster;

/// Which simulation a schedule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Groups over storage alone.
    Raft,
    /// Whole nodes.
    Full,
}

impl Layer {
    /// The layer's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Full => "full",
        }
    }
}

/// Everything that a run depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Which simulation.
    pub layer: Layer,
    /// What workload, latencies and election timeouts are drawn from.
    pub seed: u64,
    /// Nodes that begin the cluster, numbered from 1.
    pub nodes: u64,
    /// Nodes that may be let in later, numbered on.
    #[serde(default)]
    pub comers: u64,
    /// Groups that faults tell apart: in the raft layer those that every node has.
    pub groups: u16,
    /// Length in simulated milliseconds; the last quarter has no faults.
    pub millis: u64,
    /// What goes wrong, by time.
    pub faults: Vec<Fault>,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When, in simulated milliseconds.
    pub at: u64,
    /// When it is over; the same as `at` for what happens at once.
    pub until: u64,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Kind {
    /// Nothing passes between two nodes.
    Cut {
        /// One.
        a: u64,
        /// The other.
        b: u64,
    },
    /// Nothing passes from one node to another; the way back is open.
    CutOneWay {
        /// From here.
        from: u64,
        /// To there.
        to: u64,
    },
    /// A node hears and reaches nobody.
    Isolate {
        /// The node.
        node: u64,
    },
    /// A node reaches nobody, and hears everybody.
    Mute {
        /// The node.
        node: u64,
    },
    /// A link that goes up and down.
    Flap {
        /// One end.
        a: u64,
        /// The other.
        b: u64,
        /// Time between two changes, in milliseconds.
        every: u64,
    },
    /// Everything between two nodes is held back, then comes at once.
    Hold {
        /// One.
        a: u64,
        /// The other.
        b: u64,
    },
    /// Messages between two nodes are lost; a lost one breaks its connection.
    Loss {
        /// One.
        a: u64,
        /// The other.
        b: u64,
        /// Of a thousand messages so many.
        permille: u64,
    },
    /// Messages between two nodes take longer.
    Delay {
        /// One.
        a: u64,
        /// The other.
        b: u64,
        /// Milliseconds one way.
        millis: u64,
    },
    /// A node loses its power and comes back at the end.
    Crash {
        /// The node.
        node: u64,
        /// Unsynced writes that had reached the disk by themselves; the next one is torn.
        kept: usize,
    },
    /// Every node loses its power at once.
    Blackout {
        /// As for [`Kind::Crash`], at each.
        kept: usize,
    },
    /// The next sync fails; the node is restarted at the end.
    FailSync {
        /// The node.
        node: u64,
        /// As for [`Kind::Crash`], at the restart.
        kept: usize,
    },
    /// The next write fails; the node is restarted at the end.
    FailWrite {
        /// The node.
        node: u64,
    },
    /// The disk takes little more; at the end it has room again and the node is restarted.
    Full {
        /// The node.
        node: u64,
        /// Bytes that still fit.
        bytes: usize,
    },
    /// Every sync takes longer.
    SlowDisk {
        /// The node.
        node: u64,
        /// Milliseconds more.
        millis: u64,
    },
    /// One bit of a stored row flips, then the node restarts. At most one node per run.
    Flip {
        /// The node.
        node: u64,
        /// Which of its groups.
        group: u16,
        /// Of which row.
        row: Row,
        /// Which bit, modulo the length.
        bit: usize,
    },
    /// The leader of a group is asked to hand over.
    Transfer {
        /// The group.
        group: u16,
        /// To this node.
        to: u64,
    },
    /// A node leaves the voters of a group, and is taken in again at the end.
    Leave {
        /// The group.
        group: u16,
        /// The node.
        node: u64,
    },
    /// A node's wall clock is wrong.
    Skew {
        /// The node.
        node: u64,
        /// By so many milliseconds.
        millis: i64,
    },
    /// A fresh node is let in.
    Join {
        /// The node.
        node: u64,
        /// Whether replicas are to be spread then.
        spread: bool,
    },
    /// A node is to leave.
    Drain {
        /// The node.
        node: u64,
    },
    /// A node loses its power and its disk, and never comes back.
    Die {
        /// The node.
        node: u64,
    },
    /// A node is stopped in good order, and started again at the end.
    Stop {
        /// The node.
        node: u64,
    },
}

/// What a group has on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// An entry of its log.
    Entry {
        /// So many before the last.
        back: u64,
    },
    /// For whom it has voted.
    Vote,
    /// Its snapshot.
    Snapshot,
}

/// A number below `n`.
pub fn below(random: &mut Stream, n: u64) -> u64 {
    random.next_u64() % n.max(1)
}

/// A number of `[from, to)`.
pub fn between(random: &mut Stream, from: u64, to: u64) -> u64 {
    from + below(random, to.saturating_sub(from))
}

impl Schedule {
    /// The schedule of a seed.
    pub fn generate(layer: Layer, seed: u64, millis: u64) -> Self {
        let entropy = Entropy::seeded(seed);
        let mut random = entropy.stream("faults");
        let nodes = match layer {
            Layer::Raft => 3 + 2 * below(&mut random, 2),
            // A shard has three replicas: with five nodes some hold none of it.
            Layer::Full if below(&mut random, 4) == 0 => 5,
            Layer::Full => 3,
        };
        let groups = match layer {
            Layer::Raft => 2,
            // The meta group, and the newest shards of the two slots in turn.
            Layer::Full => 5,
        };
        let mut schedule = Self {
            layer,
            seed,
            nodes,
            comers: 0,
            groups,
            millis,
            faults: Vec::new(),
        };
        let calm = schedule.heal_at();
        // Some time to elect and to store something worth losing.
        let mut at = between(&mut random, 1_500, 4_000);
        let mut thinned = Thinned::No;
        while at + 500 < calm {
            let until = (at + length(&mut random)).min(calm);
            if let Some(kind) = schedule.draw(&mut random, &mut thinned) {
                schedule.faults.push(Fault { at, until, kind });
            }
            at += between(&mut random, 200, 2_600);
        }
        roster::draw(&mut schedule, &entropy);
        schedule
    }

    /// All nodes that there may be.
    pub fn hosts(&self) -> u64 {
        self.nodes + self.comers
    }

    /// How many of the nodes hold a shard.
    pub fn replication(&self) -> u64 {
        match self.layer {
            Layer::Raft => self.nodes,
            Layer::Full => self.nodes.min(3),
        }
    }

    /// From here on nothing goes wrong any more.
    pub fn heal_at(&self) -> u64 {
        self.millis * 3 / 4
    }

    fn draw(&self, random: &mut Stream, thinned: &mut Thinned) -> Option<Kind> {
        let node = 1 + below(random, self.nodes);
        let other = 1 + (node + below(random, self.nodes - 1)) % self.nodes;
        let (a, b) = (node.min(other), node.max(other));
        let group = u16::try_from(below(random, self.groups.into())).unwrap_or(0);
        let kept = usize::try_from(below(random, 4)).unwrap_or(0);
        Some(match below(random, 100) {
            0..8 => Kind::Cut { a, b },
            8..15 => Kind::CutOneWay {
                from: node,
                to: other,
            },
            15..24 => Kind::Isolate { node },
            24..29 => Kind::Mute { node },
            29..33 => Kind::Flap {
                a,
                b,
                every: between(random, 100, 1_500),
            },
            33..39 => Kind::Hold { a, b },
            39..45 => Kind::Loss {
                a,
                b,
                permille: between(random, 5, 100),
            },
            45..51 => Kind::Delay {
                a,
                b,
                millis: between(random, 20, 400),
            },
            51..68 => Kind::Crash { node, kept },
            68..72 => Kind::Blackout { kept },
            72..77 => Kind::FailSync { node, kept },
            77..79 => Kind::FailWrite { node },
            79..83 => Kind::Full {
                node,
                bytes: usize::try_from(below(random, 20_000)).unwrap_or(0),
            },
            83..88 => Kind::SlowDisk {
                node,
                millis: between(random, 20, 800),
            },
            88..91 => {
                let node = thinned.damage(node)?;
                let bit = usize::try_from(below(random, 1 << 20)).unwrap_or(0);
                let row = match below(random, 60) {
                    back @ 0..40 => Row::Entry { back },
                    40..50 => Row::Vote,
                    _ => Row::Snapshot,
                };
                Kind::Flip {
                    node,
                    group,
                    row,
                    bit,
                }
            }
            91..94 => Kind::Transfer { group, to: node },
            94..96 if self.layer == Layer::Raft => {
                thinned.leave()?;
                Kind::Leave { group, node }
            }
            96.. => Kind::Skew {
                node,
                millis: i64::try_from(below(random, 7_200_000)).unwrap_or(0) - 3_600_000,
            },
            _ => return None,
        })
    }
}

/// Why fewer replicas than nodes may count, for the whole run. Of three, one may be damaged for good or
/// be away; with both there is no majority left that could ever answer.
enum Thinned {
    No,
    Damaged(u64),
    Leaving,
}

impl Thinned {
    /// The node that may be damaged, this one if it is the first.
    fn damage(&mut self, node: u64) -> Option<u64> {
        if let Self::No = self {
            *self = Self::Damaged(node);
        }
        match self {
            Self::Damaged(node) => Some(*node),
            Self::No | Self::Leaving => None,
        }
    }

    /// Whether voters may leave.
    fn leave(&mut self) -> Option<()> {
        if let Self::No = self {
            *self = Self::Leaving;
        }
        matches!(self, Self::Leaving).then_some(())
    }
}

/// How long a fault lasts: mostly about an election, sometimes much longer.
fn length(random: &mut Stream) -> u64 {
    match below(random, 10) {
        0..4 => between(random, 50, 1_000),
        4..8 => between(random, 1_000, 5_000),
        _ => between(random, 5_000, 15_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_schedule_and_it_comes_back_from_its_file() {
        for seed in 0..50 {
            let schedule = Schedule::generate(Layer::Raft, seed, 60_000);
            assert_eq!(schedule, Schedule::generate(Layer::Raft, seed, 60_000));
            let text = serde_json::to_string(&schedule).unwrap();
            assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
            assert!(schedule.faults.len() >= 10);
            let calm = schedule.heal_at();
            assert!(schedule.faults.iter().all(|fault| fault.until <= calm));
        }
    }

    #[test]
    fn a_schedule_from_before_nodes_came_and_went_is_read() {
        let schedule = Schedule::generate(Layer::Raft, 1, 60_000);
        let mut text = serde_json::to_value(&schedule).unwrap();
        text.as_object_mut().unwrap().remove("comers");
        assert_eq!(serde_json::from_value::<Schedule>(text).unwrap(), schedule);
    }
}
