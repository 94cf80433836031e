//! The bug museum: classic mistakes, planted where they would be made, to show that they are caught.
//!
//! Only a build with the feature `museum` has them, and even there one alone is awake: the one that the
//! environment names. In every other build [`planted`] is a constant, and the branches behind it are
//! not compiled in. A museum build never serves anybody: nothing but `chaos museum` starts one.

use std::fmt;

/// Whether this build has the planted bugs.
pub const IS_OPEN: bool = cfg!(feature = "museum");
/// The variable that names the bug which is awake.
pub const VARIABLE: &str = "HUSHLOG_BUG";

/// The planted bugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An entry is reported as flushed once it is written; only a later sync makes it so.
    AckBeforeSync,
    /// A record is accepted when the leader has logged it, before a majority has.
    AckWithoutQuorum,
    /// What is read is taken for what was written.
    SkippedChecksum,
    /// A failed sync is tried again, and its second outcome believed.
    RetriedSync,
    /// A restarted replica remembers no request key from before its snapshot.
    DedupeLostAtRestart,
    /// RocksDB recovers its log as it does by default, and nobody asks how far it was synced.
    WalDefaultRecovery,
    /// One text of a record reaches the disk as it came.
    UnmaskedPath,
    /// A shard that did not answer is left out without a word.
    PartialCalledComplete,
    /// The last block of a segment stays in the tail too.
    CountedTwiceAtCut,
    /// A request without an answer in time is called refused.
    UnknownCalledRefused,
    /// A vote is given and not written down.
    VoteNotSaved,
    /// A committed read asks no leader.
    ReadWithoutLeader,
    /// A node without memory is not recognised.
    IncarnationIgnored,
    /// A replica stands for election without asking before whether it could win.
    NoPreVote,
    /// The map takes a replica for moved before it has come.
    MoveUnverified,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::AckBeforeSync,
        Self::AckWithoutQuorum,
        Self::SkippedChecksum,
        Self::RetriedSync,
        Self::DedupeLostAtRestart,
        Self::WalDefaultRecovery,
        Self::UnmaskedPath,
        Self::PartialCalledComplete,
        Self::CountedTwiceAtCut,
        Self::UnknownCalledRefused,
        Self::VoteNotSaved,
        Self::ReadWithoutLeader,
        Self::IncarnationIgnored,
        Self::NoPreVote,
        Self::MoveUnverified,
    ];

    /// Its name, as the environment says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AckBeforeSync => "ack-before-sync",
            Self::AckWithoutQuorum => "ack-without-quorum",
            Self::SkippedChecksum => "skipped-checksum",
            Self::RetriedSync => "retried-sync",
            Self::DedupeLostAtRestart => "dedupe-lost-at-restart",
            Self::WalDefaultRecovery => "wal-default-recovery",
            Self::UnmaskedPath => "unmasked-path",
            Self::PartialCalledComplete => "partial-called-complete",
            Self::CountedTwiceAtCut => "counted-twice-at-cut",
            Self::UnknownCalledRefused => "unknown-called-refused",
            Self::VoteNotSaved => "vote-not-saved",
            Self::ReadWithoutLeader => "read-without-leader",
            Self::IncarnationIgnored => "incarnation-ignored",
            Self::NoPreVote => "no-pre-vote",
            Self::MoveUnverified => "move-unverified",
        }
    }

    /// The bug of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The bug that is awake.
#[cfg(not(feature = "museum"))]
#[inline]
#[must_use]
pub const fn awake() -> Option<Bug> {
    None
}

/// The bug that is awake.
///
/// # Panics
/// When the environment names a bug that is not planted: a misspelt one would count as never caught.
#[cfg(feature = "museum")]
#[must_use]
pub fn awake() -> Option<Bug> {
    static AWAKE: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    *AWAKE.get_or_init(|| {
        let name = std::env::var(VARIABLE).ok()?;
        let found = Bug::find(&name);
        assert!(found.is_some(), "{VARIABLE}: no bug is called {name}");
        found
    })
}

/// Whether this bug is awake.
#[cfg(not(feature = "museum"))]
#[inline]
#[must_use]
pub const fn planted(_: Bug) -> bool {
    false
}

/// Whether this bug is awake.
#[cfg(feature = "museum")]
#[must_use]
pub fn planted(bug: Bug) -> bool {
    awake() == Some(bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_by_its_name() {
        for bug in Bug::ALL {
            assert_eq!(Bug::find(bug.name()), Some(bug));
        }
        assert_eq!(Bug::find("none"), None);
    }

    /// Known at compile time, so no environment can wake a bug, and the branches are gone.
    #[cfg(not(feature = "museum"))]
    #[test]
    fn other_builds_have_no_bug() {
        const _: () = assert!(!IS_OPEN && !planted(Bug::AckBeforeSync));
        assert_eq!(awake(), None);
        assert!(Bug::ALL.into_iter().all(|bug| !planted(bug)));
    }
}
