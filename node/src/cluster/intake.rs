//! Keeps the node's intake in step with its disk and its backlog.
//!
//! Only data of groups that this node leads is refused; queries, cuts and trims go on, so that room
//! comes back by itself.

use std::path::PathBuf;
use std::time::Duration;

use hushlog_raft::{Hold, Intake};
use hushlog_storage::files::free_bytes;

use super::replicas::Replicas;

/// How often disk and backlog are looked at. Short against the time that filling the reserve takes.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// What is watched, and the switch.
pub(crate) struct Watch {
    pub(crate) intake: Intake,
    pub(crate) replicas: Replicas,
    /// The data folder.
    pub(crate) folder: PathBuf,
    /// Bytes of all tails beyond which no data is taken.
    pub(crate) backlog_bytes: u64,
    /// Free bytes of the disk below which no data is taken.
    pub(crate) reserve_bytes: u64,
}

impl Watch {
    /// Looks once and sets the switch.
    pub(crate) fn tick(&self) {
        let free = free_bytes(&self.folder).unwrap_or_else(|error| {
            tracing::warn!(%error, "the free space of the disk is not known");
            u64::MAX
        });
        let hold = decide(
            free,
            self.reserve_bytes,
            self.replicas.waiting_bytes(),
            self.backlog_bytes,
        );
        let before = self.intake.hold();
        if hold != before {
            match hold {
                Some(Hold::DiskFull) => {
                    tracing::error!(
                        free,
                        reserve = self.reserve_bytes,
                        "the disk is full: no data is taken"
                    );
                }
                Some(Hold::Backlog) => {
                    tracing::warn!(
                        limit = self.backlog_bytes,
                        "the backlog is over its limit: no data is taken"
                    );
                }
                None => tracing::info!("data is taken again"),
            }
            self.intake.set(hold);
        }
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
}
