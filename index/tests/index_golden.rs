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
use hushlog_record::{LogId, Masked, Record, Timestamp, Value};
use hushlog_storage::batch::{self, Rows};

fn granules() -> Vec<RecordBatch> {
    let blocks = records::blocks(1_002, 3_000);
    let blocks = (0u64..).zip(&blocks);
    blocks
        .map(|(seq, b)| batch::from_columns(seq, &b.columns().unwrap(), &[]).unwrap())
        .collect()
}

/// Arrays, each of them in a granule of its own.
const ARRAYS: [&str; 4] = [
    r#"["plain",7]"#,
    "[[1.50],true]",
    r#"["first\nsecond","plain"]"#,
    r#"["a\tb",{"n":150e-2}]"#,
];

fn granules_of_arrays() -> Vec<RecordBatch> {
    let granule = |(seq, array): (u64, &&str)| {
        let time = Timestamp::from_nanos(0);
        let mut record = Record::new(LogId([0; 16]), time, "");
        record.fields = vec![("x".into(), Value::json(*array))];
        let block = records::seal(&[Masked::vouch(record)]);
        batch::from_columns(seq, &block.columns().unwrap(), &[]).unwrap()
    };
    (0u64..).zip(&ARRAYS).map(granule).collect()
}

/// The index of this name, of these granules if it is written now.
fn golden(name: &str, granules: &[RecordBatch]) -> Index {
    let path = format!("{}/tests/golden/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("HUSHLOG_UPDATE_GOLDEN").is_some() && !std::path::Path::new(&path).exists()
    {
        std::fs::write(&path, build(granules).unwrap()).unwrap();
    }
    Index::from_bytes(std::fs::read(&path).unwrap()).unwrap()
}

#[test]
fn every_version_is_readable_and_finds_what_it_was_built_of() {
    let granules = granules();
    for name in ["index-v1", "index-v2"] {
        let index = golden(name, &granules);
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
    let index = golden("index-v1", &granules());
    let set = index.prune(&Prune::Number("1.5e0".into())).unwrap();
    assert_eq!(set, None);
}

#[test]
fn token_rules_2_know_the_values_of_arrays() {
    let index = golden("index-v2-arrays", &granules_of_arrays());
    let found = |prune: Prune| {
        let set = index.prune(&prune).unwrap().unwrap();
        let granules = 0..u32::try_from(ARRAYS.len()).unwrap();
        let granules = granules.filter(|granule| set.contains(*granule));
        granules.collect::<Vec<_>>()
    };
    let token = |token: &str| found(Prune::Token(token.into()));
    let number = |number: &str| found(Prune::Number(number.into()));
    assert_eq!(number("1.5e0"), [1]);
    assert_eq!(number("7"), [0]);
    assert_eq!(token("plain"), [0, 2]);
    assert_eq!(token("second"), [2]);
    assert_eq!(token("b"), [3]);
    assert_eq!(token("true"), [1]);
    assert!(token("absent").is_empty());
}
