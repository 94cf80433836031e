//! What a node keeps on its disk, leads and still has to do, as metrics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hushlog_raft::Groups;
use hushlog_storage::files;
use hushlog_storage::writer::WriterHandle;

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
    let log = store.clone();
    bytes("log", Box::new(move || folder_bytes(&log)));
    registry.probe(
        "hushlog_node_disk_free_bytes",
        Kind::Gauge,
        "Bytes free on the disk of this node's store; -1 where that cannot be told.",
        &[],
        move || files::free_bytes(&store).map_or(-1.0, to_float),
    );
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
    register_log(registry, replicas);
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

/// Adds what the store's writes to the disk take.
pub(super) fn register_writes(registry: &Registry, writer: &WriterHandle) {
    let counted = writer.clone();
    registry.probe(
        "hushlog_node_syncs_total",
        Kind::Counter,
        "Writes of the store that were synced to the disk.",
        &[],
        move || to_float(counted.stats().syncs),
    );
    let timed = writer.clone();
    registry.probe(
        "hushlog_node_sync_seconds_total",
        Kind::Counter,
        "Time that they took.",
        &[],
        move || to_float(timed.stats().sync_nanos) / 1e9,
    );
}

/// Who leads here, and how far others and this node are behind.
fn register_log(registry: &Registry, replicas: &Replicas) {
    let leading = replicas.clone();
    registry.probe(
        "hushlog_node_leads_count",
        Kind::Gauge,
        "Open shards that this node leads.",
        &[],
        move || {
            let all = leading.all();
            to_float(all.iter().filter(|r| r.group.is_leader()).count() as u64)
        },
    );
    let applying = replicas.clone();
    registry.probe(
        "hushlog_node_unapplied_count",
        Kind::Gauge,
        "Entries of open shards that this node knows to be committed and has not applied.",
        &[],
        move || {
            let all = applying.all();
            let behind = all.iter().map(|replica| {
                let status = replica.group.status();
                status.committed_to.saturating_sub(status.applied_to)
            });
            to_float(behind.sum())
        },
    );
    let followed = replicas.clone();
    registry.readings(
        "hushlog_node_follower_lag_count",
        Kind::Gauge,
        "Entries that each other node lacks of the shards that this one leads, the whole log where it has not answered \
         yet; of the shard that lacks most.",
        move |take| {
            let mut most: BTreeMap<u64, u64> = BTreeMap::new();
            let all = followed.all();
            for replica in all.iter().filter(|replica| replica.group.is_leader()) {
                let status = replica.group.status();
                let whole = status.appended_to.saturating_sub(status.trimmed_to);
                for member in status.members {
                    if member.node != followed.node() {
                        let lacks = member.lag.unwrap_or(whole);
                        let known = most.entry(member.node).or_default();
                        *known = lacks.max(*known);
                    }
                }
            }
            for (node, lag) in most {
                take(&[("node", &node.to_string())], to_float(lag));
            }
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
