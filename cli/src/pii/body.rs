//! Arguments of `hushlog pii` as the bodies of requests: only what is given is sent.

use serde_json::{Map, Value, json};

use super::args::{Mode, PatternArgs, RuleArgs, Strategy};

/// The body that sets what was given of a pattern.
pub(super) fn pattern(
    id: Option<String>,
    name: Option<String>,
    regex: Option<String>,
    members: PatternArgs,
) -> Value {
    let mut body = Map::new();
    let texts = [
        ("pattern_id", id),
        ("name", name),
        ("regex_pattern", regex),
        ("pattern_type", members.pattern_type),
        ("validator", members.validator),
    ];
    for (member, text) in texts {
        put(&mut body, member, text);
    }
    put(&mut body, "capture", members.capture);
    put(&mut body, "priority", members.priority);
    let is_plain =
        members.keywords_except.is_empty() && members.before.is_none() && members.after.is_none();
    if is_plain {
        put_list(&mut body, "keywords", members.keywords);
    } else {
        let mut words = Map::new();
        put_list(&mut words, "include", members.keywords);
        put_list(&mut words, "exclude", members.keywords_except);
        put(&mut words, "before", members.before);
        put(&mut words, "after", members.after);
        body.insert("keywords".into(), words.into());
    }
    add_rule(&mut body, members.rule);
    body.into()
}

/// The body that sets what was given of a detector.
pub(super) fn rule(members: RuleArgs) -> Value {
    let mut body = Map::new();
    add_rule(&mut body, members);
    body.into()
}

fn add_rule(body: &mut Map<String, Value>, rule: RuleArgs) {
    let strategy = rule.strategy.map(|strategy| match strategy {
        Strategy::Redact => "REDACT",
        Strategy::Hash => "HASH",
        Strategy::PartialMask => "PARTIAL_MASK",
    });
    let mode = rule.mode.map(|mode| match mode {
        Mode::Mask => "mask",
        Mode::Observe => "observe",
    });
    put(body, "masking_strategy", strategy);
    put(body, "replacement", rule.replacement);
    put(body, "mode", mode);
    put(body, "is_active", rule.active);
    let mut scope = Map::new();
    put_list(&mut scope, "services", rule.services);
    put_list(&mut scope, "services_except", rule.services_except);
    put_list(&mut scope, "fields", rule.fields);
    put_list(&mut scope, "fields_except", rule.fields_except);
    put_object(body, "scope", scope, rule.everywhere);
    let mut suppress = Map::new();
    put_list(&mut suppress, "exact", rule.allow);
    put_list(&mut suppress, "prefix", rule.allow_prefix);
    put_list(&mut suppress, "suffix", rule.allow_suffix);
    put_object(body, "suppress", suppress, rule.allow_none);
}

fn put(body: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

fn put_list(body: &mut Map<String, Value>, name: &str, list: Vec<String>) {
    if !list.is_empty() {
        body.insert(name.to_owned(), json!(list));
    }
}

/// Null takes back what was given before.
fn put_object(body: &mut Map<String, Value>, name: &str, object: Map<String, Value>, none: bool) {
    if none {
        body.insert(name.to_owned(), Value::Null);
    } else if !object.is_empty() {
        body.insert(name.to_owned(), object.into());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};
    use crate::pii::args::{DetectorsCommand, PatternsCommand, PiiCommand};

    fn body(arguments: &[&str]) -> Value {
        let all = ["hushlog", "pii"].iter().chain(arguments);
        let Command::Pii(command) = Args::try_parse_from(all).expect("valid").command else {
            panic!("pii was asked for");
        };
        match command {
            PiiCommand::Patterns(PatternsCommand::Add {
                name,
                regex,
                id,
                members,
                ..
            }) => pattern(id, Some(name), Some(regex), *members),
            PiiCommand::Patterns(PatternsCommand::Set {
                name,
                regex,
                members,
                ..
            }) => pattern(None, name, regex, *members),
            PiiCommand::Detectors(DetectorsCommand::Set { members, .. }) => rule(*members),
            other => panic!("{other:?} has no body"),
        }
    }

    #[test]
    fn only_what_is_given_is_sent() {
        let add = [
            "patterns",
            "add",
            "badge",
            "B-[0-9]{6}",
            "--keyword",
            "badge",
            "--keyword",
            "id",
            "--strategy",
            "partial-mask",
        ];
        let expected = json!({
            "name": "badge",
            "regex_pattern": "B-[0-9]{6}",
            "keywords": ["badge", "id"],
            "masking_strategy": "PARTIAL_MASK",
        });
        assert_eq!(body(&add), expected);
        let set = ["patterns", "set", "badge", "--active", "false"];
        assert_eq!(body(&set), json!({"is_active": false}));
    }

    #[test]
    fn everything_that_a_rule_may_say_can_be_given() {
        let set = [
            "patterns",
            "set",
            "badge",
            "--not-keyword",
            "test",
            "--after",
            "9",
            "--capture",
            "1",
            "--priority",
            "200",
            "--mode",
            "observe",
            "--field",
            "user.*",
            "--not-service",
            "web",
            "--allow-prefix",
            "B-0",
        ];
        let expected = json!({
            "keywords": {"exclude": ["test"], "after": 9},
            "capture": 1, "priority": 200, "mode": "observe",
            "scope": {"fields": ["user.*"], "services_except": ["web"]},
            "suppress": {"prefix": ["B-0"]},
        });
        assert_eq!(body(&set), expected);
        let back = [
            "detectors",
            "set",
            "email",
            "--everywhere",
            "--allow-none",
            "--mode",
            "mask",
        ];
        let expected = json!({"scope": null, "suppress": null, "mode": "mask"});
        assert_eq!(body(&back), expected);
    }
}
