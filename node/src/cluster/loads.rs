//! How full the newest shards are and how fast they fill: the meta leader asks every node once a second.
//!
//! Only what is at hand is told, and nothing is kept beyond the newest buckets. A node that does not answer in time
//! is asked again: its shards have other replicas, which say the same.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::Lane;
use hushlog_raft::meta::{self, Because, Rate};
use hushlog_record::{NodeId, ShardId};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::measure::{self, Rates, busier};
use super::plan::Measured;
use super::replica::Fill;
use super::settings::SizeSettings;
use super::{Cluster, MESSAGE_BYTES_MAX};
use crate::limits::LOAD_SERVICES_MAX;
use crate::tasks::unless_stopped;

/// How often nodes are asked.
const TICK: Duration = Duration::from_secs(1);
/// How long a node has to answer.
const DEADLINE: Duration = Duration::from_secs(1);

/// What is known of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Load {
    /// How much it holds.
    fill: Fill,
    /// What came in at the busiest.
    rates: Rates,
}

/// What the meta leader knows of the shards of the last two buckets; nothing on other nodes.
#[derive(Default)]
pub(crate) struct Loads {
    shards: Mutex<BTreeMap<ShardId, Load>>,
}

impl Loads {
    /// Takes note of one round of answers; what nobody has said anything of stays as it was, and what was the
    /// busiest time stays that.
    fn learn(&self, round: Round) {
        let mut shards = self.shards.lock();
        for (shard, load) in round.shards {
            let known = shards.entry(shard).or_default();
            known.fill = load.fill;
            known.rates.or_busier(&load.rates);
        }
    }

    /// What was measured of the open bucket and the one before: of each figure the higher, since a bucket that has
    /// just begun has shown little.
    pub(crate) fn measured(&self, state: &meta::State) -> Measured {
        let shards = self.shards.lock();
        let mut measured = Measured::default();
        for (place, bucket) in state.buckets.values().rev().take(2).enumerate() {
            let loads = bucket.shards().map(|(shard, _)| shards.get(&shard));
            let loads: Vec<Option<&Load>> = loads.collect();
            if place == 0 {
                measured.whole = bucket.closed_at.is_none() && loads.iter().all(Option::is_some);
            }
            let (all, services) = sum(loads.into_iter().flatten());
            measured.all = busier(measured.all, all);
            for (service, rate) in services {
                let known = measured.services.entry(service).or_default();
                *known = busier(*known, rate);
            }
        }
        measured
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
    pub(crate) fn outgrown(&self, bucket: &meta::Bucket, size: SizeSettings) -> Option<Because> {
        let shards = self.shards.lock();
        let loads = bucket.shards();
        let mut fills = loads.filter_map(|(shard, _)| Some(shards.get(&shard)?.fill));
        let reaches = |value: u64, limit: u64| limit > 0 && value >= limit;
        fills.find_map(|fill| {
            if reaches(fill.bytes, size.bytes) {
                return Some(Because::Bytes);
            }
            let many = reaches(fill.segments, size.segments);
            many.then_some(Because::Segments)
        })
    }
}

/// All that came into some shards, and of which services.
fn sum<'a>(loads: impl Iterator<Item = &'a Load>) -> (Rate, BTreeMap<String, Rate>) {
    let mut all = Rate::default();
    let mut services: BTreeMap<String, Rate> = BTreeMap::new();
    let add = |sum: &mut Rate, rate: Rate| {
        sum.bytes = sum.bytes.saturating_add(rate.bytes);
        sum.records = sum.records.saturating_add(rate.records);
    };
    for load in loads {
        add(&mut all, load.rates.all);
        for (service, rate) in &load.rates.services {
            add(services.entry(service.clone()).or_default(), *rate);
        }
    }
    (all, services)
}

impl Cluster {
    /// How full the shards on this node are whose bucket is not earlier than this one, and what was measured of
    /// them here. CPU work.
    pub(super) fn own_loads(&self, since_bucket: u64) -> pb::LoadsReply {
        let mut loads: BTreeMap<ShardId, Load> = BTreeMap::new();
        for (shard, rates) in self.inner.meters.since(since_bucket) {
            loads.entry(shard).or_default().rates = rates;
        }
        for replica in self.replicas().all() {
            if replica.shard.bucket < since_bucket {
                continue;
            }
            match replica.fill() {
                Ok(fill) => loads.entry(replica.shard).or_default().fill = fill,
                // Whoever reads the shard finds that out, and has it mended.
                Err(error) => {
                    tracing::debug!(shard = %replica.shard, %error, "it is not known how full a shard is");
                }
            }
        }
        pb::LoadsReply {
            node_id: self.settings().node,
            shards: loads.into_iter().map(to_wire).collect(),
        }
    }

    /// Measures what comes in of the shards that this node leads, until it stops.
    pub(super) async fn follow_meters(self) -> Result<(), super::Error> {
        let stop = self.inner.tasks.stop_token();
        while unless_stopped(&stop, sleep(measure::TICK)).await {
            let cluster = self.clone();
            let looked = self.pool().run(move || cluster.look_at_meters()).await;
            if let Err(error) = looked {
                tracing::debug!(%error, "what comes in was not measured");
            }
        }
        Ok(())
    }

    fn look_at_meters(&self) {
        let Some(open) = self.inner.meta.state().open_bucket().map(|b| b.bucket) else {
            return;
        };
        let meters = &self.inner.meters;
        meters.keep_since(open.saturating_sub(1));
        let newest = self.replicas().all().into_iter();
        for replica in newest.filter(|replica| replica.shard.bucket == open) {
            let now = Instant::now();
            if replica.group.is_leader() {
                meters.look(replica.shard, &replica.group.view(), now);
            } else {
                meters.pass(replica.shard, replica.positions().applied_to, now);
            }
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
        let since = open.bucket.saturating_sub(1);
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
    shards: BTreeMap<ShardId, Load>,
}

impl Round {
    const fn new(since: u64) -> Self {
        Self {
            since,
            shards: BTreeMap::new(),
        }
    }

    /// Adds what a node says. Replicas differ by what they have not applied yet, and by when they led: the most
    /// counts. Of other buckets than were asked for a node is not heard.
    fn add(&mut self, told: &pb::LoadsReply) {
        for one in &told.shards {
            let shard = ShardId::from_group(one.group).filter(|shard| shard.bucket >= self.since);
            let Some(shard) = shard else {
                continue;
            };
            let known = self.shards.entry(shard).or_default();
            known.fill.bytes = known.fill.bytes.max(one.bytes);
            known.fill.segments = known.fill.segments.max(one.segments);
            known.rates.or_busier(&rates_of_wire(one));
        }
    }
}

fn to_wire((shard, load): (ShardId, Load)) -> pb::ShardLoad {
    let rate = |rate: Rate| pb::LoadRate {
        bytes: rate.bytes,
        records: rate.records,
    };
    let services = load.rates.services.into_iter();
    let services = services.map(|(service, of_it)| pb::ServiceLoad {
        service,
        rate: Some(rate(of_it)),
    });
    pb::ShardLoad {
        group: shard.group(),
        bytes: load.fill.bytes,
        segments: load.fill.segments,
        rate: Some(rate(load.rates.all)),
        services: services.collect(),
    }
}

fn rates_of_wire(told: &pb::ShardLoad) -> Rates {
    let rate = |rate: Option<pb::LoadRate>| {
        let rate = rate.unwrap_or_default();
        Rate {
            bytes: rate.bytes,
            records: rate.records,
        }
    };
    let services = told.services.iter().take(LOAD_SERVICES_MAX);
    Rates {
        all: rate(told.rate),
        services: services
            .map(|one| (one.service.clone(), rate(one.rate)))
            .collect(),
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
            plan: meta::Plan::default(),
        }
    }

    fn told(bucket: u64, slot: u16, bytes: u64, segments: u64) -> pb::LoadsReply {
        pb::LoadsReply {
            node_id: 1,
            shards: vec![pb::ShardLoad {
                group: ShardId { bucket, slot }.group(),
                bytes,
                segments,
                ..pb::ShardLoad::default()
            }],
        }
    }

    /// A node that has measured so much of a service.
    fn measured(bucket: u64, slot: u16, service: &str, bytes: u64) -> pb::LoadsReply {
        let rate = pb::LoadRate { bytes, records: 1 };
        let mut told = told(bucket, slot, 0, 0);
        told.shards[0].rate = Some(rate);
        told.shards[0].services = vec![pb::ServiceLoad {
            service: service.to_owned(),
            rate: Some(rate),
        }];
        told
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
        assert_eq!(ends(SIZE), Some(Because::Bytes));
        let by_segments = SizeSettings { bytes: 0, ..SIZE };
        assert_eq!(ends(by_segments), None);
        learn(&loads, 3, [told(3, 0, 99, 10)]);
        assert_eq!(ends(by_segments), Some(Because::Segments));
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
        let fill = || loads.shards.lock().values().next().map(|load| load.fill);
        learn(&loads, 3, [told(3, 0, 100, 10), told(3, 0, 60, 0)]);
        let (bytes, segments) = (100, 10);
        assert_eq!(fill(), Some(Fill { bytes, segments }));
        learn(&loads, 3, []);
        assert_eq!(fill(), Some(Fill { bytes, segments }), "nobody answered");
        learn(&loads, 3, [told(3, 0, 90, 4), told(3, 0, 60, 0)]);
        let (bytes, segments) = (90, 4);
        assert_eq!(fill(), Some(Fill { bytes, segments }));
    }

    #[test]
    fn what_was_busiest_in_the_last_two_buckets_is_planned_by() {
        let loads = Loads::default();
        let state = meta::State {
            buckets: (1..=3).map(|number| (number, bucket(number))).collect(),
            ..meta::State::default()
        };
        assert_eq!(loads.measured(&state), Measured::default());
        let told = [
            measured(1, 0, "old", 900),
            measured(2, 0, "a", 50),
            measured(2, 1, "a", 30),
            measured(3, 0, "a", 20),
            measured(3, 0, "a", 10),
        ];
        learn(&loads, 1, told);
        let rate = |bytes, records| Rate { bytes, records };
        let part = loads.measured(&state);
        assert!(!part.whole, "of one of its slots nobody has said anything");
        assert_eq!(part.all, rate(80, 2));
        assert_eq!(
            part.services,
            BTreeMap::from([("a".to_owned(), rate(80, 2))])
        );
        learn(
            &loads,
            1,
            [measured(3, 1, "b", 100), measured(3, 0, "a", 5)],
        );
        let whole = loads.measured(&state);
        assert!(whole.whole);
        assert_eq!(whole.all, rate(120, 2), "the busiest time stays");
        assert_eq!(whole.services["a"], rate(80, 2));
        assert_eq!(whole.services["b"], rate(100, 1));
    }
}
