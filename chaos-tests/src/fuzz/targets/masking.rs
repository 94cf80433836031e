//! The masker: twice is as once, nothing outside of what was found changes, and policies are read or refused.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use hushlog_pii::{Detector, Key, Masker, Pattern, Policy, Strategy};
use hushlog_record::{LogId, Record, Timestamp, Value};

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

/// Names in which values stand, and the like.
const NAMES: &str = "users.jane.roe@example.com.last_login\npeers.93.184.216.34.bytes\ncards.4111111111111111.n\n\
    a.219-09-9999.b\nphones.+1 415-555-2671.n\npeers.2001:db8::1.n\nlog.syslog.structured_data.ex@32473.iut\n\
    t.eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2ln.n\n";

const NAME_WORDS: &[&str] = &[
    ".",
    "\n",
    "a@b.co",
    "%40",
    "219-09-9999",
    "10.1.2.3",
    "4111111111111111",
    "+14155552671",
    "::1",
    "log.syslog.structured_data.",
    "@32473.",
    "password=",
    "[SSN]",
    "email:k1:",
    "#2",
    "ssn",
    "last_login",
    "B-1234",
    "x",
];

pub(super) const TARGETS: [Target; 5] = [
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
        name: "mask-names",
        what: "masking the names of fields and of members in JSON",
        seeds: || lines(NAMES),
        words: NAME_WORDS,
        repair: nothing,
        run: run_names,
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

/// A record whose fields have these names, one a line, and whose list has them too.
fn run_names(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let names: BTreeSet<&str> = text.lines().take(8).collect();
    let mut record = Record::new(LogId([0; 16]), Timestamp::from_millis(0), "");
    let fields = names.iter();
    record.fields = fields
        .map(|name| ((*name).to_owned(), Value::string("219099999")))
        .collect();
    let members: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), 1.into()))
        .collect();
    let list = Value::json(serde_json::json!([members]).to_string());
    if !names.contains("list") {
        record.fields.push(("list".to_owned(), list));
        record.fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    let mut fired = 0;
    for masker in [&DEFAULT, &HASHED, &PATTERNS] {
        let once = masker.mask(record.clone()).into_inner();
        let twice = masker.mask(once.clone()).into_inner();
        assert!(once == twice, "masking twice is as masking once");
        let ascending = once.fields.is_sorted_by(|(a, _), (b, _)| a < b);
        assert!(ascending, "names are unique and in order");
        fired = fired * 16 + once.pii.len();
    }
    shape(&[names.len(), fired])
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
