//! Masking twice changes nothing, whatever patterns match of the masks.

use hushlog_pii::{Detector, Key, Masker, Pattern, Policy, Strategy as Hiding};
use proptest::prelude::*;

use super::{check, masker};

#[test]
fn masks_are_not_masked_by_patterns_that_match_them() {
    check(
        Pattern::new("caps", "[A-Z]{3,}"),
        &[
            ("219-09-9999 ABC", "[SSN] [CAPS]"),
            ("[EMAIL]S", "[EMAIL]S"),
        ],
    );
    for regex in [r"\w+", r"[A-Z]+", r"\S+@\S+|\*+", r"[a-z0-9:]{10,}", r".+"] {
        for strategy in [Hiding::Redact, Hiding::Hash, Hiding::PartialMask] {
            let greedy = Pattern {
                strategy,
                ..Pattern::new("greedy", regex)
            };
            let policy = Policy::default()
                .with(Detector::Email, strategy)
                .with_patterns(vec![greedy]);
            let masker = Masker::new(policy.expect("a pattern"), Key::new([1; 32]));
            let text = "to ana@example.org: 4242424242424242, done";
            let once = masker.mask_text(text).masked.into_owned();
            assert_ne!(once, text, "{regex}");
            assert_eq!(masker.mask_text(&once).masked, once, "{regex} {strategy}");
        }
    }
}

#[test]
fn what_would_never_come_to_rest_is_hidden_whole() {
    let eager = Pattern {
        replacement: Some("c".to_owned()),
        ..Pattern::new("eager", "[ac]b")
    };
    let text = format!("x a{} y", "b".repeat(40));
    check(eager, &[(&text, "c"), ("a b", "a b"), ("abx", "cx")]);
}

const REGEXES: [&str; 12] = [
    r"\bEMP-\d{6}\b",
    r"\w+@\w+",
    r"[a-z]{2,}",
    r"\*+\d",
    r"\[[A-Z_]+\] ?\w",
    r"\d{3}",
    r"k\d:[a-z2-7]+",
    r"[.:-]\d+",
    r"(?i)phone|ssn",
    r"\S+",
    r"é|电+",
    r"=.*",
];

const PIECES: [&str; 22] = [
    "EMP-123456",
    "ana@example.org",
    "4242424242424242",
    "219-09-9999",
    "ssn ",
    "phone ",
    "033316005",
    "+4915112345678",
    "93.184.216.34",
    "password",
    "=",
    ": ",
    "[EMAIL]",
    "***",
    "email:k1:",
    "é",
    "电",
    " ",
    "-",
    "7",
    "abc",
    "＠",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn masking_twice_changes_nothing(
        text in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|p| p.concat()),
        regexes in prop::collection::btree_set(prop::sample::select(&REGEXES[..]), 1..4),
        strategy in prop::sample::select(&[Hiding::Redact, Hiding::Hash, Hiding::PartialMask][..]),
    ) {
        let patterns = regexes.iter().enumerate().map(|(i, regex)| Pattern {
            strategy,
            ..Pattern::new(format!("p{i}"), *regex)
        });
        let masker = masker(patterns.collect());
        let findings = masker.mask_text(&text);
        let mut end = 0;
        let mut rest = findings.masked.as_ref();
        for span in &findings.spans {
            prop_assert!(end <= span.start && span.start < span.end);
            let kept = text.get(end..span.start).expect("whole characters");
            let at = rest.find(kept);
            prop_assert!(at.is_some(), "bytes outside of {text:?}");
            rest = &rest[at.unwrap_or(0) + kept.len()..];
            end = span.end;
        }
        prop_assert!(rest.ends_with(&text[end..]));
        let once = findings.masked.into_owned();
        prop_assert_eq!(&masker.mask_text(&once).masked, &once, "{:?} with {:?}", text, regexes);
    }
}
