//! Settings: one TOML file, each key overridable by an environment variable and by a flag.
//!
//! [`keys::KEYS`] is the whole list, with defaults and explanations; `docs/configuration.md` is made
//! from it. Settings are what a user chooses; clocks, randomness and the like are components and are
//! passed separately.

pub mod keys;
mod layers;
mod units;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hushlog_raft::limits::{RETENTION_MAX, RETENTION_MIN};
use hushlog_record::NodeId;

pub use layers::{Error, Layers, Origin};

/// All settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Folder of everything the node keeps.
    pub data: PathBuf,
    /// Address of the HTTP interface.
    pub http: SocketAddr,
    /// Address of the gRPC interface, for producers and readers and for the other nodes.
    pub grpc: SocketAddr,
    /// Interfaces that are off unless configured.
    pub listen: Listen,
    /// Who this node is.
    pub node: Node,
    /// Whom it works with.
    pub cluster: Cluster,
    /// What it may use.
    pub limits: Limits,
    /// How long records are kept.
    pub retention: Retention,
    /// When the tail becomes a segment.
    pub cut: Cut,
    /// How segments of buckets that are over become larger ones.
    pub merge: Merge,
    /// How segments come from other nodes.
    pub fetch: Fetch,
    /// How files are read again to find damage.
    pub scrub: Scrub,
    /// Threads for CPU work; 0 means one per core.
    pub threads: usize,
    /// Which log lines of the node itself are printed, in the syntax of `RUST_LOG`.
    pub log: String,
}

/// Addresses of the interfaces that are off unless configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// OTLP/HTTP alone.
    pub otlp: Option<SocketAddr>,
    /// Elasticsearch's `_bulk` at the root.
    pub elasticsearch: Option<SocketAddr>,
    /// Syslog over TCP.
    pub syslog_tcp: Option<SocketAddr>,
    /// Syslog over UDP.
    pub syslog_udp: Option<SocketAddr>,
    /// How long a message of syslog waits for further lines of a stack trace; zero: none are joined.
    pub syslog_join: Duration,
}

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number, at least 1.
    pub id: NodeId,
    /// Its region.
    pub region: String,
    /// Its zone.
    pub zone: String,
    /// Host and port where the other nodes reach its gRPC interface.
    pub advertise: String,
}

/// One voter of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number.
    pub id: NodeId,
    /// Host and port of its gRPC interface.
    pub address: String,
}

/// What was not said, and is made of the number of peers at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auto {
    /// How long a bucket stays open.
    pub bucket: Option<Duration>,
    /// Slots of a bucket.
    pub slots: Option<u16>,
}

/// Whom a node works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// All nodes, this one among them, sorted by number.
    pub peers: Vec<Peer>,
    /// Host and port of nodes of a running cluster that this one joins; empty for a node that has its
    /// cluster, or begins one with its peers.
    pub join: Vec<String>,
    /// Silence of a node after which what it holds is copied to others; zero for never.
    pub dead_after: Duration,
    /// Copies of every record, as far as there are nodes to hold them.
    pub replication: usize,
    /// How long a bucket stays open.
    pub bucket: Duration,
    /// Bytes of one of its shards at which it ends before; 0 for never.
    pub bucket_bytes: usize,
    /// Segments of one of its shards at which it ends before; 0 for never.
    pub bucket_segments: u32,
    /// How long it stays open whatever its size.
    pub bucket_min: Duration,
    /// Slots of a bucket.
    pub slots: u16,
    /// Bytes a second, as stored, that one slot should take; 0 for any.
    pub slot_rate: usize,
    /// What length and slots are where nobody has said: they then follow the number of nodes.
    pub auto: Auto,
    /// Time between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// Shortest silence after which a follower stands for election.
    pub election_min: Duration,
    /// Longest such silence.
    pub election_max: Duration,
    /// How long nobody uses a shard before its heartbeats rest; zero: never.
    pub rest_after: Duration,
}

/// What a node may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of requests being taken in.
    pub ingest_memory: usize,
    /// Bytes of one decoded request.
    pub body: usize,
    /// Time from the head of an ingest request to its answer.
    pub ingest_timeout: Duration,
    /// Bytes of all queries of this node together.
    pub query_memory: usize,
    /// Bytes of one query on this node.
    pub query_memory_each: usize,
    /// Queries at once; the next one is refused.
    pub queries: usize,
    /// Time for a query that does not say.
    pub query_timeout: Duration,
    /// Bytes of decoded tails kept from one query to the next.
    pub tail_memory: usize,
    /// Open connections of clients of each interface.
    pub connections: usize,
    /// Free bytes of the disk below which no data is taken.
    pub disk_reserve: usize,
}

/// How long records are kept, where no rule of the cluster says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For all services.
    pub default: Duration,
    /// How long a rule must have stood before rows are written away by it.
    pub delay: Duration,
}

/// When the tail becomes a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of blocks in a tail.
    pub bytes: usize,
    /// Age of the oldest block of a tail.
    pub age: Duration,
    /// Bytes of a shard's log that stay behind its segments.
    pub log_keep: usize,
    /// Bytes of blocks in all tails beyond which no data is taken; at half of it the largest is cut.
    pub backlog: usize,
}

/// How segments of buckets that are over become larger ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Bytes of files of a merged segment; 0 for no merging.
    pub bytes: usize,
    /// How long after the end of a bucket.
    pub delay: Duration,
}

/// How segments come from other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Bytes a second; 0 for no limit.
    pub rate: usize,
}

/// How files of segments are read again to find damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrub {
    /// Bytes a second; 0 for no scrub.
    pub rate: usize,
    /// Pause before each round.
    pub pause: Duration,
}

impl Config {
    /// The defaults alone.
    pub fn defaults() -> Self {
        Self::from_layers(&Layers::new()).expect("the defaults are valid, as a test shows")
    }

    /// Reads every setting and checks what several of them say together.
    pub fn from_layers(layers: &Layers) -> Result<Self, Error> {
        let grpc = layers.address("grpc")?;
        let node = read_node(layers, grpc)?;
        let cluster = read_cluster(layers, &node)?;
        let config = Self {
            data: PathBuf::from(layers.text("data")),
            http: layers.address("http")?,
            grpc,
            listen: Listen {
                otlp: layers.optional_address("listen.otlp")?,
                elasticsearch: layers.optional_address("listen.elasticsearch")?,
                syslog_tcp: layers.optional_address("listen.syslog_tcp")?,
                syslog_udp: layers.optional_address("listen.syslog_udp")?,
                syslog_join: layers.duration("listen.syslog_join")?,
            },
            node,
            cluster,
            limits: read_limits(layers)?,
            retention: Retention {
                default: layers.duration("retention.default")?,
                delay: layers.duration("retention.delay")?,
            },
            cut: Cut {
                bytes: layers.bytes("cut.bytes")?,
                age: layers.duration("cut.age")?,
                log_keep: layers.bytes("cut.log_keep")?,
                backlog: layers.bytes("cut.backlog")?,
            },
            merge: Merge {
                bytes: layers.bytes("merge.bytes")?,
                delay: layers.duration("merge.delay")?,
            },
            fetch: Fetch {
                rate: layers.bytes("fetch.rate")?,
            },
            scrub: Scrub {
                rate: layers.bytes("scrub.rate")?,
                pause: layers.duration("scrub.pause")?,
            },
            threads: layers.number("threads")?,
            log: layers.text("log").into(),
        };
        if config.cut.backlog < config.cut.bytes {
            return Err(layers.invalid("cut.backlog", "at least as much as cut.bytes"));
        }
        if !(RETENTION_MIN..=RETENTION_MAX).contains(&config.retention.default) {
            return Err(layers.invalid("retention.default", "from 1h to 3650d"));
        }
        if config.limits.query_memory < config.limits.query_memory_each {
            let expected = "at least as much as limits.query_memory_each";
            return Err(layers.invalid("limits.query_memory", expected));
        }
        if config.limits.ingest_memory < config.limits.body {
            return Err(layers.invalid("limits.ingest_memory", "at least as much as limits.body"));
        }
        Ok(config)
    }

    /// Whether the node is its whole cluster.
    pub fn is_alone(&self) -> bool {
        self.cluster.peers.len() == 1
    }
}

fn read_node(layers: &Layers, grpc: SocketAddr) -> Result<Node, Error> {
    let advertise = match layers.text("node.advertise") {
        "" => grpc.to_string(),
        address => address.into(),
    };
    let id = layers.number("node.id")?;
    if id == 0 {
        return Err(layers.invalid("node.id", "a number from 1"));
    }
    Ok(Node {
        id,
        region: layers.text("node.region").into(),
        zone: layers.text("node.zone").into(),
        advertise,
    })
}

fn read_cluster(layers: &Layers, node: &Node) -> Result<Cluster, Error> {
    const PEERS: &str = "cluster.peers";
    const EXPECTED: &str = "`id=host:port` for every node, this one too, separated by commas";
    let mut peers = Vec::new();
    for part in layers
        .text(PEERS)
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (id, address) = part
            .split_once('=')
            .ok_or_else(|| layers.invalid(PEERS, EXPECTED))?;
        let id = id
            .trim()
            .parse()
            .map_err(|_| layers.invalid(PEERS, EXPECTED))?;
        peers.push(Peer {
            id,
            address: address.trim().into(),
        });
    }
    if peers.is_empty() {
        peers.push(Peer {
            id: node.id,
            address: node.advertise.clone(),
        });
    }
    peers.sort_by_key(|peer| peer.id);
    let unique = peers.windows(2).all(|pair| pair[0].id != pair[1].id);
    if !unique || peers[0].id == 0 || !peers.iter().any(|peer| peer.id == node.id) {
        return Err(layers.invalid(PEERS, EXPECTED));
    }
    let join = layers.text("cluster.join").split(',').map(str::trim);
    let join: Vec<String> = join
        .filter(|contact| !contact.is_empty())
        .map(str::to_owned)
        .collect();
    if !join.is_empty() && peers.len() > 1 {
        let expected = "nothing where `cluster.peers` names other nodes";
        return Err(layers.invalid("cluster.join", expected));
    }
    let nodes = peers.len();
    let mut auto = Auto::default();
    let bucket = match layers.text("cluster.bucket") {
        "auto" if nodes == 1 => keys::BUCKET_ALONE,
        "auto" => keys::BUCKET_CLUSTER,
        _ => layers.duration("cluster.bucket")?,
    };
    if layers.text("cluster.bucket") == "auto" {
        auto.bucket = Some(bucket);
    }
    let slots = match layers.number("cluster.slots")? {
        0 => *auto.slots.insert(u16::try_from(nodes).unwrap_or(u16::MAX)),
        slots => slots,
    };
    let cluster = Cluster {
        peers,
        join,
        dead_after: layers.duration("cluster.dead_after")?,
        replication: layers.number::<usize>("cluster.replication")?.max(1),
        bucket,
        bucket_bytes: layers.bytes("cluster.bucket_bytes")?,
        bucket_segments: layers.number("cluster.bucket_segments")?,
        bucket_min: layers.duration("cluster.bucket_min")?,
        slots,
        slot_rate: layers.bytes("cluster.slot_rate")?,
        auto,
        heartbeat: layers.duration("cluster.heartbeat")?,
        election_min: layers.duration("cluster.election_min")?,
        election_max: layers.duration("cluster.election_max")?,
        rest_after: layers.duration("cluster.rest_after")?,
    };
    if cluster.bucket < keys::BUCKET_MIN {
        return Err(layers.invalid("cluster.bucket", "at least 1s"));
    }
    if cluster.bucket_min < keys::BUCKET_MIN {
        return Err(layers.invalid("cluster.bucket_min", "at least 1s"));
    }
    if cluster.election_min < cluster.heartbeat * 2 {
        return Err(layers.invalid("cluster.election_min", "at least twice cluster.heartbeat"));
    }
    if cluster.election_max <= cluster.election_min {
        return Err(layers.invalid("cluster.election_max", "more than cluster.election_min"));
    }
    Ok(cluster)
}

fn read_limits(layers: &Layers) -> Result<Limits, Error> {
    Ok(Limits {
        ingest_memory: layers.bytes("limits.ingest_memory")?,
        body: layers.bytes("limits.body")?,
        ingest_timeout: layers.duration("limits.ingest_timeout")?,
        query_memory: layers.bytes("limits.query_memory")?,
        query_memory_each: layers.bytes("limits.query_memory_each")?,
        queries: layers.number("limits.queries")?,
        query_timeout: layers.duration("limits.query_timeout")?,
        tail_memory: layers.bytes("limits.tail_memory")?,
        connections: layers.number("limits.connections")?,
        disk_reserve: layers.bytes("limits.disk_reserve")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, Error> {
        let mut layers = Layers::new();
        for (key, value) in pairs {
            layers.set(key, value, Origin::Flag)?;
        }
        Config::from_layers(&layers)
    }

    #[test]
    fn defaults_are_one_node_on_this_machine() {
        let config = Config::defaults();
        assert_eq!(config.http.to_string(), "127.0.0.1:7700");
        assert_eq!(config.grpc.to_string(), "127.0.0.1:4317");
        assert_eq!(config.data, PathBuf::from("./hushlog-data"));
        assert!(config.is_alone());
        assert_eq!(config.cluster.replication, 3, "as soon as there are three");
        assert_eq!(config.cluster.bucket, Duration::from_secs(24 * 3600));
        assert_eq!(config.limits.body, 64 << 20);
    }

    #[test]
    fn peers_make_a_cluster() {
        let peers = "2=b:4317, 1=a:4317,3=c:4317";
        let config = with(&[("node.id", "2"), ("cluster.peers", peers)]).expect("valid");
        let ids: Vec<_> = config.cluster.peers.iter().map(|peer| peer.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!((config.cluster.replication, config.cluster.slots), (3, 3));
        assert_eq!(config.cluster.bucket, Duration::from_secs(3600));
    }

    #[test]
    fn a_node_that_joins_names_whom() {
        let config = with(&[("node.id", "4"), ("cluster.join", "a:1, b:1,")]).expect("valid");
        assert_eq!(config.cluster.join, ["a:1", "b:1"]);
        let ids: Vec<_> = config.cluster.peers.iter().map(|peer| peer.id).collect();
        assert_eq!(ids, [4]);
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        let cases = [
            (
                vec![("node.id", "4"), ("cluster.peers", "1=a:1,2=b:1")],
                "cluster.peers",
            ),
            (vec![("cluster.peers", "1=a:1,1=b:1")], "cluster.peers"),
            (vec![("cluster.peers", "nonsense")], "cluster.peers"),
            (
                vec![("cluster.peers", "1=a:1,2=b:1"), ("cluster.join", "c:1")],
                "cluster.join",
            ),
            (vec![("node.id", "0")], "node.id"),
            (vec![("http", "here")], "http"),
            (vec![("cut.age", "soon")], "cut.age"),
            (vec![("cut.backlog", "1KiB")], "cut.backlog"),
            (vec![("limits.body", "1TiB")], "limits.ingest_memory"),
            (vec![("retention.default", "59m")], "retention.default"),
            (vec![("retention.default", "3651d")], "retention.default"),
            (vec![("cluster.bucket", "1ms")], "cluster.bucket"),
            (vec![("cluster.bucket_min", "0s")], "cluster.bucket_min"),
            (vec![("cluster.heartbeat", "10s")], "cluster.election_min"),
        ];
        for (pairs, key) in cases {
            let error = with(&pairs).expect_err(key).to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }
}
