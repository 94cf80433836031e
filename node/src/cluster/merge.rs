//! Which segments of a finished shard become one: neighbours, as many as fit into the size of a full segment.
//!
//! What was merged is not merged again: no two neighbours of the outcome fit together.

use std::ops::Range;

use hushlog_storage::manifest::SegmentMeta;

/// Most rows of a merged segment: they are in memory while it is built.
const ROWS_MAX: u64 = 262_144;

/// The groups of neighbours, each of two at least, that become one segment each of up to `bytes`; in order.
pub(crate) fn plan(segments: &[SegmentMeta], bytes: u64) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut first = 0;
    let (mut sum_bytes, mut sum_rows) = (0u64, 0u64);
    for (place, segment) in segments.iter().enumerate() {
        let fits = sum_bytes.saturating_add(segment.bytes()) <= bytes
            && sum_rows.saturating_add(segment.rows) <= ROWS_MAX;
        if !fits {
            groups.push(first..place);
            first = place;
            (sum_bytes, sum_rows) = (0, 0);
        }
        sum_bytes = sum_bytes.saturating_add(segment.bytes());
        sum_rows = sum_rows.saturating_add(segment.rows);
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
            rows: *rows,
            time_min: Timestamp::from_nanos(0),
            time_max: Timestamp::from_nanos(0),
            log_id_min: LogId([0; 16]),
            log_id_max: LogId([0; 16]),
            row_digest: [0; 32],
            files: vec![FileMeta {
                name: "rows.parquet".into(),
                bytes: *bytes,
                crc32: 0,
                blake3: [0; 32],
            }],
        };
        (0..).zip(sizes).map(segment).collect()
    }

    const NONE: [Range<usize>; 0] = [];

    #[test]
    fn neighbours_are_taken_together_as_long_as_they_fit() {
        let of = |sizes: &[(u64, u64)]| plan(&segments(sizes), 100);
        assert_eq!(of(&[]), NONE);
        assert_eq!(of(&[(10, 1)]), NONE);
        assert_eq!(of(&[(10, 1), (90, 1)]), [0..2]);
        assert_eq!(of(&[(10, 1), (91, 1)]), NONE);
        assert_eq!(of(&[(500, 1), (30, 1), (30, 1), (500, 1), (1, 1)]), [1..3]);
        assert_eq!(of(&[(40, 1), (40, 1), (40, 1), (40, 1)]), [0..2, 2..4]);
        let half = ROWS_MAX / 2;
        assert_eq!(of(&[(1, half), (1, half), (1, half)]), [0..2]);
        assert_eq!(of(&[(1, half), (1, half + 1)]), NONE);
    }

    #[test]
    fn nothing_is_merged_twice() {
        let sizes: Vec<(u64, u64)> = (0..200u64).map(|n| (n * 37 % 61, 1 + n % 7)).collect();
        let before = segments(&sizes);
        let groups = plan(&before, 100);
        assert!(!groups.is_empty());
        let mut after = Vec::new();
        let mut next = 0;
        for group in groups {
            after.extend(sizes[next..group.start].iter().copied());
            let parts = &sizes[group.clone()];
            after.push((
                parts.iter().map(|part| part.0).sum(),
                parts.iter().map(|part| part.1).sum(),
            ));
            next = group.end;
        }
        after.extend(sizes[next..].iter().copied());
        assert_eq!(plan(&segments(&after), 100), NONE);
    }
}
