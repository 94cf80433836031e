//! What the cluster part of a node is told at its start.

use std::time::Duration;

use hushlog_raft::{Settings as RaftSettings, meta};
use hushlog_record::NodeId;

use super::cut::CutPolicy;
use super::plan::Bounds;
use crate::config::keys::{BUCKET_ALONE, BUCKET_CLUSTER};
use crate::config::{self, Config};
use crate::limits::{LEADER_PATIENCE, LOAD_WINDOW_MAX};

/// How the scrub goes round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubSettings {
    /// Bytes a second; 0 for no scrub.
    pub rate: u64,
    /// Pause before each round.
    pub pause: Duration,
}

/// What a shard may become before its bucket ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeSettings {
    /// Bytes as stored; 0 for no limit.
    pub bytes: u64,
    /// Segments; 0 for no limit.
    pub segments: u64,
    /// How long a bucket is open at least, whatever its size: a flood must not make a bucket a second.
    pub open_min: Duration,
}

/// How segments of finished shards are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeSettings {
    /// Bytes of files that a merged segment has at most; 0 for no merging.
    pub bytes: u64,
    /// How long after the end of a bucket; also how long others are asked for merged segments before they are
    /// merged once more.
    pub delay: Duration,
}

/// Settings of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// This node's number.
    pub node: NodeId,
    /// The nodes that this one was told of, itself among them, ascending by id. Who else there is, or is no
    /// more, the cluster's facts say.
    pub peers: Vec<meta::Node>,
    /// Where a running cluster is reached that this node joins.
    pub join: Vec<String>,
    /// Silence after which a node counts as dead; zero for never.
    pub dead_after: Duration,
    /// Length of a bucket.
    pub bucket: Duration,
    /// Whether that was not said, and depends on whether there are several nodes.
    pub bucket_auto: bool,
    /// By what size of a shard it ends before.
    pub size: SizeSettings,
    /// Slots of a bucket.
    pub slots: u16,
    /// Whether that was not said, and depends on the number of nodes and the load.
    pub slots_auto: bool,
    /// Bytes a second, as stored, that one slot should take; 0 for any.
    pub slot_rate: u64,
    /// How long it takes until rates that were measured before count little.
    pub load_window: Duration,
    /// Voters per shard that a new cluster should have, as soon as there are nodes for them.
    pub replication: u32,
    /// Timers of the groups.
    pub raft: RaftSettings,
    /// When tails are cut.
    pub cut: CutPolicy,
    /// How segments of finished shards are merged.
    pub merge: MergeSettings,
    /// How long a rule of retention must have stood, and rows have been past by it, before they are left out of
    /// segments that stay.
    pub rewrite_delay: Duration,
    /// Bytes a second of segments that are fetched from other nodes; 0 for no limit.
    pub fetch_rate: u64,
    /// How fast files are read again to find damage.
    pub scrub: ScrubSettings,
    /// How long records are kept that no rule says anything of.
    pub retention: Duration,
    /// Free bytes of the disk below which no data is taken.
    pub disk_reserve: u64,
    /// Bytes of all queries on this node.
    pub query_memory: usize,
    /// Bytes of one query on this node.
    pub query_memory_each: usize,
    /// Bytes of decoded tails that a node keeps for queries, of all its shards.
    pub tail_memory: usize,
}

impl ClusterSettings {
    /// What the node's configuration says about its cluster.
    pub fn of(config: &Config) -> Self {
        let cluster = &config.cluster;
        let peer = |peer: &config::Peer| {
            let own = peer.id == config.node.id;
            let local = |text: &str| if own { text.to_owned() } else { String::new() };
            meta::Node {
                id: peer.id,
                grpc: peer.address.clone(),
                http: if own {
                    config.http.to_string()
                } else {
                    String::new()
                },
                region: local(&config.node.region),
                zone: local(&config.node.zone),
            }
        };
        Self {
            node: config.node.id,
            peers: cluster.peers.iter().map(peer).collect(),
            join: cluster.join.clone(),
            dead_after: cluster.dead_after,
            bucket: cluster.bucket,
            bucket_auto: cluster.auto.bucket == Some(cluster.bucket),
            size: SizeSettings {
                bytes: cluster.bucket_bytes as u64,
                segments: u64::from(cluster.bucket_segments),
                open_min: cluster.bucket_min,
            },
            slots: cluster.slots,
            slots_auto: cluster.auto.slots == Some(cluster.slots),
            slot_rate: cluster.slot_rate as u64,
            load_window: LOAD_WINDOW_MAX.min(cluster.bucket / 4),
            replication: u32::try_from(cluster.replication).unwrap_or(u32::MAX),
            raft: RaftSettings {
                heartbeat: cluster.heartbeat,
                election_min: cluster.election_min,
                election_max: cluster.election_max,
                patience: LEADER_PATIENCE,
                rest_after: cluster.rest_after,
                log_keep: config.cut.log_keep as u64,
            },
            cut: CutPolicy {
                tail_bytes: config.cut.bytes as u64,
                tail_age: config.cut.age,
                node_tail_bytes_max: config.cut.backlog as u64,
            },
            merge: MergeSettings {
                bytes: config.merge.bytes as u64,
                delay: config.merge.delay,
            },
            rewrite_delay: config.retention.delay,
            fetch_rate: config.fetch.rate as u64,
            scrub: ScrubSettings {
                rate: config.scrub.rate as u64,
                pause: config.scrub.pause,
            },
            retention: config.retention.default,
            disk_reserve: config.limits.disk_reserve as u64,
            query_memory: config.limits.query_memory,
            query_memory_each: config.limits.query_memory_each,
            tail_memory: config.limits.tail_memory,
        }
    }

    /// The node that initialises the cluster: the one with the lowest number. None that joins another.
    pub fn is_first(&self) -> bool {
        self.join.is_empty() && self.peers.iter().map(|node| node.id).min() == Some(self.node)
    }

    /// Length of a bucket where so many nodes hold data.
    pub fn bucket_of(&self, nodes: usize) -> Duration {
        match (self.bucket_auto, nodes) {
            (false, _) => self.bucket,
            (true, 0..=1) => BUCKET_ALONE,
            (true, _) => BUCKET_CLUSTER,
        }
    }

    /// How many slots a bucket may have where so many nodes hold data.
    pub(crate) fn bounds_of(&self, nodes: usize) -> Bounds {
        if self.slots_auto {
            Bounds::of_nodes(nodes, self.slot_rate)
        } else {
            Bounds::fixed(self.slots, self.slot_rate)
        }
    }

    /// This node's entry.
    pub fn own(&self) -> Option<&meta::Node> {
        self.peers.iter().find(|node| node.id == self.node)
    }
}
