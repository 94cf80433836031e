//! What a caller can do about a failure.

use hushlog_record::NodeId;

/// Why a proposal was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was proposed: no leader, no quorum or no such group until the deadline. Safe to retry.
    #[error("no leader took the proposal: {0}")]
    Unavailable(String),
    /// It was proposed, and whether it will be stored is not known. A retry with the same request
    /// keys stores nothing twice.
    #[error("the outcome is not known: {0}")]
    OutcomeUnknown(String),
    /// The shard takes no more data: ask for the shard that took over.
    #[error("the shard is closed")]
    Closed,
    /// The block was masked under an older version of the patterns than the shard takes: mask its records
    /// again. Nothing of it is stored, and nothing will be.
    #[error("the block was masked before policy {lowest}, the lowest that the shard takes")]
    Outdated {
        /// The lowest policy epoch that the shard takes.
        lowest: u64,
    },
    /// Nothing was proposed: the leader's tails are over their limit.
    #[error("more arrives at the leader than it turns into segments")]
    Backlog,
    /// Nothing was proposed: the leader's disk has less room than its reserve.
    #[error("the leader's disk is full")]
    DiskFull,
    /// A write or sync failed on the leader; it writes no more until it restarts.
    #[error("writes have stopped after a failure: {0}")]
    WritesFailed(String),
    /// The request itself cannot be stored.
    #[error("not valid: {0}")]
    Invalid(String),
}

/// Why a reader cannot be sure to see everything that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader confirmed its leadership before the deadline.
    #[error("no leader answered in time: {0}")]
    Unavailable(String),
    /// This replica did not catch up before the deadline.
    #[error("this replica has applied up to {applied_to}, {read_to} is needed")]
    Behind {
        /// First position that is not applied.
        applied_to: u64,
        /// First position that is not needed.
        read_to: u64,
    },
    /// There is no such group here.
    #[error("group {0} is not on this node")]
    NotFound(u64),
}

/// Why a group could not be opened, initialised or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be read or written.
    #[error(transparent)]
    Storage(#[from] hushlog_storage::Error),
    /// What is stored is not what was written.
    #[error(transparent)]
    Codec(#[from] crate::codec::Error),
    /// The Raft core of the group has stopped; the node must open it again.
    #[error("group {group} has stopped: {reason}")]
    Stopped {
        /// The group.
        group: u64,
        /// Why.
        reason: String,
    },
    /// The settings contradict each other.
    #[error("settings are not valid: {0}")]
    Settings(String),
    /// The change was refused.
    #[error("refused: {0}")]
    Refused(String),
    /// A segment was reported that no pending cut asked for.
    #[error("no pending cut has the range {from}..{to}")]
    NoSuchCut {
        /// Start of the range.
        from: u64,
        /// End of the range.
        to: u64,
    },
    /// The group is open already.
    #[error("group {0} is open already")]
    Open(u64),
    /// Only a leader can do this.
    #[error("this node does not lead group {group}; the leader is {leader:?}")]
    NotLeader {
        /// The group.
        group: u64,
        /// The leader this node knows of.
        leader: Option<NodeId>,
    },
}
