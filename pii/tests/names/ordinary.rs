//! Names that conventions, packages and versions make hold nothing.

use hushlog_pii::{Detector, Policy};

use super::{masked, masker};

/// Of the Elastic Common Schema, the semantic conventions of OpenTelemetry, labels of Kubernetes, packages, units, versions,
/// metrics; one a line.
const NAMES: &str = include_str!("ordinary.txt");

/// Where names stand that are nested deeper, or have others below them.
const AROUND: [(&str, &str); 4] = [
    ("", ""),
    ("fields.", ""),
    ("", ".count"),
    ("kubernetes.labels.", ".last_value"),
];

#[test]
fn ordinary_names_are_kept() {
    let masker = masker(Policy::default());
    assert!(NAMES.lines().count() > 350);
    for name in NAMES.lines() {
        assert_eq!(masked(&masker, name), name);
    }
}

#[test]
fn ordinary_names_are_kept_where_they_are_nested() {
    let masker = masker(Policy::default());
    for name in NAMES.lines() {
        // What stands behind an `@` may make a domain of it.
        let around = AROUND.into_iter();
        let around = around.filter(|(_, after)| after.is_empty() || !name.contains('@'));
        // Elsewhere an element's id is none.
        let around = around.filter(|(before, _)| before.is_empty() || !name.contains("32473"));
        for (before, after) in around {
            let name = format!("{before}{name}{after}");
            assert_eq!(masked(&masker, &name), name);
        }
    }
}

/// Numbers of countries have shapes that counters have too, and are found only where a policy asks for them.
#[test]
fn only_numbers_stand_in_ordinary_names_whatever_is_on() {
    let all = Detector::ALL.into_iter();
    let all = all.fold(Policy::default(), |p, d| p.with(d, d.default_strategy()));
    let masker = masker(all);
    for name in NAMES.lines() {
        let after = masked(&masker, name);
        let has_number = name.bytes().filter(u8::is_ascii_digit).count() >= 6;
        assert!(after == name || has_number, "{name}: {after}");
    }
}

/// What cannot be told from personal data is masked: `docs/masking.md` says so.
#[test]
fn names_that_could_be_either_are_masked() {
    let masker = masker(Policy::default());
    for (name, expected) in [
        ("version.1.2.3.4", "version.1.2.3.x"),
        ("oid.1.3.6.1.4.1.311", "oid.[IPV4].311"),
        ("shard.123456788.count", "shard.[SSN].count"),
    ] {
        assert_eq!(masked(&masker, name), expected);
    }
}
