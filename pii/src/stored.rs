//! A policy as bytes: what a cluster keeps and hands to its nodes.
//!
//! JSON with a version first; equal policies are equal bytes. A detector that is off is left out, so that
//! a release that brings new ones masks as the policy says. What the reader does not know is refused:
//! a rule that is not understood would not be kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detector::Detector;
use crate::pattern::{AllowList, Cause, Mode, Pattern, Refusal, Scope};
use crate::policy::{HASH_KEYS_MAX, Policy, Rule, Strategy};

/// Version of the stored form: names of patterns as their owners write them came with it.
const VERSION: u32 = 3;
/// The version without these; it is still written where there are none. Scopes of detectors, numbers of keys and names of rules that have hashed came
/// with it.
const VERSION_SECOND: u32 = 2;
/// The version without those; it is still written where there are none, so that earlier releases read it.
const VERSION_FIRST: u32 = 1;
/// Number of the key that a cluster begins with.
const FIRST_KEY: u32 = 1;

/// The version alone.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    epoch: u64,
    keep_loopback: bool,
    keep_private: bool,
    #[serde(default = "first_key", skip_serializing_if = "is_first_key")]
    hash_key: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hashed: Vec<String>,
    detectors: BTreeMap<String, StoredRule>,
    patterns: Vec<Pattern>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRule {
    strategy: Strategy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replacement: Option<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default, skip_serializing_if = "Scope::is_everywhere")]
    scope: Scope,
    #[serde(default)]
    allow: AllowList,
}

fn first_key() -> u32 {
    FIRST_KEY
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_first_key(key: &u32) -> bool {
    *key == FIRST_KEY
}

impl Policy {
    /// The policy as bytes, epoch and patterns included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let rules = Detector::ALL.into_iter().filter_map(|detector| {
            let rule = self.rule(detector)?;
            let chosen = rule.replacement != detector.replacement();
            let stored = StoredRule {
                strategy: rule.strategy,
                replacement: chosen.then(|| rule.replacement.clone()),
                mode: rule.mode,
                scope: rule.scope.clone(),
                allow: rule.allow.clone(),
            };
            Some((detector.name().to_owned(), stored))
        });
        let hashed: Vec<String> = self.hashed().map(str::to_owned).collect();
        let is_titled = self.patterns().iter().any(|p| p.title.is_some());
        let is_first = self.hash_key == FIRST_KEY && hashed.is_empty() && !self.is_scoped();
        let stored = Stored {
            version: match (is_titled, is_first) {
                (true, _) => VERSION,
                (false, true) => VERSION_FIRST,
                (false, false) => VERSION_SECOND,
            },
            epoch: self.epoch,
            keep_loopback: self.keep_loopback,
            keep_private: self.keep_private,
            hash_key: self.hash_key,
            hashed,
            detectors: rules.collect(),
            patterns: self.patterns().to_vec(),
        };
        serde_json::to_vec(&stored).expect("text, numbers and lists are always JSON")
    }

    /// The policy of these bytes, compiled.
    ///
    /// # Errors
    /// Refuses bytes of another version, detectors that this release does not have, and what
    /// [`Policy::with_rule`] and [`Policy::with_patterns`] refuse.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let unreadable = |why: String| Cause::Unreadable(why).of("policy");
        let not_json = |error: serde_json::Error| unreadable(error.to_string());
        // First: a later version may have members that are not known here.
        let Versioned { version } = serde_json::from_slice(bytes).map_err(not_json)?;
        if !(VERSION_FIRST..=VERSION).contains(&version) {
            return Err(unreadable(format!("its version is {version}")));
        }
        let stored: Stored = serde_json::from_slice(bytes).map_err(not_json)?;
        let mut policy = Self::empty();
        policy.epoch = stored.epoch;
        policy.keep_loopback = stored.keep_loopback;
        policy.keep_private = stored.keep_private;
        if !(FIRST_KEY..=HASH_KEYS_MAX).contains(&stored.hash_key) {
            let why = format!("it has no key {}", stored.hash_key);
            return Err(unreadable(why));
        }
        policy.hash_key = stored.hash_key;
        for (name, rule) in stored.detectors {
            let unknown = || Cause::UnknownDetector.of(&name);
            let detector = Detector::from_name(&name).ok_or_else(unknown)?;
            let rule = Rule {
                strategy: rule.strategy,
                mode: rule.mode,
                scope: rule.scope,
                allow: rule.allow,
                replacement: rule
                    .replacement
                    .unwrap_or_else(|| detector.replacement().to_owned()),
            };
            policy = policy.with_rule(detector, Some(rule))?;
        }
        let policy = policy.with_patterns(stored.patterns)?;
        Ok(policy.with_hashed(stored.hashed))
    }
}
