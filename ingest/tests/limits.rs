//! Each limit on a record, and what happens beyond it.

mod common;

use std::fmt::Write;

use common::{line, object, objects};
use hushlog_ingest::json::{self, Declared, TOO_LARGE};
use hushlog_ingest::limits::CLOUDWATCH_SHARED_BYTES_MAX;
use hushlog_record::limits::{
    FIELD_DEPTH_MAX, FIELD_NAME_BYTES_MAX, RECORD_BYTES_MAX, RECORD_FIELDS_MAX,
};
use hushlog_record::{Kind, Record};

fn field<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let found = record.fields.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.text.as_str())
}

#[test]
fn fields_over_the_limit_are_members_of_one() {
    let members = |count: usize| {
        let all: Vec<_> = (0..count).map(|i| format!("\"f{i:05}\":{i}")).collect();
        format!("{{{}}}", all.join(","))
    };
    let full = object(&members(RECORD_FIELDS_MAX));
    assert_eq!(full.fields.len(), RECORD_FIELDS_MAX);
    assert!(field(&full, "_other").is_none());
    let over = object(&members(RECORD_FIELDS_MAX + 10));
    assert_eq!(over.fields.len(), RECORD_FIELDS_MAX);
    let other: serde_json::Value =
        serde_json::from_str(field(&over, "_other").expect("it holds the rest")).expect("JSON");
    assert_eq!(other.as_object().map(serde_json::Map::len), Some(11));
    assert_eq!(other["f01009"], 1009);
}

#[test]
fn fields_of_a_line_have_the_same_limit() {
    let mut data = String::new();
    for i in 0..RECORD_FIELDS_MAX * 5 {
        write!(data, " k{i}=\"{i}\"").expect("a string takes all");
    }
    let record = line(&format!("<13>1 - - - - - [e@1{data}] x"));
    assert_eq!(
        (record.fields.len(), record.message.as_str()),
        (RECORD_FIELDS_MAX, "x")
    );
    let other: serde_json::Value =
        serde_json::from_str(field(&record, "_other").expect("it holds the rest")).expect("JSON");
    let kept = record.fields.len() - 1 + other.as_object().expect("an object").len();
    // Facility and priority, and every parameter.
    assert_eq!(kept, RECORD_FIELDS_MAX * 5 + 2);
}

/// Each of the fields is sought among those that are there already: by a search of all it would be a
/// comparison for every pair of names, for each of many records.
#[test]
fn many_fields_of_a_message_join_many_of_the_record() {
    let members = |from: usize, to: usize| {
        let all: Vec<_> = (from..to).map(|i| format!("\"f{i:05}\":{i}")).collect();
        all.join(",")
    };
    let inner = format!("{{{}}}", members(400, 900)).replace('"', "\\\"");
    let record = object(&format!("{{{},\"message\":\"{inner}\"}}", members(0, 500)));
    assert_eq!(record.fields.len(), 900);
    let twice = object(r#"{"a":1,"message":"{\"a\":2,\"b\":3,\"b\":4}"}"#);
    assert_eq!(
        (field(&twice, "a"), field(&twice, "b")),
        (Some("1"), Some("3"))
    );
}

#[test]
fn long_names_are_kept_whole_in_one_field() {
    let long = "ä".repeat(200);
    let record = object(&format!(
        "{{\"{long}1\":1,\"b\":{{\"{long}2\":\"x\"}},\"{long}3\":{{\"a\":[3]}},\"c\":4}}"
    ));
    assert_eq!(record.fields.len(), 2);
    assert_eq!(field(&record, "c"), Some("4"));
    let expected = format!("{{\"{long}1\":1,\"b.{long}2\":\"x\",\"{long}3\":{{\"a\":[3]}}}}");
    assert_eq!(field(&record, "_other"), Some(&*expected));
    let exact = "x".repeat(FIELD_NAME_BYTES_MAX);
    assert_eq!(
        field(&object(&format!("{{\"{exact}\":1}}")), &exact),
        Some("1")
    );
}

/// A name is cut before it is masked: nothing is left of what could be half an address or number.
#[test]
fn a_long_name_is_cut_between_words_that_may_hold_something() {
    let long = |head: &str, count: usize, tail: &str| format!("{}{tail}", head.repeat(count));
    for (name, expected) in [
        (
            long("ab ", 84, "jane.doe@example.com x"),
            long("ab ", 83, "ab"),
        ),
        (long("ab ", 84, "219-09-9999 x"), long("ab ", 83, "ab")),
        (long("a", 250, "@example.com"), "too_long".to_owned()),
        (long("a", 300, ""), long("a", 256, "")),
        (long("ab ", 84, "words only"), long("ab ", 84, "word")),
    ] {
        let body = format!("{{\"service\":\"{name}\",\"exception.type\":\"{name}\"}}");
        let record = object(&body);
        assert_eq!(record.service_name, expected);
        assert_eq!(record.exception.expect("it has a type").type_name, expected);
    }
}

#[test]
fn deep_values_are_kept_as_text() {
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let flat = object(&nested(FIELD_DEPTH_MAX));
    assert_eq!(
        (flat.fields[0].1.kind, flat.fields[0].1.text.as_str()),
        (Kind::Number, "1")
    );
    let deep = object(&nested(FIELD_DEPTH_MAX + 2));
    assert_eq!(
        (deep.fields[0].1.kind, deep.fields[0].1.text.as_str()),
        (Kind::Json, "{\"a\":{\"a\":1}}")
    );
    let deeper = object(&nested(FIELD_DEPTH_MAX * 2 + 1));
    assert_eq!(deeper.fields[0].1.kind, Kind::String);
}

#[test]
fn a_value_is_as_large_as_a_record() {
    let read = |text: &str| {
        let mut all = Vec::new();
        json::read(text.as_bytes(), Declared::Json, &mut |raw| {
            all.push(raw.map(|_| ()))
        })
        .expect("it is JSON");
        all
    };
    let value = "v".repeat(RECORD_BYTES_MAX - 1);
    assert_eq!(read(&format!("{{\"k\":\"{value}\"}}")), [Ok(())]);
    let over = read(&format!("[{{\"k\":\"{value}vv\"}},{{\"k\":1}}]"));
    assert_eq!(
        over[0].map_err(|rejected| (rejected.index, rejected.reason)),
        Err((0, TOO_LARGE))
    );
    assert_eq!(over[1], Ok(()));
}

#[test]
fn what_a_batch_shares_is_bounded() {
    let batch = |group: usize| {
        let (group, event) = ("g".repeat(group), r#"{"message":"x"}"#);
        format!(
            r#"{{"messageType":"DATA_MESSAGE","logGroup":"{group}","logEvents":[{event},{event}]}}"#
        )
    };
    assert_eq!(objects(&batch(CLOUDWATCH_SHARED_BYTES_MAX / 2)).len(), 2);
    assert_eq!(objects(&batch(CLOUDWATCH_SHARED_BYTES_MAX)).len(), 1);
}
