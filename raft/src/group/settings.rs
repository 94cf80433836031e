//! Timers of the groups, and how much of their logs they keep.

use std::sync::Arc;
use std::time::Duration;

use hushlog_record::id::META_GROUP;
use hushlog_record::museum::{Bug, planted};
use openraft::{Config, SnapshotPolicy};

use crate::Error;
use crate::limits::SNAPSHOT_DEADLINE;

/// Most entries read for one append; bytes are limited apart.
const PAYLOAD_ENTRIES_MAX: u64 = 32;
/// Most client proposals that one append to the log takes together.
const APPEND_ENTRIES_MAX: u64 = 64;

/// How fast groups notice that a leader is gone, and how much of their logs is kept for who was away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between a leader's heartbeats; also how long one may wait for its answer.
    pub heartbeat: Duration,
    /// Shortest silence after which a follower asks for an election.
    pub election_min: Duration,
    /// Longest; also how long a leader without answers of a majority goes on taking proposals.
    pub election_max: Duration,
    /// How long a proposal waits for a leader that takes it. Longer than an election, which begins
    /// after `election_max` and at most `election_max` more.
    pub patience: Duration,
    /// How long nobody uses a shard's group before it rests: its timers stop, and all groups that rest cost one
    /// small message per pair of nodes and heartbeat. Zero: it never does.
    pub rest_after: Duration,
    /// Bytes of a shard's log that stay behind its segments; four times as many while a member lacks them.
    pub log_keep: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(400),
            election_max: Duration::from_millis(700),
            patience: Duration::from_secs(5),
            rest_after: Duration::from_secs(10),
            log_keep: 32 << 20,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Settings {
    pub(super) fn config(&self, group: u64) -> Result<Arc<Config>, Error> {
        let config = Config {
            cluster_name: format!("group {group}"),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            install_snapshot_timeout: millis(SNAPSHOT_DEADLINE),
            enable_pre_vote: Some(!planted(Bug::NoPreVote)),
            // A restarted leader must win an election before it serves anything.
            enable_leader_restore: Some(false),
            max_append_entries: Some(APPEND_ENTRIES_MAX),
            max_payload_entries: PAYLOAD_ENTRIES_MAX,
            // Snapshots follow segments, not counts of entries. What the meta group's covers is purged at
            // once; what a shard's covers by `ShardGroup::trim`, which counts bytes.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: if group == META_GROUP { 0 } else { u64::MAX },
            purge_batch_size: 1,
            ..Config::default()
        };
        let config = config
            .validate()
            .map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Arc::new(config))
    }
}
