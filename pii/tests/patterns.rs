//! Patterns of a policy: what they mask and leave, and which of them are refused.

use hushlog_pii::limits::{
    COMPILED_BYTES_MAX, MATCH_BYTES_MAX, NAME_BYTES_MAX, PATTERNS_MAX, SOURCE_BYTES_MAX,
};
use hushlog_pii::{
    AllowList, Cause, Detector, Key, Masker, Mode, Pattern, Policy, Refusal, Rule, Scope,
    Strategy as Hiding, Words,
};
use hushlog_record::{LogId, Record, Timestamp, Value};
use proptest::prelude::*;

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

#[test]
fn what_matches_is_hidden_as_the_pattern_says() {
    check(
        staff(),
        &[
            ("EMP-123456, EMP-654321", "[STAFF], [STAFF]"),
            ("TEMP-123456 EMP-1234567", "TEMP-123456 EMP-1234567"),
            ("ＥＭＰ-１２３４５６ here", "[STAFF] here"),
            ("x", "x"),
        ],
    );
    let replacement = Some("(staff)".to_owned());
    check(
        Pattern {
            replacement,
            ..staff()
        },
        &[("by EMP-123456", "by (staff)")],
    );
    check(
        Pattern {
            strategy: Hiding::PartialMask,
            ..Pattern::new("order", r"\bORD\d{12}\b")
        },
        &[("ORD123456789012", "************012")],
    );
    check(
        Pattern {
            capture: Some(1),
            ..Pattern::new("room", r"room=(\w+)")
        },
        &[("in room=blue7 now", "in room=[ROOM] now")],
    );
}

#[test]
fn hashes_of_equal_values_are_equal_and_can_be_asked_for() {
    let masker = masker(vec![Pattern {
        strategy: Hiding::Hash,
        ..staff()
    }]);
    let once = masker.mask_text("by EMP-123456").masked.into_owned();
    let hash = masker.hash_named("staff", "EMP-123456").expect("its name");
    assert_eq!(once, format!("by {hash}"));
    assert!(hash.starts_with("staff:k1:"), "{hash}");
    assert_eq!(masker.mask_text(&once).masked, once);
    let email = masker.hash_named("email", "ana@example.org");
    let asked = masker.hash_value(Detector::Email, "ana@example.org");
    assert_eq!(email, Some(asked));
    assert_eq!(masker.hash_named("nobody", "x"), None);
}

#[test]
fn words_near_a_match_decide() {
    let keywords = Words {
        include: words(&["ward", "bed"]),
        exclude: words(&["floor"]),
        after: 10,
        ..Words::default()
    };
    check(
        Pattern {
            keywords,
            ..Pattern::new("bed", r"\b\d{4}\b")
        },
        &[
            ("ward: 1234", "ward: [BED]"),
            ("1234 in bed", "[BED] in bed"),
            ("Bed 1234 of floor 2", "Bed 1234 of floor 2"),
            ("reward 1234", "reward 1234"),
            ("1234", "1234"),
            (
                "ward of a hospital far, far away 1234",
                "ward of a hospital far, far away 1234",
            ),
        ],
    );
}

#[test]
fn a_validator_and_exceptions_decide() {
    let masker = masker(vec![Pattern {
        validator: Some("luhn".to_owned()),
        suppress: AllowList {
            exact: words(&["m-18"]),
            prefix: words(&["M-59"]),
            suffix: words(&["00"]),
        },
        ..Pattern::new("member", r"M-\d+")
    }]);
    let masked = |text| masker.mask_text(text).masked.into_owned();
    assert_eq!(masked("M-26"), "[MEMBER]");
    assert_eq!(masked("M-27"), "M-27", "not Luhn");
    for allowed in ["M-18", "M-59", "M-00"] {
        assert_eq!(masked(allowed), allowed);
    }
}

#[test]
fn a_scope_is_services_and_paths() {
    let scope = Scope {
        services: words(&["shop-*", "till"]),
        services_except: words(&["shop-test"]),
        fields: words(&["message", "user.*"]),
        fields_except: words(&["user.public"]),
    };
    let masker = masker(vec![Pattern { scope, ..staff() }]);
    for (service, path, is_masked) in [
        ("shop-eu", "message", true),
        ("till", "user.id", true),
        ("tiller", "message", false),
        ("shop-test", "message", false),
        ("till", "user.public", false),
        ("till", "host", false),
    ] {
        let text = "EMP-123456";
        let masked = masker.mask_text_in(text, service, path).masked != text;
        assert_eq!(masked, is_masked, "{service} {path}");
    }
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

#[test]
fn a_record_is_masked_by_patterns_and_says_so() {
    let number = Pattern {
        scope: Scope {
            fields: words(&["badge"]),
            ..Scope::default()
        },
        ..Pattern::new("badge", r"^\d{6}$")
    };
    let masker = masker(vec![staff(), number]);
    let fields = [
        ("badge", Value::number("123456")),
        ("size", Value::number("123456")),
        (
            "who",
            Value::json(r#"["EMP-123456",{"EMP-123456":"EMP-1"}]"#),
        ),
    ];
    let once = masker.mask(record("EMP-123456", &fields)).into_inner();
    assert_eq!(once.message, "[STAFF]");
    assert_eq!(once.service_name, "[STAFF]");
    let texts: Vec<_> = once.fields.iter().map(|(_, v)| v.text.as_str()).collect();
    assert_eq!(
        texts,
        ["[BADGE]", "123456", r#"["[STAFF]",{"[STAFF]":"EMP-1"}]"#]
    );
    assert_eq!(once.pii, ["badge", "staff"]);
    let twice = masker.mask(once.clone()).into_inner();
    assert!(once == twice);
}

#[test]
fn numbers_are_left_by_patterns_that_do_not_name_their_field() {
    let scope = Scope {
        fields: words(&["badge"]),
        ..Scope::default()
    };
    let named = Pattern {
        scope,
        ..Pattern::new("six", r"^\d{6}$")
    };
    let masker = masker(vec![named, Pattern::new("four", r"^\d{4}$")]);
    for (number, expected) in [("123456", "[SIX]"), ("1234", "1234")] {
        let fields = [("badge", Value::number(number))];
        let masked = masker.mask(record("", &fields)).into_inner();
        assert_eq!(masked.fields[0].1.text, expected);
    }
}

#[test]
fn a_pattern_cannot_take_away_what_a_name_says_of_a_value() {
    let masker = masker(vec![Pattern::new("word", "password")]);
    let once = masker
        .mask(record("", &[("password", Value::string("x7"))]))
        .into_inner();
    assert_eq!(once.fields[0].0, "[WORD]");
    assert_eq!(once.fields[0].1.text, "[KV_SECRET]");
}

#[test]
fn what_is_observed_is_counted_and_left() {
    let watch = Pattern {
        mode: Mode::Observe,
        ..staff()
    };
    let email = Rule {
        mode: Mode::Observe,
        ..Rule::of(Detector::Email)
    };
    let policy = Policy::default()
        .with_patterns(vec![watch])
        .and_then(|policy| policy.with_rule(Detector::Email, Some(email)));
    let masker = Masker::new(policy.expect("good rules"), Key::new([1; 32]));
    let text = "EMP-123456 a@example.org 219-09-9999";
    let findings = masker.mask_text(text);
    assert_eq!(findings.masked, "EMP-123456 a@example.org [SSN]");
    let mut observed: Vec<_> = findings
        .observed
        .iter()
        .map(|s| &text[s.start..s.end])
        .collect();
    observed.sort_unstable();
    assert_eq!(observed, ["EMP-123456", "a@example.org"]);
    let fields = [("note", Value::string("EMP-123456 219-09-9999"))];
    let masked = masker.mask(record("", &fields)).into_inner();
    assert_eq!(masked.pii, ["ssn"]);
    let counts = masker.counts();
    let of = |name: &str| {
        let count = counts.iter().find(|count| count.name == name);
        count.map(|count| (count.masked, count.observed))
    };
    assert_eq!(of("staff"), Some((0, 2)));
    assert_eq!(of("ssn"), Some((1, 0)));
    assert_eq!(of("email"), Some((0, 0)));
}

#[test]
fn of_findings_that_overlap_the_longer_counts_and_nothing_is_left_readable() {
    check(
        Pattern::new("contact", r"contact \S+"),
        &[
            ("contact ana@example.org", "[CONTACT]"),
            ("contact 415-555-0132 now", "[CONTACT] now"),
        ],
    );
    check(
        Pattern::new("half", r"example\.org \d"),
        &[("ana@example.org 42", "[EMAIL][HALF]2")],
    );
    // Of the same bytes: validated before a pattern, then by priority.
    let one = Pattern::new("one", r"X\d+");
    let two = Pattern {
        priority: 200,
        ..Pattern::new("two", r"X\d+")
    };
    let three = Pattern {
        validator: Some("luhn".to_owned()),
        ..Pattern::new("three", r"X\d+")
    };
    let masker = masker(vec![one, two, three]);
    assert_eq!(masker.mask_text("X27 X26").masked, "[TWO] [THREE]");
}

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

#[test]
fn a_policy_allows_values_per_detector() {
    let allow = AllowList {
        suffix: words(&["@example.com"]),
        ..AllowList::default()
    };
    let rule = Rule {
        allow,
        ..Rule::of(Detector::Email)
    };
    let policy = Policy::default().with_rule(Detector::Email, Some(rule));
    let masker = Masker::new(policy.expect("a good rule"), Key::new([1; 32]));
    let masked = masker
        .mask_text("a@EXAMPLE.com b@example.org")
        .masked
        .into_owned();
    assert_eq!(masked, "a@EXAMPLE.com b***@example.org");
}

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

#[test]
fn inactive_patterns_find_nothing() {
    let pattern = Pattern {
        is_active: false,
        ..staff()
    };
    check(pattern, &[("EMP-123456", "EMP-123456")]);
}

#[test]
fn a_policy_is_the_same_after_it_was_stored() {
    let pattern = Pattern {
        keywords: Words {
            include: words(&["ward"]),
            ..Words::default()
        },
        validator: Some("luhn".into()),
        replacement: Some("-".into()),
        suppress: AllowList {
            exact: words(&["x"]),
            ..AllowList::default()
        },
        ..Pattern::new("b", r"\d{4}")
    };
    let rule = Rule {
        mode: Mode::Observe,
        ..Rule::of(Detector::Mac)
    };
    let policy = Policy::default()
        .without(Detector::Ipv4)
        .with_replacement(Detector::Email, "***@***.***")
        .with_rule(Detector::Mac, Some(rule))
        .and_then(|policy| policy.with_patterns(vec![pattern, staff()]));
    let mut policy = policy.expect("good rules");
    policy.epoch = 7;
    let bytes = policy.to_bytes();
    let again = Policy::from_bytes(&bytes).expect("its own bytes");
    assert!(again == policy);
    assert_eq!(again.to_bytes(), bytes);
    assert_eq!(again.epoch, 7);
    assert_eq!(again.patterns()[0].id, "b", "in order of their ids");
    assert!(bytes.starts_with(br#"{"version":1,"epoch":7,"#));
    // A name that does not stand in masks as it is needs a later version.
    let titled = Pattern {
        title: Some("Staff Numbers".into()),
        ..staff()
    };
    let titled = policy.with_patterns(vec![titled]).expect("a good pattern");
    let titled_bytes = titled.to_bytes();
    assert!(titled_bytes.starts_with(br#"{"version":3,"#));
    assert!(Policy::from_bytes(&titled_bytes) == Ok(titled));

    let text = String::from_utf8(bytes).expect("JSON");
    for (from, to) in [
        ("\"version\":1", "\"version\":4"),
        ("\"epoch\"", "\"new\":1,\"epoch\""),
        ("\"iban\"", "\"ibann\""),
        (r"\\d{4}", r"\\d{"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        assert!(
            Policy::from_bytes(text.replace(from, to).as_bytes()).is_err(),
            "{to}"
        );
    }
}

#[test]
fn patterns_read_as_the_api_writes_them() {
    let read = |json: &str| serde_json::from_str::<Pattern>(json).expect("a pattern");
    let short = read(r#"{"id":"a","name":"a","regex":"x","strategy":"HASH","keywords":["k"]}"#);
    assert_eq!(short.keywords.include, ["k"]);
    assert_eq!((short.strategy, short.is_active), (Hiding::Hash, true));
    let long = read(
        r#"{"pattern_id":"a","name":"a","pattern_type":"CUSTOM","regex_pattern":"x","keywords":null,
            "validator":null,"masking_strategy":"REDACT","replacement":null,"is_active":false}"#,
    );
    assert_eq!(long.keywords, Words::default());
    assert!(!long.is_active);
}

#[test]
fn a_long_match_is_hidden_to_its_end_and_a_late_one_is_found() {
    let masker = masker(vec![
        Pattern::new("run", r"Q[a-z]+"),
        Pattern::new("late", r"\bz\d{3}\b"),
    ]);
    let between = ". é ".repeat(5000);
    for length in [
        1,
        MATCH_BYTES_MAX,
        2 * MATCH_BYTES_MAX - 1,
        10 * MATCH_BYTES_MAX,
        1 << 17,
    ] {
        let text = format!("Q{} z123 {between}z456", "a".repeat(length));
        let masked = masker.mask_text(&text).masked.into_owned();
        assert_eq!(masked, format!("[RUN] [LATE] {between}[LATE]"), "{length}");
        assert_eq!(masker.mask_text(&masked).masked, masked);
    }
}

/// Wherever a match stands in a long text, it is found whole, and the one that begins first counts.
#[test]
fn no_match_is_cut_by_the_stretch_that_it_is_sought_in() {
    let masker = masker(vec![Pattern::new(
        "number",
        r"\d{4}(?:-\d{20})?|x.{0,300}END|N\d+",
    )]);
    let numbers = [
        "1234".to_owned(),
        format!("1234-{}", "7".repeat(20)),
        format!("x{} 5678 {}END", "y".repeat(100), "z".repeat(150)),
        format!("N{}", "7".repeat(MATCH_BYTES_MAX - 1)),
        format!("N{}", "7".repeat(9 * MATCH_BYTES_MAX)),
    ];
    for start in (0..2 * MATCH_BYTES_MAX).step_by(7).chain(1000..1030) {
        for number in &numbers {
            let (before, after) = (". ".repeat(start), ". ".repeat(MATCH_BYTES_MAX));
            let text = format!("{before}{number};{after}");
            let masked = masker.mask_text(&text).masked.into_owned();
            let expected = format!("{before}[NUMBER];{after}");
            assert!(masked == expected, "{number} at {}", before.len());
        }
    }
}

/// Patterns and texts that make a search read on and on. What they cost is counted in `src/work.rs`.
#[test]
fn hostile_texts_are_searched_to_their_end() {
    let masker = masker(vec![
        Pattern::new("far", r".*[^A-Z]{2}END|[A-Z]"),
        Pattern::new("nested", r"(?:x+x+)+y"),
        Pattern::new("mail", r"[\w.]+@corp"),
    ]);
    for (piece, masked) in [
        ("A", "[FAR]"),
        ("x", "x"),
        ("w.", "w."),
        ("é", "é"),
        ("A@cor", "[FAR]@cor"),
    ] {
        let times = (1 << 17) / piece.len();
        let text = format!("{} x.a@corp", piece.repeat(times));
        let expected = format!("{} [MAIL]", masked.repeat(times));
        assert!(masker.mask_text(&text).masked == expected, "{piece}");
    }
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

/// The default with these detectors off, observed, looking elsewhere, or leaving every value.
fn leaving(detectors: &[Detector]) -> Vec<Policy> {
    let rules: [fn(Detector) -> Option<Rule>; 4] = [
        |_| None,
        |detector| {
            Some(Rule {
                mode: Mode::Observe,
                ..Rule::of(detector)
            })
        },
        |detector| {
            let mut rule = Rule::of(detector);
            rule.scope.services = words(&["elsewhere"]);
            Some(rule)
        },
        |detector| {
            let mut rule = Rule::of(detector);
            rule.allow.prefix = words(&["sid=", "121", "u:", "a;"]);
            Some(rule)
        },
    ];
    let policy = |rule: &fn(Detector) -> Option<Rule>| {
        let with = |policy: Policy, detector: &Detector| {
            policy
                .with_rule(*detector, rule(*detector))
                .expect("a good rule")
        };
        detectors.iter().fold(Policy::default(), with)
    };
    rules.iter().map(policy).collect()
}

#[test]
fn what_is_left_hides_nothing_else() {
    let cases: [(&[Detector], &str, &str); 4] = [
        (
            &[Detector::AuthHeader],
            "Cookie: sid=1; password=hunter2; user=bob",
            "Cookie: sid=1; password=[KV_SECRET]; user=bob",
        ),
        (
            &[Detector::KvSecret],
            "token=\"a;Authorization: Bearer x7/9\" b",
            "token=\"a;Authorization: Bearer [AUTH_HEADER]\" b",
        ),
        (
            &[Detector::UrlCredentials],
            "https://u:p@example.org/",
            "https://u:p***@example.org/",
        ),
        (
            &[Detector::AbaRouting],
            "routing 121042882 ssn 121042882",
            "routing 121042882 ssn [SSN]",
        ),
    ];
    for (left, text, expected) in cases {
        for policy in leaving(left) {
            let masker = Masker::new(policy, Key::new([1; 32]));
            let findings = masker.mask_text_in(text, "web", "message");
            assert_eq!(findings.masked, expected, "{left:?}");
        }
    }
}

/// Read to its end at each of its signs, this text would be 50 GB: the test would take minutes.
#[test]
fn values_in_one_another_are_read_once() {
    let text = "password::".repeat(100_000);
    for policy in leaving(&[Detector::KvSecret])
        .into_iter()
        .chain([Policy::default()])
    {
        let masker = Masker::new(policy, Key::new([1; 32]));
        let findings = masker.mask_text(&text);
        assert!(findings.masked.len() < text.len() + 64);
    }
}
