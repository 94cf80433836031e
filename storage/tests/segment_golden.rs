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

fn golden() -> (PathBuf, Vec<u8>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (shard_folder, manifest) = (folder.join("segment-v1"), folder.join("manifest-v1.bin"));
    if std::env::var_os("HUSHLOG_UPDATE_GOLDEN").is_some() && !manifest.exists() {
        let written = segment::write(&shard_folder, 3..5, blocks(), |_, _| {}).unwrap();
        std::fs::write(&manifest, Manifest::default().with(written.meta).encode()).unwrap();
    }
    (shard_folder, std::fs::read(manifest).unwrap())
}

#[test]
fn version_1_of_manifest_and_segment_is_readable() {
    let (shard_folder, bytes) = golden();
    let manifest = Manifest::decode(&bytes).unwrap();
    assert_eq!(manifest.encode(), bytes);
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
