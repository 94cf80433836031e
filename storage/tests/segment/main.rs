//! Segments: what goes in comes out, in time order, granule by granule, and damage is seen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../examples/records/mod.rs"]
#[expect(clippy::cast_possible_truncation, reason = "a generator of test data")]
mod records;

mod merge;

use std::fs;
use std::path::Path;

use hushlog_record::{Masked, Record, Value};
use hushlog_storage::batch::{self, Row, Rows, Typed, TypedKind, name};
use hushlog_storage::manifest::Manifest;
use hushlog_storage::segment::{self, BlockRows, Bounds, Keep, Segment, Written};

fn rows_of(seed: u64, count: u64) -> Vec<BlockRows> {
    let blocks = records::blocks(seed, count);
    (5..)
        .zip(&blocks)
        .map(|(seq, b)| block_rows(seq, b))
        .collect()
}

fn block_rows(seq: u64, block: &hushlog_record::Block) -> BlockRows {
    BlockRows {
        seq,
        columns: block.columns().unwrap(),
        skip: Vec::new(),
    }
}

fn build(folder: &Path, blocks: &[BlockRows]) -> Written {
    segment::write(
        folder,
        5..5 + blocks.len() as u64,
        blocks.to_vec(),
        |_, _| {},
    )
    .unwrap()
}

/// A row of a batch as the record that it was.
fn back(row: Row<'_, '_>) -> Record {
    let text = |text: Option<&str>| text.unwrap().to_owned();
    let mut record = Record::new(
        row.log_id().unwrap(),
        row.created_at().unwrap(),
        text(row.message()),
    );
    record.timestamp = row.timestamp().unwrap();
    record.service_name = text(row.service_name());
    record.level = row.level().unwrap();
    let value = |field: &batch::FieldRef<'_>| Value {
        kind: field.kind,
        text: field.text.to_string(),
    };
    record.fields = row
        .fields()
        .iter()
        .map(|f| (f.name.to_owned(), value(f)))
        .collect();
    record.exception =
        row.exception().map(
            |(type_name, message, stack_trace)| hushlog_record::Exception {
                type_name: type_name.into(),
                message: message.into(),
                stack_trace: stack_trace.into(),
                signature: row.signature(),
            },
        );
    record.host = row.host().into();
    record.environment = row.environment().into();
    record.region = row.region().into();
    record.trace_id = row.trace_id().into();
    record.span_id = row.span_id().into();
    record.pii = row.pii().map(str::to_owned).collect();
    record
}

/// Records with what is rare: absent texts, odd values, few rows, empty strings, bad order.
fn odd_records() -> Vec<Masked<Record>> {
    let mut random = records::Random(3);
    let mut odd: Vec<Record> = (0..50)
        .map(|i| records::record(&mut random, i, 50))
        .collect();
    for (i, record) in odd.iter_mut().enumerate() {
        record.timestamp = hushlog_record::Timestamp::from_nanos((i as i64 * 37) % 11 - 5);
        if i % 2 == 0 {
            record.host.clear();
            record.trace_id.clear();
            record.span_id.clear();
            record.region.clear();
        }
        record.fields = match i % 5 {
            0 => Vec::new(),
            1 => vec![
                ("a".into(), Value::string("12")),
                ("ok".into(), Value::bool(true)),
            ],
            2 => vec![
                ("a".into(), Value::number("12")),
                ("n".into(), Value::number("1.50")),
            ],
            3 => vec![
                ("a".into(), Value::json("[1]")),
                ("d.e".into(), Value::number("-3")),
            ],
            _ => vec![
                ("".into(), Value::string("")),
                ("d.e".into(), Value::number("7")),
            ],
        };
    }
    odd.into_iter().map(Masked::vouch).collect()
}

fn sorted_source(blocks: &[BlockRows]) -> Vec<(i64, u64, u32, Record)> {
    let mut all = Vec::new();
    for block in blocks {
        for row in (0..block.columns.rows).filter(|r| !block.skip.iter().any(|s| s.contains(r))) {
            let record = block.columns.record(row).unwrap().into_inner();
            all.push((record.timestamp.nanos(), block.seq, row, record));
        }
    }
    all.sort_by_key(|(time, seq, row, _)| (*time, *seq, *row));
    all
}

fn assert_holds(segment: &Segment, blocks: &[BlockRows]) {
    let mut source = sorted_source(blocks).into_iter();
    for (_, batch) in segment.read(&segment.all_granules(), None).unwrap() {
        for row in Rows::new(&batch).unwrap().iter() {
            let (_, seq, number, record) = source.next().unwrap();
            assert_eq!((row.seq(), row.row()), (Some(seq), Some(number)));
            assert!(back(row) == record, "row {seq}/{number} came back changed");
        }
    }
    assert!(source.next().is_none());
}

#[test]
fn rows_come_back_in_time_order_with_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = rows_of(1, 5_000);
    let written = build(folder.path(), &blocks);
    assert_eq!(
        (written.meta.rows, written.segment.granule_count()),
        (5_000, 5)
    );
    assert_holds(&written.segment, &blocks);
}

#[test]
fn odd_values_come_back_and_skipped_rows_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = vec![
        block_rows(5, &records::seal(&odd_records())),
        block_rows(6, &records::seal(&odd_records()[..7])),
    ];
    blocks[0].skip = vec![0..3, 10..11, 49..50];
    let written = build(folder.path(), &blocks);
    assert_eq!(written.meta.rows, 52);
    assert_holds(&written.segment, &blocks);
    let kinds: Vec<_> = batch::typed::choose(&[&blocks[0].columns]);
    let typed = |name: &str, kind| Typed {
        name: name.into(),
        kind,
    };
    let expected = [
        typed("", TypedKind::Words),
        typed("a", TypedKind::Words),
        typed("d.e", TypedKind::Int),
        typed("n", TypedKind::Words),
        typed("ok", TypedKind::Bool),
    ];
    assert_eq!(kinds, expected);
}

/// The records of a seed, with signatures of their exceptions.
fn signed(seed: u64, count: u64) -> Vec<BlockRows> {
    let blocks = records::blocks(seed, count);
    let sign = |block: &hushlog_record::Block| {
        let mut records = block.columns().unwrap().records();
        for (record, number) in records.iter_mut().zip(0u64..) {
            record.sign(|_| number % 3 * 0x1234);
        }
        records::seal(&records)
    };
    (5..)
        .zip(blocks.iter().map(sign))
        .map(|(seq, block)| block_rows(seq, &block))
        .collect()
}

/// Rows without signatures make the segment that they made before there were any: its digest was published by
/// earlier releases.
#[test]
fn there_is_a_column_of_signatures_where_there_are_any() {
    let folder = tempfile::tempdir().unwrap();
    let has = |segment: &Segment| {
        let schema = segment.schema();
        schema.column_with_name(name::EXCEPTION_SIGNATURE).is_some()
    };
    let plain = build(&folder.path().join("plain"), &rows_of(4, 3_000));
    assert!(!has(&plain.segment));
    let blocks = signed(4, 3_000);
    let written = build(&folder.path().join("signed"), &blocks);
    assert!(has(&written.segment));
    assert_holds(&written.segment, &blocks);
    // One segment with them and one without become one.
    let parts = folder.path().join("parts");
    let unsigned = BlockRows {
        seq: 4,
        ..rows_of(9, 40).remove(0)
    };
    let first = segment::write(&parts, 4..5, vec![unsigned.clone()], |_, _| {}).unwrap();
    let second = build(&parts, &blocks);
    let both = [
        (&first.meta, &first.segment),
        (&second.meta, &second.segment),
    ];
    let merged = segment::merge(&parts, &both, |_, _| {}).unwrap();
    assert!(has(&merged.segment));
    let all: Vec<BlockRows> = std::iter::once(unsigned).chain(blocks).collect();
    assert_holds(&merged.segment, &all);
}

#[test]
fn a_tail_batch_holds_the_rows_of_its_block() {
    let mut block = block_rows(9, &records::seal(&odd_records()));
    for skip in [Vec::new(), vec![2..4, 7..8]] {
        block.skip = skip;
        let batch = batch::from_columns(block.seq, &block.columns, &block.skip).unwrap();
        let mut source = sorted_source(std::slice::from_ref(&block));
        source.sort_by_key(|(_, _, row, _)| *row);
        let rows = Rows::new(&batch).unwrap();
        assert_eq!(rows.len(), source.len());
        for (row, (_, seq, number, record)) in rows.iter().zip(source) {
            assert_eq!((row.seq(), row.row()), (Some(seq), Some(number)));
            assert!(back(row) == record, "row {number} came back changed");
        }
    }
}

#[test]
fn two_builds_of_one_range_are_byte_identical() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut blocks = rows_of(2, 3_000);
    let first = build(folders[0].path(), &blocks);
    blocks.reverse();
    let second = build(folders[1].path(), &blocks);
    assert_eq!(first.meta, second.meta);
    let read = |written: &Written| fs::read(written.segment.path()).unwrap();
    assert_eq!(read(&first), read(&second));
    let other = build(folders[1].path(), &rows_of(3, 3_000));
    assert_ne!(first.meta.row_digest, other.meta.row_digest);
}

#[test]
fn granules_and_columns_are_read_alone() {
    let folder = tempfile::tempdir().unwrap();
    let count = 70 * 1_024 + 10;
    let segment = build(folder.path(), &rows_of(4, count)).segment;
    assert_eq!(segment.granule_count(), 71);
    let read = segment
        .read(
            &[0, 3, 63, 64, 70],
            Some(&["message", "timestamp", "nonesuch"]),
        )
        .unwrap();
    let shape: Vec<_> = read
        .iter()
        .map(|(g, b)| (*g, b.num_rows(), b.num_columns()))
        .collect();
    assert_eq!(
        shape,
        [
            (0, 1024, 2),
            (3, 1024, 2),
            (63, 1024, 2),
            (64, 1024, 2),
            (70, 10, 2)
        ]
    );
    let whole = segment.read(&segment.all_granules(), None).unwrap();
    for (granule, batch) in &read {
        let same = whole[*granule as usize]
            .1
            .column_by_name("message")
            .unwrap();
        assert_eq!(batch.column_by_name("message").unwrap(), same);
    }
    for (granule, batch) in &whole {
        let rows = Rows::new(batch).unwrap();
        let times: Vec<_> = rows.iter().map(|r| r.timestamp().unwrap()).collect();
        let (min, max) = segment.granule_time(*granule).unwrap();
        assert_eq!((Some(&min), Some(&max)), (times.first(), times.last()));
    }
    let Some(Bounds::Int(latency)) = segment.bounds("f.latency_ms") else {
        panic!("no bounds")
    };
    assert_eq!(latency.len(), 71);
    let Some(Bounds::Bytes(levels)) = segment.bounds("level") else {
        panic!("no bounds")
    };
    assert!(
        levels[..70]
            .iter()
            .flatten()
            .all(|(min, max)| min == b"DEBUG" && max == b"WARN")
    );
    assert_eq!(segment.bounds("message"), None);
    assert!(segment.read(&[71], None).is_err());
}

#[test]
fn large_records_do_not_move_pages() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = records::Random(5);
    let mut blocks = Vec::new();
    for seq in 0..5u64 {
        let records: Vec<_> = (0..500)
            .map(|i| {
                let mut record = records::record(&mut random, i, 500);
                record.message = "x".repeat(1 << (random.below(16)));
                record.fields.push((
                    "z".into(),
                    Value::string(format!("{:x}", random.next()).repeat(200)),
                ));
                Masked::vouch(record)
            })
            .collect();
        blocks.push(block_rows(5 + seq, &records::seal(&records)));
    }
    let written = build(folder.path(), &blocks);
    assert_holds(&written.segment, &blocks);
}

#[test]
fn a_flipped_byte_anywhere_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let written = build(folder.path(), &rows_of(6, 2_000));
    let path = written.segment.path().to_owned();
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(good.len() / 97) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        let outcome = Segment::open(folder.path(), &written.meta).and_then(|segment| {
            segment
                .read(&segment.all_granules(), None)
                .and_then(|_| segment.verify())
        });
        assert!(
            matches!(outcome, Err(segment::Error::Damaged { .. })),
            "byte {at}"
        );
        assert!(
            written.meta.files[0]
                .verify(path.parent().unwrap())
                .is_err()
        );
    }
    fs::write(&path, &good).unwrap();
    Segment::open(folder.path(), &written.meta)
        .unwrap()
        .verify()
        .unwrap();
    written.meta.files[0]
        .verify(path.parent().unwrap())
        .unwrap();
}

#[test]
fn nothing_is_built_of_no_rows_or_of_foreign_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = rows_of(7, 10);
    let write = |blocks: Vec<BlockRows>| segment::write(folder.path(), 5..6, blocks, |_, _| {});
    let foreign = BlockRows {
        seq: 6,
        ..blocks[0].clone()
    };
    assert!(matches!(
        write(vec![foreign]),
        Err(segment::Error::Range { seq: 6, .. })
    ));
    let twice = vec![blocks[0].clone(), blocks[0].clone()];
    assert!(matches!(
        write(twice),
        Err(segment::Error::Range { seq: 5, .. })
    ));
    blocks[0].skip = vec![0..4, 4..10];
    assert!(matches!(write(blocks), Err(segment::Error::Empty { .. })));
}

#[test]
fn a_manifest_comes_back_and_every_changed_byte_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = rows_of(8, 2_000);
    let mut manifest = Manifest::default();
    for block in [&blocks[2], &blocks[0]] {
        let range = block.seq..block.seq + 1;
        let written = segment::write(folder.path(), range, vec![block.clone()], |_, _| {}).unwrap();
        manifest = manifest.with(written.meta);
    }
    assert_eq!((manifest.generation, manifest.segmented_to()), (2, 8));
    assert_eq!(manifest.segments[0].from, 5);
    let bytes = manifest.encode();
    assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(Manifest::decode(&bad).is_err(), "byte {at}");
        assert!(Manifest::decode(&bytes[..at]).is_err(), "first {at} bytes");
    }
}

#[test]
fn a_sweep_deletes_what_no_manifest_lists() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = rows_of(9, 800);
    let kept = segment::write(folder.path(), 5..6, blocks[..1].to_vec(), |_, _| {}).unwrap();
    segment::write(folder.path(), 6..7, blocks[1..].to_vec(), |_, _| {}).unwrap();
    let stray = folder.path().join("5-6").join("index.bin");
    fs::write(&stray, b"left behind").unwrap();
    let manifest = Manifest::default().with(kept.meta.clone());
    let deleted = manifest.sweep(folder.path()).unwrap();
    assert_eq!(deleted, [stray, folder.path().join("6-7")]);
    assert_eq!(
        manifest.sweep(folder.path()).unwrap(),
        Vec::<std::path::PathBuf>::new()
    );
    Segment::open(folder.path(), &kept.meta)
        .unwrap()
        .verify()
        .unwrap();
}
