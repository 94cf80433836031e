//! Which whole minutes a time range holds, and what it cuts off at its ends.

use std::ops::Range;

use hushlog_record::time::NANOS_PER_MINUTE;

use crate::plan::Interval;

/// The minutes that lie wholly in the interval.
pub(crate) fn full_minutes(time: Interval) -> Range<i64> {
    let start = match time.first {
        i64::MIN => i64::MIN.div_euclid(NANOS_PER_MINUTE),
        first => {
            first.div_euclid(NANOS_PER_MINUTE) + i64::from(first.rem_euclid(NANOS_PER_MINUTE) > 0)
        }
    };
    let end = match time.last {
        i64::MAX => i64::MAX.div_euclid(NANOS_PER_MINUTE) + 1,
        last => (last + 1).div_euclid(NANOS_PER_MINUTE),
    };
    start..end
}

/// The minutes that the interval holds a time of.
pub(crate) fn touched_minutes(time: Interval) -> Range<i64> {
    time.first.div_euclid(NANOS_PER_MINUTE)..time.last.div_euclid(NANOS_PER_MINUTE) + 1
}

/// The parts of the interval before and after these minutes.
pub(crate) fn edges(time: Interval, minutes: &Range<i64>) -> impl Iterator<Item = Interval> {
    let head = minutes.start.checked_mul(NANOS_PER_MINUTE);
    let tail = minutes.end.checked_mul(NANOS_PER_MINUTE);
    let head = head.map(|start| Interval {
        first: time.first,
        last: start.saturating_sub(1),
    });
    let tail = tail.map(|end| Interval {
        first: end,
        last: time.last,
    });
    head.into_iter().chain(tail).filter(|edge| !edge.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_minutes_and_edges_make_up_the_interval() {
        const M: i64 = NANOS_PER_MINUTE;
        for (first, last, minutes, parts) in [
            (0, M - 1, 0..1, vec![]),
            (1, 3 * M, 1..3, vec![(1, M - 1), (3 * M, 3 * M)]),
            (-M - 5, -1, -1..0, vec![(-M - 5, -M - 1)]),
            (0, i64::MAX, 0..i64::MAX / M + 1, vec![]),
        ] {
            let time = Interval { first, last };
            assert_eq!(full_minutes(time), minutes);
            let touched = touched_minutes(time);
            assert!(touched.start <= minutes.start && minutes.end <= touched.end);
            let got: Vec<_> = edges(time, &minutes)
                .map(|edge| (edge.first, edge.last))
                .collect();
            assert_eq!(got, parts);
        }
        let cut = Interval { first: 1, last: M };
        assert!(full_minutes(cut).is_empty());
        assert_eq!(touched_minutes(cut), 0..2);
        assert_eq!(
            touched_minutes(Interval {
                first: -1,
                last: -1
            }),
            -1..0
        );
        assert_eq!(
            edges(Interval::ALL, &full_minutes(Interval::ALL)).count(),
            0
        );
    }
}
