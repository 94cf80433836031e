//! Gives up the leads that this node cannot serve: after a failed write, on a full or slow disk, and
//! where entries do not get through although heartbeats do.
//!
//! Leads go to nodes that say they are fit; while nobody is, they stay, so that reads go on. Raft
//! itself sees none of this: its heartbeats are small and need no disk.

use std::collections::BTreeMap;
use std::time::Duration;

use hushlog_raft::{Context, Role, Status, abdicate, hand_over};
use hushlog_record::GroupId;
use hushlog_storage::writer::Stats;
use tokio::time::Instant;

/// How often disk and leads are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(500);
/// Time that the others have to say whether they are fit.
const ASK_PATIENCE: Duration = Duration::from_millis(500);
/// Time of a write, on average over a tick, from which a disk counts as slow: ten times what a busy
/// disk of the common kinds takes.
const SLOW_WRITE: Duration = Duration::from_millis(150);
/// Ticks in a row with slow writes after which the disk is called slow.
const SLOW_TICKS: u32 = 5;
/// Ticks in a row without after which it is not any more.
const FAST_TICKS: u32 = 20;
/// How long entries may wait for a majority that answers heartbeats.
const COMMIT_PATIENCE: Duration = Duration::from_millis(2_500);
/// Longest silence of a majority that still answers heartbeats.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(1);
/// How long a leader falls silent: longer than elections take, of which the first may fail.
const SILENCE: Duration = Duration::from_secs(4);

/// The watch over the leads of one node.
pub(crate) struct Leads {
    context: Context,
    disk: Disk,
    waiting: BTreeMap<GroupId, (u64, Instant)>,
}

impl Leads {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            disk: Disk::default(),
            waiting: BTreeMap::new(),
        }
    }

    /// Looks once, and gives up what must be given up.
    pub(crate) async fn tick(&mut self) {
        let slow = self.disk.is_slow(self.context.writer.stats());
        if slow != self.context.intake.is_slow() {
            tracing::warn!(slow, "the disk is slow, or no longer");
            self.context.intake.set_slow(slow);
        }
        if self.context.is_unfit() {
            self.hand_over_all().await;
        }
        for group in self.stuck(Instant::now()) {
            tracing::warn!(group, "entries do not get through: the lead is given up");
            abdicate(&self.context, group, SILENCE);
        }
    }

    /// Hands over every lead for which somebody is fit.
    pub(crate) async fn hand_over_all(&self) {
        let leads = self.context.groups.statuses();
        let leads = leads.into_iter().filter(|s| s.role == Role::Leader);
        let handed = leads.map(|status| hand_over(&self.context, status.group, ASK_PATIENCE));
        for successor in futures_util::future::join_all(handed).await {
            tracing::debug!(?successor, "a lead was offered");
        }
    }

    /// The groups that this node leads whose oldest entry has waited too long for a majority.
    fn stuck(&mut self, now: Instant) -> Vec<GroupId> {
        let statuses = self.context.groups.statuses();
        let waits = |status: &&Status| {
            status.role == Role::Leader && status.appended_to > status.committed_to
        };
        let mut stuck = Vec::new();
        let mut waiting = BTreeMap::new();
        for status in statuses.iter().filter(waits) {
            let since = match self.waiting.get(&status.group) {
                Some((committed_to, since)) if *committed_to == status.committed_to => *since,
                Some(_) | None => now,
            };
            if now - since < COMMIT_PATIENCE {
                waiting.insert(status.group, (status.committed_to, since));
            } else if self
                .context
                .groups
                .has_quorum(status.group, HEARTBEAT_PATIENCE)
            {
                stuck.push(status.group);
            }
        }
        self.waiting = waiting;
        stuck
    }
}

/// What the writer's numbers say of the disk.
#[derive(Default)]
struct Disk {
    last: Option<Stats>,
    /// Ticks in a row that speak for the other verdict.
    against: u32,
    slow: bool,
}

impl Disk {
    fn is_slow(&mut self, stats: Stats) -> bool {
        let last = self.last.replace(stats).unwrap_or(stats);
        let writes = stats.syncs - last.syncs;
        let spent = Duration::from_nanos(stats.sync_nanos - last.sync_nanos);
        let average = spent.checked_div(u32::try_from(writes).unwrap_or(u32::MAX));
        let worst = average
            .unwrap_or_default()
            .max(Duration::from_nanos(stats.busy_nanos));
        let (speaks_against, needed) = if self.slow {
            (worst < SLOW_WRITE, FAST_TICKS)
        } else {
            (worst >= SLOW_WRITE, SLOW_TICKS)
        };
        self.against = if speaks_against { self.against + 1 } else { 0 };
        if self.against >= needed {
            self.against = 0;
            self.slow = !self.slow;
        }
        self.slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds ticks of so many syncs that took so many milliseconds each.
    fn feed(disk: &mut Disk, stats: &mut Stats, ticks: u32, syncs: u64, millis: u64) -> bool {
        let mut slow = false;
        for _ in 0..ticks {
            stats.syncs += syncs;
            stats.sync_nanos += syncs * millis * 1_000_000;
            slow = disk.is_slow(*stats);
        }
        slow
    }

    #[test]
    fn only_a_disk_that_stays_slow_is_slow_and_only_one_that_stays_fast_is_fast_again() {
        let (mut disk, mut stats) = (Disk::default(), Stats::default());
        assert!(!feed(&mut disk, &mut stats, 30, 10, 20));
        assert!(!feed(&mut disk, &mut stats, SLOW_TICKS - 1, 2, 200));
        assert!(!feed(&mut disk, &mut stats, 1, 10, 20));
        assert!(!feed(&mut disk, &mut stats, SLOW_TICKS - 1, 2, 200));
        assert!(feed(&mut disk, &mut stats, 1, 2, 200));
        assert!(feed(&mut disk, &mut stats, FAST_TICKS - 1, 10, 20));
        assert!(feed(&mut disk, &mut stats, 1, 2, 200));
        // An idle disk counts as fast: nothing waits for it.
        assert!(!feed(&mut disk, &mut stats, FAST_TICKS, 0, 0));
    }

    #[test]
    fn a_write_that_does_not_return_is_slow() {
        let (mut disk, mut stats) = (Disk::default(), Stats::default());
        for tick in 1..=u64::from(SLOW_TICKS) {
            stats.busy_nanos = tick * 500_000_000;
            assert_eq!(disk.is_slow(stats), tick == u64::from(SLOW_TICKS));
        }
    }
}
