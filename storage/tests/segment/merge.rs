//! Segments made of segments: merged with their neighbours, or without some of their rows, as if they had been built so.

use super::*;

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
