//! Names of fields are masked part by part: nested keys arrive joined by dots.

mod ordinary;
mod planted;
mod rules;

use hushlog_pii::{Key, Masker, Policy};
use hushlog_record::{LogId, Record, Timestamp, Value};

const KEY: [u8; 32] = [1; 32];

fn masker(policy: Policy) -> Masker {
    Masker::new(policy, Key::new(KEY))
}

fn record(fields: Vec<(String, Value)>) -> Record {
    let mut record = Record::new(LogId([0; 16]), Timestamp::from_millis(0), "kx");
    record.service_name = "shop".into();
    record.fields = fields;
    record
}

/// A record with one field of this name.
fn named(name: &str) -> Record {
    record(vec![(name.into(), Value::number("3"))])
}

/// The masked name, which masking again leaves, and which a list in JSON has too.
fn masked(masker: &Masker, name: &str) -> String {
    let once = masker.mask(named(name)).into_inner();
    let twice = masker.mask(once.clone()).into_inner();
    assert!(once == twice, "masked again: {name:?}");
    let text = serde_json::json!([{ name: 3 }]).to_string();
    let list = masker.mask(record(vec![("list".into(), Value::json(text))]));
    let list: serde_json::Value = serde_json::from_str(&list.fields[0].1.text).expect("JSON");
    let keys = list[0].as_object().expect("an object").keys();
    let name = once.fields[0].0.clone();
    assert!(keys.eq([&name]), "in JSON: {name:?}");
    name
}
