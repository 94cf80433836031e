//! What is sealed is always read, up to the limits and not beyond.

mod common;

use common::{SHARD, mask};
use hushlog_record::block::{Codec, Error};
use hushlog_record::limits::{
    BLOCK_FIELDS_MAX, BLOCK_ROWS_MAX, COUNTS_TEXT_BYTES_MAX, RECORD_FIELDS_MAX,
};
use hushlog_record::{Block, LogId, Masked, Record, Timestamp, Value};
use proptest::prelude::*;

fn plain(row: usize) -> Record {
    Record::new(
        LogId([7; 16]),
        Timestamp::from_minute(i64::try_from(row).expect("a few")),
        "",
    )
}

/// Rows with `names` different fields in all, as many in each as a record may have.
fn wide(names: usize) -> Vec<Masked<Record>> {
    let numbers: Vec<usize> = (0..names).collect();
    let record = |numbers: &[usize]| {
        let mut record = plain(0);
        record.fields = numbers
            .iter()
            .map(|number| (format!("{number:06}"), Value::string("")))
            .collect();
        record
    };
    mask(numbers.chunks(RECORD_FIELDS_MAX).map(record).collect())
}

fn seal(records: &[Masked<Record>]) -> Result<Block, Error> {
    let now = Timestamp::default();
    Block::try_seal_with(Codec::Zstd, SHARD, 1, now, Vec::new(), records)
}

/// Every record comes back, or it was not sealed.
fn check(records: &[Masked<Record>]) -> Result<(), Error> {
    let block = seal(records)?;
    let parsed = Block::parse(block.bytes().clone()).expect("what was sealed is read");
    let columns = parsed.columns().expect("what was sealed is read");
    assert_eq!(columns.rows as usize, records.len());
    let fields: usize = columns.fields.iter().map(|field| field.rows.len()).sum();
    let expected: usize = records.iter().map(|record| record.fields.len()).sum();
    assert_eq!(fields, expected);
    Ok(())
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<(), Error> {
    let (value, limit) = (value as u64, limit as u64);
    Err(Error::Limit { what, value, limit })
}

#[test]
fn as_many_field_names_as_a_reader_takes_are_sealed() {
    assert_eq!(check(&wide(BLOCK_FIELDS_MAX)), Ok(()));
    assert_eq!(
        check(&wide(BLOCK_FIELDS_MAX + 1)),
        limit("fields of a block", BLOCK_FIELDS_MAX + 1, BLOCK_FIELDS_MAX)
    );
}

#[test]
fn as_many_rows_as_a_reader_takes_are_sealed() {
    let rows = |count| mask((0..count).map(plain).collect());
    assert_eq!(check(&rows(BLOCK_ROWS_MAX)), Ok(()));
    assert_eq!(
        check(&rows(BLOCK_ROWS_MAX + 1)),
        limit("rows of a block", BLOCK_ROWS_MAX + 1, BLOCK_ROWS_MAX)
    );
}

#[test]
fn as_much_text_of_counts_as_a_reader_takes_is_sealed() {
    let name = "s".repeat(64 << 10);
    let rows = |count| {
        let row = |row| {
            let mut record = plain(row);
            record.service_name.clone_from(&name);
            record
        };
        mask((0..count).map(row).collect())
    };
    let most = COUNTS_TEXT_BYTES_MAX / name.len();
    assert_eq!(check(&rows(most)), Ok(()));
    let over = (most + 1) * name.len();
    assert_eq!(
        check(&rows(most + 1)),
        limit("text of counts", over, COUNTS_TEXT_BYTES_MAX)
    );
}

#[test]
fn text_that_fits_no_block_is_refused() {
    let row = |_| {
        let mut record = plain(0);
        record.message = "m".repeat(48 << 20);
        record
    };
    let refused = check(&mask((0..3).map(row).collect()));
    assert!(
        matches!(
            refused,
            Err(Error::Limit {
                what: "decompressed bytes of a block",
                ..
            })
        ),
        "{refused:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn anything_that_is_sealed_is_read(names in 0usize..1 << 15, service in 0usize..1 << 12) {
        let mut records: Vec<Record> = wide(names).into_iter().map(Masked::into_inner).collect();
        records.push(plain(1));
        for (row, record) in records.iter_mut().enumerate() {
            record.service_name = "s".repeat(service);
            record.timestamp = plain(row).timestamp;
        }
        prop_assert_eq!(check(&mask(records)), Ok(()));
    }
}
