//! What the cluster's policy says of the built-in detectors: each one's rule, the countries whose numbers are
//! looked for, and what holds for all. How a change comes into force is in `policy`.

use std::collections::BTreeMap;

use hushlog_pii::{AllowList, Detector, HASH_KEYS_MAX, Mode, Pack, Policy, Rule, Scope, Strategy};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::patterns::{check_nested, expected};
use super::policy::{self, Changed, Edit, newest};
use super::{Api, Failure, Kind};

/// Members of a detector's rule that a change gives: `None` stays as it is, `Some(None)` is as if nobody had
/// ever given it.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Members {
    #[serde(deserialize_with = "given")]
    is_active: Option<Option<bool>>,
    #[serde(deserialize_with = "given")]
    mode: Option<Option<Mode>>,
    #[serde(alias = "strategy", deserialize_with = "given")]
    masking_strategy: Option<Option<Strategy>>,
    #[serde(deserialize_with = "given")]
    replacement: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    scope: Option<Option<Scope>>,
    #[serde(alias = "allow", deserialize_with = "given")]
    suppress: Option<Option<AllowList>>,
}

/// What holds for all rules.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Whether loopback and unspecified addresses stay.
    keep_loopback: Option<bool>,
    /// Whether addresses of private networks stay.
    keep_private: Option<bool>,
    /// Number of the key for HASH.
    hash_key: Option<u32>,
}

/// Tells a member that is null from one that is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl Members {
    /// Reads the body of a change.
    ///
    /// # Errors
    /// [`Kind::InvalidBody`] when it is no JSON object, [`Kind::InvalidPattern`] when it has a member that
    /// rules do not have, or one that is not what it must be.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let given: BTreeMap<String, Value> = object(body)?;
        for (name, value) in &given {
            check_nested(name, value)?;
        }
        serde_json::from_slice(body).map_err(|error| refused("rule", &error))
    }

    /// The rule that it makes of this one; `None`: off.
    fn of(self, detector: Detector, known: Option<&Rule>) -> Result<Option<Rule>, Failure> {
        let says_more = self.mode.is_some()
            || self.masking_strategy.is_some()
            || self.replacement.is_some()
            || self.scope.is_some()
            || self.suppress.is_some();
        let is_on = match self.is_active {
            Some(Some(active)) => active,
            Some(None) => detector.pack() == Pack::Default,
            None => true,
        };
        if !is_on {
            if says_more {
                let message =
                    "a detector that is off keeps no other members; send `is_active` alone";
                return Err(Failure::new(Kind::InvalidPattern, message));
            }
            return Ok(None);
        }
        let usual = Rule::of(detector);
        let mut rule = known.unwrap_or(&usual).clone();
        if let Some(mode) = self.mode {
            rule.mode = mode.unwrap_or(usual.mode);
        }
        if let Some(strategy) = self.masking_strategy {
            rule.strategy = strategy.unwrap_or(usual.strategy);
        }
        if let Some(replacement) = self.replacement {
            rule.replacement = replacement.unwrap_or(usual.replacement);
        }
        if let Some(scope) = self.scope {
            rule.scope = scope.unwrap_or_default();
        }
        if let Some(suppress) = self.suppress {
            rule.allow = suppress.unwrap_or_default();
        }
        Ok(Some(rule))
    }
}

impl Settings {
    /// Reads the body of a change.
    ///
    /// # Errors
    /// As [`Members::read`].
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let _: BTreeMap<String, Value> = object(body)?;
        serde_json::from_slice(body).map_err(|error| refused("settings", &error))
    }

    fn of(policy: &Policy) -> Value {
        json!({
            "keep_loopback": policy.keep_loopback,
            "keep_private": policy.keep_private,
            "hash_key": policy.hash_key,
        })
    }

    fn edit(self, mut policy: Policy) -> Result<Policy, Failure> {
        policy.keep_loopback = self.keep_loopback.unwrap_or(policy.keep_loopback);
        policy.keep_private = self.keep_private.unwrap_or(policy.keep_private);
        let key = self.hash_key.unwrap_or(policy.hash_key);
        // A later key than the next one is a mistake; an earlier one would undo a rotation unnoticed.
        if key > HASH_KEYS_MAX || key < policy.hash_key || key > policy.hash_key + 1 {
            let message = format!(
                "`hash_key` is {}, and can only become {}; the last is HASH_KEYS_MAX = {HASH_KEYS_MAX}",
                policy.hash_key,
                policy.hash_key + 1
            );
            return Err(Failure::new(Kind::InvalidPattern, message));
        }
        policy.hash_key = key;
        Ok(policy)
    }
}

fn object(body: &[u8]) -> Result<BTreeMap<String, Value>, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "the body must be a JSON object; it is not at line {} column {}",
            error.line(),
            error.column()
        );
        Failure::new(Kind::InvalidBody, message)
    })
}

fn refused(what: &str, error: &serde_json::Error) -> Failure {
    let message = format!("the {what} cannot be taken: {}", expected(error));
    Failure::new(Kind::InvalidPattern, message)
}

/// The newest policy's epoch and every detector's rule.
pub(super) async fn detectors(api: &Api) -> Result<(u64, Vec<Value>), Failure> {
    let policy = newest(api).await?;
    let all = Detector::ALL.into_iter();
    Ok((policy.epoch, all.map(|d| show(d, policy.rule(d))).collect()))
}

/// The newest policy's epoch and the rule of this detector.
pub(super) async fn detector(api: &Api, name: &str) -> Result<(u64, Value), Failure> {
    let detector = named(name)?;
    let policy = newest(api).await?;
    Ok((policy.epoch, show(detector, policy.rule(detector))))
}

/// Changes the rule of a detector; without members it becomes that of this release again.
pub(super) async fn set_detector(
    api: &Api,
    name: &str,
    members: Option<Members>,
) -> Result<Changed<Value>, Failure> {
    let detector = named(name)?;
    let edit = move |before: Policy| {
        let known = before.rule(detector);
        let rule = match members.clone() {
            Some(members) => members.of(detector, known)?,
            None if detector.pack() == Pack::Default => Some(Rule::of(detector)),
            None => None,
        };
        let outcome = Some(show(detector, rule.as_ref()));
        if rule.as_ref() == known {
            return Ok(Edit {
                policy: None,
                outcome,
            });
        }
        let policy = before.with_rule(detector, rule);
        let policy =
            policy.map_err(|refusal| Failure::new(Kind::InvalidPattern, refusal.to_string()))?;
        Ok(Edit {
            policy: Some(policy),
            outcome,
        })
    };
    Box::pin(policy::change(api, no_detector, edit)).await
}

/// The newest policy's epoch and every country, with whether all of its numbers are looked for.
pub(super) async fn countries(api: &Api) -> Result<(u64, Vec<Value>), Failure> {
    let policy = newest(api).await?;
    let on = policy.countries();
    let all = Detector::all_countries().into_iter();
    let all = all.map(|code| country(code, on.contains(&code)));
    Ok((policy.epoch, all.collect()))
}

/// Turns the numbers of a country on or off.
pub(super) async fn set_country(
    api: &Api,
    code: &str,
    on: bool,
) -> Result<Changed<Value>, Failure> {
    let code = code.to_ascii_uppercase();
    let mut known = Detector::all_countries().into_iter();
    let code = known.find(|known| *known == code);
    let code = code.ok_or_else(no_country)?;
    let edit = move |before: Policy| {
        let own = Detector::ALL
            .into_iter()
            .filter(|detector| detector.countries().contains(&code));
        // Those that are not as they are to be; rules that somebody has set stay as they are.
        let others: Vec<_> = own
            .filter(|detector| before.rule(*detector).is_some() != on)
            .collect();
        let with =
            |policy: Policy, detector: Detector| policy.with(detector, detector.default_strategy());
        let policy = if others.is_empty() {
            None
        } else if on {
            Some(others.into_iter().fold(before, with))
        } else {
            Some(before.without_country(code))
        };
        Ok(Edit {
            policy,
            outcome: Some(country(code, on)),
        })
    };
    Box::pin(policy::change(api, no_country, edit)).await
}

/// The newest policy's epoch and what holds for all rules.
pub(super) async fn settings(api: &Api) -> Result<(u64, Value), Failure> {
    let policy = newest(api).await?;
    Ok((policy.epoch, Settings::of(&policy)))
}

/// Changes what holds for all rules.
pub(super) async fn set_settings(api: &Api, asked: Settings) -> Result<Changed<Value>, Failure> {
    let edit = move |before: Policy| {
        let after = asked.edit(before.clone())?;
        let outcome = Some(Settings::of(&after));
        let policy = (after != before).then_some(after);
        Ok(Edit { policy, outcome })
    };
    Box::pin(policy::change(api, no_detector, edit)).await
}

fn named(name: &str) -> Result<Detector, Failure> {
    Detector::from_name(name).ok_or_else(no_detector)
}

fn no_detector() -> Failure {
    let message = "there is no detector of this name; GET /api/v1/pii/detectors lists them";
    Failure::new(Kind::NotFound, message)
}

fn no_country() -> Failure {
    let message =
        "no numbers of this country are known; GET /api/v1/pii/countries lists those that are";
    Failure::new(Kind::NotFound, message)
}

fn country(code: &str, is_active: bool) -> Value {
    let detectors: Vec<_> = Detector::ALL
        .into_iter()
        .filter(|detector| detector.countries().contains(&code))
        .map(Detector::name)
        .collect();
    json!({ "country": code, "is_active": is_active, "detectors": detectors })
}

/// A detector and its rule; one that is off is shown as it would be.
fn show(detector: Detector, rule: Option<&Rule>) -> Value {
    let usual = Rule::of(detector);
    let shown = rule.unwrap_or(&usual);
    json!({
        "detector": detector.name(),
        "is_active": rule.is_some(),
        "on_by_default": detector.pack() == Pack::Default,
        "mode": shown.mode,
        "masking_strategy": shown.strategy,
        "replacement": shown.replacement,
        "scope": shown.scope,
        "suppress": shown.allow,
        "countries": detector.countries(),
    })
}
