//! Whether this node, where it leads, takes data at the moment, and whether it should lead at all.
//!
//! Set by the node, which knows its disk and its backlog; asked before a block is proposed. Commands
//! that make room (cuts, closings) and appends of other leaders never ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::ProposeError;

/// The node's one switch. A cheap clone; open at first.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    state: Arc<AtomicU8>,
    slow: Arc<AtomicBool>,
    leaving: Arc<AtomicBool>,
}

/// Why no data is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The tails are over their limit: what arrives is more than what is turned into segments.
    Backlog,
    /// The disk has less room than its reserve.
    DiskFull,
}

const OPEN: u8 = 0;
const BACKLOG: u8 = 1;
const DISK_FULL: u8 = 2;

impl Intake {
    /// Refuses data for this reason from now on; `None` takes it again.
    pub fn set(&self, hold: Option<Hold>) {
        let state = match hold {
            None => OPEN,
            Some(Hold::Backlog) => BACKLOG,
            Some(Hold::DiskFull) => DISK_FULL,
        };
        self.state.store(state, Ordering::Relaxed);
    }

    /// Says that the disk takes much longer than it should, or no longer.
    pub fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }

    /// Whether the disk takes much longer than it should.
    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Says that the node is to leave the cluster, or no longer: others should lead.
    pub fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Ordering::Relaxed);
    }

    /// Whether the node is to leave the cluster.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Why no data is taken, if none is.
    pub fn hold(&self) -> Option<Hold> {
        match self.state.load(Ordering::Relaxed) {
            BACKLOG => Some(Hold::Backlog),
            DISK_FULL => Some(Hold::DiskFull),
            _ => None,
        }
    }
}

impl From<Hold> for ProposeError {
    fn from(hold: Hold) -> Self {
        match hold {
            Hold::Backlog => Self::Backlog,
            Hold::DiskFull => Self::DiskFull,
        }
    }
}
