//! Patterns and replacements that are refused, each with what to change.

use hushlog_pii::limits::{COMPILED_BYTES_MAX, NAME_BYTES_MAX, PATTERNS_MAX, SOURCE_BYTES_MAX};
use hushlog_pii::{Cause, Detector, Pattern, Policy, Rule};

use super::{refused, staff};

#[test]
fn refusals_say_what_to_change() {
    let with = |regex: &str| refused(vec![Pattern::new("p", regex)]).cause;
    assert_eq!(with("a*"), Cause::MatchesEmpty);
    assert_eq!(with(r"\b"), Cause::MatchesEmpty);
    assert_eq!(with(r"[^\s\S]"), Cause::MatchesNothing);
    assert_eq!(
        with(&"a".repeat(SOURCE_BYTES_MAX + 1)),
        Cause::SourceTooLong
    );
    assert_eq!(with(r"\w{400}"), Cause::TooLarge);
    assert_eq!(with(r"(?:a{1000}){1000}"), Cause::TooLarge);
    assert!(matches!(with("a(b"), Cause::Invalid(why) if why.contains("character 2")));
    assert!(matches!(with(r"(?=a)b"), Cause::Invalid(_)), "look-around");
    assert!(matches!(
        with(&format!("{}a{}", "(".repeat(99), ")".repeat(99))),
        Cause::Invalid(_)
    ));
    let message = refused(vec![Pattern::new("p", r"\w{400}")]).to_string();
    assert!(
        message.contains(&COMPILED_BYTES_MAX.to_string()),
        "{message}"
    );

    let many = (0..=PATTERNS_MAX).map(|i| Pattern::new(format!("p{i}"), "abc"));
    assert_eq!(refused(many.collect()).cause, Cause::TooMany);
    let heavy = (0..PATTERNS_MAX).map(|i| Pattern::new(format!("p{i}"), r"\w{12}"));
    assert_eq!(refused(heavy.collect()).cause, Cause::TotalTooLarge);

    let cause = |pattern| refused(vec![pattern]).cause;
    let set = |change: fn(&mut Pattern)| {
        let mut pattern = staff();
        change(&mut pattern);
        pattern
    };
    assert_eq!(cause(set(|p| p.id = String::new())), Cause::BadId);
    assert_eq!(cause(set(|p| p.name = "Staff".into())), Cause::BadName);
    assert_eq!(
        cause(set(|p| p.title = Some("a\nb".into()))),
        Cause::BadName
    );
    assert_eq!(
        cause(set(|p| p.pattern_type = "x".repeat(NAME_BYTES_MAX + 1))),
        Cause::BadType
    );
    assert_eq!(cause(set(|p| p.name = "email".into())), Cause::NameTaken);
    assert_eq!(refused(vec![staff(), staff()]).cause, Cause::IdTaken);
    assert_eq!(cause(set(|p| p.capture = Some(1))), Cause::NoGroup(1));
    assert_eq!(
        cause(set(|p| p.keywords.before = 300)),
        Cause::WindowTooWide
    );
    assert_eq!(
        cause(set(|p| p.suppress.exact = vec![String::new()])),
        Cause::BadList("suppress.exact")
    );
    assert!(matches!(
        cause(set(|p| p.validator = Some("magic".into()))),
        Cause::UnknownValidator(name, known) if name == "magic" && known.contains("luhn")
    ));
    for bad in ["", "a\nb"] {
        let mut pattern = staff();
        pattern.replacement = Some(bad.to_owned());
        assert_eq!(cause(pattern), Cause::BadReplacement);
    }
    let inactive = Pattern {
        is_active: false,
        ..Pattern::new("p", "a*")
    };
    assert_eq!(cause(inactive), Cause::MatchesEmpty);
}

#[test]
fn a_replacement_that_would_be_masked_is_refused() {
    let found = |replacement: &str, regex: &str| {
        let pattern = Pattern {
            replacement: Some(replacement.to_owned()),
            ..Pattern::new("p", regex)
        };
        refused(vec![pattern]).cause
    };
    assert_eq!(found("xx", "x+"), Cause::ReplacementFound("p".into()));
    assert_eq!(
        found("x@example.org", "abc"),
        Cause::ReplacementFound("email".into())
    );
    let rule = Rule {
        replacement: "EMP-000000".to_owned(),
        ..Rule::of(Detector::Ssn)
    };
    let policy = Policy::default().with_patterns(vec![staff()]);
    let refusal = policy
        .and_then(|policy| policy.with_rule(Detector::Ssn, Some(rule)))
        .expect_err("a replacement that is found");
    assert_eq!(
        (refusal.rule.as_str(), refusal.cause),
        ("ssn", Cause::ReplacementFound("staff".into()))
    );
}
