//! What a node keeps on its disk and still has to build, as metrics.

use std::path::{Path, PathBuf};

use hushlog_storage::manifest::FileMeta;
use hushlog_storage::segment::{INDEX_FILE, ROWS_FILE};

use super::replica::decode_manifest;
use super::replicas::Replicas;
use crate::metrics::{Kind, Registry};

/// Adds the gauges; each is computed when someone asks.
pub(super) fn register(registry: &Registry, replicas: &Replicas, store: PathBuf) {
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
        Box::new(move || file_bytes(&rows, |file| file.name == ROWS_FILE)),
    );
    let index = replicas.clone();
    bytes(
        "index",
        Box::new(move || file_bytes(&index, |file| file.name == INDEX_FILE)),
    );
    let other = replicas.clone();
    let is_other = |file: &FileMeta| file.name != ROWS_FILE && file.name != INDEX_FILE;
    bytes("other", Box::new(move || file_bytes(&other, is_other)));
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

fn to_float(number: u64) -> f64 {
    number as f64
}

fn file_bytes(replicas: &Replicas, wanted: impl Fn(&FileMeta) -> bool) -> u64 {
    let mut bytes = 0;
    for replica in replicas.all() {
        // A manifest that cannot be read shows where it is used; here it counts nothing.
        let Ok(manifest) = decode_manifest(&replica.group.view().manifest) else {
            continue;
        };
        let files = manifest.segments.iter().flat_map(|segment| &segment.files);
        bytes += files
            .filter(|file| wanted(file))
            .map(|file| file.bytes)
            .sum::<u64>();
    }
    bytes
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let lengths = entries.filter_map(|entry| entry.and_then(|entry| entry.metadata()).ok());
    lengths.map(|metadata| metadata.len()).sum()
}
