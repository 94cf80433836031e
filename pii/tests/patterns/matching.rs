//! What patterns mask and what they leave: words, validators, scopes, records, overlaps.

use hushlog_pii::{AllowList, Detector, Pattern, Scope, Strategy as Hiding, Words};
use hushlog_record::Value;

use super::{check, masker, record, staff, words};

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
fn inactive_patterns_find_nothing() {
    let pattern = Pattern {
        is_active: false,
        ..staff()
    };
    check(pattern, &[("EMP-123456", "EMP-123456")]);
}
