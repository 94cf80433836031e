//! Voters that leave and come back: at most one of a group at a time, so that what a majority of the
//! voters holds, a majority of all disks holds.
//!
//! The leader is asked again until the group has the voters that it should have.

use std::collections::{BTreeMap, BTreeSet};

use hushlog_record::ShardId;
use parking_lot::Mutex;

use super::World;
use super::node::Job;
use crate::sim::stage::Now;

/// Milliseconds between two looks.
const EVERY: u64 = 400;

/// Who should not be a voter, by group.
#[derive(Default)]
pub(super) struct Churn {
    away: Mutex<BTreeMap<ShardId, u64>>,
    next_at: Mutex<u64>,
}

impl Churn {
    /// A node leaves, unless another has left before, or comes back. Whether it does.
    pub(super) fn leave(&self, shard: ShardId, node: u64, gone: bool) -> bool {
        let mut away = self.away.lock();
        if gone {
            let is_first = !away.contains_key(&shard);
            away.entry(shard).or_insert(node);
            return is_first;
        }
        let was_away = away.get(&shard) == Some(&node);
        if was_away {
            away.remove(&shard);
        }
        was_away
    }

    /// Asks leaders whose groups have other voters than they should.
    pub(super) fn tick(&self, world: &World, now: Now) {
        let mut next_at = self.next_at.lock();
        if now.millis < *next_at {
            return;
        }
        *next_at = now.millis + EVERY;
        for shard in &world.shards {
            let away = self.away.lock().get(shard).copied();
            let all = 1..=world.base.nodes;
            let wanted: BTreeSet<u64> = all.filter(|node| Some(*node) != away).collect();
            for running in world.running.lock().values() {
                let Some(group) = running.groups.get(shard).filter(|group| group.is_leader())
                else {
                    continue;
                };
                let members = group.status().members;
                let voters = members.iter().filter(|member| member.voter);
                let voters: BTreeSet<u64> = voters.map(|member| member.node).collect();
                if !voters.is_empty() && voters != wanted {
                    let voters = wanted.clone();
                    let shard = *shard;
                    // A full inbox is a busy node: it is asked again.
                    drop(running.jobs.try_send(Job::Voters { shard, voters }));
                }
            }
        }
    }
}
