//! Segments: what goes in comes out, in time order, granule by granule, and damage is seen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/records/mod.rs"]
#[expect(clippy::cast_possible_truncation, reason = "a generator of test data")]
mod records;

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

/// The segment of some of the blocks.
fn part(folder: &Path, blocks: &[BlockRows]) -> Written {
    let range = blocks[0].seq..blocks[blocks.len() - 1].seq + 1;
    segment::write(folder, range, blocks.to_vec(), |_, _| {}).unwrap()
}

fn merged(folder: &Path, parts: &[Written]) -> Result<Written, segment::Error> {
    let parts: Vec<_> = parts.iter().map(|p| (&p.meta, &p.segment)).collect();
    segment::merge(folder, &parts, |_, _| {})
}

#[test]
fn a_merge_holds_the_rows_of_its_parts_as_if_it_were_built_at_once() {
    // The second in several strides: a merge goes through memory a few granules at a time.
    for (count, granules) in [(6_000, 6), (40_000, 40)] {
        let folder = tempfile::tempdir().unwrap();
        let blocks = rows_of(4, count);
        let (first, rest) = blocks.split_at(blocks.len() / 4);
        let (second, third) = rest.split_at(rest.len() / 2);
        let parts = [first, second, third].map(|blocks| part(folder.path(), blocks));
        let merged = merged(folder.path(), &parts).unwrap();
        assert_eq!(
            (merged.meta.rows, merged.segment.granule_count()),
            (count, granules)
        );
        assert_holds(&merged.segment, &blocks);
        assert_holds(
            &Segment::open(folder.path(), &merged.meta).unwrap(),
            &blocks,
        );

        let elsewhere = tempfile::tempdir().unwrap();
        let whole = build(elsewhere.path(), &blocks).meta;
        let what = |meta: &hushlog_storage::manifest::SegmentMeta| {
            let times = (meta.time_min, meta.time_max);
            let ids = (meta.log_id_min, meta.log_id_max);
            (
                meta.from,
                meta.to,
                times,
                ids,
                meta.row_digest,
                meta.raw_bytes,
            )
        };
        assert_eq!(what(&merged.meta), what(&whole));
        assert_eq!(merged.meta.files, whole.files, "the same bytes");
    }
}

#[test]
fn odd_values_and_positions_with_gaps_survive_a_merge_of_merges() {
    let folder = tempfile::tempdir().unwrap();
    let odd = odd_records();
    let mut blocks: Vec<_> = (5..)
        .zip(odd.chunks(9))
        .map(|(seq, records)| block_rows(seq, &records::seal(records)))
        .collect();
    blocks[0].skip = vec![0..2, 2..3];
    blocks[2].skip = vec![4..5, 8..9];
    // What was between these two cuts had no rows.
    blocks[4].seq = 40;
    blocks[5].seq = 41;
    let parts = [&blocks[..2], &blocks[2..4], &blocks[4..]].map(|b| part(folder.path(), b));
    let raw: u64 = parts.iter().map(|part| part.meta.raw_bytes).sum();
    let [first, second, third] = parts;
    let half = merged(folder.path(), &[first, second]).unwrap();
    let all = merged(folder.path(), &[half, third]).unwrap();
    assert_eq!((all.meta.from, all.meta.to), (5, 42));
    assert_eq!(all.meta.raw_bytes, raw);
    assert_holds(&all.segment, &blocks);
}

#[test]
fn two_merges_of_the_same_parts_are_byte_identical() {
    let blocks = rows_of(6, 3_000);
    let (left, right) = blocks.split_at(2);
    let metas = [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        let parts = [left, right].map(|blocks| part(folder.path(), blocks));
        merged(folder.path(), &parts).unwrap().meta
    });
    assert_eq!(metas[0], metas[1]);
}

#[test]
fn a_part_that_is_not_what_its_manifest_says_is_not_merged() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = rows_of(7, 2_000);
    let (left, right) = blocks.split_at(1);
    let mut parts = [left, right].map(|blocks| part(folder.path(), blocks));
    parts[1].meta.row_digest[0] ^= 1;
    let refused = merged(folder.path(), &parts);
    assert!(
        matches!(refused, Err(segment::Error::Damaged { .. })),
        "{refused:?}"
    );
    assert!(matches!(
        merged(folder.path(), &[]),
        Err(segment::Error::Empty { .. })
    ));
}

#[test]
fn one_part_alone_is_not_merged_into_its_own_place() {
    let folder = tempfile::tempdir().unwrap();
    let part = part(folder.path(), &rows_of(7, 2_000));
    let refused = merged(folder.path(), std::slice::from_ref(&part)).map(|_| ());
    assert!(
        matches!(refused, Err(segment::Error::Alone { .. })),
        "{refused:?}"
    );
    part.segment.verify().unwrap();
    assert!(part.meta.is_there(folder.path()));
}

#[test]
fn a_manifest_takes_one_segment_for_neighbours_of_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = rows_of(8, 2_000);
    let (left, right) = blocks.split_at(1);
    let parts = [left, right].map(|blocks| part(folder.path(), blocks));
    let one = merged(folder.path(), &parts).unwrap().meta;
    let [left, right] = parts.map(|part| part.meta);
    let before = Manifest::default().with(left.clone()).with(right.clone());
    let both = [left.clone(), right.clone()];
    let after = before.merged(&both, one.clone()).unwrap();
    assert_eq!(after.segments, std::slice::from_ref(&one));
    assert_eq!(after.generation, before.generation + 1);
    // Parts that are not there, or not side by side; a segment that lacks a row.
    assert_eq!(after.merged(&both, one.clone()), None);
    assert_eq!(before.merged(&[right, left.clone()], one.clone()), None);
    assert_eq!(before.merged(&[left], one.clone()), None);
    let mut fewer = one;
    fewer.rows -= 1;
    assert_eq!(before.merged(&both, fewer.clone()), None);
    // Another one in its place is another matter, but for its range.
    assert_ne!(fewer.digest(), after.segments[0].digest());
    let mended = after.replaced(&after.segments[0], fewer.clone()).unwrap();
    assert_eq!(mended.segments, std::slice::from_ref(&fewer));
    assert_eq!(mended.generation, after.generation + 1);
    assert_eq!(after.replaced(&fewer, fewer.clone()), None);
    assert_eq!(before.replaced(&both[0], fewer), None);
}

#[test]
fn a_segment_without_some_of_its_rows_lies_beside_it_and_keeps_the_places_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = rows_of(9, 3_000);
    let all = part(folder.path(), &blocks);
    // As if they had never been there.
    for block in &mut blocks {
        let rows = u32::try_from(block.columns.log_id.len()).unwrap();
        block.skip = std::iter::once(0..rows / 3).collect();
    }
    let gone: Vec<_> = blocks
        .iter()
        .map(|block| (block.seq, block.skip[0].end))
        .collect();
    let keep = |row: &Row<'_, '_>| {
        let place = (row.seq().unwrap(), row.row().unwrap());
        gone.iter()
            .all(|(seq, end)| place.0 != *seq || place.1 >= *end)
    };
    let rewrite = |of: &Written| {
        let keep = Keep {
            columns: &[name::SEQ, name::ROW],
            says: &keep,
        };
        segment::rewrite(folder.path(), (&of.meta, &of.segment), keep, |_, _| {}).unwrap()
    };
    let left = rewrite(&all);
    assert_holds(&left.segment, &blocks);
    assert_eq!((left.meta.from, left.meta.to), (all.meta.from, all.meta.to));
    assert_eq!((left.meta.edition, all.meta.edition), (1, 0));
    let folders = [&left, &all].map(|one| one.meta.folder_name());
    assert_eq!(folders[0], format!("{}.1", folders[1]));
    all.segment.verify().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let fresh = build(elsewhere.path(), &blocks).meta;
    assert_eq!(
        left.meta.files, fresh.files,
        "no byte tells of what is gone"
    );
    assert_eq!(
        (rewrite(&all).meta, rewrite(&left).meta.edition),
        (left.meta.clone(), 2)
    );
    let nothing = segment::rewrite(
        folder.path(),
        (&all.meta, &all.segment),
        Keep {
            columns: &[],
            says: &|_| false,
        },
        |_, _| {},
    );
    assert!(matches!(nothing, Err(segment::Error::Empty { .. })));

    // Its manifest says so, and one without such segments is as earlier builds write it.
    let before = Manifest::default().with(all.meta.clone());
    let after = before.replaced(&all.meta, left.meta.clone()).unwrap();
    assert_eq!((before.encode()[4], after.encode()[4]), (2, 3));
    assert_eq!(Manifest::decode(&after.encode()).unwrap(), after);
    let mut other = after.clone();
    other.segments[0].edition = 2;
    assert_ne!(other.digest(), after.digest());
    let deleted = after.sweep(folder.path()).unwrap();
    assert_eq!(deleted.len(), 2, "{deleted:?}");
    left.segment.verify().unwrap();
}

#[test]
fn rows_of_many_granules_are_left_out_as_if_they_had_never_been_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = rows_of(11, 40_000);
    let all = part(folder.path(), &blocks);
    let (min, max) = (all.meta.time_min.nanos(), all.meta.time_max.nanos());
    let (from, to) = (min + (max - min) / 3, min + (max - min) / 3 * 2);
    let times = |granule| all.segment.granule_time(granule).unwrap();
    let (first, between) = (times(0).1.nanos(), times(9).0.nanos()..times(12).1.nanos());
    // Whole granules at the beginning and between others, and some rows of all others, by time and service.
    let stays = |time: i64, service: &str| {
        let is_odd = service.len() % 2 == 1;
        let is_gone = time <= first || between.contains(&time);
        !is_gone && ((from..to).contains(&time) == is_odd || time % 7 == 0)
    };
    for block in &mut blocks {
        let columns = &block.columns;
        let service = |row: usize| {
            let code = columns.service_name.codes[row] as usize;
            columns.service_name.values.get(code)
        };
        let gone = (0u32..).zip(&columns.timestamp);
        let gone = gone.filter(|(row, time)| !stays(**time, service(*row as usize)));
        block.skip = gone.map(|(row, _)| row..row + 1).collect();
    }
    let keep = Keep {
        columns: &[name::TIMESTAMP, name::SERVICE_NAME],
        says: &|row| {
            stays(
                row.timestamp().unwrap().nanos(),
                row.service_name().unwrap(),
            )
        },
    };
    let mut seen = 0;
    let of = (&all.meta, &all.segment);
    let left = segment::rewrite(folder.path(), of, keep, |_, batch| seen += batch.num_rows());
    let left = left.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let fresh = build(elsewhere.path(), &blocks).meta;
    assert!(
        left.meta.rows > 17 * 1_024 && left.meta.rows < 39_000,
        "{}",
        left.meta.rows
    );
    assert_eq!(seen as u64, left.meta.rows);
    let mut same = left.meta;
    same.edition = 0;
    assert_eq!(
        same, fresh,
        "the same bytes, and the same of them in the manifest"
    );
    // A part that is not what its manifest says.
    let mut other = all.meta.clone();
    other.row_digest[0] ^= 1;
    other.edition = 6;
    let refused = segment::rewrite(folder.path(), (&other, &all.segment), keep, |_, _| {});
    assert!(
        matches!(refused, Err(segment::Error::Damaged { .. })),
        "{refused:?}"
    );
    other.edition = 7;
    assert!(!folder.path().join(other.folder_name()).exists());
}
