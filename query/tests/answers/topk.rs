//! The most frequent exceptions, from summaries and from rows.

use std::collections::BTreeMap;

use hushlog_query::topk::{Params, TopK, TopKPartial, render, top_k};
use hushlog_query::{Floors, Shards, View, exception, execute, merge};
use hushlog_record::{Exception, ExceptionId, LogId, Record, ShardId};
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
    let views = views(&folders);
    let mut request = TopK::new(params, now()).unwrap();
    request.hide(floors.clone());
    let request = TopK::decode(&request.encode()).unwrap();
    let [with, without] = [true, false].map(|fast| {
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
    });
    assert_eq!(with, without);
    with
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
    assert_eq!(answer["start"], "2026-01-02T02:05:00Z");
    assert_eq!(answer["end"], "2026-01-02T03:05:00Z");
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

#[test]
fn one_exception_is_shown_in_detail_and_an_unknown_one_is_not() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let views = views(&folders);
    let details = |id: ExceptionId| {
        let plan = exception::plan(id, None, now()).unwrap();
        let partials = views
            .iter()
            .map(|view| execute(&plan, view, &budget(true, true)).unwrap());
        exception::render(id, &merge(&plan, partials.collect()).unwrap())
    };
    let json: Value =
        serde_json::from_str(&details(ExceptionId::of("Timeout", "auth")).unwrap()).unwrap();
    assert_eq!(json["exception_type"], "Timeout");
    assert_eq!(json["service_name"], "auth");
    assert_eq!(json["count"], 2);
    assert_eq!(json["last_seen"], "2026-01-02T03:00:05.000Z");
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
    assert_eq!(details(ExceptionId::of("Nope", "auth")), None);
}
