//! Segments and manifests written by earlier versions stay readable.
//!
//! A new version gets new files; these are never rewritten. `HUSHLOG_UPDATE_GOLDEN=1` writes those
//! that are missing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/records/mod.rs"]
#[expect(clippy::cast_possible_truncation, reason = "a generator of test data")]
mod records;

use std::path::PathBuf;

use hushlog_storage::batch::Rows;
use hushlog_storage::manifest::Manifest;
use hushlog_storage::segment::{self, BlockRows, Segment};

/// The rows of the golden segment.
fn blocks() -> Vec<BlockRows> {
    let blocks = records::blocks(1_001, 1_500);
    (3u64..)
        .zip(&blocks)
        .map(|(seq, b)| BlockRows {
            seq,
            columns: b.columns().unwrap(),
            skip: Vec::new(),
        })
        .collect()
}

/// The folder of the segment, and its manifest as this version wrote it.
fn golden(version: u16) -> (PathBuf, Vec<u8>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let manifest = folder.join(format!("manifest-v{version}.bin"));
    if std::env::var_os("HUSHLOG_UPDATE_GOLDEN").is_some() && !manifest.exists() {
        let built = tempfile::tempdir().unwrap();
        let written = segment::write(built.path(), 3..5, blocks(), |_, _| {}).unwrap();
        std::fs::write(&manifest, Manifest::default().with(written.meta).encode()).unwrap();
    }
    let shard_folder = folder.join("segment-v1");
    (shard_folder, std::fs::read(manifest).unwrap())
}

#[test]
fn the_digest_of_a_manifest_is_the_same_in_every_version() {
    let [old, new] = [1, 2].map(|version| Manifest::decode(&golden(version).1).unwrap());
    assert_eq!(old.digest(), new.digest());
    assert_eq!(old.segments[0].raw_bytes, 0, "it does not say");
    assert_eq!(new.encode(), golden(2).1);
    let blocks = blocks();
    let text: usize = blocks.iter().map(|b| b.columns.message.data().len()).sum();
    assert!(new.segments[0].raw_bytes > text as u64);
    assert!(new.segments[0].raw_bytes < 1_500 * 4_096);
}

#[test]
fn versions_of_manifest_and_segment_are_readable() {
    for version in [1, 2] {
        is_readable(version);
    }
}

fn is_readable(version: u16) {
    let (shard_folder, bytes) = golden(version);
    let manifest = Manifest::decode(&bytes).unwrap();
    let [meta] = manifest.segments.as_slice() else {
        panic!("one segment")
    };
    assert_eq!((meta.from, meta.to, meta.rows), (3, 5, 1_500));

    let segment = Segment::open(&shard_folder, meta).unwrap();
    segment.verify().unwrap();
    let blocks = blocks();
    let mut rows = 0;
    for (_, batch) in segment.read(&segment.all_granules(), None).unwrap() {
        for row in Rows::new(&batch).unwrap().iter() {
            let block = blocks
                .iter()
                .find(|block| Some(block.seq) == row.seq())
                .unwrap();
            let record = block.columns.record(row.row().unwrap()).unwrap();
            assert_eq!(row.log_id(), Some(record.log_id));
            assert_eq!(row.message(), Some(record.message.as_str()));
            assert_eq!(row.fields().len(), record.fields.len());
            rows += 1;
        }
    }
    assert_eq!(rows, 1_500);
}
