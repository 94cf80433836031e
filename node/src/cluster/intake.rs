//! Keeps the node's intake in step with its disk and its backlog.
//!
//! Only data of groups that this node leads is refused; queries, cuts and trims go on, so that room
//! comes back by itself. What they need to write while others fill the disk is set aside in a ballast.
//! A store that has failed for want of space is opened anew, by a restart of the node, when there is
//! space again.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hushlog_raft::{Hold, Intake};
use hushlog_storage::ballast::Ballast;
use hushlog_storage::files::free_bytes;
use hushlog_storage::writer::WriterHandle;
use tokio::sync::watch;

use super::replicas::Replicas;

/// How often disk and backlog are looked at. Short against the time that filling the reserve takes.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// How long a write may take while the store has had errors in the background until it is given up: it waits for
/// room that may never come.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// What is set aside on the disk, at most: half of the reserve.
const BALLAST_BYTES_MAX: u64 = 32 << 20;

/// What is watched, and the switch.
pub(crate) struct Watch {
    pub(crate) intake: Intake,
    pub(crate) replicas: Replicas,
    pub(crate) writer: WriterHandle,
    /// Where the free space is looked at.
    pub(crate) folder: PathBuf,
    pub(crate) ballast: Ballast,
    /// Bytes of all tails beyond which no data is taken.
    pub(crate) backlog_bytes: u64,
    /// Free bytes of the disk below which no data is taken.
    pub(crate) reserve_bytes: u64,
    /// Told when only a restart brings the writes back, and would.
    pub(crate) restart: watch::Sender<bool>,
}

impl Watch {
    /// Looks once and sets the switch.
    pub(crate) fn tick(&self) {
        let free = free_bytes(&self.folder).unwrap_or_else(|error| {
            tracing::warn!(%error, "the free space of the disk is not known");
            u64::MAX
        });
        self.keep_ballast(free);
        self.writer.has_room(free);
        give_up_stalled(&self.writer, free);
        let hold = decide(
            free,
            self.reserve_bytes,
            self.replicas.waiting_bytes(),
            self.backlog_bytes,
        );
        self.set(hold, free);
        let full = self.writer.failed().borrow().as_ref().map(|f| f.full);
        if full == Some(true) && hold != Some(Hold::DiskFull) {
            self.restart.send_if_modified(|wanted| {
                let first = !*wanted;
                if first {
                    tracing::warn!(free, "there is space again: the store is to be opened anew");
                }
                *wanted = true;
                first
            });
        }
    }

    fn keep_ballast(&self, free: u64) {
        let kept = if is_needed(&self.ballast, free) {
            self.ballast.release()
        } else if free > self.reserve_bytes + 2 * self.ballast.bytes() {
            self.ballast.hold()
        } else {
            Ok(())
        };
        if let Err(error) = kept {
            tracing::debug!(%error, "no ballast");
        }
    }

    fn set(&self, hold: Option<Hold>, free: u64) {
        if hold == self.intake.hold() {
            return;
        }
        match hold {
            Some(Hold::DiskFull) => tracing::error!(
                free,
                reserve = self.reserve_bytes,
                "the disk is full: no data is taken"
            ),
            Some(Hold::Backlog) => tracing::warn!(
                limit = self.backlog_bytes,
                "the backlog is over its limit: no data is taken"
            ),
            None => tracing::info!("data is taken again"),
        }
        self.intake.set(hold);
    }
}

/// The ballast of a data folder, of a node that keeps so much free.
pub(crate) fn ballast(data: &Path, reserve_bytes: u64) -> Ballast {
    Ballast::new(data, BALLAST_BYTES_MAX.min(reserve_bytes / 2))
}

/// Gives a ballast back before the store is opened, where there is no room for what opening writes: all that was not
/// flushed yet, at most `unflushed` bytes. Nobody watches the disk yet. A ballast of another size than today's
/// settings ask for is given back too.
pub(crate) fn make_room(ballast: &Ballast, free: u64, unflushed: u64) {
    let is_needed = is_needed(ballast, free.saturating_sub(unflushed));
    if !ballast.exists() || !is_needed {
        return;
    }
    match ballast.release() {
        Ok(()) => tracing::warn!(
            free,
            unflushed,
            "the disk is full: the ballast is given back"
        ),
        Err(error) => tracing::warn!(%error, free, "the disk is full, and the ballast stays"),
    }
}

/// Whether the disk is so full that the ballast is given back.
fn is_needed(ballast: &Ballast, free: u64) -> bool {
    free <= ballast.bytes() / 2
}

/// Ends the write that is under way if it waits for room that may never come.
fn give_up_stalled(writer: &WriterHandle, free: u64) {
    let busy = Duration::from_nanos(writer.stats().busy_nanos);
    if busy > STALLED_AFTER && writer.give_up_stalled(free) {
        tracing::error!(
            free,
            "a write waits for room that may never come: it is given up"
        );
    }
}

/// Looks for such writes, and does nothing else, for as long as it is let: while a node ends.
pub(crate) async fn give_up_stalled_writes(writer: &WriterHandle, folder: &Path) -> Infallible {
    loop {
        if let Ok(free) = free_bytes(folder) {
            give_up_stalled(writer, free);
        }
        tokio::time::sleep(TICK).await;
    }
}

/// The disk weighs more: a backlog passes by itself.
fn decide(free: u64, reserve: u64, waiting: u64, backlog: u64) -> Option<Hold> {
    if free < reserve {
        Some(Hold::DiskFull)
    } else if waiting > backlog {
        Some(Hold::Backlog)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_weighs_more_than_a_backlog() {
        assert_eq!(decide(10, 10, 5, 5), None);
        assert_eq!(decide(10, 10, 6, 5), Some(Hold::Backlog));
        assert_eq!(decide(9, 10, 5, 5), Some(Hold::DiskFull));
        assert_eq!(decide(9, 10, 6, 5), Some(Hold::DiskFull));
    }

    #[test]
    fn a_full_disk_gets_the_ballast_back_before_the_store_is_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let ballast = ballast(folder.path(), 1 << 20);
        make_room(&ballast, 0, 0);
        ballast.hold().expect("there is room");
        make_room(&ballast, ballast.bytes(), 0);
        assert!(ballast.is_held(), "there is room");
        make_room(&ballast, ballast.bytes(), ballast.bytes());
        assert!(!ballast.is_held(), "no room for what opening flushes");
        ballast.hold().expect("there is room");
        make_room(&ballast, 0, 0);
        assert!(!ballast.is_held(), "a full disk");
        // The settings have changed since it was made.
        ballast.hold().expect("there is room");
        for reserve in [4 << 20, 0] {
            let other = super::ballast(folder.path(), reserve);
            make_room(&other, 0, 0);
            assert!(
                !ballast.is_held(),
                "a full disk, with {reserve} to be kept free"
            );
        }
    }
}
