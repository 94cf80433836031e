//! The list of all keys, and the page of documentation made from it.

use std::fmt::Write;
use std::time::Duration;

/// How long a bucket stays open in a cluster unless configured.
pub const BUCKET_CLUSTER: Duration = Duration::from_secs(3600);
/// How long a bucket stays open on a node alone unless configured.
pub const BUCKET_ALONE: Duration = Duration::from_secs(24 * 3600);
/// Shortest bucket.
pub const BUCKET_MIN: Duration = Duration::from_secs(1);

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file, sections joined by a dot.
    pub name: &'static str,
    /// Its value when nobody says.
    pub default: &'static str,
    /// What it does, one sentence.
    pub help: &'static str,
}

const fn key(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key {
        name,
        default,
        help,
    }
}

/// Every key, sorted by section.
pub const KEYS: &[Key] = &[
    key(
        "data",
        "./hushlog-data",
        "Folder of everything the node keeps.",
    ),
    key("http", "127.0.0.1:7700", "Address of the HTTP interface."),
    key(
        "grpc",
        "127.0.0.1:4317",
        "Address of the gRPC interface, also for the other nodes.",
    ),
    key(
        "listen.otlp",
        "",
        "Address for OTLP/HTTP alone, such as 127.0.0.1:4318; empty: off.",
    ),
    key(
        "listen.elasticsearch",
        "",
        "Address for Elasticsearch's `_bulk` at the root, such as 127.0.0.1:9200; empty: off.",
    ),
    key(
        "listen.syslog_tcp",
        "",
        "Address for syslog over TCP, such as 127.0.0.1:5140; empty: off.",
    ),
    key(
        "listen.syslog_udp",
        "",
        "Address for syslog over UDP, such as 127.0.0.1:5140; empty: off.",
    ),
    key(
        "listen.syslog_join",
        "200ms",
        "How long a message of syslog waits for further lines of a stack trace; 0s: none are joined.",
    ),
    key(
        "threads",
        "0",
        "Threads for CPU work; 0 means one per core.",
    ),
    key(
        "log",
        "info,openraft=error",
        "Which lines of the node's own log are printed, as in RUST_LOG.",
    ),
    key(
        "node.id",
        "1",
        "Number of this node in its cluster, from 1.",
    ),
    key("node.region", "home", "Region of this node."),
    key(
        "node.zone",
        "",
        "Zone of this node; replicas spread over zones.",
    ),
    key(
        "node.advertise",
        "",
        "host:port where other nodes reach `grpc`; empty: `grpc` itself.",
    ),
    key(
        "cluster.peers",
        "",
        "Every node as `id=host:port` (gRPC), this one too; empty: alone.",
    ),
    key(
        "cluster.join",
        "",
        "host:port (gRPC) of nodes of a running cluster that has admitted this one: it joins them; empty: no.",
    ),
    key(
        "cluster.dead_after",
        "30m",
        "Silence of a node after which what it holds is copied to others, if there are others; 0s: never.",
    ),
    key(
        "cluster.replication",
        "3",
        "Copies of every record, at most the number of nodes.",
    ),
    key(
        "cluster.bucket",
        "auto",
        "How long a bucket is open; auto: 1h in a cluster, 24h alone.",
    ),
    key(
        "cluster.bucket_bytes",
        "32GiB",
        "Bytes of one of its shards, as stored, at which a bucket ends before its time; 0: never.",
    ),
    key(
        "cluster.bucket_segments",
        "2048",
        "Segments of one of its shards at which a bucket ends before its time; 0: never.",
    ),
    key(
        "cluster.bucket_min",
        "5m",
        "How long a bucket is open at least before it ends by the size of a shard.",
    ),
    key(
        "cluster.slots",
        "0",
        "Slots of a bucket; 0 means one per node, and up to four where the load asks for it. Services with a much shorter or longer retention have their own beyond these.",
    ),
    key(
        "cluster.slot_rate",
        "8MiB",
        "Bytes a second, as stored, that one slot should take: beyond there are more, and a service with more than half of it has several; 0: any.",
    ),
    key(
        "cluster.heartbeat",
        "150ms",
        "Time between two heartbeats of a leader.",
    ),
    key(
        "cluster.election_min",
        "400ms",
        "Shortest silence of a leader before an election.",
    ),
    key(
        "cluster.election_max",
        "700ms",
        "Longest silence of a leader before an election.",
    ),
    key(
        "cluster.rest_after",
        "10s",
        "How long nobody uses a shard before its heartbeats rest; 0s: never.",
    ),
    key(
        "limits.ingest_memory",
        "512MiB",
        "Bytes of requests being taken in, rows included; beyond: 429, or 413 for one that never fits.",
    ),
    key(
        "limits.body",
        "64MiB",
        "Bytes of one request after decompression; beyond: 413.",
    ),
    key(
        "limits.ingest_timeout",
        "10s",
        "Time to store a request once it has been read.",
    ),
    key(
        "limits.query_memory",
        "512MiB",
        "Bytes of all queries of this node together; beyond: 429.",
    ),
    key(
        "limits.query_memory_each",
        "256MiB",
        "Bytes of one query on this node, all its shards together; beyond: 400.",
    ),
    key("limits.queries", "64", "Queries at once; beyond: 429."),
    key(
        "limits.query_timeout",
        "30s",
        "Time for a query that names none; also the longest.",
    ),
    key(
        "limits.tail_memory",
        "512MiB",
        "Bytes of decoded tails kept from one query to the next, of all shards; what does not fit is decoded again, in the memory of the query.",
    ),
    key(
        "limits.connections",
        "4096",
        "Open connections of clients of each interface; peers come in beside them.",
    ),
    key(
        "limits.disk_reserve",
        "128MiB",
        "Free bytes of the disk below which writes are refused; then: 507.",
    ),
    key(
        "retention.default",
        "30d",
        "How long records are kept while the cluster has no `default` rule of its own; alike on all nodes.",
    ),
    key(
        "retention.delay",
        "1h",
        "How long a rule must have stood, and records have been hidden by it, before they are left out of segments that stay for others: until then the rule can be taken back.",
    ),
    key(
        "cut.bytes",
        "8MiB",
        "Bytes of a shard's tail that make a segment.",
    ),
    key(
        "cut.age",
        "10m",
        "Age of a shard's tail that makes a segment.",
    ),
    key(
        "cut.log_keep",
        "32MiB",
        "Bytes of a shard's log that stay behind its segments, for nodes that were away; four times as many while one lacks them.",
    ),
    key(
        "cut.backlog",
        "512MiB",
        "Bytes of all tails of a node; beyond: 429. At half of it the largest is cut at once.",
    ),
    key(
        "merge.bytes",
        "64MiB",
        "Bytes of files up to which neighbouring segments become one: in tiers while their bucket is open, all that fit once it is over, and never more than 262,144 rows or 256 MiB of what they were before they were compressed; alike on all nodes; 0: never.",
    ),
    key(
        "merge.delay",
        "5m",
        "How long after the end of its bucket segments of a shard are merged.",
    ),
    key(
        "fetch.rate",
        "64MiB",
        "Bytes a second of segments that this node fetches from others, all together; 0: as many as come.",
    ),
    key(
        "scrub.rate",
        "8MiB",
        "Bytes a second of segments, and of logs of open shards, that are read again to find damage and compared with other replicas'; 0: none.",
    ),
    key(
        "scrub.pause",
        "1h",
        "Pause before each round of the scrub through all segments of the node.",
    ),
];

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Key {
    /// The environment variable that overrides it: `HUSHLOG_CUT_BYTES`.
    pub fn variable(&self) -> String {
        format!(
            "HUSHLOG_{}",
            self.name.replace('.', "_").to_ascii_uppercase()
        )
    }

    /// The flag that overrides it, without dashes in front: `cut-bytes`.
    pub fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }
}

/// The page `docs/configuration.md`.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    for key in KEYS {
        let default = if key.default.is_empty() {
            "(empty)".into()
        } else {
            format!("`{}`", key.default)
        };
        let (name, flag, variable, help) = (key.name, key.flag(), key.variable(), key.help);
        writeln!(
            page,
            "| `{name}` | {default} | `{variable}` | `--{flag}` | {help} |"
        )
        .expect("writing to a string cannot fail");
    }
    page.push_str(TAIL);
    page
}

const HEAD: &str = "# Configuration

A node needs no configuration. What is set comes from four places; the later one wins:

1. the default,
2. the TOML file given with `--config FILE` (or `HUSHLOG_CONFIG`),
3. the environment,
4. the flags of `hushlog serve`.

A dot in a name is a section of the file: `cut.bytes` is `bytes` under `[cut]`. Sizes are whole
numbers with `B`, `KiB`, `MiB` or `GiB` behind them, durations with `ms`, `s`, `m`, `h` or `d`. An
unknown key or an impossible value stops the start with exit code 78 and one line that names it and
the nearest known key; an unknown `HUSHLOG_` variable is only pointed out.

| key | default | variable | flag | meaning |
| --- | --- | --- | --- | --- |
";

const TAIL: &str = "
Three nodes on three machines:

```toml
# node 1; the other two differ in `id` and in the addresses they listen on
data = \"/var/lib/hushlog\"
http = \"10.0.0.1:7700\"
grpc = \"10.0.0.1:4317\"

[node]
id = 1
zone = \"a\"

[cluster]
peers = [\"1=10.0.0.1:4317\", \"2=10.0.0.2:4317\", \"3=10.0.0.3:4317\"]
```
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_docs_is_the_one_made_from_the_list() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, page()).expect("the docs folder");
        }
        assert_eq!(std::fs::read_to_string(path).expect("the page"), page());
    }

    #[test]
    fn names_variables_and_flags_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for key in KEYS {
            assert!(
                seen.insert(key.variable()) && seen.insert(key.flag()),
                "{}",
                key.name
            );
        }
    }
}
