//! The masker: twice is as once, nothing outside of what was found changes, and policies are read or refused.

use std::sync::LazyLock;

use hushlog_pii::{Detector, Key, Masker, Pattern, Policy, Strategy};

use super::super::{Target, shape};
use super::{lines, nothing};

const TEXTS: &str = include_str!("../../../fuzz/seeds/personal.txt");

const WORDS: &[&str] = &[
    "a@b.co",
    "%40",
    "4111 1111 1111 1111",
    "219-09-9999",
    "+1 415 555 2671",
    "(415) 555-2671",
    "10.1.2.3",
    "::1",
    "2001:db8::1",
    "00:1b:44:11:3a:b7",
    "DE89 3704 0044 0532 0130 00",
    "ssn ",
    "phone: ",
    "password=",
    "Authorization: Bearer ",
    "https://u:p@h/",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_",
    "eyJhbGciOiJIUzI1NiJ9.",
    "-----BEGIN PRIVATE KEY-----",
    "[EMAIL]",
    "email:k1:",
    "v1.2.3.4",
    "tax id ",
    "１２",
    "\u{200b}",
    "B-1234",
    "token: ",
    "\"password\":\"",
    "*",
    "x",
];

pub(super) const TARGETS: [Target; 4] = [
    Target {
        name: "mask",
        what: "masking by the policy that a cluster begins with",
        seeds: || lines(TEXTS),
        words: WORDS,
        repair: nothing,
        run: |bytes| run(&DEFAULT, bytes),
    },
    Target {
        name: "mask-all",
        what: "masking with every detector on, hashed",
        seeds: || lines(TEXTS),
        words: WORDS,
        repair: nothing,
        run: |bytes| run(&HASHED, bytes),
    },
    Target {
        name: "mask-patterns",
        what: "masking with patterns beside the detectors",
        seeds: || lines(TEXTS),
        words: WORDS,
        repair: nothing,
        run: |bytes| run(&PATTERNS, bytes),
    },
    Target {
        name: "policy",
        what: "stored policies",
        seeds: || {
            let mut keyed = every(Strategy::Hash);
            keyed.hash_key = 3;
            let patterned = patterned();
            vec![
                Policy::default().to_bytes(),
                keyed.to_bytes(),
                patterned.to_bytes(),
            ]
        },
        words: &[
            "\"mode\":\"observe\"",
            "\"version\":2",
            "\"scope\":{\"fields\":[\"a\"]}",
            "(a|b)*",
            "x{1,9}",
            "[",
            "\\d",
            "\"regex_pattern\":\"",
        ],
        repair: nothing,
        run: run_policy,
    },
];

static DEFAULT: LazyLock<Masker> = LazyLock::new(|| masker(Policy::default()));
static HASHED: LazyLock<Masker> = LazyLock::new(|| masker(every(Strategy::Hash)));
static PATTERNS: LazyLock<Masker> = LazyLock::new(|| masker(patterned()));

fn masker(policy: Policy) -> Masker {
    Masker::new(policy, Key::new([1; 32]))
}

fn every(strategy: Strategy) -> Policy {
    let all = Detector::ALL.into_iter();
    all.fold(Policy::default(), |policy, detector| {
        policy.with(detector, strategy)
    })
}

fn patterned() -> Policy {
    let mut badge = Pattern::new("badge", "B-[0-9]{4,}");
    badge.strategy = Strategy::PartialMask;
    let mut word = Pattern::new("word", "(?i)secret[a-z]*");
    word.strategy = Strategy::Hash;
    let digits = Pattern::new("digits", "[0-9]{5,7}");
    let policy = Policy::default().with_patterns(vec![badge, word, digits]);
    policy.expect("good patterns")
}

fn run(masker: &Masker, bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let once = masker.mask_text(&text);
    let twice = masker.mask_text(&once.masked);
    assert!(
        twice.masked == once.masked,
        "masking twice is as masking once"
    );
    let mut rest = &*once.masked;
    let mut end = 0;
    for span in &once.spans {
        assert!(
            end <= span.start && span.start < span.end,
            "findings are apart and in order"
        );
        let between = text
            .get(end..span.start)
            .expect("findings lie between characters");
        let found = rest
            .find(between)
            .expect("what lies between findings stays");
        rest = rest.get(found + between.len()..).unwrap_or_default();
        end = span.end;
    }
    let tail = text.get(end..).expect("findings lie between characters");
    assert!(rest.ends_with(tail), "what lies behind findings stays");
    let kinds = once
        .spans
        .iter()
        .map(|span| span.detector.len() + span.start % 2);
    shape(&kinds.take(12).collect::<Vec<_>>())
}

fn run_policy(bytes: &[u8]) -> u64 {
    match Policy::from_bytes(bytes) {
        Ok(policy) => {
            let written = policy.to_bytes();
            let back = Policy::from_bytes(&written).expect("what is written is read");
            assert!(back == policy, "a policy is read back");
            assert!(
                back.to_bytes() == written,
                "the same policy is the same bytes"
            );
            shape(&[0, policy.patterns().len(), policy.countries().len()])
        }
        Err(refusal) => shape(&[1, refusal.rule.len(), refusal.cause.to_string().len() % 97]),
    }
}
