//! Whatever the bytes are: no panic, no record lost, the same result every time, and where the text is
//! valid JSON the same values that a trusted parser reads.

use std::collections::BTreeMap;

use hushlog_ingest::json::{self, Declared};
use hushlog_ingest::limits::BODY_BYTES_MAX;
use hushlog_ingest::multiline::Joiner;
use hushlog_ingest::{Context, body, exception, parse};
use hushlog_record::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
use hushlog_record::{Kind, Record, Timestamp};
use proptest::prelude::*;

fn records(body: &[u8], declared: Declared) -> Option<Vec<Record>> {
    let mut random = || [7; 10];
    let mut context = Context {
        received: Timestamp::from_nanos(1 << 60),
        service: "",
        environment: "",
        random: &mut random,
    };
    let mut records = Vec::new();
    json::read(body, declared, &mut |raw| {
        records.extend(raw.map(|raw| parse::record(raw, &mut context)))
    })
    .ok()
    .map(|_| records)
}

fn is_sound(record: &Record) {
    assert!(record.fields.is_sorted_by(|(a, _), (b, _)| a < b));
    assert!(record.fields.len() <= RECORD_FIELDS_MAX);
    assert!(record.text_bytes() <= RECORD_BYTES_MAX + 1024);
    for (name, value) in &record.fields {
        if value.kind != Kind::String {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&value.text);
            assert!(parsed.is_ok(), "{name}: {}", value.text);
        }
    }
}

fn all_ways(bytes: &[u8]) {
    for declared in [Declared::Json, Declared::Lines] {
        let first = records(bytes, declared);
        first.iter().flatten().for_each(is_sound);
        assert_eq!(first, records(bytes, declared));
    }
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .count();
    if let Some(records) = records(bytes, Declared::Lines)
        && !bytes.trim_ascii_start().starts_with(b"[")
        && !bytes.starts_with(b"\xef\xbb\xbf")
        && records.len() > 1
    {
        assert_eq!(records.len(), lines);
    }
    let text = String::from_utf8_lossy(bytes);
    for found in [exception::find(&text), exception::find_in_stack(&text)]
        .into_iter()
        .flatten()
    {
        assert!(!found.to_exception(&text).type_name.is_empty());
    }
    let mut joiner = Joiner::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        joiner.push(line.to_vec(), Timestamp::from_nanos(0));
    }
    for encoding in [body::Encoding::Gzip, body::Encoding::Zstd] {
        let decoded = body::decode(bytes, &[encoding], BODY_BYTES_MAX);
        assert!(decoded.is_ok_and(|bytes| bytes.is_empty()) || !bytes.is_empty());
    }
}

/// JSON texts of every shape.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?(e[+-][0-9]{1,3})?",
        ".{0,12}".prop_map(|text| serde_json::to_string(&text).expect("a string is JSON")),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::btree_map("[a-e]{0,2}", inner, 0..5).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\": {value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// The fields that an object must become.
fn flatten(prefix: &str, value: &serde_json::Value, out: &mut BTreeMap<String, String>) {
    let serde_json::Value::Object(members) = value else {
        return;
    };
    for (name, value) in members {
        let path = format!("{prefix}{name}");
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::Object(_) => flatten(&format!("{path}."), value, out),
            serde_json::Value::String(text) => {
                out.insert(path, text.clone());
            }
            other => {
                out.insert(path, other.to_string());
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        all_ways(&bytes);
    }

    #[test]
    fn bytes_that_resemble_input_never_panic(
        parts in prop::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("["), Just("]"), Just("\""), Just(":"), Just(","), Just("\\u12"), Just("\\ud800"),
            Just("\n"), Just(" "), Just("\t"), Just("="), Just("a=1"), Just("\"message\":"), Just("\"fields\":{"), Just("12"), Just("-"),
            Just("Traceback (most recent call last):"), Just("java.io.IOException"), Just(": "), Just("\tat x"), Just("panic: "),
            Just("Uncaught "), Just("goroutine "), Just(":in `"), Just("': "), Just("** ("), Just(")"), Just("2026-01-02 03:04:05"),
            Just("Unhandled exception:\n"), Just("#0 "), Just("ä"), Just("[object] ("), Just("(code: "), Just("panicked at '"),
            Just("terminate called after throwing an instance of '"), Just("what():"), Just("thread '"), Just("stack traceback:"),
        ], 0..40)
    ) {
        all_ways(parts.concat().as_bytes());
    }

    #[test]
    fn a_valid_input_with_a_few_bytes_changed_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)
    ) {
        let mut bytes = br#"{"timestamp":"2026-01-02T03:04:05Z","level":"ERROR","message":"a=1 b=\u00e9","fields":{"n":-1.5e3,"a":[1,{"b":null}]},
"exception":{"type":"E","stack_trace":"E: x\n\tat y"}}"#.to_vec();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        all_ways(&bytes);
    }

    #[test]
    fn fields_are_those_that_a_trusted_parser_reads(
        members in prop::collection::btree_map("[f-z]{1,2}", value(), 0..5)
    ) {
        let members: Vec<_> = members.iter().filter(|(name, _)| *name != "ts").map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{{}}}", members.join(","));
        let parsed: serde_json::Value = serde_json::from_str(&text).expect("it is built as JSON");
        let mut expected = BTreeMap::new();
        flatten("", &parsed, &mut expected);
        let records = records(text.as_bytes(), Declared::Json).expect("it is JSON");
        let mut found = BTreeMap::new();
        for (name, value) in &records[0].fields {
            let text = match value.kind {
                Kind::Json => serde_json::from_str::<serde_json::Value>(&value.text).expect("it is JSON").to_string(),
                _ => value.text.clone(),
            };
            found.insert(name.clone(), text);
        }
        prop_assert_eq!(found, expected);
    }
}
