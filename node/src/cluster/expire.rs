//! Has the cluster forget buckets whose retention is over: the meta leader's decision, by clocks that agree.
//!
//! What is dropped cannot be brought back, and a clock can be wrong by years. So the leader asks the others
//! for the time first, and drops what is over by the clocks of a majority.

use std::time::Duration;

use hushlog_raft::meta::Standing;
use hushlog_raft::{ProposeError, meta};
use hushlog_record::Timestamp;
use tokio::time::Instant;

use super::Cluster;
use super::retention::Periods;

/// How often the leader looks for buckets that are over.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How long one change may take.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);
/// Most buckets that are dropped at one look.
const DROPS_PER_TICK: usize = 16;

impl Cluster {
    /// Drops what is over, if this node leads the meta group.
    pub(crate) async fn expire(&self) -> Result<(), ProposeError> {
        let now = self.inner.clock.now();
        let over_by = |now| {
            let periods = self.periods();
            periods.due(now).take(DROPS_PER_TICK).collect::<Vec<u64>>()
        };
        if !self.meta().is_leader() || over_by(now).is_empty() {
            return Ok(());
        }
        let others = self.other_clocks().await;
        let facts = self.meta().state();
        let yet_to_come = facts.standing_as(Standing::Joining).count();
        let clocks = facts.nodes.len() - yet_to_come;
        let Some(agreed) = agreed(now, &others, clocks) else {
            tracing::info!("buckets are kept: a majority of the nodes did not tell their time");
            return Ok(());
        };
        // The rules as of now: whoever changes one from here on stops the drop.
        let periods: Periods = self.periods();
        let over: Vec<u64> = periods.due(agreed).take(DROPS_PER_TICK).collect();
        if over.is_empty() {
            tracing::warn!("this node's clock is ahead of the others': no bucket is dropped by it");
        }
        let rules = periods.revision();
        for bucket in over {
            tracing::info!(bucket, "the retention of a bucket is over");
            let command = meta::Command::DropBucket { bucket, rules };
            let deadline = Instant::now() + PROPOSE_DEADLINE;
            if let meta::Answer::Conflict(reason) = self.meta().propose(command, deadline).await? {
                return Err(ProposeError::Invalid(reason));
            }
        }
        Ok(())
    }
}

/// The time that a majority of `nodes` clocks has reached; `None` when fewer than a majority are known.
fn agreed(own: Timestamp, others: &[Timestamp], nodes: usize) -> Option<Timestamp> {
    let mut clocks: Vec<Timestamp> = others.iter().copied().chain([own]).collect();
    clocks.sort_unstable_by(|a, b| b.cmp(a));
    clocks.get(nodes / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_ahead_alone_decides_nothing() {
        let at = Timestamp::from_nanos;
        assert_eq!(agreed(at(9), &[], 1), Some(at(9)));
        assert_eq!(agreed(at(900), &[at(10), at(11)], 3), Some(at(11)));
        assert_eq!(agreed(at(10), &[at(900), at(11)], 3), Some(at(11)));
        assert_eq!(agreed(at(900), &[at(10)], 3), Some(at(10)));
        assert_eq!(agreed(at(900), &[], 3), None, "no majority");
        assert_eq!(agreed(at(900), &[at(901)], 5), None, "no majority");
    }
}
