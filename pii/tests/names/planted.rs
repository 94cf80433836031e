//! Personal data in any part of a name is found, whatever stands before and behind.

use std::sync::LazyLock;

use hushlog_pii::{Detector, Masker, Policy, Strategy as Hiding};
use hushlog_record::Value;
use proptest::prelude::*;
use proptest::sample::select;

use super::{masked, masker, record};

#[test]
fn nested_keys_are_masked_like_those_at_the_top() {
    let masker = masker(Policy::default());
    for (name, expected) in [
        ("a.123-45-6789", "a.[SSN]"),
        ("a.123-45-6789.b", "a.[SSN].b"),
        ("123-45-6789.b", "[SSN].b"),
        ("users.jane.roe@example.com.z", "u***@example.com.z"),
        (
            "users.jane.roe@example.com.last_login",
            "u***@example.com.last_login",
        ),
        ("users.jane.roe@example.com.n1", "u***@example.com.n1"),
        ("users.jane.roe@example.com.x-y", "u***@example.com.x-y"),
        ("users.jane%40example.com.n1", "u***%40example.com.n1"),
        ("cards.4111111111111111", "cards.************1111"),
        ("cards.4111111111111111.3.x", "cards.************1111.3.x"),
        ("cards.4111 1111 1111 1111.n", "cards.**** **** **** 1111.n"),
        ("phones.+1 415-555-2671.n", "phones.+* ***-***-2671.n"),
        ("phones.+14155552671", "phones.+*******2671"),
        ("phones.(415) 555-2671.2", "phones.(***) ***-****.2"),
        ("phones.415.555.2671.n", "phones.***.***.2671.n"),
        ("peers.93.184.216.34", "peers.93.184.216.x"),
        ("peers.93.184.216.34.n", "peers.93.184.216.x.n"),
        ("peers.93.184.216.34.n.o", "peers.93.184.216.x.n.o"),
        ("peers.93.184.216.34.443.n", "peers.93.184.216.x.443.n"),
        ("peers.93.184.216.34/24.n", "peers.93.184.216.x/24.n"),
        ("ip.10.0.0.1", "ip.10.0.0.x"),
        // Of two readings neither is left.
        ("peers.93.184.216.34.80", "peers.[IPV4]"),
        ("peers.93.184.216.34.8080", "peers.[IPV4][SSN]"),
        ("peers.2001:db8::1.n", "peers.2001:db8:0::x.n"),
        ("peers.::ffff:93.184.216.34.n", "peers.[IPV6].n"),
        ("macs.00:1b:44:11:3a:b7.n", "macs.00:1b:44:xx:xx:xx.n"),
        (
            "ibans.DE75512108001245126199.n",
            "ibans.******************6199.n",
        ),
        ("tax.912-70-1234.n", "tax.[US_ITIN].n"),
        ("keys.AKIAQWERTYUIOPAS2345.n", "keys.[SECRET].n"),
        (
            "t.eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl",
            "t.[JWT]",
        ),
        ("q.password=hunter2.n", "q.password=[KV_SECRET]"),
        (
            "a.219-09-9999.b.4111111111111111",
            "a.[SSN].b.************1111",
        ),
        // Loopback addresses stay.
        ("peers.127.0.0.1.n", "peers.127.0.0.1.n"),
    ] {
        assert_eq!(masked(&masker, name), expected, "{name}");
    }
}

#[test]
fn names_that_are_not_remembered_are_masked_too() {
    let masker = masker(Policy::default());
    for far in [20, 120, 240, 5_000] {
        let (head, tail) = ("a.".repeat(far), ".b".repeat(far));
        for (value, expected) in [("123-45-6789", "[SSN]"), ("93.184.216.34", "93.184.216.x")] {
            let name = format!("{head}{value}{tail}");
            assert_eq!(masked(&masker, &name), format!("{head}{expected}{tail}"));
        }
        let name = format!("{head}jane@mail.example.co.uk.n1{tail}");
        // In stretches that end elsewhere the address does: it is hidden whole, with names before it.
        let masked = masked(&masker, &name);
        // As many of them as one address may have before its `@`.
        let before = if far == 20 { "a***@" } else { "a.a." };
        let is_hidden = !masked.contains("jane") && masked.starts_with(before);
        assert!(is_hidden && masked.ends_with(&tail), "{masked}");
    }
}

/// Whoever reads the object would keep one of two members of one name.
#[test]
fn names_of_one_object_that_are_alike_when_masked_are_numbered() {
    let masker = masker(Policy::default());
    let text = concat!(
        r#"[{"219-09-9999":1,"a":{"219-09-9998":2},"219-09-9998":3,"219-09-9997":"}"},"#,
        r#"{"219-09-9999":4},"219-09-9999"]"#
    );
    let expected = concat!(
        r##"[{"[SSN]":1,"a":{"[SSN]":2},"[SSN]#2":3,"[SSN]#3":"}"},"##,
        r#"{"[SSN]":4},"[SSN]"]"#
    );
    let once = masker
        .mask(record(vec![("list".into(), Value::json(text))]))
        .into_inner();
    assert_eq!(once.fields[0].1.text, expected);
    assert!(masker.mask(once.clone()).into_inner() == once);
}

/// Fields over the limit are one JSON text, under their joined names.
#[test]
fn joined_names_inside_of_json_are_masked() {
    let masker = masker(Policy::default());
    let text = r#"[{"a.123-45-6789.b":{"peers.93.184.216.34.n":"219-09-9999"}}]"#;
    let record = masker.mask(record(vec![("_other".into(), Value::json(text))]));
    let expected = r#"[{"a.[SSN].b":{"peers.93.184.216.x.n":"[SSN]"}}]"#;
    assert_eq!(record.fields[0].1.text, expected);
    assert_eq!(record.pii, ["ipv4", "ssn"]);
}

/// Values, and what of each no mask may leave.
const VALUES: [(&str, &str); 16] = [
    ("jane.roe@example.com", "roe@"),
    ("jane@mail.example.co.uk", "jane@"),
    ("j.m.roe@a1.b2.example.org", "roe@"),
    ("jane%40example.com", "jane%40"),
    ("219-09-9999", "219-09-9999"),
    ("4242424242424242", "4242424242424242"),
    ("4242 4242 4242 4242", "4242 4242"),
    ("+1 415-555-2671", "415-555"),
    ("(415) 555-2671", "555-2671"),
    ("+4915112345678", "15112345678"),
    ("93.184.216.34", "216.34"),
    ("2001:db8::1", "db8::1"),
    ("00:1b:44:11:3a:b7", "11:3a:b7"),
    ("DE75512108001245126199", "512108001245"),
    ("ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5", "aB3dE5gH7j"),
    (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl",
        "eyJzdWIi",
    ),
];

/// Names of ordinary members, before and behind.
const MEMBERS: [&str; 22] = [
    "a",
    "z",
    "n1",
    "x-y",
    "last_login",
    "users",
    "3",
    "17",
    "8080",
    "2024",
    "v2",
    "count",
    "io/name",
    "name",
    "com",
    "service",
    "Foo$Bar",
    "@type",
    "é",
    "",
    "k8s",
    "port",
];

fn path(most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(select(&MEMBERS[..]), 0..most)
}

/// A value somewhere in a name.
fn planted() -> impl Strategy<Value = (String, &'static str)> {
    (path(5), select(&VALUES[..]), path(5)).prop_map(|(before, (value, rest), behind)| {
        let parts = before.into_iter().chain([value]).chain(behind);
        (parts.collect::<Vec<_>>().join("."), rest)
    })
}

/// Several values, and what stands between them, joined or not.
fn soup() -> impl Strategy<Value = String> {
    let marks = select(
        &[
            ".", ".", ".", "..", "-", ":", "@", "", " ", "/", "*", "#2", "[SSN]", "k1:",
        ][..],
    );
    let values = VALUES.map(|(value, _)| value);
    let piece = prop_oneof![select(values.to_vec()), select(&MEMBERS[..])];
    let piece = prop_oneof![3 => piece.prop_map(str::to_owned), 1 => "[0-9.]{1,12}", 1 => "[a-f0-9:.@-]{1,9}"];
    prop::collection::vec((piece, marks), 0..9).prop_map(|pieces| {
        pieces
            .iter()
            .map(|(piece, mark)| format!("{piece}{mark}"))
            .collect()
    })
}

fn maskers() -> &'static [Masker] {
    static MASKERS: LazyLock<Vec<Masker>> = LazyLock::new(|| {
        let all = |strategy| {
            let on = |policy: Policy, detector| policy.with(detector, strategy);
            Detector::ALL.into_iter().fold(Policy::default(), on)
        };
        let badges = hushlog_pii::Pattern::new("digits", "[0-9]{5,7}|^[a-c]+$");
        let patterns = Policy::default().with_patterns(vec![badges]);
        vec![
            masker(Policy::default()),
            masker(all(Hiding::Redact)),
            masker(all(Hiding::Hash)),
            masker(all(Hiding::PartialMask)),
            masker(patterns.expect("a good pattern")),
        ]
    });
    &MASKERS
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_planted_in_a_name_is_found((name, rest) in planted()) {
        for masker in maskers() {
            let masked = masked(masker, &name);
            prop_assert!(!masked.contains(rest), "{name:?}: {masked:?}");
        }
    }

    #[test]
    fn masking_names_twice_changes_nothing(name in soup(), value in soup()) {
        for masker in maskers() {
            // Another that is longer, and so stands behind it.
            let longer = format!("{name}.{name}");
            let fields = vec![(name.clone(), Value::string(&*value)), (longer, Value::string("219099999"))];
            let once = masker.mask(record(fields)).into_inner();
            let twice = masker.mask(once.clone()).into_inner();
            prop_assert!(once == twice, "from {name:?} and {value:?}: {:?}, then {:?}", once.fields, twice.fields);
        }
    }
}
