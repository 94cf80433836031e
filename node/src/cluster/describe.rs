//! The cluster view for people: nodes, shards, leaders, positions.

use serde_json::{Value, json};

use super::Cluster;
use super::held::Held;

impl Cluster {
    /// What `GET /api/v1/cluster` answers, as this node knows it.
    pub fn describe(&self) -> Value {
        let state = self.inner.meta.state();
        let meta = self.inner.meta.status();
        let nodes: Vec<Value> = state
            .nodes
            .values()
            .map(|node| {
                json!({
                    "id": node.id, "grpc": node.grpc, "http": node.http,
                    "region": node.region, "zone": node.zone,
                })
            })
            .collect();
        let held = self.replicas().all_held();
        let shards: Vec<Value> = held.iter().map(shard).collect();
        json!({
            "cluster_id": format!("{:032x}", self.inner.secret.cluster),
            "node": self.inner.settings.node,
            "replication": state.replication,
            "nodes": nodes,
            "meta": {"term": meta.term, "role": meta.role.name(), "leader": meta.leader, "applied_to": meta.applied_to},
            "open_bucket": state.open_bucket().map(|bucket| json!({
                "bucket": bucket.bucket, "opened_at": bucket.opened_at.to_string(), "slots": bucket.slots.len(),
            })),
            "buckets": self.periods().describe_buckets(),
            "shards": shards,
        })
    }
}

fn shard(held: &Held) -> Value {
    let replica = match held {
        Held::Open(replica) => replica,
        Held::Sealed(replica) => {
            return json!({
                "shard": replica.shard.to_string(),
                "state": "sealed",
                "positions": {"segmented_to": replica.segmented_to},
                "segment_bytes": replica.bytes.total(),
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
        "positions": {
            "trimmed_to": status.trimmed_to, "segmented_to": status.segmented_to,
            "applied_to": status.applied_to, "committed_to": status.committed_to,
            "appended_to": status.appended_to,
        },
        "segment_bytes": held.file_bytes().total(),
        "members": members,
    })
}
