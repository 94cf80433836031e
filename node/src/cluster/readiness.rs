//! Whether the shards of the open bucket are as a node needs them to take traffic, with patience for those of a
//! bucket that has just begun: all nodes open it at the same moment, and its groups need some tens of
//! milliseconds to have leaders. Unready all at once, the nodes would be taken out together by whatever
//! probes them.
//!
//! A node that was not ready before is not made so by a new bucket.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long the groups of a bucket that has just begun may take to have leaders. Longer than an election.
const BEGIN_PATIENCE: Duration = Duration::from_secs(2);

/// What a node has said of itself.
#[derive(Default)]
pub(super) struct Readiness {
    said: Mutex<Option<Said>>,
}

struct Said {
    bucket: u64,
    /// When the bucket was first asked about.
    since: Instant,
    /// Whether the node was ready when the bucket before was last asked about.
    before: bool,
    now: bool,
}

impl Readiness {
    /// What to say of the open bucket, of which this was found.
    pub(super) fn judge(
        &self,
        bucket: u64,
        now: Instant,
        found: Result<(), String>,
    ) -> Result<(), String> {
        let mut said = self.said.lock();
        let last = said.take();
        let (since, before) = match &last {
            Some(last) if last.bucket == bucket => (last.since, last.before),
            _ => (now, last.is_some_and(|last| last.now)),
        };
        let patient = before && now.saturating_duration_since(since) < BEGIN_PATIENCE;
        let verdict = if patient { Ok(()) } else { found };
        *said = Some(Said {
            bucket,
            since,
            before,
            now: verdict.is_ok(),
        });
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_has_just_begun_is_waited_for_where_the_last_was_ready() {
        let readiness = Readiness::default();
        let began = Instant::now();
        let mut at = began;
        let mut says = |bucket, found: Result<(), &str>, later: Duration| {
            at += later;
            readiness
                .judge(bucket, at, found.map_err(str::to_owned))
                .is_ok()
        };
        let (soon, tick) = (Duration::ZERO, Duration::from_millis(100));
        // The first bucket of all: not ready until it is.
        assert!(!says(1, Err("no leader"), soon));
        assert!(says(1, Ok(()), tick));
        assert!(!says(1, Err("no leader"), tick), "one that had leaders");
        assert!(says(1, Ok(()), tick));
        // The next one: for a while.
        assert!(says(2, Err("no leader"), tick));
        assert!(says(2, Err("no leader"), BEGIN_PATIENCE - tick));
        assert!(!says(2, Err("no leader"), 2 * tick));
        // A node that was not ready does not become so by it.
        assert!(!says(3, Err("no leader"), tick));
        assert!(says(3, Ok(()), tick));
    }
}
