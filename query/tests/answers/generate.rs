//! Generated records and queries: small alphabets, so that much matches.

use std::collections::BTreeMap;

use hushlog_record::{Exception, Level, LogId, Record, Timestamp, Value};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::oracle::Ask;
use crate::shards::{Batch, now};

const WORDS: [&str; 16] = [
    "payment",
    "Failed",
    "pay",
    "user_1234567",
    "connection",
    "REFUSED",
    "ÜBER",
    "straße",
    "Ka\u{212a}e",
    "İstanbul",
    "10.0.0.7",
    "deadbeef01",
    "日本語",
    "a-b",
    "x",
    "timeout",
];
const SERVICES: [&str; 3] = ["payment-service", "Auth", "cart"];
const HOSTS: [&str; 3] = ["", "api-01", "API-02"];
const TYPES: [&str; 3] = ["java.io.IOException", "TimeoutException", "Ärger"];
const TRACES: [&str; 4] = [
    "",
    "",
    "0af7651916cd43dd8448eb211c80319c",
    "1bf7651916cd43dd8448eb211c80319d",
];

/// Minutes over which event times are spread.
const MINUTES: i64 = 6;

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![9 => select(WORDS.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,6}"];
    prop::collection::vec(word, 0..6).prop_map(|words| words.join(" "))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-20i64..200).prop_map(|n| Value::number(n.to_string())),
        1 => (-20i64..200).prop_map(|n| Value::number(format!("{n}.50"))),
        2 => select(WORDS.to_vec()).prop_map(Value::string),
        1 => (0i64..200).prop_map(|n| Value::string(n.to_string())),
        1 => any::<bool>().prop_map(Value::bool),
        3 => array(),
        1 => Just(Value::string("\"quoted\" \n pay")),
    ]
}

/// Values of arrays that are easily taken for one another, or for one when they stand together.
const CLOSE: [&str; 10] = [
    "-7",
    "1.5",
    "2",
    "5",
    "2.50",
    "50",
    "\"payment\"",
    "\"Failed\"",
    "\"pay\\nment\"",
    "\"pay\\u0007ment\"",
];

/// What such arrays may be asked for.
fn of_arrays() -> impl Strategy<Value = Ask> {
    let words = select(vec![
        "7",
        "-7",
        "1.5",
        "5",
        "2.5",
        "50",
        "0",
        "ment",
        "nment",
        "payment",
        "payment failed",
        "pay ment",
    ]);
    let field = prop::option::of(select(vec!["any", "rare.field"]));
    let ask = (field, words).prop_map(|(field, words)| match field {
        Some(field) => Ask::Field(field, words.to_owned()),
        None => Ask::Phrase(vec![words.to_owned()]),
    });
    (ask, any::<bool>()).prop_map(|(ask, not)| match not {
        true => Ask::Not(Box::new(ask)),
        false => ask,
    })
}

/// A plain value of an array, as JSON: numbers in several forms, texts with escapes and without.
fn element() -> impl Strategy<Value = String> {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    prop_oneof![
        2 => (-20i64..200).prop_map(|n| n.to_string()),
        4 => select(CLOSE.to_vec()).prop_map(str::to_owned),
        2 => (1i64..200, select(vec![".0", ".50", ".5", "e0", "0e-1"]))
            .prop_map(|(n, form)| format!("{n}{form}")),
        3 => select(WORDS.to_vec()).prop_map(text),
        1 => (0i64..200).prop_map(move |n| text(&n.to_string())),
        1 => select(vec!["pay\nment", "a\tb", "say \"x\"", "C:\\pay"]).prop_map(text),
        1 => Just("\"stra\\u00dfe\"".to_owned()),
        1 => select(vec!["true", "false", "null", "{\"n\":7,\"w\":\"x\"}"]).prop_map(str::to_owned),
    ]
}

/// An array, with arrays in it.
fn array() -> impl Strategy<Value = Value> {
    let list = |inner: Vec<String>| format!("[{}]", inner.join(","));
    let inner = element().prop_recursive(2, 6, 3, move |inner| {
        prop::collection::vec(inner, 0..3).prop_map(list)
    });
    prop::collection::vec(inner, 0..4).prop_map(move |elements| Value::json(list(elements)))
}

/// What a filter may ask of a custom field.
pub(crate) fn wanted() -> impl Strategy<Value = (&'static str, serde_json::Value)> {
    let value = prop_oneof![
        3 => (-20i64..200).prop_map(|n| json!(n)),
        2 => (-20i64..200).prop_map(|n| json!(n as f64 + 0.5)),
        3 => select(WORDS.to_vec()).prop_map(|word| json!(word)),
        2 => (0i64..200, select(vec!["", ".0", ".50"])).prop_map(|(n, form)| json!(format!("{n}{form}"))),
        1 => select(vec!["pay\nment", "a\tb", "say \"x\"", "C:\\pay", "straße", "true"])
            .prop_map(|text| json!(text)),
        1 => any::<bool>().prop_map(|truth| json!(truth)),
    ];
    (select(vec!["any", "rare.field", "latency_ms", "ok"]), value)
}

/// A field that all records carry with numbers, and two that some carry with anything.
fn fields() -> impl Strategy<Value = Vec<(String, Value)>> {
    (
        prop::option::of(value()),
        prop::option::weighted(0.2, value()),
        0i64..300,
        any::<bool>(),
    )
        .prop_map(|(any, rare, latency, ok)| {
            let mut fields = Vec::new();
            fields.extend(any.map(|value| ("any".to_owned(), value)));
            fields.push(("latency_ms".to_owned(), Value::number(latency.to_string())));
            fields.push(("ok".to_owned(), Value::bool(ok)));
            fields.extend(rare.map(|value| ("rare.field".to_owned(), value)));
            fields
        })
}

prop_compose! {
    fn exception()(type_name in select(TYPES.to_vec()), message in text(), trace in text()) -> Exception {
        Exception { type_name: type_name.into(), message, stack_trace: trace, signature: 0 }
    }
}

prop_compose! {
    fn record()(
        id in any::<[u8; 16]>(),
        at in 0..MINUTES * 60_000,
        service in select(SERVICES.to_vec()),
        level in select(Level::ALL.to_vec()),
        message in text(),
        fields in fields(),
        exception in prop::option::weighted(0.2, exception()),
        host in select(HOSTS.to_vec()),
        environment in select(vec!["", "prod", "Test"]),
        trace_id in select(TRACES.to_vec()),
        pii in select(vec![vec![], vec!["email"], vec!["email", "ipv4"]]),
    ) -> Record {
        let mut record = Record::new(LogId(id), now(), message);
        record.timestamp = start().saturating_add(at * 1_000_000);
        record.service_name = service.into();
        record.level = level;
        record.fields = fields;
        record.exception = exception;
        record.host = host.into();
        record.environment = environment.into();
        record.trace_id = trace_id.into();
        record.pii = pii.into_iter().map(str::to_owned).collect();
        record
    }
}

/// The first possible event time.
pub(crate) fn start() -> Timestamp {
    "2026-01-02T03:00:00Z".parse().unwrap()
}

/// Blocks of records, the first repeated so that a segment has several granules, some rows skipped.
pub(crate) fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let block = (
        prop::collection::vec(record(), 1..40),
        0usize..3,
        any::<bool>(),
    );
    prop::collection::vec(block, 1..5).prop_map(|blocks| {
        let mut batches: Vec<Batch> = blocks
            .into_iter()
            .map(|(records, skipped, skips)| {
                let skipped = u32::try_from(skipped.min(records.len())).unwrap();
                let skip = if skips && skipped > 0 {
                    std::iter::once(0..skipped).collect()
                } else {
                    Vec::new()
                };
                Batch { records, skip }
            })
            .collect();
        let first = &mut batches[0].records;
        let pattern = first.clone();
        while first.len() < 2_500 {
            let copies = pattern.iter().cloned().map(|mut record| {
                record.timestamp = record.timestamp.saturating_add(1);
                record
            });
            first.extend(copies);
        }
        batches
    })
}

/// A word of a query, as the language takes it without quotes.
fn term() -> impl Strategy<Value = String> {
    select(vec![
        "payment",
        "FAILED",
        "pay",
        "user_1234567",
        "refused",
        "über",
        "STRASSE",
        "kake",
        "deadbeef01",
        "0af7651916cd43dd8448eb211c80319c",
        "日本語",
        "a-b",
        "absent",
        "java.io.IOException",
        "7",
        "50",
        "1.5",
        "ment",
        "true",
        "api",
    ])
    .prop_map(str::to_owned)
}

/// A query of any shape, or of one that takes a way of its own: by summaries, or by bounds.
pub(crate) fn query() -> impl Strategy<Value = Ask> {
    prop_oneof![
        3 => ask(),
        2 => countable(),
        2 => of_arrays(),
        1 => narrowed(bounded()),
        1 => narrowed(thrown()),
    ]
}

/// Alone, or with something else that must be true.
fn narrowed(ask_first: impl Strategy<Value = Ask>) -> impl Strategy<Value = Ask> {
    (ask_first, prop::option::of(ask())).prop_map(|(first, other)| match other {
        Some(other) => Ask::And(Box::new(first), Box::new(other)),
        None => first,
    })
}

/// An exception that there may be, or is not.
fn thrown() -> impl Strategy<Value = Ask> {
    let types = TYPES.into_iter().chain(["Absent"]).collect::<Vec<_>>();
    (select(types), select(SERVICES.to_vec()))
        .prop_map(|(name, service)| Ask::Thrown(name, service))
}

/// About levels and services alone.
fn countable() -> impl Strategy<Value = Ask> {
    let level = || select(Level::ALL.to_vec());
    let leaf = prop_oneof![
        Just(Ask::All),
        level().prop_map(Ask::Level),
        level().prop_map(Ask::AtLeast),
        select(vec!["cart", "auth", "payment-service", "payment"])
            .prop_map(|name| Ask::Field("service", name.to_owned())),
        Just(Ask::Prefix(Some("service"), "ca".to_owned())),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| Ask::Not(Box::new(a))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Ask::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Ask::Or(Box::new(a), Box::new(b))),
        ]
    })
}

/// A range of numbers, which the least and greatest value of a granule may rule out.
fn bounded() -> impl Strategy<Value = Ask> {
    let field = || select(vec!["latency_ms", "any", "rare.field"]);
    prop_oneof![
        (field(), -20i64..300).prop_map(|(field, n)| Ask::Above(field, n)),
        (field(), -20i64..300, 0i64..50).prop_map(|(field, n, more)| Ask::Within(
            field,
            n,
            n + more
        )),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let field = || {
        select(vec![
            "message",
            "service",
            "host",
            "trace_id",
            "exception.type",
            "exception",
            "any",
            "rare.field",
            "ok",
            "latency_ms",
            "pii",
            "environment",
        ])
    };
    let wanted = || {
        prop_oneof![
            term(),
            select(vec![
                "cart",
                "auth",
                "payment-service",
                "api-02",
                "true",
                "150",
                "7",
                "email",
                "prod",
                "42.5",
                "2.5",
                "50",
                "-7",
                "ment",
                "payment failed",
                "x pay",
                "TimeoutException"
            ])
            .prop_map(str::to_owned)
        ]
    };
    let prefix = || {
        select(vec![
            "pa", "PAY", "us", "de", "ü", "1", "java", "tr", "日", "api", "0af",
        ])
        .prop_map(str::to_owned)
    };
    let leaf = prop_oneof![
        1 => Just(Ask::All),
        6 => term().prop_map(Ask::Term),
        2 => prop::collection::vec(select(vec!["payment", "failed", "connection", "refused", "x"]), 1..3)
            .prop_map(|words| Ask::Phrase(words.into_iter().map(str::to_owned).collect())),
        6 => (field(), wanted()).prop_map(|(field, value)| Ask::Field(field, value)),
        2 => prefix().prop_map(|prefix| Ask::Prefix(None, prefix)),
        2 => (field(), prefix()).prop_map(|(field, prefix)| Ask::Prefix(Some(field), prefix)),
        2 => (field(), select(vec!["ment", "ay fa", "T_12", "1", ".0.0.", "tion refu", "straß", "rue"]))
            .prop_map(|(field, text)| Ask::Substring(field, text.to_owned())),
        1 => field().prop_map(Ask::Exists),
        2 => (select(vec!["latency_ms", "any", "rare.field"]), -20i64..300)
            .prop_map(|(field, n)| Ask::Above(field, n)),
        2 => (select(vec!["latency_ms", "any", "rare.field"]), -20i64..200, 0i64..50)
            .prop_map(|(field, n, length)| Ask::Within(field, n, n + length)),
        2 => select(Level::ALL.to_vec()).prop_map(Ask::Level),
        1 => select(Level::ALL.to_vec()).prop_map(Ask::AtLeast),
        1 => thrown(),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|a| Ask::Not(Box::new(a))),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Ask::And(Box::new(a), Box::new(b))),
            2 => (inner.clone(), inner).prop_map(|(a, b)| Ask::Or(Box::new(a), Box::new(b))),
        ]
    })
}

/// The oldest event times that are seen, in milliseconds after the start.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    pub(crate) default: i64,
    pub(crate) services: BTreeMap<String, i64>,
}

/// Nothing is hidden; or the same of all services, or more or less of some, at whole minutes or not.
pub(crate) fn hidden() -> impl Strategy<Value = Option<Hidden>> {
    let floor = || {
        prop_oneof![
            (-1..MINUTES + 1).prop_map(|minute| minute * 60_000),
            -60_000..(MINUTES + 1) * 60_000,
        ]
    };
    let services = prop::collection::btree_map(
        select(SERVICES.to_vec()).prop_map(str::to_owned),
        floor(),
        0..3,
    );
    let hidden = (floor(), services).prop_map(|(default, services)| Hidden { default, services });
    prop::option::weighted(0.7, hidden)
}

/// A time range: none, whole minutes, or cutting minutes; in milliseconds after the start.
pub(crate) fn range() -> impl Strategy<Value = Option<(i64, i64)>> {
    let end = MINUTES * 60_000;
    prop_oneof![
        Just(None),
        (0..MINUTES, 0..MINUTES).prop_map(|(a, b)| Some((a.min(b) * 60_000, a.max(b) * 60_000))),
        (0..end, 0..end).prop_map(|(a, b)| Some((a.min(b), a.max(b)))),
    ]
}
