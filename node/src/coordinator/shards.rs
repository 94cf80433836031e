//! Which shards a question concerns: by service, and by the event times of shards that take no more.

use hushlog_query::plan::Interval;
use hushlog_raft::meta::State;
use hushlog_record::{ShardId, Timestamp};

use crate::cluster::held::Held;
use crate::cluster::question::Question;
use crate::cluster::{Cluster, slots_of};

/// The shards to ask, oldest bucket first, and how many were left out because they cannot hold a row.
pub(super) fn choose(cluster: &Cluster, question: &Question) -> (Vec<ShardId>, u64) {
    let state = cluster.meta().state();
    let services = services(question);
    let time = time(question);
    let mut asked = Vec::new();
    let mut pruned = 0;
    for bucket in state.buckets.values() {
        let slots = services.as_ref().map(|services| {
            services
                .iter()
                .flat_map(|service| slots_of(bucket, service).into_owned())
                .collect::<Vec<_>>()
        });
        for (shard, _) in bucket.shards() {
            let wanted = slots
                .as_ref()
                .is_none_or(|slots| slots.contains(&shard.slot));
            if wanted && may_overlap(cluster, &state, shard, time) {
                asked.push(shard);
            } else {
                pruned += 1;
            }
        }
    }
    (asked, pruned)
}

fn services(question: &Question) -> Option<Vec<&str>> {
    match question {
        Question::Plan(plan) => plan.services(),
        Question::Lookup { .. } => None,
        Question::TopK(request) => request.service.as_deref().map(|service| vec![service]),
    }
}

fn time(question: &Question) -> Interval {
    match question {
        Question::Plan(plan) | Question::Lookup { plan, .. } => plan.time,
        Question::TopK(request) => request.time(),
    }
}

fn may_overlap(cluster: &Cluster, state: &State, shard: ShardId, time: Interval) -> bool {
    let overlaps = |bounds: Option<(Timestamp, Timestamp)>| {
        bounds.is_some_and(|(min, max)| time.overlaps(min, max))
    };
    if let Some(seal) = state.sealed.get(&shard) {
        return overlaps(seal.time_bounds());
    }
    // Else only what is closed and applied here is known in full.
    let held = cluster.replicas().held(shard);
    let Some(held) = held.filter(Held::is_complete) else {
        return true;
    };
    match held.time_bounds() {
        Ok(bounds) => overlaps(bounds),
        // It must be asked, and will be counted as failed.
        Err(_) => true,
    }
}
