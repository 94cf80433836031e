//! How full the newest shards are: the meta leader asks every node once a second.
//!
//! Only what is at hand is told, and nothing is kept beyond the newest buckets. A node that does not answer in time
//! is asked again: its shards have other replicas, which say the same.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Lane, meta};
use hushlog_record::{NodeId, ShardId};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::replica::Fill;
use super::settings::SizeSettings;
use super::{Cluster, MESSAGE_BYTES_MAX};
use crate::tasks::unless_stopped;

/// How often nodes are asked.
const TICK: Duration = Duration::from_secs(1);
/// How long a node has to answer.
const DEADLINE: Duration = Duration::from_secs(1);

/// What the meta leader knows of the newest shards; nothing on other nodes.
#[derive(Default)]
pub(crate) struct Loads {
    shards: Mutex<BTreeMap<ShardId, Fill>>,
}

impl Loads {
    /// Takes note of one round of answers; what nobody has said anything of stays as it was.
    fn learn(&self, round: Round) {
        self.shards.lock().extend(round.shards);
    }

    /// Forgets shards of earlier buckets.
    fn keep_since(&self, bucket: u64) {
        self.shards.lock().retain(|shard, _| shard.bucket >= bucket);
    }

    /// Forgets all.
    fn clear(&self) {
        self.shards.lock().clear();
    }

    /// Why a bucket should end because of its size, if one of its shards has reached a limit.
    pub(crate) fn outgrown(
        &self,
        bucket: &meta::Bucket,
        size: SizeSettings,
    ) -> Option<&'static str> {
        let shards = self.shards.lock();
        let fills = bucket
            .shards()
            .filter_map(|(shard, _)| shards.get(&shard).copied());
        let reaches = |value: u64, limit: u64| limit > 0 && value >= limit;
        fills.into_iter().find_map(|fill| {
            if reaches(fill.bytes, size.bytes) {
                return Some("a shard has as many bytes as one may have");
            }
            let many = reaches(fill.segments, size.segments);
            many.then_some("a shard has as many segments as one may have")
        })
    }
}

impl Cluster {
    /// How full the shards on this node are whose group runs and whose bucket is not earlier than this one. CPU work.
    pub(super) fn own_loads(&self, since_bucket: u64) -> pb::LoadsReply {
        let mut shards = Vec::new();
        for replica in self.replicas().all() {
            if replica.shard.bucket < since_bucket {
                continue;
            }
            match replica.fill() {
                Ok(fill) => shards.push(pb::ShardLoad {
                    group: replica.shard.group(),
                    bytes: fill.bytes,
                    segments: fill.segments,
                }),
                // Whoever reads the shard finds that out, and has it mended.
                Err(error) => {
                    tracing::debug!(shard = %replica.shard, %error, "it is not known how full a shard is")
                }
            }
        }
        pb::LoadsReply {
            node_id: self.settings().node,
            shards,
        }
    }

    /// Asks the nodes while this one leads the meta group, until it stops.
    pub(super) async fn follow_loads(self) -> Result<(), super::Error> {
        let stop = self.inner.tasks.stop_token();
        while unless_stopped(&stop, sleep(TICK)).await
            && unless_stopped(&stop, self.ask_loads()).await
        {}
        Ok(())
    }

    async fn ask_loads(&self) {
        let loads = &self.inner.loads;
        let state = self.inner.meta.state();
        let Some(open) = state.open_bucket().filter(|_| self.inner.meta.is_leader()) else {
            loads.clear();
            return;
        };
        let since = open.bucket;
        loads.keep_since(since);
        let asked = self.replicas().all_members().into_iter();
        let asked = asked.map(|(node, peer)| async move {
            let told = timeout(DEADLINE, self.loads_of(node, &peer.addr, since)).await;
            let told = told.map_err(|_| "no answer in time".to_owned());
            (node, told.and_then(|told| told))
        });
        let mut round = Round::new(since);
        for (node, told) in join_all(asked).await {
            match told {
                Ok(told) => round.add(&told),
                Err(reason) => tracing::debug!(node, reason, "a node does not say how full it is"),
            }
        }
        loads.learn(round);
    }

    async fn loads_of(
        &self,
        node: NodeId,
        addr: &str,
        since: u64,
    ) -> Result<pb::LoadsReply, String> {
        if node == self.settings().node {
            let cluster = self.clone();
            let told = self.pool().run(move || cluster.own_loads(since)).await;
            return told.map_err(|error| error.to_string());
        }
        let channel = self.connect().channel(node, addr, Lane::Control);
        let channel = channel.map_err(|status| status.message().to_owned())?;
        let mut client = NodeClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let request = pb::LoadsRequest {
            since_bucket: since,
        };
        let told = client.loads(request).await;
        let told = told.map_err(|status| status.message().to_owned())?;
        let told = told.into_inner();
        if told.node_id != node {
            return Err(format!("node {} listens at its address", told.node_id));
        }
        Ok(told)
    }
}

/// What the nodes have answered to one question.
struct Round {
    since: u64,
    shards: BTreeMap<ShardId, Fill>,
}

impl Round {
    const fn new(since: u64) -> Self {
        Self {
            since,
            shards: BTreeMap::new(),
        }
    }

    /// Adds what a node says. Replicas differ by what they have not applied yet: the most counts. Of other buckets
    /// than were asked for a node is not heard.
    fn add(&mut self, told: &pb::LoadsReply) {
        for one in &told.shards {
            let shard = ShardId::from_group(one.group).filter(|shard| shard.bucket >= self.since);
            let Some(shard) = shard else {
                continue;
            };
            let known = self.shards.entry(shard).or_default();
            known.bytes = known.bytes.max(one.bytes);
            known.segments = known.segments.max(one.segments);
        }
    }
}

#[cfg(test)]
mod tests {
    use hushlog_record::Timestamp;

    use super::*;

    const SIZE: SizeSettings = SizeSettings {
        bytes: 100,
        segments: 10,
        open_min: Duration::from_secs(1),
    };

    fn bucket(bucket: u64) -> meta::Bucket {
        let slot = |slot| meta::Slot {
            slot,
            voters: vec![1],
            preferred_leader: 1,
        };
        meta::Bucket {
            bucket,
            opened_at: Timestamp::from_nanos(1),
            closed_at: None,
            policy_epoch: 0,
            slots: vec![slot(0), slot(1)],
        }
    }

    fn told(bucket: u64, slot: u16, bytes: u64, segments: u64) -> pb::LoadsReply {
        pb::LoadsReply {
            node_id: 1,
            shards: vec![pb::ShardLoad {
                group: ShardId { bucket, slot }.group(),
                bytes,
                segments,
            }],
        }
    }

    fn learn<const N: usize>(loads: &Loads, since: u64, all: [pb::LoadsReply; N]) {
        let mut round = Round::new(since);
        for told in &all {
            round.add(told);
        }
        loads.learn(round);
    }

    #[test]
    fn one_shard_at_a_limit_ends_the_bucket_and_a_limit_of_zero_is_none() {
        let loads = Loads::default();
        let ends = |size| loads.outgrown(&bucket(3), size);
        assert_eq!(ends(SIZE), None, "nothing is known");
        learn(&loads, 3, [told(3, 0, 99, 9), told(3, 1, 0, 0)]);
        assert_eq!(ends(SIZE), None);
        learn(&loads, 3, [told(3, 1, 100, 0)]);
        let bytes = "a shard has as many bytes as one may have";
        assert_eq!(ends(SIZE), Some(bytes));
        let by_segments = SizeSettings { bytes: 0, ..SIZE };
        assert_eq!(ends(by_segments), None);
        learn(&loads, 3, [told(3, 0, 99, 10)]);
        let segments = "a shard has as many segments as one may have";
        assert_eq!(ends(by_segments), Some(segments));
        let by_nothing = SizeSettings {
            segments: 0,
            ..by_segments
        };
        assert_eq!(ends(by_nothing), None);
    }

    #[test]
    fn a_bucket_ends_by_its_own_shards_and_others_are_forgotten() {
        let loads = Loads::default();
        learn(&loads, 4, [told(3, 0, 100, 10)]);
        assert!(loads.shards.lock().is_empty(), "it was not asked for");
        learn(&loads, 3, [told(3, 0, 100, 10)]);
        assert_eq!(loads.outgrown(&bucket(4), SIZE), None);
        assert!(loads.outgrown(&bucket(3), SIZE).is_some());
        loads.keep_since(4);
        assert!(loads.shards.lock().is_empty());
    }

    #[test]
    fn a_replica_that_lags_hides_nothing_and_merging_makes_fewer() {
        let loads = Loads::default();
        let fill = || loads.shards.lock().values().next().copied();
        learn(&loads, 3, [told(3, 0, 100, 10), told(3, 0, 60, 0)]);
        let (bytes, segments) = (100, 10);
        assert_eq!(fill(), Some(Fill { bytes, segments }));
        learn(&loads, 3, []);
        assert_eq!(fill(), Some(Fill { bytes, segments }), "nobody answered");
        learn(&loads, 3, [told(3, 0, 90, 4), told(3, 0, 60, 0)]);
        let (bytes, segments) = (90, 4);
        assert_eq!(fill(), Some(Fill { bytes, segments }));
    }
}
