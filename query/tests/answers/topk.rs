//! The most frequent exceptions, from summaries and from rows.

use std::collections::BTreeMap;

use hushlog_query::exception::Seen;
use hushlog_query::topk::{Params, TopK, TopKPartial, render, top_k};
use hushlog_query::{Floors, Plan, Shards, View, exception, execute, merge};
use hushlog_record::{Exception, ExceptionId, LogId, Record, ShardId, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::shards::{self, Batch, budget, now};

fn thrown(number: u8, service: &str, type_name: &str, environment: &str, minute: i64) -> Record {
    let mut record = Record::new(LogId([number; 16]), now(), "it broke");
    record.timestamp = now().saturating_add(minute * 60_000_000_000);
    record.service_name = service.into();
    record.environment = environment.into();
    record.host = format!("host-{}", number % 2);
    record.exception = Some(Exception {
        type_name: type_name.into(),
        signature: 7,
        ..Exception::default()
    });
    record
}

fn views(folders: &[tempfile::TempDir]) -> Vec<View> {
    let records = vec![
        thrown(1, "cart", "Io", "prod", 0),
        thrown(2, "cart", "Io", "test", -1),
        thrown(3, "cart", "Io", "prod", -2),
        thrown(4, "auth", "Io", "prod", -3),
        thrown(5, "auth", "Timeout", "prod", -4),
        thrown(6, "auth", "Timeout", "prod", -200),
        Record::new(LogId([7; 16]), now(), "fine"),
    ];
    let batches: Vec<Batch> = records
        .into_iter()
        .map(|record| Batch::of(vec![record]))
        .collect();
    let (first, second) = batches.split_at(4);
    vec![
        shards::view(
            folders[0].path(),
            ShardId { bucket: 1, slot: 0 },
            first,
            &[2],
        ),
        shards::view(
            folders[1].path(),
            ShardId { bucket: 1, slot: 1 },
            second,
            &[3],
        ),
    ]
}

fn ask(params: Params) -> Value {
    ask_above(&Floors::NONE, params)
}

fn ask_above(floors: &Floors, params: Params) -> Value {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [with, without] = ask_of(&views(&folders), floors, params);
    assert_eq!(with, without);
    with
}

/// The answers with summaries and without.
fn ask_of(views: &[View], floors: &Floors, params: Params) -> [Value; 2] {
    let mut request = TopK::new(params, now()).unwrap();
    request.hide(floors.clone());
    let request = TopK::decode(&request.encode()).unwrap();
    [true, false].map(|fast| {
        let partials: Vec<_> = views
            .iter()
            .map(|view| top_k(&request, view, &budget(fast, fast)).unwrap())
            .map(|partial| TopKPartial::decode(&partial.encode()).unwrap())
            .collect();
        let shards = Shards {
            total: 2,
            successful: 2,
            failed: 0,
            pruned: 0,
            failures: Vec::new(),
        };
        serde_json::from_str::<Value>(&render(&request, &partials, &shards, 1)).unwrap()
    })
}

/// (type, service) with their counts.
fn rows(answer: &Value) -> BTreeMap<(String, String), u64> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    answer["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            assert_eq!(row["count_error"], 0);
            let key = (text(&row["exception_type"]), text(&row["service_name"]));
            (key, row["count"].as_u64().unwrap())
        })
        .collect()
}

fn expect(params: Params, expected: &[(&str, &str, u64)]) {
    let expected = expected
        .iter()
        .map(|(t, s, n)| (((*t).to_owned(), (*s).to_owned()), *n))
        .collect();
    assert_eq!(rows(&ask(params)), expected);
}

#[test]
fn exceptions_are_counted_over_shards_segments_and_tail() {
    let params = Params::default;
    expect(
        params(),
        &[("Io", "cart", 3), ("Io", "auth", 1), ("Timeout", "auth", 1)],
    );
    expect(
        Params {
            window: Some("24h".into()),
            ..params()
        },
        &[("Io", "cart", 3), ("Io", "auth", 1), ("Timeout", "auth", 2)],
    );
    expect(
        Params {
            k: Some(1),
            ..params()
        },
        &[("Io", "cart", 3)],
    );
    expect(
        Params {
            service: Some("auth".into()),
            ..params()
        },
        &[("Io", "auth", 1), ("Timeout", "auth", 1)],
    );
    expect(
        Params {
            environment: Some("prod".into()),
            ..params()
        },
        &[("Io", "cart", 2), ("Io", "auth", 1), ("Timeout", "auth", 1)],
    );
    expect(
        Params {
            group_by: Some("type".into()),
            ..params()
        },
        &[("Io", "-", 4), ("Timeout", "-", 1)],
    );
}

#[test]
fn what_is_hidden_is_not_counted() {
    // Seen are those of 0, -1 and -2 minutes: this cuts the minute of the third.
    let ago = |seconds: i64| now().saturating_add(-seconds * 1_000_000_000);
    let day = || Params {
        window: Some("24h".into()),
        ..Params::default()
    };
    let seen = |floors: &Floors| rows(&ask_above(floors, day()));
    let expected = |rows: &[(&str, &str, u64)]| {
        let key = |(t, s, n): &(&str, &str, u64)| (((*t).to_owned(), (*s).to_owned()), *n);
        rows.iter().map(key).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        seen(&Floors::new(ago(121), [])),
        expected(&[("Io", "cart", 3)])
    );
    assert_eq!(
        seen(&Floors::new(ago(119), [])),
        expected(&[("Io", "cart", 2)])
    );
    let auth_longer = Floors::new(ago(119), [("auth".to_owned(), ago(241))]);
    assert_eq!(
        seen(&auth_longer),
        expected(&[("Io", "cart", 2), ("Io", "auth", 1), ("Timeout", "auth", 1)])
    );
    let auth_shorter = Floors::new(ago(100_000), [("auth".to_owned(), ago(239))]);
    assert_eq!(
        seen(&auth_shorter),
        expected(&[("Io", "cart", 3), ("Io", "auth", 1)])
    );
    let answer = ask_above(&Floors::new(ago(119), []), day());
    assert_eq!(
        answer["exceptions"][0]["first_seen"],
        "2026-01-02T03:03:05Z"
    );
}

#[test]
fn a_row_has_every_key_of_the_interface() {
    let answer = ask(Params {
        k: Some(1),
        ..Params::default()
    });
    assert_eq!(answer["window"], "1h");
    assert_eq!(answer["service"], Value::Null);
    // What was stored just now is in it, also by a clock that is ahead.
    assert_eq!(answer["start"], "2026-01-02T02:04:06.001Z");
    assert_eq!(answer["end"], "2026-01-02T03:04:06.001Z");
    let row = &answer["exceptions"][0];
    assert_eq!(
        row["exception_id"],
        ExceptionId::of("Io", "cart").to_string()
    );
    assert_eq!(row["first_seen"], "2026-01-02T03:02:05Z");
    assert_eq!(row["last_seen"], "2026-01-02T03:04:05Z");
    assert_eq!(row["sample_log_ids"].as_array().unwrap().len(), 3);
    assert_eq!(answer["shards"]["total"], 2);
    assert_eq!(answer["partial"], false);
}

/// What the shards say of an exception, asked as the coordinator asks.
fn details(views: &[View], id: ExceptionId, window: Option<&str>) -> Option<Value> {
    let ask = |plan: Plan| {
        let partials = views
            .iter()
            .map(|view| execute(&plan, view, &budget(true, true)).unwrap());
        (plan.time, merge(&plan, partials.collect()).unwrap())
    };
    let (mut time, mut answer) = ask(exception::plan(id, window, now()).unwrap());
    let in_window = !answer.hits.is_empty();
    if !in_window {
        (time, answer) = ask(exception::plan_ever(id, now()).unwrap());
    }
    let first = exception::plan_first(id, time, &answer, now()).unwrap();
    let first = first.map(|plan| ask(plan).1);
    let seen = Seen {
        answer: &answer,
        in_window,
        first: first.as_ref(),
    };
    let json = exception::render(id, &seen)?;
    Some(serde_json::from_str(&json).unwrap())
}

#[test]
fn one_exception_is_shown_in_detail_and_an_unknown_one_is_not() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let views = views(&folders);
    let json = details(&views, ExceptionId::of("Timeout", "auth"), None).unwrap();
    assert_eq!(json["exception_type"], "Timeout");
    assert_eq!(json["service_name"], "auth");
    assert_eq!(json["count"], 2);
    assert_eq!(json["first_seen"], "2026-01-01T23:44:05Z");
    assert_eq!(json["last_seen"], "2026-01-02T03:00:05Z");
    assert_eq!(json["sample_logs"].as_array().unwrap().len(), 2);
    assert_eq!(
        json["affected"],
        json!({ "hosts": ["host-0", "host-1"], "regions": [], "users": [] })
    );
    let signatures = json!([{ "signature": "0000000000000007", "count": 2 }]);
    assert_eq!(json["signatures"], signatures);
    let trend: u64 = json["trend"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["count"].as_u64().unwrap())
        .sum();
    assert_eq!(trend, 2);
    assert_eq!(details(&views, ExceptionId::of("Nope", "auth"), None), None);
}

#[test]
fn an_exception_that_a_shard_never_had_costs_no_reading() {
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    // A whole granule without exceptions, then some with.
    let fine = (0..100u8).map(|number| Record::new(LogId([number; 16]), now(), "fine"));
    let broken = (0..3u8).map(|number| thrown(number, "cart", "Io", "prod", -i64::from(number)));
    let batches = [
        Batch::of(fine.collect()),
        Batch::of(broken.collect()),
        Batch::of(vec![thrown(9, "auth", "Timeout", "prod", 0)]),
    ];
    let scanned = |cuts: &[usize], id: ExceptionId, fast: bool| {
        let view = shards::view(folder.path(), shard, &batches, cuts);
        let plan = exception::plan_ever(id, now()).unwrap();
        let partial = execute(&plan, &view, &budget(fast, fast)).unwrap();
        (
            partial.total,
            partial.scanned.granules,
            partial.scanned.rows,
        )
    };
    let nowhere = ExceptionId::of("Nope", "cart");
    let some = ExceptionId::of("Io", "cart");
    for (cuts, id, expected) in [
        (&[1, 1, 1][..], nowhere, (0, 0, 0)),
        (&[], nowhere, (0, 0, 0)),
        (&[1, 1, 1], some, (3, 1, 3)),
        (&[], some, (3, 0, 3)),
    ] {
        assert_eq!(scanned(cuts, id, true), expected, "{cuts:?}");
    }
    // Without summaries, what is read is still only what holds exceptions at all.
    assert_eq!(scanned(&[1, 1, 1], nowhere, false), (0, 2, 4));
}

#[test]
fn beyond_256_exceptions_a_minute_counts_are_off_by_no_more_than_they_say() {
    const TYPES: u16 = 900;
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    // All in the minute that the window's end cuts, and some behind the end.
    let end = now().saturating_add(-now().nanos().rem_euclid(60 * SECOND) - 30 * SECOND);
    let of_type = |number: u16| {
        let times = 1 + i64::from(number % 7);
        (0..times).map(move |time| {
            let mut record = thrown(1, "cart", &format!("E{number}"), "prod", 0);
            record.timestamp = end.saturating_add((time - 5) * SECOND);
            record
        })
    };
    let records: Vec<Record> = (0..TYPES).flat_map(of_type).collect();
    let mut counted = BTreeMap::<String, u64>::new();
    for record in records.iter().filter(|record| record.timestamp < end) {
        let type_name = &record.exception.as_ref().unwrap().type_name;
        *counted.entry(type_name.clone()).or_default() += 1;
    }
    let batches: Vec<Batch> = records.chunks(500).map(|c| Batch::of(c.to_vec())).collect();
    for cuts in [&[3, 2][..], &[]] {
        let view = shards::view(folder.path(), shard, &batches, cuts);
        let params = Params {
            k: Some(1_000),
            window: Some("5m".into()),
            end: Some(end.to_string()),
            ..Params::default()
        };
        for answer in ask_of(std::slice::from_ref(&view), &Floors::NONE, params) {
            let mut sum_of_errors = 0;
            let rows = answer["exceptions"].as_array().unwrap();
            assert!(rows.len() > 200, "{} rows", rows.len());
            for row in rows {
                let exact = counted[row["exception_type"].as_str().unwrap()];
                let count = row["count"].as_u64().unwrap();
                let error = row["count_error"].as_u64().unwrap();
                let bounds = count - error..=count;
                assert!(bounds.contains(&exact), "{exact} of {row}");
                sum_of_errors += error;
            }
            assert!(sum_of_errors > 0, "it is not exact");
        }
    }
}

#[test]
fn an_exception_from_before_the_window_is_shown_with_a_count_of_0() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let views = views(&folders);
    let id = ExceptionId::of("Timeout", "auth");
    let json = details(&views, id, Some("3m")).unwrap();
    assert_eq!((&json["count"], &json["trend"]), (&json!(0), &json!([])));
    assert_eq!(json["exception_type"], "Timeout");
    assert_eq!(json["service_name"], "auth");
    assert_eq!(json["first_seen"], "2026-01-01T23:44:05Z");
    assert_eq!(json["last_seen"], "2026-01-02T03:00:05Z");
    assert_eq!(json["sample_logs"].as_array().unwrap().len(), 2);
    assert_eq!(json["affected"]["hosts"], json!(["host-0", "host-1"]));
    let signatures = json!([{ "signature": "0000000000000007", "count": 0 }]);
    assert_eq!(json["signatures"], signatures);
    // What is in the window is told of the window alone.
    let json = details(&views, id, Some("5m")).unwrap();
    assert_eq!(json["count"], 1);
    assert_eq!(json["first_seen"], "2026-01-02T03:00:05Z");
    assert_eq!(
        details(&views, ExceptionId::of("Nope", "auth"), Some("3m")),
        None
    );
}

#[test]
fn the_first_and_the_last_time_of_an_exception_are_told_to_the_nanosecond() {
    let folder = tempfile::tempdir().unwrap();
    // Of one millisecond, and more of them than there are samples.
    let records = [900_001, 3, 2, 999_999, 7].map(|nanos| {
        let mut record = thrown(9, "cart", "Io", "prod", -1);
        record.timestamp = record.timestamp.saturating_add(nanos);
        record
    });
    let batches = [Batch::of(records.to_vec())];
    for cuts in [&[1][..], &[]] {
        let shard = ShardId { bucket: 1, slot: 0 };
        let view = shards::view(folder.path(), shard, &batches, cuts);
        let json = details(&[view], ExceptionId::of("Io", "cart"), None).unwrap();
        assert_eq!(json["count"], 5);
        assert_eq!(json["first_seen"], "2026-01-02T03:03:05.000000002Z");
        assert_eq!(json["last_seen"], "2026-01-02T03:03:05.000999999Z");
    }
}

/// Minutes over which generated exceptions are spread; now is in the last but one.
const MINUTES: i64 = 6;
const SECOND: i64 = 1_000_000_000;

/// Exceptions of a few names, at any nanosecond, many of them next to the ends of minutes.
fn thrown_anywhere() -> impl Strategy<Value = Record> {
    let start = now().nanos() - now().nanos().rem_euclid(60 * SECOND) - (MINUTES - 2) * 60 * SECOND;
    let anywhere = 0..MINUTES * 60 * SECOND;
    let edge = (0..=MINUTES, -2i64..2).prop_map(|(minute, by)| minute * 60 * SECOND + by);
    (
        any::<u8>(),
        select(vec!["cart", "auth"]),
        select(vec!["Io", "Timeout", "Other"]),
        select(vec!["prod", "test"]),
        prop_oneof![2 => anywhere, 1 => edge],
    )
        .prop_map(move |(number, service, type_name, environment, at)| {
            let mut record = thrown(number, service, type_name, environment, 0);
            record.timestamp = Timestamp::from_nanos(start + at);
            record
        })
}

/// A length in whole seconds from a minute on, and an end, at a whole minute, around one or anywhere; in
/// nanoseconds before now.
fn sliding() -> impl Strategy<Value = (i64, i64)> {
    let into = now().nanos().rem_euclid(60 * SECOND);
    let minute = (0..MINUTES, -1i64..2).prop_map(move |(ago, by)| into + ago * 60 * SECOND + by);
    let length = prop_oneof![60i64..400, (1i64..6).prop_map(|minutes| minutes * 60)];
    (length, prop_oneof![minute, -60 * SECOND..300 * SECOND])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Every count of a sliding window is exactly that of the records in it, and no more are claimed.
    #[test]
    fn a_sliding_window_counts_what_is_between_its_ends(
        blocks in prop::collection::vec(prop::collection::vec(thrown_anywhere(), 1..30), 1..5),
        cuts in prop::collection::vec(0usize..3, 0..3),
        asks in prop::collection::vec((sliding(), 0u8..4, prop::option::of(0i64..400)), 8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let shard = ShardId { bucket: 1, slot: 0 };
        let batches: Vec<Batch> = blocks.iter().cloned().map(Batch::of).collect();
        let view = shards::view(folder.path(), shard, &batches, &cuts);
        for ((length, ago), narrowed, floor) in asks {
            let end = now().saturating_add(-ago);
            let start = end.saturating_add(-length * SECOND);
            let (service, environment) = ((narrowed & 1 > 0).then_some("cart"), (narrowed & 2 > 0).then_some("prod"));
            let params = Params {
                window: Some(format!("{length}s")),
                end: Some(end.to_string()),
                service: service.map(str::to_owned),
                environment: environment.map(str::to_owned),
                ..Params::default()
            };
            let floor = floor.map(|seconds| now().saturating_add(-seconds * SECOND));
            let floor = floor.unwrap_or(Timestamp::from_nanos(i64::MIN));
            let mut expected = BTreeMap::new();
            for record in blocks.iter().flatten() {
                let is_in = start <= record.timestamp && record.timestamp < end && floor <= record.timestamp;
                let is_of = service.is_none_or(|name| record.service_name == name)
                    && environment.is_none_or(|name| record.environment == name);
                if is_in && is_of {
                    let type_name = record.exception.as_ref().unwrap().type_name.clone();
                    *expected.entry((type_name, record.service_name.clone())).or_insert(0) += 1;
                }
            }
            let floors = Floors::new(floor, []);
            for answer in ask_of(std::slice::from_ref(&view), &floors, params) {
                prop_assert_eq!(answer["start"].as_str().unwrap(), start.to_string());
                prop_assert_eq!(answer["end"].as_str().unwrap(), end.to_string());
                prop_assert_eq!(rows(&answer), expected.clone(), "{} to {}", start, end);
            }
        }
    }
}
