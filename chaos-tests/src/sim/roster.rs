//! Which nodes come, leave, die and are restarted in a run of whole nodes: drawn from a stream of its own, so
//! that what else goes wrong in a seed stays what it is.
//!
//! Only says when: what is asked of the cluster, and until when it must have come to be, is the layer's.

use hushlog_node::entropy::{Entropy, Stream};

use super::schedule::{Fault, Kind, Layer, Schedule, below, between};

/// Of so many runs of whole nodes one has nodes that come and go.
const ONE_IN: u64 = 4;
/// Within this span, in milliseconds, the first change is made: there is something to move soon.
const FIRST: (u64, u64) = (4_000, 12_000);
/// Time between two changes that belong together, in milliseconds.
const NEXT: (u64, u64) = (3_000, 11_000);
/// Time from one node's restart to the next one's.
const ROLL: (u64, u64) = (3_500, 6_000);
/// How long a node is stopped.
const STOPPED: (u64, u64) = (1_000, 3_000);
/// Faults of a node that was let in.
const OF_COMERS: u64 = 3;

/// Adds node changes to a schedule, if its seed is one that has them.
pub(super) fn draw(schedule: &mut Schedule, entropy: &Entropy) {
    let mut random = entropy.stream("roster");
    if schedule.layer != Layer::Full || below(&mut random, ONE_IN) > 0 {
        return;
    }
    let at = between(&mut random, FIRST.0, FIRST.1);
    let mut plan = Plan {
        schedule,
        random,
        at,
    };
    let nodes = plan.schedule.nodes;
    let first = plan.founder();
    // Another one than the first.
    let second = 1 + first % nodes;
    match below(&mut plan.random, 4) {
        // Enough of them to begin with.
        0 if nodes > 3 => {
            plan.then(Kind::Drain { node: first });
            plan.then(Kind::Die { node: second });
        }
        1 | 2 if nodes > 3 => {
            plan.then(Kind::Die { node: first });
            plan.then(Kind::Drain { node: first });
        }
        0 => {
            plan.join();
            plan.then(Kind::Drain { node: first });
        }
        1 => {
            plan.then(Kind::Die { node: first });
            plan.join();
            plan.then(Kind::Drain { node: first });
        }
        2 => {
            plan.join();
            plan.then(Kind::Drain { node: first });
            plan.join();
            plan.then(Kind::Die { node: second });
            plan.then(Kind::Drain { node: second });
        }
        _ => {
            if nodes == 3 {
                plan.join();
            }
            plan.restart_all();
        }
    }
    plan.trouble_comers();
    plan.keep_copies();
    plan.schedule.faults.sort_by_key(|fault| fault.at);
}

struct Plan<'a> {
    schedule: &'a mut Schedule,
    random: Stream,
    at: u64,
}

impl Plan<'_> {
    fn founder(&mut self) -> u64 {
        1 + below(&mut self.random, self.schedule.nodes)
    }

    /// At the present moment; the next one is later.
    fn then(&mut self, kind: Kind) {
        self.add(self.at, self.at, kind);
        self.at += between(&mut self.random, NEXT.0, NEXT.1);
    }

    /// Nothing of it after the last fault.
    fn add(&mut self, at: u64, until: u64, kind: Kind) {
        let calm = self.schedule.heal_at();
        let (at, until) = (at.min(calm), until.min(calm));
        self.schedule.faults.push(Fault { at, until, kind });
    }

    fn join(&mut self) {
        self.schedule.comers += 1;
        let node = self.schedule.hosts();
        let spread = below(&mut self.random, 2) == 0;
        self.then(Kind::Join { node, spread });
    }

    /// One node after the other.
    fn restart_all(&mut self) {
        for node in 1..=self.schedule.nodes {
            let until = self.at + between(&mut self.random, STOPPED.0, STOPPED.1);
            self.add(self.at, until, Kind::Stop { node });
            self.at += between(&mut self.random, ROLL.0, ROLL.1);
        }
    }

    /// Of three copies one may be damaged for good, or be lost with its disk, not both.
    fn keep_copies(&mut self) {
        let faults = &mut self.schedule.faults;
        if faults
            .iter()
            .any(|fault| matches!(fault.kind, Kind::Die { .. }))
        {
            faults.retain(|fault| !matches!(fault.kind, Kind::Flip { .. }));
        }
    }

    /// What founders have anyway.
    fn trouble_comers(&mut self) {
        let joins = self.schedule.faults.iter().filter_map(|fault| {
            let Kind::Join { node, .. } = fault.kind else {
                return None;
            };
            Some((fault.at, node))
        });
        for (from, node) in joins.collect::<Vec<_>>() {
            for _ in 0..below(&mut self.random, OF_COMERS + 1) {
                let at = between(&mut self.random, from, self.schedule.heal_at());
                let until = at + between(&mut self.random, 200, 6_000);
                let kind = self.trouble(node);
                self.add(at, until, kind);
            }
        }
    }

    fn trouble(&mut self, node: u64) -> Kind {
        let random = &mut self.random;
        let other = 1 + below(random, self.schedule.nodes);
        match below(random, 6) {
            0 | 1 => Kind::Crash {
                node,
                kept: usize::try_from(below(random, 4)).unwrap_or(0),
            },
            2 => Kind::Isolate { node },
            3 => Kind::Cut { a: other, b: node },
            4 => Kind::Loss {
                a: other,
                b: node,
                permille: between(random, 5, 100),
            },
            _ => Kind::SlowDisk {
                node,
                millis: between(random, 20, 800),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_full_runs_has_changes_of_every_kind_and_the_others_none() {
        let mut with = 0;
        let mut seen = [0; 4];
        for seed in 1..=200 {
            let schedule = Schedule::generate(Layer::Full, seed, 60_000);
            let (mut changes, mut flips, dead) = (0, 0, seen[2]);
            for fault in &schedule.faults {
                let kind = match &fault.kind {
                    Kind::Join { node, .. } => {
                        assert!(*node > schedule.nodes && *node <= schedule.hosts());
                        0
                    }
                    Kind::Drain { .. } => 1,
                    Kind::Die { .. } => 2,
                    Kind::Stop { .. } => 3,
                    Kind::Flip { .. } => {
                        flips += 1;
                        continue;
                    }
                    _ => continue,
                };
                seen[kind] += 1;
                changes += 1;
                assert!(fault.until <= schedule.heal_at());
            }
            assert!(schedule.faults.is_sorted_by_key(|fault| fault.at));
            assert!(changes > 0 || schedule.comers == 0);
            assert!(flips == 0 || dead == seen[2], "too few copies");
            with += u64::from(changes > 0);
        }
        assert!((30..=70).contains(&with), "{with} of 200");
        assert!(seen.iter().all(|times| *times > 10), "{seen:?}");
        let raft = Schedule::generate(Layer::Raft, 1, 60_000);
        assert_eq!(raft.comers, 0);
    }
}
