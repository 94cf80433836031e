//! Keeps a bucket open: the meta leader names the cluster, registers its nodes, and opens the next
//! bucket when the last one's time is over.
//!
//! Every step is a command that changes nothing when it is repeated, so two leaders in a row, or one
//! that was cut off in the middle, do no harm. Buckets are spans of admission time by this clock.

use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::meta::{self, Because};
use hushlog_raft::{MetaGroup, ProposeError};
use hushlog_record::Timestamp;
use tokio::time::Instant;

use super::loads::Loads;
use super::placement::{candidates, ends_early, next_bucket};
use super::plan::Measured;
use super::settings::ClusterSettings;
use crate::clock::Clock;

/// How often the meta leader looks at the clock.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// How long one change may take before the leader looks again.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);

/// The meta leader's task.
pub(crate) struct BucketKeeper {
    pub(crate) meta: MetaGroup,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: ClusterSettings,
    pub(crate) cluster: u128,
    pub(crate) loads: Arc<Loads>,
}

impl BucketKeeper {
    /// Does what is due now, if this node leads the meta group.
    pub(crate) async fn tick(&self) -> Result<(), ProposeError> {
        if !self.meta.is_leader() {
            return Ok(());
        }
        let state = self.meta.state();
        if state.cluster == 0 {
            let replication = self.settings.replication;
            self.propose(meta::Command::SetCluster {
                cluster: self.cluster,
                replication,
            })
            .await?;
        }
        let members = self.settings.peers.iter();
        for node in members.filter(|node| !state.is_removed(node.id)) {
            if let Some(node) = to_register(state.nodes.get(&node.id), node) {
                self.propose(meta::Command::RegisterNode(node)).await?;
            }
        }
        // Afresh: who was registered just now counts.
        let state = self.meta.state();
        let now = self.clock.now();
        let last = state.buckets.values().next_back();
        let length = self.settings.bucket_of(candidates(&state).len());
        let because = match last {
            None => Some(Because::First),
            Some(last) if is_over(last.opened_at, now, length) => Some(Because::Time),
            Some(last) => {
                // Which nodes the next one is on no load changes.
                let next = next_bucket(&state, &self.settings, &Measured::default());
                ends_early(&state, &next.slots).or_else(|| self.outgrown(last, now))
            }
        };
        let Some(because) = because else {
            return Ok(());
        };
        let next = next_bucket(&state, &self.settings, &self.loads.measured(&state));
        let (reason, slots, spread) = (because.reason(), next.slots.len(), next.plan.spread.len());
        tracing::info!(reason, slots, spread, "the next bucket is opened");
        self.propose(meta::Command::OpenBucket {
            expected: last.map_or(0, |bucket| bucket.bucket),
            opened_at: now,
            slots: next.slots,
            plan: meta::Plan {
                because,
                ..next.plan
            },
        })
        .await
    }

    /// Why the bucket should end because of its size, if it should.
    fn outgrown(&self, bucket: &meta::Bucket, now: Timestamp) -> Option<Because> {
        let size = self.settings.size;
        let may_end = bucket.closed_at.is_none() && is_over(bucket.opened_at, now, size.open_min);
        let full = self.loads.outgrown(bucket, size);
        full.filter(|_| may_end)
    }

    async fn propose(&self, command: meta::Command) -> Result<(), ProposeError> {
        let answer = self
            .meta
            .propose(command, Instant::now() + PROPOSE_DEADLINE)
            .await?;
        if let meta::Answer::Conflict(reason) = answer {
            return Err(ProposeError::Invalid(reason));
        }
        Ok(())
    }
}

/// What the map must learn of a node from this one's configuration: where it is reached. What it says
/// of itself (where it serves users, its region and zone) nobody else knows, and nobody overwrites.
fn to_register(known: Option<&meta::Node>, configured: &meta::Node) -> Option<meta::Node> {
    let Some(known) = known else {
        return Some(configured.clone());
    };
    (known.grpc != configured.grpc).then(|| meta::Node {
        grpc: configured.grpc.clone(),
        ..known.clone()
    })
}

/// Whether a bucket opened then is over. A clock that jumped back keeps it open, however far.
fn is_over(opened_at: Timestamp, now: Timestamp, length: Duration) -> bool {
    let length = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
    now >= opened_at.saturating_add(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_registered_itself_is_not_forgotten() {
        let configured = meta::Node {
            id: 2,
            grpc: "10.0.0.2:7011".into(),
            http: String::new(),
            region: String::new(),
            zone: String::new(),
        };
        let itself = meta::Node {
            http: "10.0.0.2:7010".into(),
            region: "eu".into(),
            ..configured.clone()
        };
        assert_eq!(to_register(None, &configured), Some(configured.clone()));
        assert_eq!(to_register(Some(&itself), &configured), None);
        let moved = meta::Node {
            grpc: "10.0.0.9:7011".into(),
            ..configured
        };
        let registered = to_register(Some(&itself), &moved).expect("its address is new");
        assert_eq!(
            (registered.grpc, registered.http),
            (moved.grpc, itself.http)
        );
    }

    #[test]
    fn a_bucket_is_over_after_its_length_and_not_before() {
        let opened = Timestamp::from_millis(1_000);
        let hour = Duration::from_secs(3_600);
        assert!(!is_over(opened, Timestamp::from_millis(1_000), hour));
        assert!(!is_over(opened, Timestamp::from_millis(3_600_999), hour));
        assert!(is_over(opened, Timestamp::from_millis(3_601_000), hour));
        assert!(!is_over(opened, Timestamp::from_millis(0), hour));
    }
}
