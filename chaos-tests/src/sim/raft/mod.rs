//! Groups over storage alone: several groups on each node's one store, three or five nodes.
//!
//! What runs is the product's: openraft, the log store, the shard's state machine, the writer, gRPC.
//! Segments are kept in memory beside the disks ([`segments`]), since the blocks in them matter here
//! and not their files.

mod checks;
mod churn;
mod clients;
mod node;
mod segments;

use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_pii::{Key, Masker, Policy};
use hushlog_raft::Status;
use hushlog_record::{GroupId, ShardId};
use parking_lot::Mutex;

use super::net::host;
use super::report::Stats;
use super::schedule::Schedule;
use super::stage::{self, Base, Now, Scene, Stage};
use super::trace::Trace;
use churn::Churn;
use clients::Clients;
use node::{Job, Running};
use segments::Segments;

/// What all hosts and the clients share.
struct World {
    base: Arc<Base>,
    masker: Masker,
    shards: Vec<ShardId>,
    running: Mutex<BTreeMap<u64, Running>>,
    segments: Segments,
    churn: Churn,
    /// Groups that could not be opened, with the reason.
    broken: Mutex<BTreeMap<(u64, ShardId), String>>,
}

/// Runs a schedule; gives counts and what was violated.
pub fn run(schedule: &Schedule, trace: &Trace) -> (Stats, Vec<String>) {
    let base = Arc::new(Base::new(schedule, trace));
    let shards = (0..schedule.groups).map(|slot| ShardId { bucket: 1, slot });
    let world = Arc::new(World {
        base: Arc::clone(&base),
        masker: Masker::new(Policy::default(), Key::new([7; 32])),
        shards: shards.collect(),
        running: Mutex::default(),
        segments: Segments::default(),
        churn: Churn::default(),
        broken: Mutex::default(),
    });
    let mut sim = stage::network(schedule);
    for id in 1..=schedule.nodes {
        let world = Arc::clone(&world);
        sim.host(host(id), move || node::run(Arc::clone(&world), id));
    }
    let clients = Clients::new(&world);
    Stage::new(schedule, base, Groups { world, clients }, sim).run()
}

/// The groups and their clients.
struct Groups {
    world: Arc<World>,
    clients: Clients,
}

impl Scene for Groups {
    fn tick(&mut self, now: Now) -> Vec<String> {
        self.clients.tick(&self.world, now);
        self.world.churn.tick(&self.world, now);
        std::mem::take(&mut self.clients.violations)
    }

    fn statuses(&self) -> Vec<(u64, Status)> {
        let running = self.world.running.lock();
        let groups = running
            .iter()
            .flat_map(|(node, running)| running.groups.values().map(|group| (*node, group)));
        groups.map(|(node, group)| (node, group.status())).collect()
    }

    fn lost(&mut self, node: u64) {
        if let Some(running) = self.world.running.lock().remove(&node) {
            running.bury();
        }
    }

    fn group(&self, group: u16) -> Option<GroupId> {
        let shard = self.world.shards.get(usize::from(group))?;
        Some(shard.group())
    }

    fn transfer(&self, group: u16, to: u64) -> bool {
        let Some(shard) = self.world.shards.get(usize::from(group)).copied() else {
            return false;
        };
        let mut asked = false;
        for running in self.world.running.lock().values() {
            let leads = running.groups.get(&shard).is_some_and(|g| g.is_leader());
            if leads {
                // A full inbox is a busy node: then there is no hand-over.
                asked |= running.jobs.try_send(Job::Transfer { shard, to }).is_ok();
            }
        }
        if asked {
            self.world.base.ledger.lock().on_heir(to);
        }
        asked
    }

    fn leave(&self, group: u16, node: u64, gone: bool) -> bool {
        let shard = self.world.shards.get(usize::from(group));
        shard.is_some_and(|shard| self.world.churn.leave(*shard, node, gone))
    }

    fn at_the_end(&mut self) -> Vec<String> {
        checks::at_the_end(&self.world, &self.clients)
    }
}
