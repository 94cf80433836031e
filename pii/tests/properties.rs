//! What holds for every text: no panic, no change outside the spans, none when masked again.

use std::sync::LazyLock;

use hushlog_pii::{Detector, Key, Masker, Policy, Strategy as Hiding};
use hushlog_record::{LogId, Record, Timestamp, Value as FieldValue};
use proptest::prelude::*;

/// Pieces that detectors care about, to be thrown together.
const PIECES: [&str; 120] = [
    "passport ",
    "A12803456",
    "driver's license ",
    "D1234567",
    "bank account number ",
    "000123456789",
    "routing ",
    "021000021",
    "EIN ",
    "12-3456789",
    "NPI ",
    "1003000126",
    "MBI ",
    "1EG4-TE5-MK73",
    "DEA ",
    "AB1234563",
    "dob ",
    "1972-11-22",
    "imei ",
    "490154203237518",
    "VIN ",
    "1HGCM82633A004352",
    "user=",
    "kim",
    "cpf ",
    "111.444.777-35",
    "nino ",
    "AB 12 34 56 C",
    "hetu ",
    "131052-308T",
    "dni ",
    "12345678Z",
    "tax id ",
    "36574261809",
    "npi:k1:",
    "ana@example.org",
    "a@b.co",
    "%40",
    "@",
    "x.y-z@mail.example.com",
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "3782 822463 10005",
    "2671 4111 1111 1111",
    " 1111",
    "219-09-9999",
    "219 09 9999",
    "219099999",
    "ssn ",
    "phone ",
    "call ",
    "tel:",
    "+4915112345678",
    "+1 415 555 0132",
    "(415) 555-0132",
    "415-555-0132",
    "415.555.0132",
    "033316005",
    "020 7946 0958",
    " ext 42",
    "x12",
    "93.184.216.34",
    "127.0.0.1",
    "10.0.0.0/8",
    "2001:db8::1",
    "fe80::1%eth0/64",
    "::ffff:93.184.216.34",
    "::",
    "00:1b:44:11:3a:b7",
    "http://u:p@h.example.com/",
    "DE75512108001245126199",
    "GB33 BUKB 2020 1555 5555 55",
    "DE75",
    "912-70-1234",
    "ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5",
    "AKIAQWERTYUIOPAS2345",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "password",
    "token",
    "api_key",
    "cookie",
    "Authorization: Bearer ",
    "\\\"",
    "=",
    ": ",
    "k1:",
    "s3cr3t/9",
    "null",
    "version ",
    "v",
    "1",
    "0",
    "12",
    "4155",
    "-",
    ".",
    ":",
    "/",
    " ",
    ", ",
    "(",
    ")",
    "*",
    "[",
    "]",
    "_",
    "+",
    "é",
    "电",
    "＠",
    "．",
    "＋",
    "４",
    "ａｎａ＠",
    "\n",
    "\"",
    "a",
];

/// Personal data of the common kinds.
const VALUES: [&str; 14] = [
    "93.184.216.34",
    "2001:db8::1",
    "ana.smith@example.org",
    "415-555-2671",
    "(415) 555-2671",
    "+4915112345678",
    "219-09-9999",
    "4242424242424242",
    "4242 4242 4242 4242",
    "DE75512108001245126199",
    "SPFA868G0D760948F",
    "ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5",
    "AKIAQWERTYUIOPAS2345",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..14)
        .prop_map(|pieces| pieces.concat())
}

/// Names that mask to the same, and names that look like masked ones which were numbered.
fn names() -> impl Strategy<Value = std::collections::BTreeSet<String>> {
    let alike = "a[a-d]?@x\\.(com|org)|a\\*\\*\\*@x\\.(com|org)(#[1-5])?(#2)?";
    prop::collection::btree_set(prop_oneof![3 => alike, 1 => soup()], 0..12)
}

/// The default policy, and every detector on with each strategy.
fn maskers() -> &'static [Masker] {
    static MASKERS: LazyLock<[Masker; 4]> = LazyLock::new(|| {
        let all = |strategy| {
            Detector::ALL
                .into_iter()
                .fold(Policy::default(), |p, d| p.with(d, strategy))
        };
        [
            Policy::default(),
            all(Hiding::Redact),
            all(Hiding::Hash),
            all(Hiding::PartialMask),
        ]
        .map(|policy| Masker::new(policy, Key::new([3; 32])))
    });
    &*MASKERS
}

/// Spans ascend, cut no character, and what is between them is kept.
fn check_outside(text: &str, masker: &Masker) -> Result<(), TestCaseError> {
    let findings = masker.mask_text(text);
    let mut rest = findings.masked.as_ref();
    let mut end = 0;
    for span in &findings.spans {
        prop_assert!(end <= span.start && span.start < span.end, "order");
        let kept = text.get(end..span.start);
        prop_assert!(
            kept.is_some() && text.get(span.start..span.end).is_some(),
            "characters"
        );
        let kept = kept.unwrap_or_default();
        let at = if end == 0 {
            rest.starts_with(kept).then_some(0)
        } else {
            rest.find(kept)
        };
        prop_assert!(at.is_some(), "bytes before a span");
        rest = &rest[at.unwrap_or(0) + kept.len()..];
        end = span.end;
    }
    prop_assert!(rest.ends_with(&text[end..]), "bytes after the last span");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_keeps_the_bytes_outside_its_spans(text in "\\PC*") {
        for masker in maskers() {
            check_outside(&text, masker)?;
        }
    }

    #[test]
    fn mixed_personal_data_keeps_the_bytes_outside_its_spans(text in soup()) {
        for masker in maskers() {
            check_outside(&text, masker)?;
        }
    }

    #[test]
    fn masking_twice_changes_nothing(text in soup()) {
        for masker in maskers() {
            let once = masker.mask_text(&text).masked.into_owned();
            let twice = masker.mask_text(&once).masked.into_owned();
            prop_assert_eq!(&once, &twice, "from {:?}", text);
        }
    }

    #[test]
    fn what_stands_side_by_side_is_masked_at_once(text in side_by_side()) {
        let masker = &maskers()[0];
        let once = masker.mask_text(&text).masked;
        let twice = masker.mask_text(&once).masked;
        prop_assert_eq!(&once, &twice, "from {:?}", text);
    }

    #[test]
    fn digits_and_marks_mask_to_a_fixed_point(text in "[0-9 .:@+()a-f/x*-]{0,60}") {
        for masker in maskers() {
            let once = masker.mask_text(&text).masked.into_owned();
            let twice = masker.mask_text(&once).masked.into_owned();
            prop_assert_eq!(&once, &twice, "from {:?}", text);
        }
    }

    #[test]
    fn names_of_fields_stay_unique_and_in_order(names in names()) {
        for masker in maskers() {
            let mut record = Record::new(LogId([0; 16]), Timestamp::from_millis(0), "");
            record.fields = names.iter().map(|name| (name.clone(), FieldValue::string(""))).collect();
            let once = masker.mask(record).into_inner();
            let ascending = once.fields.is_sorted_by(|(a, _), (b, _)| a < b);
            prop_assert!(ascending && once.fields.len() == names.len(), "from {names:?}");
            let twice = masker.mask(once.clone()).into_inner();
            prop_assert!(once == twice, "again, from {names:?}");
        }
    }

    #[test]
    fn position_does_not_matter(before in "[a-z ]{0,140}", after in "[a-z ]{0,140}") {
        let masker = &maskers()[0];
        let cases = [
            ("ana@example.org", "a***@example.org"), ("93.184.216.34", "93.184.216.x"),
            ("219-09-9999", "[SSN]"), ("4242 4242 4242 4242", "**** **** **** 4242"),
            ("(415) 555-0132", "(***) ***-0132"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1::x"),
        ];
        for (plain, masked) in cases {
            let text = format!("{before}| {plain}, {after}");
            prop_assert_eq!(masker.mask_text(&text).masked, format!("{before}| {masked}, {after}"));
        }
    }
}

/// Personal data with one mark between, behind a word or none.
fn side_by_side() -> impl Strategy<Value = String> {
    let value = prop::sample::select(&VALUES[..]);
    let mark = prop::sample::select(&[",", ":", "/", " ", ";", "'", "=", "|", ", "][..]);
    let word = prop::sample::select(&["", "passport ", "acct ", "dob of ", "phone ", "VIN "][..]);
    (
        word,
        value.clone(),
        prop::collection::vec((mark, value), 1..3),
    )
        .prop_map(|(word, first, more)| {
            let more: String = more
                .into_iter()
                .map(|(mark, value)| format!("{mark}{value}"))
                .collect();
            format!("{word}{first}{more}")
        })
}

/// A digit behind a mark makes the number before it a part of something, the star that takes its place does not.
#[test]
fn a_number_before_a_finding_is_masked_at_once() {
    let masker = &maskers()[0];
    for (text, expected) in [
        (
            "(415) 555-2671,4242.4242.4242.4242",
            "(***) ***-2671,****.****.****.4242",
        ),
        (
            "378282246310005,3782 822463 10005",
            "***********0005,**** ****** *0005",
        ),
        (
            "passport check 93.184.216.34,415-555-2671",
            "passport check 93.184.216.x,***-***-2671",
        ),
        ("2001:db8::1,(415) 555-2671", "2001:db8:0::x,(***) ***-2671"),
        ("219-09-9999,415-555-2671", "[SSN],***-***-2671"),
        ("id=7,219-09-9999,2024", "id=7,[SSN],2024"),
        (
            "4242424242424242,123,12/27,(415) 555-2671",
            "************4242,123,12/27,(***) ***-2671",
        ),
        (
            "4242424242424242,415-555-2671,93.184.216.34",
            "************4242,***-***-2671,93.184.216.x",
        ),
        // An amount.
        ("4242424242424242,50", "4242424242424242,50"),
        ("219-09-9999,(415) 555-2671", "[SSN],(***) ***-2671"),
        (
            "acct ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5,415-555-2671",
            "acct [SECRET],***-***-2671",
        ),
        ("VIN SPFA868G0D760948F,219-09-9999", "VIN [VIN],[SSN]"),
        (
            "jwt='eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl'ana.smith@example.org",
            "jwt='[JWT]'a***@example.org",
        ),
    ] {
        assert_eq!(masker.mask_text(text).masked, expected);
        assert_eq!(masker.mask_text(expected).masked, expected);
    }
}
