//! What rules say holds for the parts of names too: scopes, exceptions, strategies, modes, words; and what an element's id is.

use hushlog_pii::{Detector, Key, Masker, Mode, Pattern, Policy, Rule, Strategy};
use hushlog_record::Value;

use super::{KEY, masked, masker, named, record};

fn with_rule(detector: Detector, change: impl FnOnce(&mut Rule)) -> Policy {
    let mut rule = Rule::of(detector);
    change(&mut rule);
    let policy = Policy::default().with_rule(detector, Some(rule));
    policy.expect("a good rule")
}

fn with_pattern(regex: &str, change: impl FnOnce(&mut Pattern)) -> Policy {
    let mut pattern = Pattern::new("badge", regex);
    change(&mut pattern);
    let policy = Policy::default().with_patterns(vec![pattern]);
    policy.expect("a good pattern")
}

#[test]
fn strategies_hold_for_parts() {
    let hash = masker(Policy::default().with(Detector::Ssn, Strategy::Hash));
    let written = hash.hash_value(Detector::Ssn, "219-09-9999");
    assert_eq!(masked(&hash, "a.219-09-9999.b"), format!("a.{written}.b"));
    let chosen = Policy::default().with_replacement(Detector::Ipv4, "<address>");
    assert_eq!(masked(&masker(chosen), "a.10.0.0.1.b"), "a.<address>.b");
    let partial = Policy::default().with(Detector::Email, Strategy::Redact);
    assert_eq!(masked(&masker(partial), "ann@example.com.n1"), "[EMAIL].n1");
}

#[test]
fn a_value_counts_once_however_many_stretches_hold_it() {
    let name = "users.219-09-9999.last.93.184.216.34.n1";
    let count = |policy: Policy| {
        let masker = masker(policy);
        let pii = masker.mask(named(name)).into_inner().pii;
        let counts = masker.counts().into_iter();
        let counts = counts.filter(|count| count.masked + count.observed > 0);
        let counts: Vec<_> = counts
            .map(|count| (count.name, count.masked, count.observed))
            .collect();
        (pii, counts)
    };
    let (pii, counts) = count(Policy::default());
    assert_eq!(pii, ["ipv4", "ssn"]);
    assert_eq!(counts, [("ssn".into(), 1, 0), ("ipv4".into(), 1, 0)]);
    let observed = with_rule(Detector::Ssn, |rule| rule.mode = Mode::Observe);
    let (pii, counts) = count(observed);
    assert_eq!(pii, ["ipv4"]);
    assert_eq!(counts, [("ssn".into(), 0, 1), ("ipv4".into(), 1, 0)]);
    let pattern = with_pattern("[0-9]{3}-[0-9]{2}-[0-9]{4}", |pattern| {
        pattern.mode = Mode::Observe;
    });
    let (_, counts) = count(pattern.without(Detector::Ssn));
    assert_eq!(counts, [("ipv4".into(), 1, 0), ("badge".into(), 0, 1)]);
}

#[test]
fn what_is_only_observed_in_a_name_stays() {
    let observed = masker(with_rule(Detector::Ssn, |rule| rule.mode = Mode::Observe));
    assert_eq!(masked(&observed, "a.219-09-9999.b"), "a.219-09-9999.b");
}

#[test]
fn exceptions_hold_for_parts() {
    let allowed = with_rule(Detector::Email, |rule| {
        rule.allow.suffix = vec!["@example.com".into()];
    });
    let allowed = masker(allowed);
    for (name, expected) in [
        ("users.ann@example.com.n1", "users.ann@example.com.n1"),
        ("users.ann@example.org.n1", "u***@example.org.n1"),
        // Each way to read a name has to be one of the exceptions.
        ("users.ann@example.com.last", "u***@example.com.last"),
    ] {
        assert_eq!(masked(&allowed, name), expected);
    }
    let mut private = Policy::default();
    private.keep_private = true;
    let name = "peers.10.0.0.1.bytes";
    assert_eq!(masked(&masker(private), name), name);
}

#[test]
fn scopes_hold_for_parts() {
    let shop = |services: &[&str], fields: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let (services, fields) = (owned(services), owned(fields));
        masker(with_rule(Detector::Ssn, |rule| {
            rule.scope.services = services;
            rule.scope.fields = fields;
        }))
    };
    let name = "a.219-09-9999.b";
    assert_eq!(masked(&shop(&["shop"], &[]), name), "a.[SSN].b");
    assert_eq!(masked(&shop(&["bank"], &[]), name), name);
    // A name has no path.
    assert_eq!(masked(&shop(&[], &["a*"]), name), name);
}

/// What a name says is remembered for all services: it must not be what it says in the one that came first.
#[test]
fn names_are_masked_by_the_scope_of_each_service() {
    let masker = masker(with_rule(Detector::Ssn, |rule| {
        rule.scope.services = vec!["bank".into()];
    }));
    let name = |service: &str| {
        let mut record = named("a.219-09-9999.b");
        record.service_name = service.into();
        masker.mask(record).fields[0].0.clone()
    };
    for _ in 0..2 {
        assert_eq!(name("shop"), "a.219-09-9999.b");
        assert_eq!(name("bank"), "a.[SSN].b");
    }
}

#[test]
fn patterns_see_parts_with_borders_of_their_own() {
    let whole = masker(with_pattern("^B-[0-9]{4}$", |_| {}));
    assert_eq!(masked(&whole, "badges.B-1234.n"), "badges.[BADGE].n");
    assert_eq!(masked(&whole, "badges.B-12345.n"), "badges.B-12345.n");
    let letters = masker(with_pattern("^gate [a-z]+$", |_| {}));
    assert_eq!(masked(&letters, "doors.gate north.n"), "doors.[BADGE].n");
    let over = masker(with_pattern(r"x\.y", |_| {}));
    assert_eq!(masked(&over, "a.x.y.b"), "a.[BADGE].b");
}

#[test]
fn words_of_patterns_may_stand_anywhere_in_the_name_of_a_part() {
    let near = |change: fn(&mut Pattern)| masker(with_pattern("^[0-9]{6}$", change));
    let included = near(|pattern| pattern.keywords.include = vec!["badge".into()]);
    assert_eq!(masked(&included, "badge.123456.n"), "badge.[BADGE].n");
    assert_eq!(masked(&included, "order.123456.n"), "order.123456.n");
    let excluded = near(|pattern| pattern.keywords.exclude = vec!["order".into()]);
    assert_eq!(masked(&excluded, "badge.123456.n"), "badge.[BADGE].n");
    assert_eq!(masked(&excluded, "order.123456.n"), "order.123456.n");
}

#[test]
fn a_later_policy_masks_names_as_they_came() {
    let nothing = masker(Policy::empty());
    let first = masker(Policy::default());
    let hash = Policy::default()
        .with(Detector::Email, Strategy::Hash)
        .with(Detector::Ssn, Strategy::Hash);
    let later = masker(hash);
    let fields = [
        ("a.219-09-9999.b", "x"),
        ("peers.93.184.216.34.n", "ann@example.org"),
        ("users.ann@example.com.n1", "1"),
        ("users.bob@example.com.n1", "2"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), Value::string(value)));
    let before = record(fields.to_vec());
    for start in [&nothing, &first, &later] {
        for end in [&nothing, &first, &later] {
            let (masked, original) = start.mask_keeping(before.clone());
            let (again, _) = end.mask_again(masked, original);
            assert!(again == end.mask(before.clone()));
        }
    }
    let (masked, _) = first.mask_keeping(before);
    let names: Vec<_> = masked.fields.iter().map(|(name, _)| &**name).collect();
    let expected = [
        "a.[SSN].b",
        "peers.93.184.216.x.n",
        "u***@example.com.n1",
        "u***@example.com.n1#2",
    ];
    assert_eq!(names, expected);
}

/// `[SSN]` says of a number what `219-09-9999` does not: it is looked at by both names at once.
#[test]
fn a_masked_name_that_says_something_says_it_at_once() {
    let masker = Masker::new(Policy::default(), Key::new(KEY));
    let list = r#"[{"219-09-9999":"219099999"},{"a.219-09-9999":219099999}]"#;
    let before = record(vec![
        ("a.219-09-9999".into(), Value::string("219099999")),
        ("list".into(), Value::json(list)),
        ("password.219-09-9999".into(), Value::string("x")),
    ]);
    let once = masker.mask(before.clone()).into_inner();
    assert!(masker.mask(once.clone()).into_inner() == once);
    let text = |place: usize| &*once.fields[place].1.text;
    assert_eq!(text(0), "[SSN]");
    assert_eq!(text(1), r#"[{"[SSN]":"[SSN]"},{"a.[SSN]":219099999}]"#);
    let (masked, original) = masker.mask_keeping(before.clone());
    let (again, _) = masker_of_nothing().mask_again(masked, original);
    assert!(*again == before);
}

fn masker_of_nothing() -> Masker {
    Masker::new(Policy::empty(), Key::new(KEY))
}

#[test]
fn the_id_of_an_element_of_structured_data_is_no_address() {
    let masker = masker(Policy::default());
    let hashing = self::masker(Policy::default().with(Detector::Email, Strategy::Hash));
    for (name, expected) in [
        ("exampleSDID@32473.iut", "exampleSDID@32473.iut"),
        (
            "exampleSDID@32473.eventSource",
            "exampleSDID@32473.eventSource",
        ),
        ("my.id@32473.1.5.com", "my.id@32473.1.5.com"),
        // What its parts hold is masked.
        ("219-09-9999@32473.iut", "[SSN]@32473.iut"),
        ("4111111111111111@32473.iut", "************1111@32473.iut"),
        ("id@32473.219-09-9999", "id@32473.[SSN]"),
        ("id@10.1.2.3.iut", "id@10.1.2.x.iut"),
    ] {
        let name = format!("log.syslog.structured_data.{name}");
        let expected = format!("log.syslog.structured_data.{expected}");
        assert_eq!(masked(&masker, &name), expected);
        assert!(!masked(&hashing, &name).contains("email:k1:"));
    }
    for (name, expected) in [
        ("log.syslog.structured_data.bob@163.com.x", "l***@163.com.x"),
        (
            "log.syslog.structured_data.bob@163.com.n1",
            "l***@163.com.n1",
        ),
        // A domain of many addresses is no number of an owner.
        ("log.syslog.structured_data.bob@163.com", "l***@163.com"),
        // Another name before it, another place.
        ("structured_data.bob@163.com", "s***@163.com"),
        ("bob@163.com", "b***@163.com"),
        ("a.log.syslog.structured_data.bob@163.com", "a***@163.com"),
    ] {
        assert_eq!(masked(&masker, name), expected);
    }
}
