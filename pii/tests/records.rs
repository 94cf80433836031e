//! Every text of a record is masked, at any depth.

use hushlog_pii::{Key, Masker, Policy};
use hushlog_record::{Exception, Kind, LogId, Record, Timestamp, Value};

const MAIL: &str = "ana@example.org";
const MASKED: &str = "a***@example.org";

fn mask(record: Record) -> Record {
    Masker::new(Policy::default(), Key::new([1; 32]))
        .mask(record)
        .into_inner()
}

fn record(message: &str) -> Record {
    Record::new(LogId([0; 16]), Timestamp::from_millis(0), message)
}

fn field(name: &str, value: Value) -> (String, Value) {
    let mut record = record("");
    record.fields.push((name.to_owned(), value));
    mask(record).fields.remove(0)
}

#[test]
fn every_string_of_a_record_is_masked() {
    let mut before = record(MAIL);
    before.service_name = MAIL.into();
    before.host = MAIL.into();
    before.environment = MAIL.into();
    before.region = MAIL.into();
    before.trace_id = MAIL.into();
    before.span_id = MAIL.into();
    before.fields = vec![(MAIL.into(), Value::string(MAIL))];
    before.exception = Some(Exception {
        type_name: MAIL.into(),
        message: MAIL.into(),
        stack_trace: MAIL.into(),
        signature: 0,
    });
    let after = mask(before);
    let exception = after.exception.expect("it had one");
    for text in [
        &after.message,
        &after.service_name,
        &after.host,
        &after.environment,
        &after.region,
        &after.trace_id,
        &after.span_id,
        &after.fields[0].0,
        &after.fields[0].1.text,
        &exception.type_name,
        &exception.message,
        &exception.stack_trace,
    ] {
        assert_eq!(text, MASKED);
    }
    assert_eq!(after.pii, ["email"]);
}

fn ids(trace_id: &str, span_id: &str) -> (String, String) {
    let mut before = record("");
    before.trace_id = trace_id.into();
    before.span_id = span_id.into();
    let after = mask(before);
    (after.trace_id, after.span_id)
}

#[test]
fn hex_ids_of_traces_are_left_alone() {
    for (trace_id, span_id) in [
        ("42424242424242424242424242424242", "4242424242424243"),
        ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"),
        ("", "4242424242424f42"),
    ] {
        let kept = (trace_id.to_owned(), span_id.to_owned());
        assert_eq!(ids(trace_id, span_id), kept);
    }
}

#[test]
fn what_is_sent_as_an_id_of_a_trace_is_masked_all_the_same() {
    let masked = |text: &str| text.to_owned();
    assert_eq!(
        ids("4242424242424242", "4242424242424242"),
        (masked("************4242"), masked("************4242"))
    );
    assert_eq!(
        ids("378282246310005", "+4915112345678"),
        (masked("***********0005"), masked("+*********5678"))
    );
}

#[test]
fn detectors_that_fired_are_listed_once_in_order_and_masking_again_keeps_them() {
    let once = mask(record(
        "93.184.216.34 ana@example.org b@example.org 219-09-9999",
    ));
    assert_eq!(once.pii, ["email", "ipv4", "ssn"]);
    let twice = mask(once.clone());
    assert!(once == twice);
}

#[test]
fn of_json_numbers_only_cards_are_masked_and_become_strings() {
    let (_, card) = field("pan", Value::number("4242424242424242"));
    assert_eq!(
        (card.kind, card.text.as_str()),
        (Kind::String, "************4242")
    );
    for literal in [
        "4155550132",
        "219099999",
        "1700000000000",
        "42424242.42424242",
        "-4242424242424242",
    ] {
        let (_, number) = field("phone", Value::number(literal));
        assert_eq!((number.kind, number.text.as_str()), (Kind::Number, literal));
    }
}

#[test]
fn json_text_is_masked_in_its_leaves_and_names_and_stays_json() {
    let text = r#"[1.50, {"to": "ana@example.org", "ana@example.org": [4242424242424242, "a\u0040b.co \"x\" \n"]}, "plain \u00e9"]"#;
    let expected = r#"[1.50, {"to": "a***@example.org", "a***@example.org": ["************4242", "a***@b.co \"x\" \n"]}, "plain \u00e9"]"#;
    let (_, value) = field("list", Value::json(text));
    assert_eq!((value.kind, value.text.as_str()), (Kind::Json, expected));
    serde_json::from_str::<serde_json::Value>(&value.text).expect("still JSON");
    let (_, again) = field("list", Value::json(expected));
    assert_eq!(again.text, expected);
}

#[test]
fn a_field_name_tells_what_a_bare_number_is() {
    assert_eq!(
        field("customer.phone", Value::string("033316005")).1.text,
        "*******05"
    );
    assert_eq!(field("ssn", Value::string("219099999")).1.text, "[SSN]");
    assert_eq!(
        field("order", Value::string("033316005")).1.text,
        "033316005"
    );
    assert_eq!(
        field("a", Value::json(r#"[{"mobile":"07700900123"}]"#))
            .1
            .text,
        r#"[{"mobile":"*******0123"}]"#
    );
}

#[test]
fn names_of_fields_stay_unique_and_sorted() {
    let mut before = record("");
    before.fields = vec![
        ("aa@example.org".into(), Value::string("1")),
        ("ab@example.org".into(), Value::string("2")),
        ("b".into(), Value::string("3")),
    ];
    let after = mask(before);
    let names: Vec<_> = after.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a***@example.org", "a***@example.org#2", "b"]);
}

#[test]
fn a_name_that_looks_like_a_numbered_one_stays_apart() {
    let mut before = record("");
    let names = ["a***@example.org#2", "aa@example.org", "ab@example.org"];
    before.fields = names.map(|name| (name.into(), Value::string("1"))).to_vec();
    let after = mask(before);
    let names: Vec<_> = after.fields.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "a***@example.org",
        "a***@example.org#2",
        "a***@example.org#3",
    ];
    assert_eq!(names, expected);
}

#[test]
fn findings_that_share_digits_are_both_listed() {
    let after = mask(record("+1 415 555 2671 4111 1111 1111 x"));
    assert_eq!(after.message, "[PHONE][CREDIT_CARD] x");
    assert_eq!(after.pii, ["credit_card", "phone"]);
}

#[test]
fn a_field_that_is_named_a_secret_goes_whole_whatever_its_kind() {
    let text = |name: &str, value| field(name, value).1.text;
    assert_eq!(text("db.password", Value::string("x")), "[KV_SECRET]");
    assert_eq!(text("X-Api-Key", Value::string("a b c")), "[KV_SECRET]");
    assert_eq!(text("pin", Value::number("1234")), "[KV_SECRET]");
    assert_eq!(
        text(
            "a",
            Value::json(r#"{"cvv":123,"token_count":5,"password":null}"#)
        ),
        r#"{"cvv":"[KV_SECRET]","token_count":5,"password":null}"#
    );
    assert_eq!(text("spin", Value::number("1234")), "1234");
    assert_eq!(
        text("password", Value::string("[KV_SECRET]")),
        "[KV_SECRET]"
    );
    assert_eq!(text("password", Value::string("")), "");
}

#[test]
fn a_masked_record_is_masked_again_as_it_came() {
    let nothing = Masker::new(Policy::empty(), Key::new([1; 32]));
    let masker = Masker::new(Policy::default(), Key::new([1; 32]));
    let mut plain = record("nothing here");
    plain.fields = vec![("a".into(), Value::number("1"))];
    let mut full = record(MAIL);
    full.service_name = MAIL.into();
    full.span_id = MAIL.into();
    full.pii = vec!["mine".into()];
    full.exception = Some(Exception {
        type_name: "E".into(),
        message: MAIL.into(),
        stack_trace: MAIL.into(),
        signature: 0,
    });
    full.fields = vec![
        ("b".into(), Value::string(MAIL)),
        ("c".into(), Value::number("4111111111111111")),
        ("password".into(), Value::string("hunter22")),
    ];
    let mut renamed = full.clone();
    // Both are masked to one name, which moves them.
    renamed.fields = vec![
        ("a2@example.org".into(), Value::string("x")),
        (MAIL.into(), Value::string(MAIL)),
        ("b".into(), Value::string("y")),
    ];
    for before in [plain, full, renamed] {
        let (masked, original) = masker.mask_keeping(before.clone());
        assert_eq!(masked, masker.mask(before.clone()));
        let changed = *masked != before;
        assert_eq!(original.is_empty(), !changed);
        assert_eq!(original.memory() > 0, changed);
        assert!(!format!("{original:?}").contains('@'));
        let (again, original) = nothing.mask_again(masked, original);
        assert!(*again == before);
        assert!(original.is_empty());
    }
}
