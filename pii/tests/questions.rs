//! Scopes of detectors, and questions for values that were hashed: with which key and by which rule does
//! not matter.

use hushlog_pii::{
    AllowList, Cause, Detector, Key, Masker, Mode, Pattern, Policy, Questions, Rule, Scope,
    Strategy,
};
use hushlog_record::{LogId, Record, Timestamp, Value};

fn key() -> Key {
    Key::new([5; 32])
}

fn masker(policy: &Policy) -> Masker {
    Masker::new(policy.clone(), key())
}

fn questions(policy: &Policy) -> Option<Questions> {
    Questions::of(policy, &key()).expect("patterns of a policy")
}

fn hashes(policy: &Policy, field: Option<&str>, value: &str) -> Vec<String> {
    let questions = questions(policy).expect("something hashes");
    questions.hashes(field, value)
}

fn scoped(services: &[&str], fields: &[&str]) -> Rule {
    let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
    Rule {
        scope: Scope {
            services: list(services),
            fields: list(fields),
            ..Scope::default()
        },
        ..Rule::of(Detector::Email)
    }
}

fn record(service: &str) -> Record {
    let mut record = Record::new(LogId([1; 16]), Timestamp::default(), "by ann@example.org");
    record.service_name = service.into();
    record.fields = vec![
        (
            "bob@example.org".into(),
            Value::string("by eve@example.org"),
        ),
        ("mail".into(), Value::string("cy@example.org")),
    ];
    record
}

#[test]
fn a_detector_looks_where_its_scope_says() {
    let cases = [
        (scoped(&["pay*"], &[]), "payment", true, true, true),
        (scoped(&["pay*"], &[]), "web", false, false, false),
        (scoped(&[], &["mail"]), "web", false, false, true),
        (scoped(&[], &["message"]), "web", true, false, false),
    ];
    for (rule, service, message, name, mail) in cases {
        let policy = Policy::default()
            .with_rule(Detector::Email, Some(rule))
            .expect("a good rule");
        let masker = masker(&policy);
        // Twice: what a name says is remembered.
        for _ in 0..2 {
            let masked = masker.mask(record(service));
            assert_eq!(masked.message.contains("***"), message, "{service}");
            let has = |part: &str| {
                masked
                    .fields
                    .iter()
                    .any(|(name, value)| name.contains(part) || value.text.contains(part))
            };
            assert_eq!(!has("bob@"), name, "{service}");
            assert_eq!(!has("cy@"), mail, "{service}");
        }
    }
}

#[test]
fn a_scope_is_checked_and_a_replacement_wherever_it_looks() {
    let mut long = scoped(&[], &[]);
    long.scope.fields = vec![String::new()];
    let refused = Policy::default().with_rule(Detector::Email, Some(long));
    assert_eq!(
        refused.expect_err("an empty entry").cause,
        Cause::BadList("scope.fields")
    );
    let found = Rule {
        replacement: "a@example.org".into(),
        strategy: Strategy::Redact,
        ..scoped(&["web"], &["mail"])
    };
    let refused = Policy::default().with_rule(Detector::Email, Some(found));
    let cause = refused.expect_err("it is an address").cause;
    assert_eq!(cause, Cause::ReplacementFound("email".into()));
}

#[test]
fn a_policy_with_what_is_new_is_read_back_and_one_without_is_written_as_before() {
    let first = Policy::default().to_bytes();
    assert!(first.starts_with(br#"{"version":1,"#));
    let mut policy = Policy::default()
        .with_rule(Detector::Email, Some(scoped(&["a"], &["b"])))
        .expect("a good rule")
        .with(Detector::Ssn, Strategy::Hash)
        .with(Detector::Ssn, Strategy::Redact)
        .with(Detector::Phone, Strategy::Hash);
    policy.hash_key = 3;
    let bytes = policy.to_bytes();
    assert!(bytes.starts_with(br#"{"version":2,"#));
    let back = Policy::from_bytes(&bytes).expect("read");
    assert_eq!(back, policy);
    assert_eq!(back.to_bytes(), bytes);
    let text = String::from_utf8(bytes).expect("JSON");
    for key in ["0", "33"] {
        let other = text.replace(r#""hash_key":3"#, &format!(r#""hash_key":{key}"#));
        assert!(Policy::from_bytes(other.as_bytes()).is_err(), "{key}");
    }
}

#[test]
fn what_any_key_has_hashed_is_what_a_question_looks_for() {
    let mut policy = Policy::default().with(Detector::Email, Strategy::Hash);
    let mut stored = Vec::new();
    for number in 1..=3 {
        policy.hash_key = number;
        let masked = masker(&policy)
            .mask_text("zoe@Example.org")
            .masked
            .into_owned();
        assert!(masked.starts_with(&format!("email:k{number}:")), "{masked}");
        stored.push(masked);
    }
    let mut asked = hashes(&policy, Some("mail"), "zoe@example.ORG");
    asked.sort();
    assert_eq!(asked, stored);
    policy.hash_key = 1;
    assert_eq!(hashes(&policy, None, " zoe@example.org "), stored[..1]);
}

#[test]
fn questions_know_rules_that_have_hashed_and_names_of_fields() {
    assert!(questions(&Policy::default()).is_none());
    let policy = Policy::default().with(Detector::Ssn, Strategy::Hash);
    let stored = masker(&policy).hash_value(Detector::Ssn, "219-09-9999");
    for later in [
        policy.clone(),
        policy.clone().with(Detector::Ssn, Strategy::Redact),
        policy.without(Detector::Ssn),
    ] {
        // Nine digits are a number because the field is called so.
        assert_eq!(hashes(&later, Some("ssn"), "219099999"), [stored.as_str()]);
        assert!(hashes(&later, Some("mail"), "a@example.org").is_empty());
        assert!(hashes(&later, Some("note"), "the ssn 219-09-9999").is_empty());
    }
}

#[test]
fn questions_know_patterns_without_what_stands_around_their_matches() {
    let mut badge = Pattern::new("badge", "B-[0-9]{4}");
    badge.strategy = Strategy::Hash;
    badge.keywords.include = vec!["badge".into()];
    badge.scope.services = vec!["door".into()];
    let mut part = Pattern::new("part", "room=([a-z]+)");
    part.capture = Some(1);
    part.strategy = Strategy::Hash;
    let policy = Policy::default()
        .with_patterns(vec![badge.clone(), part])
        .expect("good patterns");
    let text = "badge B-1234 in room=attic";
    let masked = masker(&policy)
        .mask_text_in(text, "door", "message")
        .masked
        .into_owned();
    for value in ["B-1234", "attic"] {
        let asked = hashes(&policy, None, value);
        assert!(
            asked.iter().any(|hash| masked.contains(hash)),
            "{value}: {masked}"
        );
    }
    badge.strategy = Strategy::Redact;
    let later = policy.with_patterns(vec![badge]).expect("a good pattern");
    let asked = hashes(&later, None, "B-1234");
    assert_eq!(asked.len(), 1);
    assert!(masked.contains(&asked[0]));
    let gone = later.with_patterns(Vec::new()).expect("no pattern");
    assert!(questions(&gone).is_none());
}

#[test]
fn counts_go_on_when_the_policy_changes() {
    let observed = Rule {
        mode: Mode::Observe,
        allow: AllowList::default(),
        ..Rule::of(Detector::Email)
    };
    let policy = Policy::default()
        .with_rule(Detector::Email, Some(observed))
        .expect("a good rule");
    let badges = vec![Pattern::new("badge", "B-[0-9]{4}")];
    let policy = policy.with_patterns(badges).expect("a good pattern");
    let first = masker(&policy);
    let mut record = record("web");
    record.message = "B-1234".into();
    first.mask(record.clone());
    let mut patterns = policy.patterns().to_vec();
    patterns.insert(0, Pattern::new("another", "A-[0-9]{4}"));
    let later = policy.with_patterns(patterns).expect("good patterns");
    let second = Masker::succeeding(&first, later, key());
    second.mask(record);
    let counts = second.counts();
    let of = |name: &str| {
        let count = counts
            .iter()
            .find(|count| count.name == name)
            .expect("a rule");
        (count.masked, count.observed)
    };
    assert_eq!(
        (of("email"), of("badge"), of("another")),
        ((0, 6), (2, 0), (0, 0))
    );
}

#[test]
fn countries_go_on_and_off() {
    assert!(Detector::all_countries().len() > 40);
    assert!(Policy::default().countries().is_empty());
    let policy = Policy::default().with_country("DE").with_country("SK");
    // One detector for both.
    assert_eq!(policy.countries(), ["CZ", "DE", "SK"]);
    assert_eq!(policy.without_country("CZ").countries(), ["DE"]);
}

#[test]
fn questions_know_addresses_that_stay_by_now() {
    let mut policy = Policy::default()
        .with(Detector::Ipv4, Strategy::Hash)
        .with(Detector::Ipv6, Strategy::Hash);
    policy.keep_loopback = false;
    let values = ["10.1.2.3", "127.0.0.1", "fd00::1", "0:0:0:0:0:0:0:1"];
    let stored = values.map(|value| masker(&policy).mask_text(value).masked.into_owned());
    policy.keep_loopback = true;
    policy.keep_private = true;
    for (value, stored) in values.into_iter().zip(stored) {
        assert_ne!(value, stored);
        assert_eq!(hashes(&policy, Some("peer"), value), [stored]);
    }
}

#[test]
fn questions_know_every_rule_that_may_have_hashed_a_value() {
    let mut badge = Pattern::new("badge", "[0-9]{3}-[0-9]{2}-[0-9]{4}");
    badge.strategy = Strategy::Hash;
    badge.validator = None;
    badge.scope.services = vec!["door".into()];
    let policy = Policy::default()
        .with(Detector::Ssn, Strategy::Hash)
        .without(Detector::Phone)
        .with_patterns(vec![badge])
        .expect("a good pattern");
    let value = "219-09-9999";
    let asked = hashes(&policy, None, value);
    let by_pattern = masker(&policy)
        .hash_named("badge", value)
        .expect("its name");
    let by_detector = masker(&policy).hash_value(Detector::Ssn, value);
    let web = masker(&policy)
        .mask_text_in(value, "web", "message")
        .masked
        .into_owned();
    assert_eq!(web, by_detector);
    for stored in [by_pattern, by_detector] {
        assert!(asked.contains(&stored), "{stored}: {asked:?}");
    }
    assert_eq!(asked.len(), 2);
    let of_detectors = Questions::of_detectors(&policy, &key()).expect("one hashes");
    assert_eq!(of_detectors.hashes(None, value), [web]);
}

#[test]
fn a_policy_of_a_later_version_is_refused_for_its_version() {
    let text = String::from_utf8(Policy::default().to_bytes()).expect("JSON");
    for (version, member, why) in [
        (4, r#","later":[]"#, "its version is 4"),
        (4, "", "its version is 4"),
        (2, r#","later":[]"#, "unknown field `later`"),
    ] {
        let other = text.replacen(
            r#"{"version":1"#,
            &format!(r#"{{"version":{version}{member}"#),
            1,
        );
        let refusal = Policy::from_bytes(other.as_bytes()).expect_err("not of this release");
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
}
