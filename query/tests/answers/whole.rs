//! The answer with index and summaries, the answer by scanning everything, and the oracle's agree.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hushlog_query::{Floors, View};
use hushlog_record::{LogId, Record, ShardId};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::generate::{Hidden, batches, hidden, query, range, start, wanted};
use crate::oracle::{Ask, has_value};
use crate::shards::{self, Batch, answer_above, budget};

const SHARDS: [ShardId; 2] = [
    ShardId { bucket: 1, slot: 0 },
    ShardId { bucket: 1, slot: 1 },
];

/// What is asked about, and what of it is hidden.
#[derive(Debug)]
struct Scope {
    /// From and to, in milliseconds after the start.
    span: Option<(i64, i64)>,
    hidden: Option<Hidden>,
    /// A custom field, and the value that it must have.
    wanted: Option<(&'static str, Value)>,
}

impl Scope {
    fn floors(&self) -> Floors {
        let at = |millis: i64| start().saturating_add(millis * 1_000_000);
        self.hidden.as_ref().map_or(Floors::NONE, |hidden| {
            let services = hidden.services.iter();
            let services = services.map(|(name, millis)| (name.clone(), at(*millis)));
            Floors::new(at(hidden.default), services)
        })
    }

    fn shows(&self, record: &Record) -> bool {
        let at = record.timestamp.nanos() - start().nanos();
        let inside = |(from, to): (i64, i64)| (from * 1_000_000..to * 1_000_000).contains(&at);
        let is_old = self.hidden.as_ref().is_some_and(|hidden| {
            let of_service = hidden.services.get(&record.service_name);
            at < of_service.unwrap_or(&hidden.default) * 1_000_000
        });
        let wanted = self.wanted.as_ref();
        let has_it = wanted.is_none_or(|(field, value)| has_value(record, field, value));
        self.span.is_none_or(inside) && !is_old && has_it
    }
}

/// Every matching record, newest first, ties backwards by shard, seq and row.
fn expected<'a>(ask: &Ask, scope: &Scope, all: &'a [Vec<Batch>]) -> Vec<&'a Record> {
    let mut found = Vec::new();
    for (shard, batches) in all.iter().enumerate() {
        for (seq, batch) in batches.iter().enumerate() {
            for (row, record) in batch.visible() {
                if scope.shows(record) && ask.matches(record) {
                    found.push((Reverse((record.timestamp, shard, seq, row)), record));
                }
            }
        }
    }
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, record)| record).collect()
}

fn count_by(records: &[&Record], key: impl Fn(&Record) -> String) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(key(record)).or_insert(0) += 1;
    }
    counts
}

/// Counts per key of a bucket aggregation, empty buckets left out.
fn counts(aggregation: &Value) -> BTreeMap<String, u64> {
    let text = |key: &Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
    let buckets = aggregation["buckets"].as_array().unwrap();
    let pairs = buckets
        .iter()
        .map(|b| (text(&b["key"]), b["doc_count"].as_u64().unwrap()));
    pairs.filter(|(_, count)| *count > 0).collect()
}

fn request(ask: &Ask, scope: &Scope, order: &str, limit: usize, offset: usize) -> Value {
    let at = |millis: i64| start().saturating_add(millis * 1_000_000).to_string();
    let range = scope
        .span
        .map(|(from, to)| json!({ "start": at(from), "end": at(to) }));
    let wanted = scope.wanted.as_ref();
    let fields = wanted.map(|(field, value)| json!({ *field: value }));
    json!({
        "query": ask.text(), "filters": { "timestamp_range": range, "fields": fields },
        "sort": { "field": "timestamp", "order": order }, "limit": limit, "offset": offset,
    })
}

fn ids(answer: &hushlog_query::Answer) -> Vec<LogId> {
    answer.hits.iter().map(|hit| hit.record.log_id).collect()
}

fn check(views: &[View], all: &[Vec<Batch>], ask: &Ask, scope: &Scope, window: (usize, usize)) {
    let mut expected = expected(ask, scope, all);
    let (limit, offset) = window;
    for order in ["desc", "asc"] {
        let body = request(ask, scope, order, limit, offset).to_string();
        let wanted: Vec<&&Record> = expected.iter().skip(offset).take(limit).collect();
        for (index, summaries) in [(true, true), (false, false), (true, false), (false, true)] {
            let answer = answer_above(&scope.floors(), &body, views, &budget(index, summaries));
            assert_eq!(answer.total, expected.len() as u64, "total of {body}");
            assert_eq!(answer.hits.len(), wanted.len(), "hits of {body}");
            for (hit, wanted) in answer.hits.iter().zip(&wanted) {
                assert!(hit.record == ***wanted, "records of {body}");
            }
            if limit > 0 && wanted.len() == limit && expected.len() > offset + limit {
                assert!(answer.next_search_after.is_some(), "more behind {body}");
            }
        }
        expected.reverse();
    }
    check_pages(views, &expected, ask, scope);
    check_aggregations(views, &expected, ask, scope);
}

/// Pages by `search_after` are the whole answer, without loss or repetition.
fn check_pages(views: &[View], expected: &[&Record], ask: &Ask, scope: &Scope) {
    if expected.len() > 400 {
        return;
    }
    let mut body = request(ask, scope, "desc", 37, 0);
    let mut seen = Vec::new();
    loop {
        let answer = answer_above(
            &scope.floors(),
            &body.to_string(),
            views,
            &budget(true, true),
        );
        assert_eq!(answer.total, expected.len() as u64);
        seen.extend(ids(&answer));
        match answer.next_search_after {
            Some(token) => body["search_after"] = json!(token),
            None => break,
        }
    }
    let wanted: Vec<LogId> = expected.iter().map(|record| record.log_id).collect();
    assert_eq!(seen, wanted, "pages of {body}");
}

fn check_aggregations(views: &[View], expected: &[&Record], ask: &Ask, scope: &Scope) {
    let mut body = request(ask, scope, "desc", 0, 0);
    // The first set can come from summaries, the second cannot.
    let countable = json!({
        "levels": { "terms": { "field": "level" }, "aggs": { "services": { "terms": { "field": "service" } } } },
        "over": { "date_histogram": { "field": "timestamp", "fixed_interval": "2m" },
                  "aggs": { "levels": { "terms": { "field": "level" } } } },
    });
    let mut scanned = countable.clone();
    scanned["any"] = json!({ "terms": { "field": "any", "size": 1000 } });
    scanned["latency"] = json!({ "stats": { "field": "latency_ms" } });
    scanned["bars"] = json!({ "histogram": { "field": "latency_ms", "interval": 50 } });
    scanned["kinds"] = json!({ "cardinality": { "field": "any" } });
    for (aggregations, index, summaries) in [
        (&countable, true, true),
        (&countable, false, false),
        (&scanned, true, true),
        (&scanned, false, false),
    ] {
        body["aggregations"] = aggregations.clone();
        let answer = answer_above(
            &scope.floors(),
            &body.to_string(),
            views,
            &budget(index, summaries),
        );
        let got = answer.aggregations.as_ref().unwrap();
        let levels = count_by(expected, |record| record.level.name().to_owned());
        assert_eq!(counts(&got["levels"]), levels, "levels of {body}");
        for bucket in got["levels"]["buckets"].as_array().unwrap() {
            let of_level: Vec<&Record> = expected
                .iter()
                .copied()
                .filter(|r| bucket["key"] == r.level.name())
                .collect();
            let services = count_by(&of_level, |record| record.service_name.clone());
            assert_eq!(counts(&bucket["services"]), services, "services of {body}");
        }
        let minutes = |record: &Record| record.timestamp.nanos() / 120_000_000_000 * 120_000;
        assert_eq!(
            counts(&got["over"]),
            count_by(expected, |r| minutes(r).to_string()),
            "{body}"
        );
        if aggregations.get("latency").is_some() {
            check_numbers(expected, got);
        }
    }
}

fn check_numbers(expected: &[&Record], got: &Value) {
    let latency = |record: &Record| -> i64 {
        let (_, value) = record
            .fields
            .iter()
            .find(|(name, _)| name == "latency_ms")
            .unwrap();
        value.text.parse().unwrap()
    };
    let all: Vec<i64> = expected.iter().map(|record| latency(record)).collect();
    assert_eq!(got["latency"]["count"], all.len());
    assert_eq!(
        got["latency"]["sum"].as_f64(),
        Some(all.iter().sum::<i64>() as f64)
    );
    assert_eq!(
        got["latency"]["min"].as_f64(),
        all.iter().min().map(|n| *n as f64)
    );
    assert_eq!(
        got["latency"]["max"].as_f64(),
        all.iter().max().map(|n| *n as f64)
    );
    let bars = count_by(expected, |record| {
        format!("{:?}", (latency(record) / 50 * 50) as f64)
    });
    assert_eq!(counts(&got["bars"]), bars);
    let kinds = got["any"]["buckets"].as_array().unwrap().len();
    assert_eq!(got["kinds"]["value"], kinds);
}

/// A question, and the page that is asked for: how long, and after how many.
fn asks() -> impl Strategy<Value = (Ask, Scope, (usize, usize))> {
    let wanted = prop::option::weighted(0.3, wanted());
    let scope = (range(), hidden(), wanted).prop_map(|(span, hidden, wanted)| Scope {
        span,
        hidden,
        wanted,
    });
    (query(), scope, (0usize..60, 0usize..30))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn index_and_summaries_never_change_an_answer(
        first in batches(),
        second in batches(),
        cuts in prop::collection::vec(0usize..3, 0..3),
        asks in prop::collection::vec(asks(), 16),
    ) {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let all = [first, second];
        let views: Vec<View> = (0..2)
            .map(|i| shards::view(folders[i].path(), SHARDS[i], &all[i], &cuts))
            .collect();
        for (ask, scope, window) in asks {
            check(&views, &all, &ask, &scope, window);
        }
    }
}
