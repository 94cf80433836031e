//! The patterns of the cluster's policy: one is added, changed or removed. How a change comes into force is
//! in `policy`.

use hushlog_pii::{Cause, Names, Pattern, Policy, Words};
use serde_json::{Map, Value};

use super::policy::{self, Changed, Edit, newest};
use super::{Api, Failure, Kind};

/// Members of a pattern, each with the names that stand for it.
const MEMBERS: [(&str, &[&str]); 14] = [
    ("pattern_id", &["pattern_id", "id"]),
    ("name", &["name"]),
    ("pattern_type", &["pattern_type"]),
    ("regex_pattern", &["regex_pattern", "regex"]),
    ("capture", &["capture"]),
    ("keywords", &["keywords"]),
    ("validator", &["validator"]),
    ("masking_strategy", &["masking_strategy", "strategy"]),
    ("replacement", &["replacement"]),
    ("scope", &["scope"]),
    ("suppress", &["suppress"]),
    ("priority", &["priority"]),
    ("mode", &["mode"]),
    ("is_active", &["is_active"]),
];
/// Members of a shown pattern that say something about it: who sends it back means nothing by them.
const TOLD: [&str; 2] = ["detector", "policy_epoch"];
/// Members of the members that are objects.
const NESTED: [(&str, &[&str]); 3] = [
    (
        "keywords",
        &["before", "after", "include", "exclude", "in_path"],
    ),
    (
        "scope",
        &["services", "services_except", "fields", "fields_except"],
    ),
    ("suppress", &["exact", "prefix", "suffix"]),
];

/// What is to be changed.
#[derive(Clone)]
pub(super) enum Change {
    /// A new pattern.
    Add(Map<String, Value>),
    /// Members of the pattern of this id; those that are left out stay, those that are null are as if
    /// they had never been given.
    Set(String, Map<String, Value>),
    /// The pattern of this id goes.
    Remove(String),
}

/// Reads the members of a pattern, by the names that they are stored under.
///
/// # Errors
/// [`Kind::InvalidBody`] when it is no JSON object, [`Kind::InvalidPattern`] when it has a member that
/// patterns do not have, or a name that is no line of text.
pub(super) fn members(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    let given: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "the body must be a JSON object, a pattern; it is not at line {} column {}",
            error.line(),
            error.column()
        );
        Failure::new(Kind::InvalidBody, message)
    })?;
    let mut members = Map::new();
    for (name, value) in given {
        if TOLD.contains(&name.as_str()) {
            continue;
        }
        let known = MEMBERS
            .iter()
            .find(|(_, names)| names.contains(&name.as_str()));
        let (member, _) = known.ok_or_else(|| unknown_member("a pattern", &name))?;
        check_nested(member, &value)?;
        if members.insert((*member).to_owned(), value).is_some() {
            let message = format!("`{member}` is given twice");
            return Err(Failure::new(Kind::InvalidPattern, message));
        }
    }
    if let Some(Value::String(title)) = members.get("name") {
        let refused = |cause: Cause| Failure::new(Kind::InvalidPattern, cause.to_string());
        let Names { name, title, .. } = Names::of(title).map_err(refused)?;
        members.insert("name".into(), name.into());
        members.insert("title".into(), title.into());
    }
    if let Some(Value::String(validator)) = members.get_mut("validator") {
        *validator = validator.trim().to_ascii_lowercase();
        if validator.is_empty() {
            members.insert("validator".into(), Value::Null);
        }
    }
    Ok(members)
}

/// What a pattern of these members is changed and deleted by where they do not say it.
fn usual_id(members: &Map<String, Value>) -> Option<String> {
    let called = ["title", "name"]
        .into_iter()
        .find_map(|member| members.get(member)?.as_str())?;
    Some(Names::of(called).ok()?.id)
}

pub(super) fn check_nested(member: &str, value: &Value) -> Result<(), Failure> {
    let (Some((_, known)), Value::Object(object)) =
        (NESTED.iter().find(|(name, _)| *name == member), value)
    else {
        return Ok(());
    };
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(unknown_member(&format!("`{member}`"), name)),
        None => Ok(()),
    }
}

pub(super) fn unknown_member(of: &str, name: &str) -> Failure {
    // A long name is cut: it is the client's own text.
    let name: String = name.chars().take(64).collect();
    Failure::new(Kind::InvalidPattern, format!("{of} has no member `{name}`"))
}

/// The newest policy's epoch and patterns.
pub(super) async fn list(api: &Api) -> Result<(u64, Vec<Value>), Failure> {
    let policy = newest(api).await?;
    Ok((policy.epoch, policy.patterns().iter().map(show).collect()))
}

/// The newest policy's epoch and its pattern of this id.
pub(super) async fn get(api: &Api, id: &str) -> Result<(u64, Value), Failure> {
    let policy = newest(api).await?;
    let pattern = policy.patterns().iter().find(|pattern| pattern.id == id);
    let pattern = pattern.ok_or_else(not_found)?;
    Ok((policy.epoch, show(pattern)))
}

/// Makes a change; see [`policy::change`].
pub(super) async fn change(api: &Api, change: Change) -> Result<Changed<Pattern>, Failure> {
    let change = move |before| edit(before, change.clone());
    Box::pin(policy::change(api, not_found, change)).await
}

/// The policy after a change, compiled. CPU work.
fn edit(before: Policy, change: Change) -> Result<Edit<Pattern>, Failure> {
    let mut patterns = before.patterns().to_vec();
    let place = |patterns: &[Pattern], id: &str| patterns.iter().position(|p| p.id == id);
    let pattern = match change {
        Change::Add(mut members) => {
            if members.get("pattern_id").is_none_or(Value::is_null)
                && let Some(id) = usual_id(&members)
            {
                members.insert("pattern_id".into(), id.into());
            }
            let pattern = read(members)?;
            match place(&patterns, &pattern.id).and_then(|place| patterns.get(place)) {
                Some(known) if *known == pattern => return Ok(unchanged(Some(pattern))),
                Some(_) => {
                    let message = "there is another pattern of this id; change it with PUT";
                    return Err(Failure::new(Kind::PatternExists, message));
                }
                None => patterns.push(pattern.clone()),
            }
            pattern
        }
        Change::Set(id, members) => {
            let Some(known) = place(&patterns, &id).and_then(|place| patterns.get_mut(place))
            else {
                return Ok(unchanged(None));
            };
            let pattern = merged(known, members)?;
            if pattern.id != id {
                let message = "`pattern_id` is not that of the path; the id of a pattern stays";
                return Err(Failure::new(Kind::InvalidPattern, message));
            }
            if *known == pattern {
                return Ok(unchanged(Some(pattern)));
            }
            known.clone_from(&pattern);
            pattern
        }
        Change::Remove(id) => match place(&patterns, &id) {
            Some(place) => patterns.remove(place),
            None => return Ok(unchanged(None)),
        },
    };
    let policy = before.with_patterns(patterns);
    let policy = policy.map_err(|refusal| {
        let kind = match refusal.cause {
            Cause::NameTaken => Kind::PatternExists,
            _ => Kind::InvalidPattern,
        };
        Failure::new(kind, refusal.to_string())
    })?;
    Ok(Edit {
        policy: Some(policy),
        outcome: Some(pattern),
    })
}

fn unchanged(pattern: Option<Pattern>) -> Edit<Pattern> {
    Edit {
        policy: None,
        outcome: pattern,
    }
}

/// A pattern with other members.
fn merged(pattern: &Pattern, members: Map<String, Value>) -> Result<Pattern, Failure> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(pattern) else {
        let message = "the pattern cannot be written as JSON";
        return Err(Failure::new(Kind::Internal, message));
    };
    all.extend(members);
    read(all)
}

fn read(mut members: Map<String, Value>) -> Result<Pattern, Failure> {
    // An empty text is nothing to put in a match's place, and no validator.
    let may_be_empty = |name: &str| matches!(name, "replacement" | "validator");
    members.retain(|name, value| !(value.is_null() || value == "" && may_be_empty(name)));
    if !members.contains_key("name") {
        let message = "the pattern cannot be taken: missing field `name`";
        return Err(Failure::new(Kind::InvalidPattern, message));
    }
    serde_json::from_value(Value::Object(members)).map_err(|error| {
        let message = format!("the pattern cannot be taken: {}", expected(&error));
        Failure::new(Kind::InvalidPattern, message)
    })
}

fn not_found() -> Failure {
    Failure::new(Kind::NotFound, "there is no pattern of this id")
}

/// A pattern as the API gives it: under the name that its owner gave it, with the one in masks beside it; words
/// with the usual windows are a list, what was not given is null.
pub(super) fn show(pattern: &Pattern) -> Value {
    let mut shown = serde_json::to_value(pattern).unwrap_or_default();
    let usual = Words {
        include: pattern.keywords.include.clone(),
        ..Words::default()
    };
    if let Some(members) = shown.as_object_mut() {
        if pattern.keywords == usual {
            members.insert("keywords".into(), usual.include.into());
        }
        let title = members
            .remove("title")
            .unwrap_or_else(|| pattern.name.as_str().into());
        members.insert("name".into(), title);
        members.insert("detector".into(), pattern.name.as_str().into());
        for name in ["capture", "validator", "replacement"] {
            members.entry(name).or_insert(Value::Null);
        }
    }
    shown
}

/// What was expected of a member of a pattern or a rule, without the value that came instead.
pub(super) fn expected(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("a member is not what it must be, expected {expected}"),
        None if text.starts_with("missing field") => text,
        None => "a member is not what it must be".into(),
    }
}
