//! What the cluster part of a node is told at its start.

use std::time::Duration;

use hushlog_raft::{Settings as RaftSettings, meta};
use hushlog_record::NodeId;

use super::cut::CutPolicy;
use crate::config::{self, Config};
use crate::limits::LEADER_PATIENCE;

/// How the scrub goes round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubSettings {
    /// Bytes a second; 0 for no scrub.
    pub rate: u64,
    /// Pause before each round.
    pub pause: Duration,
}

/// Settings of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// This node's number.
    pub node: NodeId,
    /// All nodes, this one among them, ascending by id. The same list on every node.
    pub peers: Vec<meta::Node>,
    /// Length of a bucket.
    pub bucket: Duration,
    /// Slots of a bucket.
    pub slots: u16,
    /// Voters per shard.
    pub replication: u32,
    /// Timers of the groups.
    pub raft: RaftSettings,
    /// When tails are cut.
    pub cut: CutPolicy,
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
    /// Bytes of decoded tail that one shard keeps for queries.
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
            bucket: cluster.bucket,
            slots: cluster.slots,
            replication: u32::try_from(cluster.replication).unwrap_or(u32::MAX),
            raft: RaftSettings {
                heartbeat: cluster.heartbeat,
                election_min: cluster.election_min,
                election_max: cluster.election_max,
                patience: LEADER_PATIENCE,
                log_keep: config.cut.log_keep as u64,
            },
            cut: CutPolicy {
                tail_bytes: config.cut.bytes as u64,
                tail_age: config.cut.age,
                node_tail_bytes_max: config.cut.backlog as u64,
            },
            scrub: ScrubSettings {
                rate: config.scrub.rate as u64,
                pause: config.scrub.pause,
            },
            retention: config.retention.default,
            disk_reserve: config.limits.disk_reserve as u64,
            query_memory: config.limits.query_memory,
            query_memory_each: config.limits.query_memory_each,
            tail_memory: config.limits.tail_memory / usize::from(cluster.slots.max(1)),
        }
    }

    /// The node that initialises the cluster: the one with the lowest number.
    pub fn is_first(&self) -> bool {
        self.peers.iter().map(|node| node.id).min() == Some(self.node)
    }

    /// This node's entry.
    pub fn own(&self) -> Option<&meta::Node> {
        self.peers.iter().find(|node| node.id == self.node)
    }
}
