//! What was sealed is what is read.

mod common;

use common::{SHARD, records, seal};
use hushlog_record::block::{Codec, Counts};
use hushlog_record::{Block, Masked, Record, Timestamp};
use proptest::prelude::*;

fn check(codec: Codec, records: &[Masked<Record>]) {
    let sealed = seal(codec, records);
    let parsed = Block::parse(sealed.bytes().clone()).expect("it works");
    assert_eq!(sealed.header(), parsed.header());
    let columns = parsed.columns().expect("it works");
    assert!(columns.records() == records);
    assert!(columns.record(parsed.header().rows).is_none());
}

proptest! {
    #[test]
    fn records_come_back_from_every_codec(records in records(40)) {
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            check(codec, &records);
        }
    }

    #[test]
    fn sealing_twice_gives_the_same_bytes(records in records(20)) {
        let [once, again] = [0, 1].map(|_| seal(Codec::Zstd, &records));
        prop_assert_eq!(once.bytes(), again.bytes());
    }

    #[test]
    fn counts_come_back_and_add_up(records in records(40)) {
        let counts = Counts::of(records.iter().map(|record| &**record));
        prop_assert_eq!(&Counts::decode(&counts.encode()).expect("it works"), &counts);
        let exceptions = records.iter().filter(|record| record.exception.is_some()).count() as u64;
        prop_assert_eq!(counts.levels.iter().map(|c| c.count).sum::<u64>(), records.len() as u64);
        prop_assert_eq!(counts.exceptions.iter().map(|c| c.count).sum::<u64>(), exceptions);
    }
}

#[test]
fn the_header_tells_rows_times_parts_and_counts() {
    let records = common::fixed();
    let block = seal(Codec::Zstd, &records);
    let header = block.header();
    assert_eq!(
        (header.shard, header.rows, header.policy_epoch),
        (SHARD, 20, 9)
    );
    assert_eq!(header.time_min, Timestamp::from_millis(1_700_000_000_000));
    assert_eq!(header.time_max, Timestamp::from_millis(1_700_000_004_750));
    assert_eq!(
        header
            .parts
            .iter()
            .map(|part| part.rows.clone())
            .collect::<Vec<_>>(),
        [0..10, 10..20]
    );
    let exceptions = &header.counts.exceptions;
    assert_eq!(
        exceptions
            .iter()
            .map(|e| (e.service.as_str(), e.count))
            .collect::<Vec<_>>(),
        [("checkout", 2), ("payments", 2)]
    );
}

#[test]
fn dictionaries_of_every_width_come_back() {
    let fixed = common::fixed();
    for hosts in [2, 255, 256, 257, 600] {
        let row = |i: usize| {
            let mut record = fixed[i % fixed.len()].clone().into_inner();
            record.host = format!("host-{}", i % hosts);
            record
        };
        check(Codec::Zstd, &common::mask((0..700).map(row).collect()));
    }
}

#[test]
fn incompressible_rows_are_stored_as_they_are() {
    let one = common::mask(vec![Record::new(
        hushlog_record::LogId([7; 16]),
        Timestamp::from_nanos(5),
        "x",
    )]);
    assert_eq!(seal(Codec::Lz4, &one).codec(), Codec::None);
    check(Codec::Lz4, &one);
}

#[test]
fn nothing_that_is_printed_holds_text_of_a_record() {
    let block = seal(Codec::None, &common::fixed());
    let printed = format!(
        "{block:?} {:?} {:?}",
        block.columns().expect("it works"),
        common::fixed()
    );
    for text in ["payment", "Zoë", "gone", "api-", "Not-Hex"] {
        assert!(!printed.contains(text), "{printed}");
    }
}
