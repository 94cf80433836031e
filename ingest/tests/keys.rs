//! Personal data in the names of nested members is masked, in every form of line and record.

mod common;

use common::{line, object, with_context};
use hushlog_ingest::parse;
use hushlog_pii::{Key, Masker, Policy};
use hushlog_record::Record;

/// Values without spaces, and what of each no mask leaves.
const VALUES: [(&str, &str); 6] = [
    ("jane.roe@example.com", "roe@"),
    ("123-45-6789", "123-45-6789"),
    ("4111111111111111", "4111111111111111"),
    ("+14155552671", "14155552671"),
    ("93.184.216.34", "216.34"),
    ("2001:db8::1", "db8::1"),
];

/// Objects in which `KEY` is the name of a member.
const OBJECTS: [&str; 8] = [
    r#"{"message":"kx","fields":{"a":{"KEY":3}}}"#,
    r#"{"message":"kx","users":{"KEY":{"last_login":3}}}"#,
    r#"{"message":"kx","users":{"by":{"KEY":{"n1":{"x-y":3}}}}}"#,
    r#"{"message":"kx","users.KEY.z":3}"#,
    r#"{"message":"kx","list":[{"a.KEY.n1":[{"KEY":1}]}]}"#,
    r#"{"KEY":{"n1":1},"z":{"KEY":"219-09-9999"}}"#,
    r#"{"message":"{\"users\":{\"KEY\":{\"n1\":1}}}"}"#,
    r#"{"log":"{\"users\":{\"KEY\":{\"n1\":1}}}\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}"#,
];

/// Lines in which `JSON` is an object, or `KEY` a name.
const LINES: [&str; 11] = [
    "JSON",
    "<34>1 2026-01-02T03:04:05Z host app 7 ID47 - JSON",
    "<34>Jan  2 03:04:05 host su[7]: JSON",
    "<34>Jan  2 03:04:05 host su[7]: @cee: JSON",
    "2026-03-04T05:06:06.5Z stdout F JSON",
    "2026-01-02T03:04:05Z\tinfo\tpay/a.go:7\ttext\t{\"users\":{\"KEY\":{\"n1\":1}}}",
    "level=warn msg=text users.KEY.n1=3 KEY=4",
    "<34>1 2026-01-02T03:04:05Z host app 7 ID47 [users@32473 KEY=\"3\"] text",
    "<34>1 2026-01-02T03:04:05Z host app 7 ID47 [KEY n1=\"3\"] text",
    "<34>1 2026-01-02T03:04:05Z host app 7 ID47 [KEY@32473 n1=\"3\" x=\"KEY\"] text",
    "<34>1 2026-01-02T03:04:05Z host app 7 ID47 [users a.KEY.n1=\"3\"] text",
];

fn check(masker: &Masker, from: &str, record: &Record, rest: &str) {
    let once = masker.mask(record.clone()).into_inner();
    let fields = once.fields.iter();
    let texts = fields.flat_map(|(name, value)| [name, &value.text]);
    for text in texts.chain([&once.message]) {
        assert!(!text.contains(rest), "{from}: {text}");
    }
    assert!(!once.pii.is_empty(), "{from}");
    assert!(masker.mask(once.clone()).into_inner() == once, "{from}");
}

#[test]
fn names_of_nested_members_are_masked() {
    let masker = Masker::new(Policy::default(), Key::new([3; 32]));
    for (value, rest) in VALUES {
        for text in OBJECTS {
            let text = text.replace("KEY", value);
            check(&masker, &text, &object(&text), rest);
            // Such a word is no name in logfmt, and stays in the message.
            let is_form = |form: &&str| !form.starts_with("level=") || !value.contains(['+', ':']);
            for form in LINES.into_iter().filter(is_form) {
                let text = form.replace("JSON", &text).replace("KEY", value);
                check(&masker, &text, &line(&text), rest);
            }
        }
    }
}

/// Names over the limit are joined in one JSON text, and members that lie too deep are kept as JSON.
#[test]
fn names_that_are_kept_as_json_are_masked() {
    let masker = Masker::new(Policy::default(), Key::new([3; 32]));
    for (value, rest) in VALUES {
        let many: Vec<_> = (0..1_100).map(|i| format!(r#""n{i}":{i}"#)).collect();
        let many = format!(
            r#"{{"message":"kx",{},"users":{{"{value}":{{"n1":1}}}}}}"#,
            many.join(",")
        );
        let deep = format!(
            r#"{{"message":"kx","a":{}{{"a.{value}.n1":1}}{}}}"#,
            r#"{"b":"#.repeat(40),
            "}".repeat(40)
        );
        for text in [many, deep] {
            check(&masker, &text, &object(&text), rest);
        }
    }
}

/// The example of RFC 5424, section 6.5.
#[test]
fn names_of_structured_data_are_kept() {
    let masker = Masker::new(Policy::default(), Key::new([3; 32]));
    let text = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" \
                eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"]";
    let before = line(text);
    let after = masker.mask(before.clone()).into_inner();
    assert!(after.fields == before.fields && after.pii.is_empty());
    let names = after.fields.iter().map(|(name, _)| name.as_str());
    let names: Vec<_> = names.filter(|name| name.contains('@')).collect();
    let expected = [
        "log.syslog.structured_data.examplePriority@32473.class",
        "log.syslog.structured_data.exampleSDID@32473.eventID",
        "log.syslog.structured_data.exampleSDID@32473.eventSource",
        "log.syslog.structured_data.exampleSDID@32473.iut",
    ];
    assert_eq!(names, expected);
    let masked = |data: &str| {
        let text = format!("<165>1 2003-10-11T22:14:15.003Z host app - - {data} x");
        let record = masker.mask(line(&text)).into_inner();
        let mut names = record.fields.into_iter().map(|(name, _)| name);
        names.find(|name| name.ends_with(".x"))
    };
    assert_eq!(
        masked("[bob@163.com x=\"1\"]").as_deref(),
        Some("l***@163.com.x")
    );
}

/// What real lines are taken apart into has the names that it had.
#[test]
fn names_of_real_lines_are_kept() {
    let Some(folder) = std::env::var_os("HUSHLOG_CORPUS") else {
        return;
    };
    let masker = Masker::new(Policy::default(), Key::new([3; 32]));
    let mut names = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        for bytes in bytes.split(|byte| *byte == b'\n') {
            let record = with_context("", |context| parse::line(bytes, context));
            names.extend(record.fields.into_iter().map(|(name, _)| name));
        }
    }
    assert!(names.len() >= 3, "{names:?}");
    let mut record = line("");
    record.fields = names
        .iter()
        .map(|name| (name.clone(), hushlog_record::Value::string("")))
        .collect();
    let after = masker.mask(record).into_inner();
    assert!(
        after.fields.iter().map(|(name, _)| name).eq(&names),
        "{names:?}"
    );
}
