//! C9: no planted address on any simulated disk, raw or inside a block, nor in any file of a node.

use std::path::Path;

use hushlog_record::block::Block;
use hushlog_storage::store::{ScanLimit, Space, Store};
use memchr::memmem;

use super::clients::CANARY;
use crate::sim::stage::Base;

/// What a block begins with.
const BLOCK: &[u8] = &hushlog_record::block::MAGIC;

pub(super) fn scan(base: &Base, folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (node, disk) in &base.disks {
        for space in Space::ALL {
            let rows = disk.mem().scan(space, &[], &[u8::MAX; 24], ScanLimit::NONE);
            for (_, value) in rows.unwrap_or_default() {
                let plain = memmem::find(&value, CANARY.as_bytes()).is_some();
                if plain || block_holds(&value) {
                    found.push(format!("C9 an address lies in {space:?} of node {node}"));
                    break;
                }
            }
        }
    }
    scan_files(folder, &mut found);
    found
}

/// Whether the block inside of a log entry holds an address once it is decoded.
fn block_holds(value: &bytes::Bytes) -> bool {
    let blocks = memmem::find_iter(value, BLOCK)
        .filter_map(|at| Block::parse(value.slice(at..)).ok()?.columns().ok());
    blocks
        .flat_map(|columns| columns.records())
        .any(|record| holds(&record))
}

fn holds(record: &hushlog_record::Record) -> bool {
    let fields = record.fields.iter();
    let fields = fields.flat_map(|(name, value)| [name, &value.text]);
    let exception = record.exception.iter();
    let exception = exception.flat_map(|e| [&e.type_name, &e.message, &e.stack_trace]);
    std::iter::once(&record.message)
        .chain(fields)
        .chain(exception)
        .any(|text| text.contains(CANARY))
}

fn scan_files(folder: &Path, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
    for entry in entries.unwrap_or_default() {
        let path = entry.path();
        if path.is_dir() {
            scan_files(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path)
            && memmem::find(&bytes, CANARY.as_bytes()).is_some()
        {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            found.push(format!("C9 an address lies in file {name}"));
        }
    }
}
