//! Patterns of a policy: what they mask and leave, and which of them are refused.

mod long;
mod matching;
mod policy;
mod refusal;
mod twice;

use hushlog_pii::{Key, Masker, Pattern, Policy, Refusal};
use hushlog_record::{LogId, Record, Timestamp, Value};

fn masker(patterns: Vec<Pattern>) -> Masker {
    let policy = Policy::default().with_patterns(patterns);
    Masker::new(policy.expect("good patterns"), Key::new([1; 32]))
}

fn staff() -> Pattern {
    Pattern::new("staff", r"\bEMP-\d{6}\b")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Every text becomes its pair, and stays it when masked again.
fn check(pattern: Pattern, cases: &[(&str, &str)]) {
    let masker = masker(vec![pattern]);
    for (text, expected) in cases {
        let masked = masker.mask_text(text).masked.into_owned();
        assert_eq!(&masked, expected, "from {text:?}");
        assert_eq!(masker.mask_text(&masked).masked, masked, "again, {text:?}");
    }
}

fn refused(patterns: Vec<Pattern>) -> Refusal {
    Policy::default()
        .with_patterns(patterns)
        .expect_err("a pattern that is to be refused")
}

fn record(service: &str, fields: &[(&str, Value)]) -> Record {
    let mut record = Record::new(LogId([0; 16]), Timestamp::from_millis(0), "EMP-123456");
    record.service_name = service.to_owned();
    record.fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    record
}
