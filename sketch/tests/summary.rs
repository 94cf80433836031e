//! Summaries: exact while few, bounded beyond, the same however they are merged, safe to read.

use hushlog_sketch::{EXACT_MAX, Error, ExceptionTally, Exceptions, Summary};
use proptest::prelude::*;

fn tally(count: u64, at: i64, samples: &[[u8; 16]]) -> ExceptionTally<'_> {
    ExceptionTally { count, first_seen: at, last_seen: at + 5, samples }
}

type Event = (i64, u8, u8, u8, u64);

fn events() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec((0i64..5, 0u8..4, 1u8..6, 0u8..6, 1u64..9), 0..60)
}

fn summary(events: &[Event]) -> Summary {
    let mut summary = Summary::new();
    for (minute, service, level, kind, count) in events {
        let service = format!("service{service}");
        summary.add_level(*minute, &service, *level, *count);
        let sample = [[*kind; 16]];
        let at = minute * 60_000_000_000;
        summary.add_exception(*minute, &service, &format!("type{kind}"), tally(*count, at, &sample));
    }
    summary
}

proptest! {
    #[test]
    fn merging_is_commutative_and_associative(a in events(), b in events(), c in events()) {
        let (a, b, c) = (summary(&a), summary(&b), summary(&c));
        let merge = |left: &Summary, right: &Summary| {
            let mut sum = left.clone();
            sum.merge(right);
            sum
        };
        prop_assert_eq!(merge(&a, &b).encode(), merge(&b, &a).encode());
        prop_assert_eq!(merge(&merge(&a, &b), &c).encode(), merge(&a, &merge(&b, &c)).encode());
    }

    #[test]
    fn merging_counts_what_adding_counts(a in events(), b in events()) {
        let mut merged = summary(&a);
        merged.merge(&summary(&b));
        let both: Vec<Event> = a.into_iter().chain(b).collect();
        prop_assert_eq!(merged.encode(), summary(&both).encode());
    }

    #[test]
    fn reads_what_it_wrote(a in events()) {
        let bytes = summary(&a).encode();
        let read = Summary::decode(&bytes).expect("its own bytes");
        prop_assert_eq!(read.encode(), bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _either = Summary::decode(&bytes);
        let _either = Exceptions::decode(&bytes);
    }

    #[test]
    fn a_damaged_summary_is_read_or_refused(a in events(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = summary(&a).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _either = Summary::decode(&bytes);
    }

    #[test]
    fn few_exceptions_are_counted_exactly(a in events()) {
        let exceptions = summary(&a).exceptions(0..5, None);
        for row in exceptions.top(1_000, false) {
            let truth: u64 = a.iter()
                .filter(|e| Some(format!("service{}", e.1)) == row.service_name && format!("type{}", e.3) == row.type_name)
                .map(|e| e.4).sum();
            prop_assert_eq!((row.count, row.count_error), (truth, 0));
        }
        let read = Exceptions::decode(&exceptions.encode());
        prop_assert_eq!(read, Ok(exceptions));
    }
}

#[test]
fn many_exceptions_are_bounded_and_the_frequent_ones_are_found() {
    let mut summary = Summary::new();
    let kinds = 10 * EXACT_MAX as u64;
    for kind in 0..kinds {
        let count = if kind < 10 { 10_000 } else { 1 };
        summary.add_exception(1, "service", &format!("type{kind}"), tally(count, 60_000_000_000, &[]));
    }
    let read = Summary::decode(&summary.encode()).expect("its own bytes");
    let top = read.exceptions(1..2, None).top(10, false);
    assert_eq!(top.len(), 10);
    for row in top {
        assert!(row.count >= 10_000 && row.count - row.count_error <= 10_000, "{row:?}");
        let number: u64 = row.type_name.trim_start_matches("type").parse().expect("a number");
        assert!(number < 10);
    }
}

#[test]
fn windows_and_services_choose() {
    let mut summary = Summary::new();
    for minute in 0..10 {
        summary.add_level(minute, "a", 2, 3);
        summary.add_level(minute, "b", 4, 1);
        summary.add_exception(minute, "a", "E", tally(2, minute * 60_000_000_000, &[[1; 16], [2; 16]]));
    }
    let total: u64 = summary.levels(2..5, None).map(|level| level.count).sum();
    assert_eq!(total, 12);
    let total: u64 = summary.levels(2..5, Some(&["b".into()])).map(|level| level.count).sum();
    assert_eq!(total, 3);
    assert_eq!(summary.levels(2..5, Some(&["none".into()])).count(), 0);
    assert!(summary.exceptions(0..10, Some("b")).is_empty());
    let top = summary.exceptions(4..6, Some("a")).top(5, true);
    assert_eq!((top[0].count, top[0].samples.len()), (4, 2));
    assert_eq!(summary.trend(8..20, "a", "E"), [(8, 2), (9, 2)]);
}

#[test]
fn a_version_from_the_future_is_refused_by_its_number() {
    assert_eq!(Summary::decode(&[7]).err(), Some(Error::Version(7)));
    assert_eq!(Exceptions::decode(&[8]).err(), Some(Error::Version(8)));
}
