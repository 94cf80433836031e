//! Summaries: exact while few, bounded beyond, the same however they are merged, safe to read.

use std::collections::BTreeMap;

use hushlog_sketch::{EXACT_MAX, Error, ExceptionTally, Exceptions, HEAVY_MAX, Summary};
use proptest::prelude::*;

/// Minute, service, level, exception type, count.
type Event = (i64, u8, u8, u16, u64);

const MINUTE_NANOS: i64 = 60_000_000_000;

fn events(types: u16, len: usize) -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec((0i64..5, 0u8..4, 1u8..6, 0u16..types, 1u64..9), 0..len)
}

/// Few exceptions, or so many that minutes are sketched.
fn any_events() -> impl Strategy<Value = Vec<Event>> {
    prop_oneof![4 => events(6, 60), 1 => sketched_events()]
}

fn sketched_events() -> impl Strategy<Value = Vec<Event>> {
    let many = u16::try_from(3 * HEAVY_MAX).expect("small");
    proptest::collection::vec((0i64..2, 0u8..1, 1u8..6, 0u16..many, 1u64..9), 1_000..1_500)
}

fn summary(events: &[Event]) -> Summary {
    let mut summary = Summary::new();
    for (minute, service, level, kind, count) in events {
        let service = format!("service{service}");
        summary.add_level(*minute, &service, *level, *count);
        let [high, low] = kind.to_be_bytes();
        let at = minute * MINUTE_NANOS + i64::from(low);
        let tally = ExceptionTally {
            count: *count,
            first_seen: at,
            last_seen: at + 5,
            samples: &[[high ^ low; 16], [low; 16]],
        };
        summary.add_exception(*minute, &service, &format!("type{kind}"), tally);
    }
    summary
}

fn merged(left: &Summary, right: &Summary) -> Summary {
    let mut sum = left.clone();
    sum.merge(right);
    sum
}

fn truth(events: &[Event]) -> BTreeMap<(String, String), u64> {
    let mut truth = BTreeMap::new();
    for (_, service, _, kind, count) in events {
        *truth
            .entry((format!("type{kind}"), format!("service{service}")))
            .or_default() += count;
    }
    truth
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn merging_is_commutative_and_associative(
        a in any_events(), b in any_events(), c in any_events(),
    ) {
        let (a, b, c) = (summary(&a), summary(&b), summary(&c));
        prop_assert_eq!(merged(&a, &b).encode(), merged(&b, &a).encode());
        prop_assert_eq!(
            merged(&merged(&a, &b), &c).encode(),
            merged(&a, &merged(&b, &c)).encode()
        );
    }

    #[test]
    fn merging_partials_is_merging_summaries(a in any_events(), b in any_events()) {
        let (a, b) = (summary(&a), summary(&b));
        let mut partials = a.exceptions(0..5, None);
        partials.merge(&b.exceptions(0..5, None));
        let mut reverse = b.exceptions(0..5, None);
        reverse.merge(&a.exceptions(0..5, None));
        prop_assert_eq!(partials.encode(), reverse.encode());
        if partials.is_exact() {
            prop_assert_eq!(partials, merged(&a, &b).exceptions(0..5, None));
        }
    }

    #[test]
    fn merging_counts_what_adding_counts(a in events(6, 60), b in events(6, 60)) {
        let sum = merged(&summary(&a), &summary(&b));
        let both: Vec<Event> = a.into_iter().chain(b).collect();
        prop_assert_eq!(sum.encode(), summary(&both).encode());
    }

    #[test]
    fn reads_what_it_wrote(a in any_events()) {
        let summary = summary(&a);
        let read = Summary::decode(&summary.encode()).expect("its own bytes");
        prop_assert_eq!(read.encode(), summary.encode());
        let partial = summary.exceptions(0..5, None);
        prop_assert_eq!(Exceptions::decode(&partial.encode()), Ok(partial));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 1..400),
    ) {
        let _either = Summary::decode(&bytes);
        let _either = Exceptions::decode(&bytes);
        bytes[0] = 1;
        let _either = Summary::decode(&bytes);
        let _either = Exceptions::decode(&bytes);
    }

    #[test]
    fn a_damaged_summary_is_read_or_refused(
        a in any_events(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = summary(&a).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _either = Summary::decode(&bytes);
        let _either = Summary::decode(&bytes[..at]);
    }

    #[test]
    fn few_exceptions_are_counted_exactly(a in events(6, 60)) {
        let exceptions = summary(&a).exceptions(0..5, None);
        let rows = exceptions.top(1_000, false).into_iter();
        let counted: BTreeMap<_, _> = rows
            .map(|row| {
                assert_eq!(row.count_error, 0);
                ((row.type_name, row.service_name.expect("not folded")), row.count)
            })
            .collect();
        prop_assert_eq!(counted, truth(&a));
    }

    #[test]
    fn every_count_of_many_is_within_its_error(a in sketched_events(), b in any_events()) {
        let mut partial = summary(&a).exceptions(0..5, None);
        partial.merge(&summary(&b).exceptions(0..5, None));
        prop_assert!(!partial.is_exact());
        let truth = truth(&[a, b].concat());
        for row in partial.top(usize::MAX, false) {
            let count = truth[&(row.type_name, row.service_name.expect("not folded"))];
            prop_assert!(row.count >= count && row.count - row.count_error <= count);
        }
    }

    #[test]
    fn levels_are_exact(a in any_events()) {
        let summary = summary(&a);
        for (minute, service, level) in [(0, "service0", 1), (1, "service1", 5)] {
            let services = [service.to_owned()];
            let sum: u64 = summary
                .levels(minute..minute + 1, Some(&services))
                .filter(|count| count.level == level)
                .map(|count| count.count)
                .sum();
            let of = |e: &&Event| e.0 == minute && format!("service{}", e.1) == service && e.2 == level;
            prop_assert_eq!(sum, a.iter().filter(of).map(|e| e.4).sum::<u64>());
        }
    }
}

fn tally(count: u64, samples: &[[u8; 16]]) -> ExceptionTally<'_> {
    ExceptionTally {
        count,
        first_seen: 7,
        last_seen: 9,
        samples,
    }
}

#[test]
fn many_exceptions_are_bounded_and_the_frequent_ones_are_found() {
    let mut summary = Summary::new();
    let kinds = 10 * EXACT_MAX as u64;
    for kind in (0..kinds).rev() {
        let count = if kind % 250 == 0 { 10_000 } else { 1 };
        summary.add_exception(1, "service", &format!("type{kind}"), tally(count, &[]));
    }
    let read = Summary::decode(&summary.encode()).expect("its own bytes");
    let top = read.exceptions(1..2, None).top(10, false);
    assert_eq!(top.len(), 10);
    for row in top {
        assert!(
            row.count >= 10_000 && row.count - row.count_error <= 10_000,
            "{row:?}"
        );
        assert!(row.count_error < 1_000, "{row:?}");
        let number = row
            .type_name
            .strip_prefix("type")
            .and_then(|n| n.parse::<u64>().ok());
        assert!(number.is_some_and(|number| number % 250 == 0), "{row:?}");
    }
}

#[test]
fn a_merged_summary_is_compacted_to_its_limits() {
    let of = |from: u64| {
        let mut summary = Summary::new();
        for kind in from..from + EXACT_MAX as u64 {
            summary.add_exception(1, "s", &format!("type{kind}"), tally(1, &[]));
        }
        summary
    };
    let mut sum = merged(&of(0), &of(10_000));
    assert!(sum.exceptions(1..2, None).is_exact());
    sum.compact();
    let partial = sum.exceptions(1..2, None);
    assert!(!partial.is_exact());
    assert_eq!(partial.top(usize::MAX, false).len(), HEAVY_MAX);
    assert!(Summary::decode(&sum.encode()).is_ok());
}

#[test]
fn windows_and_services_choose() {
    let mut summary = Summary::new();
    for minute in 0..10 {
        summary.add_level(minute, "a", 2, 3);
        summary.add_level(minute, "b", 4, 1);
        summary.add_exception(minute, "a", "E", tally(2, &[[1; 16], [2; 16]]));
    }
    let sum = |services: Option<&[String]>| -> u64 {
        summary
            .levels(2..5, services)
            .map(|level| level.count)
            .sum()
    };
    assert_eq!(sum(None), 12);
    assert_eq!(sum(Some(&["b".into()])), 3);
    assert_eq!(sum(Some(&["none".into()])), 0);
    assert!(summary.exceptions(0..10, Some("b")).is_empty());
    assert!(summary.exceptions(0..10, Some("none")).is_empty());
    assert_eq!(summary.minutes(), Some((0, 9)));
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
fn a_window_that_ends_before_it_begins_is_empty() {
    let mut summary = Summary::new();
    summary.add_level(3, "a", 2, 3);
    assert_eq!(summary.levels(5..2, None).count(), 0);
}

#[test]
fn services_fold_into_one_row_per_type() {
    let mut summary = Summary::new();
    summary.add_exception(1, "a", "E", tally(2, &[[1; 16], [9; 16]]));
    summary.add_exception(1, "b", "E", tally(3, &[[5; 16], [7; 16]]));
    summary.add_exception(1, "b", "F", tally(4, &[]));
    let top = summary.exceptions(0..2, None).top(5, true);
    let rows: Vec<_> = top
        .iter()
        .map(|row| (row.type_name.as_str(), row.count))
        .collect();
    assert_eq!(rows, [("E", 5), ("F", 4)]);
    assert!(top.iter().all(|row| row.service_name.is_none()));
    assert_eq!(top[0].samples, [[9; 16], [7; 16], [5; 16]]);
}

#[test]
fn a_version_from_the_future_is_refused_by_its_number() {
    let error = Summary::decode(&[7]).expect_err("unknown");
    assert_eq!(
        error,
        Error::Version {
            what: "summary",
            found: 7,
            known: 1
        }
    );
    assert_eq!(
        error.to_string(),
        "summary version 7 is unknown; this release reads version 1"
    );
    assert!(matches!(
        Exceptions::decode(&[8]),
        Err(Error::Version { found: 8, .. })
    ));
}
