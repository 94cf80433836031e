//! A policy's rules of detectors beside its patterns, and how both are written down.

use hushlog_pii::{
    AllowList, Detector, Key, Masker, Mode, Pattern, Policy, Rule, Strategy as Hiding, Words,
};
use hushlog_record::Value;

use super::{record, staff, words};

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
