//! Has the cluster forget buckets whose retention is over: the meta leader's decision, by clocks that agree.
//!
//! What is dropped cannot be brought back, and a clock can be wrong by years. So the leader asks the others
//! for the time first, and drops what is over by the clocks of a majority.

use std::collections::BTreeMap;
use std::time::Duration;

use hushlog_raft::limits::EXPIRED_SERVICE_BYTES_MAX;
use hushlog_raft::meta::Standing;
use hushlog_raft::{ProposeError, meta};
use hushlog_record::Timestamp;
use tokio::time::Instant;

use super::Cluster;
use super::held::Held;
use super::retention::Periods;
use super::rewrite::is_left_out;
use crate::limits::EXPIRED_SERVICES_EACH_MAX;

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
        let Some(agreed) = self.agreed_time().await else {
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
            let services = self.services_of(bucket).await;
            let command = meta::Command::DropBucket {
                bucket,
                rules,
                services,
            };
            let deadline = Instant::now() + PROPOSE_DEADLINE;
            if let meta::Answer::Conflict(reason) = self.meta().propose(command, deadline).await? {
                return Err(ProposeError::Invalid(reason));
            }
        }
        Ok(())
    }

    /// The time of day that the clocks of a majority of the nodes have reached; `None` when fewer tell theirs.
    pub(super) async fn agreed_time(&self) -> Option<Timestamp> {
        let others = self.other_clocks().await;
        let facts = self.meta().state();
        let yet_to_come = facts.standing_as(Standing::Joining).count();
        agreed(
            self.inner.clock.now(),
            &others,
            facts.nodes.len() - yet_to_come,
        )
    }
}

impl Cluster {
    /// Rows of a bucket's services, of those of its shards that this node holds. They are for the books: what
    /// cannot be counted is left out, and is counted as nobody's.
    async fn services_of(&self, bucket: u64) -> BTreeMap<String, u64> {
        let held = self.replicas().all_held().into_iter();
        let held: Vec<Held> = held.filter(|held| held.shard().bucket == bucket).collect();
        let facts = self.meta().state();
        let count = move || {
            let mut services = BTreeMap::new();
            for held in held {
                // What was left out before was counted then, whether this replica has heard of it or not.
                let known = facts.rewrites.get(&held.shard());
                let cutoffs = known.map(|known| known.cutoffs.clone()).unwrap_or_default();
                if let Err(error) = add_services(&held, &cutoffs, &mut services) {
                    tracing::warn!(shard = %held.shard(), %error, "dropped rows are not counted by service");
                }
            }
            largest(services)
        };
        let counted = self.builder().run(count).await;
        counted.unwrap_or_else(|error| {
            tracing::warn!(bucket, %error, "dropped rows are not counted by service");
            BTreeMap::new()
        })
    }
}

fn add_services(
    held: &Held,
    cutoffs: &meta::Cutoffs,
    services: &mut BTreeMap<String, u64>,
) -> Result<(), super::replica::Error> {
    let view = held.view()?;
    let summaries = view
        .segments
        .iter()
        .filter_map(|segment| segment.summary.as_ref());
    for summary in summaries {
        let cells = summary.levels(i64::MIN..i64::MAX, None);
        for cell in cells.filter(|cell| !is_left_out(cutoffs, cell.service, cell.minute)) {
            match services.get_mut(cell.service) {
                Some(rows) => *rows += cell.count,
                None => {
                    services.insert(cell.service.to_owned(), cell.count);
                }
            }
        }
    }
    Ok(())
}

/// Those with most rows, as many as one change of the facts may name.
pub(super) fn largest(services: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut all: Vec<(String, u64)> = services.into_iter().collect();
    all.retain(|(name, _)| name.len() <= EXPIRED_SERVICE_BYTES_MAX);
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(EXPIRED_SERVICES_EACH_MAX);
    all.into_iter().collect()
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
    fn the_largest_services_of_a_bucket_are_named() {
        let long = "s".repeat(EXPIRED_SERVICE_BYTES_MAX + 1);
        let small = (0..EXPIRED_SERVICES_EACH_MAX).map(|n| (format!("s{n}"), 1));
        let all = small.chain([("large".into(), 9), (long, 99)]);
        let named = largest(all.collect());
        assert_eq!(named.len(), EXPIRED_SERVICES_EACH_MAX);
        assert_eq!(named["large"], 9);
    }

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
