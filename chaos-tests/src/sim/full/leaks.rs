//! C9 at the end: no planted address on any simulated disk, raw or inside a block, nor in any file of a node,
//! nor in the decoded rows and terms of any segment. What is written and gone again before the end, the disk
//! looks at when it is written (`sim::disk`).
//!
//! What cannot be read is no clean bill: it is told.

use std::fs;
use std::path::Path;

use hushlog_storage::store::{ScanLimit, Space, Store};

use super::World;
use super::stored::segment_rows;
use crate::leaks::manifests_in;
use crate::sim::marks;
use crate::sim::net::host;

pub(super) fn scan(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for (node, disk) in &world.base.disks {
        for space in Space::ALL {
            match disk.mem().scan(space, &[], &[u8::MAX; 24], ScanLimit::NONE) {
                Ok(rows) if rows.iter().any(|(_, value)| marks::in_row(value)) => {
                    found.push(format!("C9 an address lies in {space:?} of node {node}"));
                }
                Ok(_) => {}
                Err(error) => found.push(format!("C9 {space:?} of node {node}: {error}")),
            }
        }
        scan_segments(world, *node, disk.mem(), &mut found);
    }
    scan_files(world.folder.path(), &mut found);
    found
}

/// The decoded rows and terms of all segments that the node's store lists.
fn scan_segments(world: &World, node: u64, store: &dyn Store, found: &mut Vec<String>) {
    let folder = world.folder.path().join(host(node)).join("segments");
    let manifests = match manifests_in(store) {
        Ok(manifests) => manifests,
        // A flipped bit may lie in one.
        Err(_) if world.base.is_damaged(node) => return,
        Err(error) => return found.push(format!("C9 manifests of node {node}: {error:#}")),
    };
    for (shard, manifest) in manifests {
        for segment in &manifest.segments {
            let folder = folder.join(shard.to_string());
            match segment_rows(&folder, segment) {
                Ok(rows) if rows.is_clean => {}
                Ok(_) => found.push(format!("C9 an address lies in {shard} on node {node}")),
                Err(error) => {
                    found.push(format!("C9 a segment of {shard}, node {node}: {error:#}"))
                }
            }
        }
    }
}

/// The raw bytes of all files.
fn scan_files(folder: &Path, found: &mut Vec<String>) {
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => return found.push(format!("C9 a folder cannot be read: {error}")),
    };
    for path in entries.iter().map(fs::DirEntry::path) {
        if path.is_dir() {
            scan_files(&path, found);
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match fs::read(&path) {
            Ok(bytes) if marks::in_bytes(&bytes) => {
                found.push(format!("C9 an address lies in file {name}"));
            }
            Ok(_) => {}
            Err(error) => found.push(format!("C9 file {name} cannot be read: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_read_is_not_clean() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| {
            let mut found = Vec::new();
            scan_files(path, &mut found);
            found.len()
        };
        fs::write(folder.path().join("clean"), "nothing").unwrap();
        assert_eq!(told(folder.path()), 0);
        assert_eq!(told(&folder.path().join("missing")), 1);
        fs::write(folder.path().join("leak"), marks::CANARY).unwrap();
        assert_eq!(told(folder.path()), 1);
        // A link to nowhere cannot be opened.
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        assert_eq!(told(folder.path()), 2);
    }
}
