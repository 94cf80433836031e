//! Aggregations and the whole answer as JSON.

use hushlog_query::{Envelope, ShardFailure, Shards};
use hushlog_record::{Level, LogId, Record, ShardId, Value};
use serde_json::{Value as Json, json};

use crate::shards::{self, Batch, answer, budget, now};

/// Twelve records, one every 20 s from 03:04:05, numbers 0 to 11.
fn records() -> Vec<Record> {
    (0..12u8)
        .map(|i| {
            let mut record = Record::new(LogId([i; 16]), now(), format!("line {i}"));
            record.timestamp = now().saturating_add(i64::from(i) * 20_000_000_000);
            record.service_name = if i % 3 == 0 { "cart" } else { "auth" }.into();
            record.level = if i % 4 == 0 {
                Level::Error
            } else {
                Level::Info
            };
            record.fields = vec![
                ("n".into(), Value::number(i.to_string())),
                ("odd".into(), Value::bool(i % 2 == 1)),
                (
                    "tags".into(),
                    Value::json(if i < 6 { "[\"a\",\"b\"]" } else { "[\"b\"]" }),
                ),
            ];
            record
        })
        .collect()
}

fn aggregate(query: &str, aggregations: Json) -> Json {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut halves = records();
    let second = halves.split_off(5);
    let views: Vec<_> = [halves, second]
        .into_iter()
        .zip(&folders)
        .zip([&[1][..], &[]])
        .zip(0..)
        .map(|(((records, folder), cuts), slot)| {
            let shard = ShardId { bucket: 1, slot };
            shards::view(folder.path(), shard, &[Batch::of(records)], cuts)
        })
        .collect();
    let body = json!({ "query": query, "limit": 0, "aggregations": aggregations }).to_string();
    let [with, without] = [true, false].map(|fast| {
        answer(&body, &views, &budget(fast, fast))
            .aggregations
            .unwrap()
    });
    assert_eq!(with, without);
    with
}

#[test]
fn terms_are_counted_sorted_and_cut() {
    let got = aggregate(
        "*",
        json!({
            "services": { "terms": { "field": "service", "size": 1 } },
            "levels": { "terms": { "field": "level", "order": { "_key": "asc" } } },
            "odd": { "terms": { "field": "odd" } },
            "tags": { "terms": { "field": "tags" } },
            "n": { "terms": { "field": "n", "size": 2, "order": { "_key": "desc" } } },
            "none": { "terms": { "field": "absent" } },
        }),
    );
    assert_eq!(
        got["services"],
        json!({
            "doc_count_error_upper_bound": 0, "sum_other_doc_count": 4,
            "buckets": [{ "key": "auth", "doc_count": 8 }],
        })
    );
    assert_eq!(
        got["levels"]["buckets"],
        json!([
            { "key": "ERROR", "doc_count": 3 }, { "key": "INFO", "doc_count": 9 },
        ])
    );
    assert_eq!(
        got["odd"]["buckets"],
        json!([
            { "key": 0, "key_as_string": "false", "doc_count": 6 },
            { "key": 1, "key_as_string": "true", "doc_count": 6 },
        ])
    );
    assert_eq!(
        got["tags"]["buckets"],
        json!([
            { "key": "b", "doc_count": 12 }, { "key": "a", "doc_count": 6 },
        ])
    );
    assert_eq!(
        got["n"]["buckets"],
        json!([
            { "key": 11, "doc_count": 1 }, { "key": 10, "doc_count": 1 },
        ])
    );
    assert_eq!(got["none"]["buckets"], json!([]));
}

/// Buckets count records, as Elasticsearch's do, not values.
#[test]
fn a_record_is_in_a_bucket_once_however_many_of_its_values_are() {
    let record = |id: u8, array: &str| {
        let mut record = Record::new(LogId([id; 16]), now(), "m");
        record.fields = vec![("a".into(), Value::json(array))];
        record
    };
    let records = vec![record(1, "[7,7,8,[7]]"), record(2, "[7]"), record(3, "[1]")];
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    for cuts in [&[1][..], &[]] {
        let view = shards::view(folder.path(), shard, &[Batch::of(records.clone())], cuts);
        let body = json!({ "limit": 0, "aggregations": {
            "terms": { "terms": { "field": "a" }, "aggs": { "n": { "value_count": { "field": "a" } } } },
            "bars": { "histogram": { "field": "a", "interval": 10 } },
            "range": { "range": { "field": "a", "ranges": [{ "from": 5 }] } },
        } });
        let got = answer(&body.to_string(), &[view], &budget(false, false)).aggregations;
        let got = got.unwrap();
        assert_eq!(
            got["terms"]["buckets"],
            json!([
                { "key": 7, "doc_count": 2, "n": { "value": 5 } },
                { "key": 1, "doc_count": 1, "n": { "value": 1 } },
                { "key": 8, "doc_count": 1, "n": { "value": 4 } },
            ])
        );
        assert_eq!(got["bars"]["buckets"][0]["doc_count"], 3);
        assert_eq!(got["range"]["buckets"][0]["doc_count"], 2);
    }
}

#[test]
fn histograms_fill_their_gaps() {
    let got = aggregate(
        "level:error",
        json!({
            "over": { "date_histogram": { "field": "timestamp", "fixed_interval": "1m" },
                      "aggs": { "by": { "terms": { "field": "service" } } } },
            "bars": { "histogram": { "field": "n", "interval": 2 } },
            "full": { "histogram": { "field": "n", "interval": 2, "min_doc_count": 1 } },
        }),
    );
    let over = got["over"]["buckets"].as_array().unwrap();
    let shown: Vec<_> = over
        .iter()
        .map(|b| {
            (
                b["key_as_string"].as_str().unwrap(),
                b["doc_count"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("2026-01-02T03:04:00.000Z", 1),
            ("2026-01-02T03:05:00.000Z", 1),
            ("2026-01-02T03:06:00.000Z", 1),
        ]
    );
    assert_eq!(
        over[0]["by"]["buckets"],
        json!([{ "key": "cart", "doc_count": 1 }])
    );
    assert_eq!(
        got["bars"]["buckets"],
        json!([
            { "key": 0.0, "doc_count": 1 }, { "key": 2.0, "doc_count": 0 },
            { "key": 4.0, "doc_count": 1 }, { "key": 6.0, "doc_count": 0 },
            { "key": 8.0, "doc_count": 1 },
        ])
    );
    assert_eq!(got["full"]["buckets"].as_array().unwrap().len(), 3);
}

#[test]
fn ranges_and_metrics_compute_with_numbers() {
    let got = aggregate(
        "*",
        json!({
            "r": { "range": { "field": "n", "ranges": [{ "to": 3 }, { "from": 3, "to": 10, "key": "mid" }] },
                   "aggs": { "sum": { "sum": { "field": "n" } } } },
            "avg": { "avg": { "field": "n" } },
            "stats": { "stats": { "field": "n" } },
            "empty": { "avg": { "field": "absent" } },
            "count": { "value_count": { "field": "n" } },
            "hosts": { "value_count": { "field": "host" } },
            "services": { "cardinality": { "field": "service" } },
            "p": { "percentiles": { "field": "n", "percents": [0, 50, 100] } },
            "first": { "min": { "field": "timestamp" } },
        }),
    );
    assert_eq!(
        got["r"]["buckets"],
        json!([
            { "key": "*-3.0", "to": 3.0, "doc_count": 3, "sum": { "value": 3.0 } },
            { "key": "mid", "from": 3.0, "to": 10.0, "doc_count": 7, "sum": { "value": 42.0 } },
        ])
    );
    assert_eq!(got["avg"], json!({ "value": 5.5 }));
    assert_eq!(
        got["stats"],
        json!({ "count": 12, "min": 0.0, "max": 11.0, "avg": 5.5, "sum": 66.0 })
    );
    assert_eq!(got["empty"], json!({ "value": null }));
    assert_eq!(got["count"], json!({ "value": 12 }));
    assert_eq!(got["hosts"], json!({ "value": 0 }));
    assert_eq!(got["services"], json!({ "value": 2 }));
    assert_eq!(
        got["p"],
        json!({ "values": { "0.0": 0.0, "50.0": 5.5, "100.0": 11.0 } })
    );
    assert_eq!(
        got["first"],
        json!({
            "value": 1_767_323_045_000.0, "value_as_string": "2026-01-02T03:04:05.000Z",
        })
    );
}

#[test]
fn an_answer_has_every_key_of_the_interface() {
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    let view = shards::view(folder.path(), shard, &[Batch::of(records())], &[1]);
    let answer = answer(r#"{"limit":2}"#, &[view], &budget(true, true));
    let shards = Shards {
        total: 3,
        successful: 2,
        failed: 1,
        pruned: 4,
        failures: vec![ShardFailure {
            shard: "b1-s0".into(),
            reason: "no answer in time".into(),
        }],
    };
    let envelope = Envelope {
        query_id: "q-1".into(),
        shards,
        execution_time_ms: 5,
    };
    let json: Json = serde_json::from_str(&answer.json(&envelope)).unwrap();
    assert_eq!(json["query_id"], "q-1");
    assert_eq!(json["total"], 12);
    assert_eq!(json["total_relation"], "gte");
    assert_eq!(json["logs"].as_array().unwrap().len(), 2);
    assert_eq!(json["logs"][0]["message"], "line 11");
    assert!(json["next_search_after"].is_string());
    assert_eq!(
        json["shards"],
        json!({
            "total": 3, "successful": 2, "failed": 1, "pruned": 4,
            "failures": [{ "shard": "b1-s0", "reason": "no answer in time" }]
        })
    );
    assert_eq!(json["partial"], true);
    assert_eq!(json["execution_time_ms"], 5);
}

#[test]
fn too_many_buckets_are_refused() {
    use hushlog_query::{Error, Plan, execute, merge};
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    let view = shards::view(folder.path(), shard, &[Batch::of(records())], &[1]);
    let json = r#"{"aggs":{"a":{"date_histogram":{"field":"timestamp","fixed_interval":"1ms"}}}}"#;
    let plan = Plan::new(json.as_bytes(), now()).unwrap();
    let partial = execute(&plan, &view, &budget(true, true)).unwrap();
    let error = merge(&plan, vec![partial]).unwrap_err();
    assert!(matches!(error, Error::Buckets(_)) && error.is_bad_request());
}
