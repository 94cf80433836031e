//! The cluster view for people: nodes, shards, leaders, positions, and what is not as it should be.

use std::collections::{BTreeMap, BTreeSet};

use hushlog_proto::hushlog::internal::v1::{HeldShard, NodeReport};
use hushlog_raft::meta::{self, Standing};
use hushlog_record::{NodeId, ShardId};
use serde_json::{Value, json};

use super::Cluster;
use super::held::Held;
use super::report::Report;

/// Replicas on their way that an answer names; their number is always whole.
const MOVES_LISTED_MAX: usize = 100;
/// Shards that lack replicas which an answer names; their number is always whole.
const UNDER_REPLICATED_MAX: usize = 100;

impl Cluster {
    /// What `GET /api/v1/cluster` answers: the whole cluster, every node asked how it is.
    pub async fn describe(&self) -> Value {
        // Before the nodes are asked: what opens meanwhile is missing nowhere. What is dropped meanwhile is.
        let state = self.inner.meta.state();
        let reports = self.reports().await;
        let now = self.inner.meta.state();
        let mut view = self.describe_node();
        view["nodes"] = state
            .nodes
            .values()
            .map(|node| {
                let mut view = described(node, reports.get(&node.id));
                view["membership"] = json!(state.standing(node.id).map(Standing::name));
                view["placed"] = json!(state.shards_on(node.id));
                view
            })
            .collect();
        let mut lacking = lacking(&state, &reports);
        lacking.retain(|shard, _| now.slot(*shard).is_some());
        view["totals"] = json!({
            "shards": by_state(&state),
            "bytes": reports.values().flatten().map(|report| report.log_bytes + report.segment_bytes).sum::<u64>(),
            "under_replicated": lacking.len(),
            "moving": state.roster.moves.len(),
        });
        let moves = state.roster.moves.iter().take(MOVES_LISTED_MAX);
        view["moves"] = moves
            .map(|(shard, going)| {
                json!({"shard": shard.to_string(), "from": going.from, "to": going.to})
            })
            .collect();
        let listed = lacking.into_iter().take(UNDER_REPLICATED_MAX);
        view["under_replicated"] = listed
            .map(|(shard, nodes)| {
                let why = |(node, why)| json!({"node": node, "reason": why});
                let replicas: Vec<Value> = nodes.into_iter().map(why).collect();
                json!({"shard": shard.to_string(), "replicas": replicas})
            })
            .collect();
        view
    }

    /// The part that this node knows by itself: the facts, and the shards that it holds.
    pub fn describe_node(&self) -> Value {
        let state = self.inner.meta.state();
        let meta = self.inner.meta.status();
        let nodes: Vec<Value> = state.nodes.values().map(address).collect();
        let doubts = self.replicas().doubts();
        let held = self.replicas().all_held();
        let shards: Vec<Value> = held
            .iter()
            .map(|held| shard(held, doubts.is_damaged(held.shard())))
            .collect();
        json!({
            "cluster_id": format!("{:032x}", self.inner.secret.cluster),
            "node": self.inner.settings.node,
            "replication": state.replication,
            "copies": state.copies(),
            "rebalancing": state.roster.rebalancing,
            "removed": state.roster.removed,
            "nodes": nodes,
            "meta": {"term": meta.term, "role": meta.role.name(), "leader": meta.leader, "applied_to": meta.applied_to},
            "open_bucket": state.open_bucket().map(open_bucket),
            "buckets": self.periods().describe_buckets(),
            "shards": shards,
        })
    }
}

/// The open bucket, and how it was planned.
fn open_bucket(bucket: &meta::Bucket) -> Value {
    let rate = |rate: meta::Rate| json!({"bytes_per_second": rate.bytes, "records_per_second": rate.records});
    let placement = bucket.slots.iter().map(|slot| {
        json!({"slot": slot.slot, "voters": slot.voters, "preferred_leader": slot.preferred_leader})
    });
    let spread = bucket.plan.spread.iter().map(|(service, spread)| {
        json!({"service": service, "slots": spread.slots, "measured": rate(spread.rate)})
    });
    let classes = bucket.plan.classes.iter().map(|class| {
        json!({"retention": class.keeping.name(), "slots": class.slots, "services": class.services})
    });
    json!({
        "bucket": bucket.bucket,
        "opened_at": bucket.opened_at.to_string(),
        "opened_because": bucket.plan.because.reason(),
        "slots": bucket.slots.len(),
        "placement": placement.collect::<Vec<_>>(),
        "measured": rate(bucket.plan.rate),
        "spread": spread.collect::<Vec<_>>(),
        "classes": classes.collect::<Vec<_>>(),
    })
}

fn address(node: &meta::Node) -> Value {
    json!({
        "id": node.id, "grpc": node.grpc, "http": node.http,
        "region": node.region, "zone": node.zone,
    })
}

/// A node with what it says of itself.
fn described(node: &meta::Node, report: Option<&Report>) -> Value {
    let mut view = address(node);
    let report = match report {
        Some(Ok(report)) => report,
        Some(Err(reason)) => {
            view["state"] = json!("unreachable");
            view["reason"] = json!(reason);
            return view;
        }
        None => {
            view["state"] = json!("unknown");
            return view;
        }
    };
    if report.unready.is_empty() {
        view["state"] = json!("ready");
    } else {
        view["state"] = json!("unready");
        view["reason"] = json!(report.unready);
    }
    let count = |wanted: fn(&HeldShard) -> bool| report.shards.iter().filter(|s| wanted(s)).count();
    view["disk"] = json!({"total": report.disk_total, "free": report.disk_free});
    view["bytes"] = json!({"log": report.log_bytes, "segments": report.segment_bytes});
    view["shards"] = json!({
        "open": count(|shard| !shard.sealed),
        "sealed": count(|shard| shard.sealed),
        "leads": count(|shard| shard.leads),
        "damaged": count(|shard| shard.damaged),
    });
    view
}

fn by_state(state: &meta::State) -> Value {
    let (mut open, mut closed, mut sealed) = (0u64, 0u64, 0u64);
    for bucket in state.buckets.values() {
        for (shard, _) in bucket.shards() {
            if state.sealed.contains_key(&shard) {
                sealed += 1;
            } else if bucket.closed_at.is_some() {
                closed += 1;
            } else {
                open += 1;
            }
        }
    }
    json!({"open": open, "closed": closed, "sealed": sealed})
}

/// The shards of which a node that should hold a replica has none that is whole, with those nodes and what is
/// wrong; and those that have fewer replicas than there should be, with no node.
fn lacking(
    state: &meta::State,
    reports: &BTreeMap<NodeId, Report>,
) -> BTreeMap<ShardId, Vec<(Option<NodeId>, &'static str)>> {
    let holds = |report: &NodeReport| -> (BTreeSet<u64>, BTreeSet<u64>) {
        let damaged = report.shards.iter().filter(|shard| shard.damaged);
        let damaged = damaged.map(|shard| shard.group).collect();
        (report.shards.iter().map(|s| s.group).collect(), damaged)
    };
    let held: BTreeMap<NodeId, (BTreeSet<u64>, BTreeSet<u64>)> = reports
        .iter()
        .filter_map(|(node, report)| Some((*node, holds(report.as_ref().ok()?))))
        .collect();
    let copies = state.copies();
    let mut lacking = BTreeMap::new();
    for (shard, slot) in state.buckets.values().flat_map(meta::Bucket::shards) {
        let mut wrong: Vec<(Option<NodeId>, &str)> = slot
            .voters
            .iter()
            .filter_map(|node| match held.get(node) {
                None => Some((Some(*node), "unreachable")),
                Some((all, _)) if !all.contains(&shard.group()) => Some((Some(*node), "missing")),
                Some((_, damaged)) if damaged.contains(&shard.group()) => {
                    Some((Some(*node), "damaged"))
                }
                Some(_) => None,
            })
            .collect();
        if slot.voters.len() < copies {
            wrong.push((None, "too few copies"));
        }
        if !wrong.is_empty() {
            lacking.insert(shard, wrong);
        }
    }
    lacking
}

fn shard(held: &Held, damaged: bool) -> Value {
    let replica = match held {
        Held::Open(replica) => replica,
        Held::Sealed(replica) => {
            return json!({
                "shard": replica.shard.to_string(),
                "state": "sealed",
                "positions": {"segmented_to": replica.segmented_to},
                "segment_bytes": replica.bytes.total(),
                "damaged": damaged,
            });
        }
    };
    let status = replica.group.status();
    let members: Vec<Value> = status
        .members
        .iter()
        .map(|member| json!({"node": member.node, "voter": member.voter, "lag": member.lag}))
        .collect();
    json!({
        "shard": replica.shard.to_string(),
        "state": if status.closed { "closed" } else { "open" },
        "role": status.role.name(),
        "leader": status.leader,
        "term": status.term,
        "resting": status.resting,
        "positions": {
            "trimmed_to": status.trimmed_to, "segmented_to": status.segmented_to,
            "applied_to": status.applied_to, "committed_to": status.committed_to,
            "appended_to": status.appended_to,
        },
        "segment_bytes": held.file_bytes().total(),
        "damaged": damaged,
        "members": members,
    })
}

#[cfg(test)]
mod tests {
    use hushlog_record::Timestamp;

    use super::*;

    fn state() -> meta::State {
        let slot = |slot| meta::Slot {
            slot,
            voters: vec![1, 2],
            preferred_leader: 1,
        };
        let bucket = meta::Bucket {
            bucket: 1,
            opened_at: Timestamp::from_nanos(1),
            closed_at: None,
            policy_epoch: 0,
            slots: vec![slot(0), slot(1)],
            plan: meta::Plan::default(),
        };
        meta::State {
            buckets: BTreeMap::from([(1, bucket)]),
            ..meta::State::default()
        }
    }

    fn report(held: &[(u16, bool)]) -> Report {
        let shard = |(slot, damaged): &(u16, bool)| HeldShard {
            group: ShardId {
                bucket: 1,
                slot: *slot,
            }
            .group(),
            damaged: *damaged,
            ..HeldShard::default()
        };
        Ok(NodeReport {
            shards: held.iter().map(shard).collect(),
            ..NodeReport::default()
        })
    }

    #[test]
    fn replicas_that_are_missing_damaged_or_out_of_reach_are_named() {
        let shard = |slot| ShardId { bucket: 1, slot };
        let whole = || report(&[(0, false), (1, false)]);
        let all_well = BTreeMap::from([(1, whole()), (2, whole())]);
        assert!(lacking(&state(), &all_well).is_empty());

        let damaged = BTreeMap::from([(1, whole()), (2, report(&[(1, true)]))]);
        let expected = [
            (shard(0), vec![(Some(2), "missing")]),
            (shard(1), vec![(Some(2), "damaged")]),
        ];
        assert_eq!(lacking(&state(), &damaged), BTreeMap::from(expected));

        let silent = BTreeMap::from([(1, whole()), (2, Err("no answer in time".into()))]);
        let expected = [0, 1].map(|slot| (shard(slot), vec![(Some(2), "unreachable")]));
        assert_eq!(lacking(&state(), &silent), BTreeMap::from(expected));
    }
    #[test]
    fn a_shard_with_fewer_replicas_than_there_could_be_is_named_without_a_node() {
        let mut state = state();
        state.replication = 3;
        for id in 1..=3 {
            let node = meta::Node {
                id,
                grpc: String::new(),
                http: String::new(),
                region: String::new(),
                zone: String::new(),
            };
            state.nodes.insert(id, node);
        }
        let whole = || report(&[(0, false), (1, false)]);
        let all_well = BTreeMap::from([(1, whole()), (2, whole()), (3, report(&[]))]);
        let shard = |slot| ShardId { bucket: 1, slot };
        let expected = [0, 1].map(|slot| (shard(slot), vec![(None, "too few copies")]));
        assert_eq!(lacking(&state, &all_well), BTreeMap::from(expected));
    }
}
