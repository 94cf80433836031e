//! The filter over ids: never a false no, few false perhaps, safe to read.

use hushlog_sketch::{Error, IdFilter};
use proptest::prelude::*;

/// Like version 7 ids of one second: only the low bits differ.
fn ids(from: u64, count: u64) -> Vec<[u8; 16]> {
    (from..from + count)
        .map(|n| (0x0190_0000_0000_7000u128 << 64 | u128::from(n)).to_be_bytes())
        .collect()
}

proptest! {
    #[test]
    fn what_was_put_in_is_found_after_reading(ids in proptest::collection::vec(any::<[u8; 16]>(), 0..200)) {
        let filter = IdFilter::build(&ids);
        let read = IdFilter::decode(&filter.encode()).expect("its own bytes");
        prop_assert_eq!(&read, &filter);
        prop_assert!(ids.iter().all(|id| read.may_contain(id)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 1..100)) {
        bytes[0] = 1;
        if let Ok(filter) = IdFilter::decode(&bytes) {
            prop_assert_eq!(filter.encode(), bytes);
        }
    }
}

#[test]
fn few_foreign_ids_pass() {
    let filter = IdFilter::build(&ids(0, 20_000));
    let passed = ids(1 << 40, 20_000)
        .iter()
        .filter(|id| filter.may_contain(id))
        .count();
    assert!(passed < 400, "{passed} of 20,000 pass");
    assert!(filter.encode().len() < 20_000 * 10 / 8 + 100);
}

#[test]
fn a_version_from_the_future_is_refused_by_its_number() {
    let error = IdFilter::decode(&[2, 1]).expect_err("unknown");
    assert_eq!(
        error,
        Error::Version {
            what: "id filter",
            found: 2,
            known: 1
        }
    );
}
