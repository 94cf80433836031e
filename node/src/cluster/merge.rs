//! Which neighbouring segments become one.
//!
//! While a shard is open, small ones do, in tiers: as many as make one of the next tier, so that there are
//! never many, and a row is written again as often as there are tiers above its cut. Which ones depends on
//! what was cut, on `merge.bytes` and on the build, not on when: every replica comes to the same segments by
//! itself, early or late. Of a finished shard, as many as fit into a full segment do.

use std::ops::Range;

use hushlog_storage::manifest::SegmentMeta;

/// Most rows of a merged segment: building it is one piece of work, and its index is in memory meanwhile.
const ROWS_MAX: u64 = 262_144;
/// Most bytes that the rows of a merged segment are before they are encoded and compressed: for the same reasons.
const RAW_BYTES_MAX: u64 = 256 << 20;
/// So many times its files the rows of a segment are taken to be where its manifest does not say: those of
/// earlier builds.
const RAW_RATIO: u64 = 16;

/// Segments of each tier have less than so many times the rows of the one below: 8, 64, 512, 4,096, 32,768.
const TIER_ROWS: u64 = 8;
/// Segments of the top tier, and of any above, stay as they are while their shard is open.
const TOP_TIER: u32 = 5;

/// The first neighbours of an open shard, from the left, that should become one segment of a higher tier, if
/// they have up to `bytes` together.
pub(crate) fn next_tier(segments: &[SegmentMeta], bytes: u64) -> Option<Range<usize>> {
    (0..segments.len()).find_map(|last| tier_ending(segments, last, bytes))
}

/// The neighbours of which the last is this one.
fn tier_ending(segments: &[SegmentMeta], last: usize, bytes: u64) -> Option<Range<usize>> {
    let (mut rows, mut size, mut raw) = (0, 0, 0u64);
    let mut tier = 0;
    for first in (0..=last).rev() {
        let segment = segments.get(first)?;
        if tier_of(segment) > tier {
            // All behind it are of lower tiers, and do not make one of a higher.
            tier = tier_of(segment);
        }
        if tier >= TOP_TIER {
            return None;
        }
        rows += segment.rows;
        size += segment.bytes();
        raw = raw.saturating_add(raw_bytes(segment));
        let is_longest = first
            .checked_sub(1)
            .and_then(|left| segments.get(left))
            .is_none_or(|left| tier_of(left) > tier);
        if is_longest && rows >= TIER_ROWS.pow(tier + 1) && first < last {
            let fits = size <= bytes && raw <= RAW_BYTES_MAX;
            return fits.then_some(first..last + 1);
        }
    }
    None
}

fn tier_of(segment: &SegmentMeta) -> u32 {
    segment.rows.max(1).ilog(TIER_ROWS)
}

/// What the rows of a segment are before they are encoded: the same on every replica, since its manifest says it.
fn raw_bytes(segment: &SegmentMeta) -> u64 {
    match segment.raw_bytes {
        0 => segment.bytes().saturating_mul(RAW_RATIO),
        known => known,
    }
}

/// The groups of neighbours of a finished shard, each of two at least, that become one segment each of up to `bytes`; in order.
pub(crate) fn plan(segments: &[SegmentMeta], bytes: u64) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut first = 0;
    let (mut sum_bytes, mut sum_rows, mut sum_raw) = (0u64, 0u64, 0u64);
    for (place, segment) in segments.iter().enumerate() {
        let fits = sum_bytes.saturating_add(segment.bytes()) <= bytes
            && sum_rows.saturating_add(segment.rows) <= ROWS_MAX
            && sum_raw.saturating_add(raw_bytes(segment)) <= RAW_BYTES_MAX;
        if !fits {
            groups.push(first..place);
            first = place;
            (sum_bytes, sum_rows, sum_raw) = (0, 0, 0);
        }
        sum_bytes = sum_bytes.saturating_add(segment.bytes());
        sum_rows = sum_rows.saturating_add(segment.rows);
        sum_raw = sum_raw.saturating_add(raw_bytes(segment));
    }
    groups.push(first..segments.len());
    groups.retain(|group| group.len() > 1);
    groups
}

#[cfg(test)]
mod tests {
    use hushlog_record::{LogId, Timestamp};
    use hushlog_storage::manifest::FileMeta;

    use super::*;

    /// Segments of these sizes (bytes, rows), side by side.
    fn segments(sizes: &[(u64, u64)]) -> Vec<SegmentMeta> {
        let segment = |(place, (bytes, rows)): (u64, &(u64, u64))| SegmentMeta {
            from: place * 10,
            to: place * 10 + 10,
            edition: 0,
            rows: *rows,
            time_min: Timestamp::from_nanos(0),
            time_max: Timestamp::from_nanos(0),
            log_id_min: LogId([0; 16]),
            log_id_max: LogId([0; 16]),
            row_digest: [0; 32],
            raw_bytes: 1,
            files: vec![FileMeta {
                name: "rows.parquet".into(),
                bytes: *bytes,
                crc32: 0,
                blake3: [0; 32],
            }],
        };
        (0..).zip(sizes).map(segment).collect()
    }

    /// The plan, as first and end of each group.
    fn groups(segments: &[SegmentMeta], bytes: u64) -> Vec<(usize, usize)> {
        let plan = plan(segments, bytes).into_iter();
        plan.map(|group| (group.start, group.end)).collect()
    }

    #[test]
    fn neighbours_are_taken_together_as_long_as_they_fit() {
        let of = |sizes: &[(u64, u64)]| groups(&segments(sizes), 100);
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[(10, 1)]), []);
        assert_eq!(of(&[(10, 1), (90, 1)]), [(0, 2)]);
        assert_eq!(of(&[(10, 1), (91, 1)]), []);
        assert_eq!(
            of(&[(500, 1), (30, 1), (30, 1), (500, 1), (1, 1)]),
            [(1, 3)]
        );
        assert_eq!(of(&[(40, 1), (40, 1), (40, 1), (40, 1)]), [(0, 2), (2, 4)]);
        let half = ROWS_MAX / 2;
        assert_eq!(of(&[(1, half), (1, half), (1, half)]), [(0, 2)]);
        assert_eq!(of(&[(1, half), (1, half + 1)]), []);
    }

    /// Segments of so many rows each that are this much in memory.
    fn large_in_memory(rows: u64, raw: &[u64]) -> Vec<SegmentMeta> {
        let sizes = vec![(1, rows); raw.len()];
        let mut segments = segments(&sizes);
        for (segment, raw) in segments.iter_mut().zip(raw) {
            segment.raw_bytes = *raw;
        }
        segments
    }

    #[test]
    fn what_is_merged_fits_into_memory_however_well_it_was_compressed() {
        let half = RAW_BYTES_MAX / 2;
        let finished = |raw: &[u64]| groups(&large_in_memory(1, raw), 1_000);
        assert_eq!(finished(&[half, half, 1, half]), [(0, 2), (2, 4)]);
        assert_eq!(finished(&[half, half + 1]), []);
        let open = |raw: &[u64]| next_tier(&large_in_memory(20_000, raw), 1_000);
        assert_eq!(open(&[half, half]), Some(0..2));
        assert_eq!(open(&[half, half + 1]), None);
        // Those of earlier builds do not say it.
        let unknown = |bytes| {
            let mut all = segments(&[(bytes, 20_000), (bytes, 20_000)]);
            all.iter_mut().for_each(|segment| segment.raw_bytes = 0);
            (plan(&all, u64::MAX).len(), next_tier(&all, u64::MAX))
        };
        let most = RAW_BYTES_MAX / RAW_RATIO / 2;
        assert_eq!(unknown(most), (1, Some(0..2)));
        assert_eq!(unknown(most + 1), (0, None));
    }

    /// Segments after one more was cut and all merges were done that are due.
    fn pushed(segments: &mut Vec<SegmentMeta>, cut: SegmentMeta) -> usize {
        segments.push(cut);
        settled(segments)
    }

    /// Does what is due; how many rows that writes again.
    fn settled(segments: &mut Vec<SegmentMeta>) -> usize {
        let mut written = 0;
        while let Some(group) = next_tier(segments, u64::MAX) {
            let parts: Vec<_> = segments.drain(group.clone()).collect();
            let mut merged = parts[0].clone();
            merged.to = parts[parts.len() - 1].to;
            merged.rows = parts.iter().map(|part| part.rows).sum();
            written += usize::try_from(merged.rows).unwrap_or(usize::MAX);
            segments.insert(group.start, merged);
        }
        written
    }

    #[test]
    fn an_open_shard_has_few_segments_and_writes_each_row_a_few_times() {
        for rows in [1, 3, 100, 1_000, 30_000] {
            let cuts: Vec<_> = (0..3_000).map(|_| (rows * 10, rows)).collect();
            let (mut segments_now, mut written, mut most) = (Vec::new(), 0, 0);
            for cut in segments(&cuts) {
                written += pushed(&mut segments_now, cut);
                let small = segments_now.iter().filter(|s| tier_of(s) < TOP_TIER);
                most = most.max(small.count());
            }
            let all = usize::try_from(rows * 3_000).expect("few");
            assert!(most <= 40, "{most} of {rows} rows");
            assert!(written <= all * 5, "{written} of {all}");
            let kept: u64 = segments_now.iter().map(|s| s.rows).sum();
            assert_eq!(kept, rows * 3_000);
            assert!(
                segments_now
                    .windows(2)
                    .all(|pair| pair[0].to == pair[1].from)
            );
        }
    }

    #[test]
    fn replicas_come_to_the_same_segments_whenever_they_merge() {
        // Cuts of all sizes below the top tier, in no order.
        let sizes: Vec<(u64, u64)> = (0..400u64)
            .map(|n| {
                (
                    1,
                    1 + n * n * 7_919 % 10u64.pow(1 + u32::try_from(n % 4).unwrap_or(0)),
                )
            })
            .collect();
        let cuts = segments(&sizes);
        let mut at_once = Vec::new();
        for cut in cuts.clone() {
            pushed(&mut at_once, cut);
        }
        for pause in [2, 7, 50, 400] {
            let mut late = Vec::new();
            for some in cuts.chunks(pause) {
                late.extend_from_slice(some);
                settled(&mut late);
            }
            assert_eq!(late, at_once, "every {pause}");
        }
        assert!(at_once.len() < 60, "{}", at_once.len());
    }

    #[test]
    fn large_ones_are_left_alone_while_small_ones_come_together() {
        let of = |sizes: &[(u64, u64)]| next_tier(&segments(sizes), 1_000);
        assert_eq!(of(&[(1, 40_000), (1, 40_000), (1, 40_000)]), None);
        assert_eq!(of(&[(1, 5_000), (1, 4), (1, 4)]), Some(1..3));
        assert_eq!(of(&[(1, 5_000), (1, 4), (1, 3)]), None);
        assert_eq!(of(&[(1, 20_000), (1, 3), (1, 20_000), (1, 1)]), Some(0..3));
        // Too large by their bytes.
        assert_eq!(of(&[(600, 20_000), (600, 20_000)]), None);
    }

    #[test]
    fn nothing_is_merged_twice() {
        let sizes: Vec<(u64, u64)> = (0..200u64).map(|n| (n * 37 % 61, 1 + n % 7)).collect();
        let before = segments(&sizes);
        let planned = plan(&before, 100);
        assert!(!planned.is_empty());
        let mut after = Vec::new();
        let mut next = 0;
        for group in planned {
            after.extend(sizes[next..group.start].iter().copied());
            let parts = &sizes[group.clone()];
            after.push((
                parts.iter().map(|part| part.0).sum(),
                parts.iter().map(|part| part.1).sum(),
            ));
            next = group.end;
        }
        after.extend(sizes[next..].iter().copied());
        assert_eq!(groups(&segments(&after), 100), []);
    }
}
