//! Sketches written by earlier versions stay readable, and this version writes what it wrote.
//!
//! A new format version gets new files; these are never rewritten. `HUSHLOG_UPDATE_GOLDEN=1` writes
//! the files that are missing.

use std::path::PathBuf;

use hushlog_sketch::{EXACT_MAX, ExceptionTally, Exceptions, IdFilter, Summary};

fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("HUSHLOG_UPDATE_GOLDEN").is_some() && !path.exists() {
        std::fs::write(&path, written).expect("a writable tree");
    }
    std::fs::read(path).expect("golden files are in the tree")
}

/// The summary of the golden files: never change it.
fn fixed() -> Summary {
    let mut summary = Summary::new();
    for minute in [28_333_333, 28_333_334, 28_333_400] {
        summary.add_level(minute, "payments", 4, 3);
        summary.add_level(minute, "checkout", 2, 300);
        summary.add_level(minute, "checkout", 5, 1);
        let at = minute * 60_000_000_000 + 17;
        let samples = [[7; 16], [8; 16]];
        let tally = ExceptionTally {
            count: 2,
            first_seen: at,
            last_seen: at + 5,
            samples: &samples,
        };
        summary.add_exception(minute, "payments", "java.io.IOException", tally);
    }
    for kind in 0..=EXACT_MAX as u64 {
        let tally = ExceptionTally {
            count: kind + 1,
            first_seen: 5,
            last_seen: 5,
            samples: &[],
        };
        summary.add_exception(28_333_401, "checkout", &format!("E{kind}"), tally);
    }
    summary
}

#[test]
fn version_1_of_the_summary_is_readable_and_written_the_same() {
    let bytes = golden("summary-v1.bin", &fixed().encode());
    assert_eq!(Summary::decode(&bytes).expect("readable").encode(), bytes);
    assert!(fixed().encode() == bytes);
}

#[test]
fn version_1_of_the_exceptions_is_readable_and_written_the_same() {
    let partial = fixed().exceptions(0..i64::MAX, None);
    let bytes = golden("exceptions-v1.bin", &partial.encode());
    assert!(Exceptions::decode(&bytes).expect("readable") == partial);
    assert!(partial.encode() == bytes);
}

#[test]
fn version_1_of_the_id_filter_is_readable_and_written_the_same() {
    let ids: Vec<[u8; 16]> = (0..100).map(|i| [i; 16]).collect();
    let bytes = golden("id-filter-v1.bin", &IdFilter::build(&ids).encode());
    let filter = IdFilter::decode(&bytes).expect("readable");
    assert!(ids.iter().all(|id| filter.may_contain(id)));
    assert!(IdFilter::build(&ids).encode() == bytes);
}
