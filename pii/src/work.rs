//! How much work finding is, in steps that are counted: looks at a byte, and bytes given to a pattern.
//!
//! For tests only. Time grows with the length of a text, whatever is in it; a clock would only say so on
//! a quiet machine, a count says it every time.

use std::cell::Cell;

use hushlog_record::{LogId, Record, Timestamp, Value};

use crate::detector::Detector;
use crate::{Key, Masker, Pattern, Policy, Strategy};

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Counts steps of this thread.
pub(crate) fn add(steps: usize) {
    STEPS.with(|all| all.set(all.get() + steps as u64));
}

/// Steps that masking takes.
fn of(mask: impl FnOnce()) -> u64 {
    let before = STEPS.with(Cell::get);
    mask();
    STEPS.with(Cell::get) - before
}

/// Length of the shorter of two texts, in bytes: several of the stretches that patterns are sought in.
const SHORT: usize = 4 << 10;
/// How many times longer the longer one is.
const LONGER: usize = 4;

/// The text of four times the length takes four times the work, and hardly more.
fn check(masker: &Masker, head: &str, piece: &str) {
    check_as(|text| drop(masker.mask_text(text)), head, piece);
}

fn check_as(mask: impl Fn(&str), head: &str, piece: &str) {
    let text = |bytes: usize| format!("{head}{}", piece.repeat(bytes / piece.len()));
    let steps = |bytes| of(|| mask(&text(bytes)));
    let (short, long) = (steps(SHORT), steps(SHORT * LONGER));
    let most = (short + SHORT as u64) * (LONGER as u64 + 1);
    assert!(
        long <= most,
        "{head:?} and {piece:?}: {short} steps, then {long}"
    );
}

/// What detectors look for, and what makes them look on.
const PIECES: [&str; 62] = [
    "dob_111_",
    "dob1",
    "npi ",
    "IMEI:",
    "passport,",
    "vin_1_",
    "ABA021000021 ",
    "acct no ",
    "phone 0",
    "phone:",
    "tel+",
    "call (",
    "ssn 2",
    "DOB/11/",
    "+49",
    "+1 (",
    "(415) ",
    "(415",
    "415-555-",
    "415.",
    "1.2.3.",
    "1.2.3.4 ",
    "::",
    "2001:db8:",
    "fe80::1%",
    "00:1b:",
    "a@",
    "a.b@",
    "a@b.",
    "a@b.co,",
    "%40",
    "x%40y.",
    "http://a:",
    "://a:b@",
    "password=",
    "password=\"",
    "token: ",
    "token: a:",
    "token:'",
    "cookie: a=",
    "Cookie: ",
    "Authorization: ",
    "Authorization: Digest a=",
    "user=",
    "eyJ",
    "eyJ.",
    "eyJhbGciOi-",
    "ghp_",
    "sk-",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "DE75",
    "DE75 5121 ",
    "4242 ",
    "4242424242424242",
    "219-09-9999 ",
    "k1:",
    "*** ",
    "x503 ext. ",
    "é@",
    "電話",
    "[EMAIL]",
];

#[test]
fn work_grows_with_the_length_of_a_text() {
    let all = |strategy| {
        let on = |policy: Policy, detector| policy.with(detector, strategy);
        Detector::ALL.into_iter().fold(Policy::default(), on)
    };
    for policy in [Policy::default(), all(Strategy::Redact)] {
        let masker = Masker::new(policy, Key::new([1; 32]));
        for head in ["", "dob ", "password=\"", "x@"] {
            for piece in PIECES {
                check(&masker, head, piece);
            }
        }
    }
}

#[test]
fn work_of_patterns_grows_with_the_length_of_a_text() {
    for (regex, head, pieces) in [
        (r".*[^A-Z]{2}END|[A-Z]", "", &["A", "A@cor", "é"][..]),
        (r"(?:x+x+)+y", "", &["x", "xy"]),
        (r"[\w.]+@corp", "", &["w.", "é", "w@cor"]),
        (r"Q[a-z]*", "Q", &["a", "Q", "é"]),
        (r"q\d+?;|q", "q", &["q1", "1", "q"]),
        (r"(?s)b.{1023}|b.*c", "b", &["b", "a", "bc"]),
    ] {
        let policy = Policy::empty().with_patterns(vec![Pattern::new("p", regex)]);
        let masker = Masker::new(policy.expect("a good pattern"), Key::new([1; 32]));
        for piece in pieces {
            check(&masker, head, piece);
        }
    }
}

/// A name in JSON may be as long as its record.
#[test]
fn work_grows_with_the_length_of_a_name() {
    let digits = vec![Pattern::new("digits", "[0-9]{5,7}|^[a-c]+$")];
    let patterns = Policy::default().with_patterns(digits);
    for policy in [Policy::default(), patterns.expect("a good pattern")] {
        let masker = Masker::new(policy, Key::new([1; 32]));
        let mask = |name: &str| {
            let mut record = Record::new(LogId([0; 16]), Timestamp::from_millis(0), "");
            let list = format!(r#"[{{"{name}":1}}]"#);
            record.fields.push(("list".into(), Value::json(list)));
            masker.mask(record);
        };
        for piece in [
            "a.",
            "1.",
            ".",
            "a1.",
            "a@b.",
            "a.b@c.de.",
            "1.2.3.4.",
            "219-09-9999.",
            "::1.",
            "é.",
            "x",
            "a%40b.",
            "DE75.",
            "4242424242424242.",
            "password=.",
            "eyJ.",
            "a@",
            "[SSN].",
            "***.",
            "12345.",
        ] {
            check_as(mask, "", piece);
            check_as(mask, "x@", piece);
        }
    }
}
