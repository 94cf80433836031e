//! What a node keeps on its disk and still has to build, as metrics.

use std::path::{Path, PathBuf};

use hushlog_raft::Groups;

use super::replicas::Replicas;
use super::sealed::FileBytes;
use crate::metrics::{Kind, Registry};

/// Adds the gauges; each is computed when someone asks.
pub(super) fn register(registry: &Registry, replicas: &Replicas, groups: &Groups, store: PathBuf) {
    let bytes = |kind, read: Box<dyn Fn() -> u64 + Send + Sync>| {
        registry.probe(
            "hushlog_node_disk_bytes",
            Kind::Gauge,
            "Bytes on this node's disk.",
            &[("kind", kind)],
            move || to_float(read()),
        );
    };
    bytes("log", Box::new(move || folder_bytes(&store)));
    let rows = replicas.clone();
    bytes(
        "rows",
        Box::new(move || file_bytes(&rows, |bytes| bytes.rows)),
    );
    let index = replicas.clone();
    bytes(
        "index",
        Box::new(move || file_bytes(&index, |bytes| bytes.index)),
    );
    let other = replicas.clone();
    bytes(
        "other",
        Box::new(move || file_bytes(&other, |bytes| bytes.other)),
    );
    let counted = replicas.clone();
    registry.probe(
        "hushlog_node_shards_count",
        Kind::Gauge,
        "Shards on this node, by state.",
        &[("state", "open")],
        move || to_float(counted.all().len() as u64),
    );
    let counted = replicas.clone();
    registry.probe(
        "hushlog_node_shards_count",
        Kind::Gauge,
        "Shards on this node, by state.",
        &[("state", "sealed")],
        move || to_float(counted.sealed_count() as u64),
    );
    register_rests(registry, groups);
    let replicas = replicas.clone();
    registry.probe(
        "hushlog_node_pending_cuts_count",
        Kind::Gauge,
        "Cuts whose segments are not built yet.",
        &[],
        move || {
            let all = replicas.all();
            let pending: usize = all.iter().map(|r| r.group.view().pending_cuts.len()).sum();
            to_float(pending as u64)
        },
    );
}

/// How much the groups here rest.
fn register_rests(registry: &Registry, groups: &Groups) {
    let resting = groups.clone();
    registry.probe(
        "hushlog_node_resting_count",
        Kind::Gauge,
        "Open shards here that nobody uses and whose heartbeats rest.",
        &[],
        move || {
            let shards = resting.shards();
            to_float(shards.iter().filter(|group| group.is_resting()).count() as u64)
        },
    );
    let rests = groups.clone();
    registry.probe(
        "hushlog_node_rests_total",
        Kind::Counter,
        "Times that the heartbeats of a shard here have come to rest.",
        &[],
        move || to_float(rests.rests().0),
    );
    let wakings = groups.clone();
    registry.probe(
        "hushlog_node_wakings_total",
        Kind::Counter,
        "Times that they have begun again.",
        &[],
        move || to_float(wakings.rests().1),
    );
}

fn to_float(number: u64) -> f64 {
    number as f64
}

fn file_bytes(replicas: &Replicas, wanted: impl Fn(FileBytes) -> u64) -> u64 {
    let held = replicas.all_held().into_iter();
    held.map(|held| wanted(held.file_bytes())).sum()
}

/// Bytes of the files that lie in a folder, without those of folders in it.
pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let lengths = entries.filter_map(|entry| entry.and_then(|entry| entry.metadata()).ok());
    lengths.map(|metadata| metadata.len()).sum()
}
