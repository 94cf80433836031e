//! Retention: a bucket whose time is over is dropped, and then nothing of it is left on any node, no row and
//! no file; what is not over stays. So it is with replicas that were moved to other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use hushlog_node::Node;
use hushlog_raft::meta::State;
use hushlog_record::{ShardId, Timestamp};
use hushlog_storage::store::{ScanLimit, Space, Store};

use super::World;
use crate::sim::net::host;

/// What should be gone and is not, or should not be and is.
pub(super) fn check(world: &World, running: &BTreeMap<u64, Node>) -> Vec<String> {
    let mut violations = Vec::new();
    let running = running.iter();
    for (node, running) in running.filter(|(node, _)| !world.base.is_out(**node)) {
        let mem = world.base.disk(*node);
        let mut left = BTreeSet::new();
        for space in [Space::Log, Space::State] {
            let rows = mem.mem().scan(space, &[], &[u8::MAX; 24], ScanLimit::NONE);
            left.extend(
                rows.unwrap_or_default()
                    .iter()
                    .filter_map(|(key, _)| shard_of(key)),
            );
        }
        left.extend(folders(
            &world.folder.path().join(host(*node)).join("segments"),
        ));
        let now = Timestamp::from_millis(world.base.wall(*node));
        violations.extend(judge(*node, &running.facts(), &left, now, world.retention));
    }
    violations
}

fn shard_of(key: &[u8]) -> Option<ShardId> {
    ShardId::from_group(u64::from_be_bytes(*key.first_chunk()?))
}

fn folders(segments: &Path) -> Vec<ShardId> {
    let entries = fs::read_dir(segments).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

/// The same of one node: what it knows of the cluster, and the shards of which anything is on its disk.
fn judge(
    node: u64,
    facts: &State,
    left: &BTreeSet<ShardId>,
    now: Timestamp,
    retention: Option<Duration>,
) -> Vec<String> {
    let gone = left.iter().filter(|shard| facts.is_dropped(**shard));
    let gone =
        gone.map(|shard| format!("node {node} still has something of {shard}, which was dropped"));
    let mut violations: Vec<String> = gone.collect();
    let moved = left
        .iter()
        .filter(|shard| facts.is_elsewhere(**shard, node));
    violations
        .extend(moved.map(|shard| {
            format!("node {node} still has something of {shard}, which is on others")
        }));
    let period = retention.map(|retention| i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX));
    for bucket in facts.buckets.values() {
        // A record may come in after the bucket has closed, as long as its shard has not.
        let shards = bucket.shards();
        let seals = shards.filter_map(|(shard, _)| facts.sealed.get(&shard));
        let youngest = seals.filter_map(|seal| Some(seal.time_bounds()?.1)).max();
        let last = bucket
            .closed_at
            .map(|at| youngest.map_or(at, |y| y.max(at)));
        let ends = last
            .zip(period)
            .map(|(at, period)| at.saturating_add(period));
        if ends.is_some_and(|ends| ends < now) && facts.may_be_dropped(bucket) {
            violations.push(format!(
                "node {node} knows bucket {} as over, and not dropped",
                bucket.bucket
            ));
        }
    }
    if retention.is_none() && !facts.buckets.is_empty() && !facts.buckets.contains_key(&1) {
        violations.push(format!("node {node} has lost bucket 1 before its time"));
    }
    violations
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Bucket, Plan};

    use super::*;

    fn shard(bucket: u64) -> ShardId {
        ShardId { bucket, slot: 0 }
    }

    /// Buckets of no shards from this number to 4, the last of them open.
    fn facts(first: u64) -> State {
        let at = Timestamp::from_millis;
        let bucket = |number: u64| Bucket {
            bucket: number,
            opened_at: at(0),
            closed_at: (number < 4).then(|| at(1_000)),
            policy_epoch: 0,
            slots: Vec::new(),
            plan: Plan::default(),
        };
        State {
            buckets: (first..=4).map(|number| (number, bucket(number))).collect(),
            ..State::default()
        }
    }

    #[test]
    fn what_was_left_and_what_went_too_early_is_seen() {
        let second = Duration::from_secs(1);
        let judged = |first, left: &[u64], millis, retention| {
            let left = left.iter().map(|bucket| shard(*bucket)).collect();
            let now = Timestamp::from_millis(millis);
            judge(1, &facts(first), &left, now, retention).len()
        };
        assert_eq!(judged(1, &[], 9_000, None), 0);
        assert_eq!(judged(2, &[], 9_000, None), 1, "it is not over");
        assert_eq!(
            judged(4, &[5], 2_000, Some(second)),
            0,
            "not known here yet"
        );
        assert_eq!(judged(4, &[3, 5], 2_000, Some(second)), 1, "left behind");
        assert_eq!(judged(4, &[], 2_000, Some(second)), 0);
        assert_eq!(judged(3, &[], 2_000, Some(second)), 0, "just over");
        assert_eq!(judged(3, &[], 2_001, Some(second)), 1, "not dropped");
    }
}
