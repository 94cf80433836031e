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

/// The index of this name, and the granules that it was built of.
fn golden(name: &str) -> (Index, Vec<RecordBatch>) {
    let path = format!("{}/tests/golden/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    let granules = granules();
    if std::env::var_os("HUSHLOG_UPDATE_GOLDEN").is_some() && !std::path::Path::new(&path).exists()
    {
        std::fs::write(&path, build(&granules).unwrap()).unwrap();
    }
    let index = Index::from_bytes(std::fs::read(&path).unwrap()).unwrap();
    (index, granules)
}

#[test]
fn every_version_is_readable_and_finds_what_it_was_built_of() {
    for name in ["index-v1", "index-v2"] {
        let (index, granules) = golden(name);
        assert_eq!(index.granule_count(), 4);
        let finds = |token: &str, granule: u32| {
            let set = index.prune(&Prune::Token(token.to_owned())).unwrap();
            assert!(set.unwrap().contains(granule), "{name}, granule {granule}");
        };
        for (granule, batch) in (0u32..).zip(&granules) {
            for row in Rows::new(batch).unwrap().iter() {
                finds(row.trace_id(), granule);
                finds(row.span_id(), granule);
                finds("service", granule);
            }
        }
    }
}

#[test]
fn token_rules_1_say_nothing_of_numbers_since_these_may_stand_in_arrays() {
    let number = |index: &Index| index.prune(&Prune::Number("1.5e0".into())).unwrap();
    assert_eq!(number(&golden("index-v1").0), None);
    assert!(number(&golden("index-v2").0).is_some());
}
