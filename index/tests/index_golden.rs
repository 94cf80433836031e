//! Indexes written by earlier versions stay readable, and fingerprints stay what they were.
//!
//! A new version gets new files; these are never rewritten. `HUSHLOG_UPDATE_GOLDEN=1` writes those
//! that are missing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../storage/examples/records/mod.rs"]
#[expect(clippy::cast_possible_truncation, reason = "a generator of test data")]
mod records;

use arrow_array::RecordBatch;
use hushlog_index::{Index, Prune, build};
use hushlog_storage::batch::{self, Rows};

fn granules() -> Vec<RecordBatch> {
    let blocks = records::blocks(1_002, 3_000);
    let blocks = (0u64..).zip(&blocks);
    blocks
        .map(|(seq, b)| batch::from_columns(seq, &b.columns().unwrap(), &[]).unwrap())
        .collect()
}

#[test]
fn version_1_is_readable_and_finds_what_it_was_built_of() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/index-v1.bin");
    let granules = granules();
    if std::env::var_os("HUSHLOG_UPDATE_GOLDEN").is_some() && !std::path::Path::new(path).exists() {
        std::fs::write(path, build(&granules).unwrap()).unwrap();
    }
    let index = Index::from_bytes(std::fs::read(path).unwrap()).unwrap();
    assert_eq!(index.granule_count(), 4);
    let finds = |token: &str, granule: u32| {
        let set = index.prune(&Prune::Token(token.to_owned())).unwrap();
        assert!(set.unwrap().contains(granule), "granule {granule}");
    };
    for (granule, batch) in (0u32..).zip(&granules) {
        for row in Rows::new(batch).unwrap().iter() {
            finds(row.trace_id(), granule);
            finds(row.span_id(), granule);
            finds("service", granule);
        }
    }
}
