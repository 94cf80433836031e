//! What HASH has written for a value, so that a question for the value finds it.
//!
//! A value is looked at as rules look at records, but alone: a value that only its surroundings give away
//! (a word before it, a place in a longer match) is known by the name of its field or not at all. Counts
//! nothing, and keeps no value.

use std::fmt;

use crate::detector::Detector;
use crate::finder::Finder;
use crate::pattern::{AllowList, Mode, Place, Refusal, Scope, Words};
use crate::policy::{Policy, Rule, Strategy};
use crate::{Key, Masker, render};

/// The rules of a policy that hash or have hashed, with every key that they have done so with.
pub struct Questions {
    masker: Masker,
    /// The policy's first.
    keys: Vec<Key>,
    /// Patterns of which a part of the match is the finding: a value alone cannot be told to be theirs.
    of_parts: Vec<u8>,
}

impl Questions {
    /// Of this policy, by the cluster's first key; `None` where nothing hashes or has hashed.
    ///
    /// # Errors
    /// When the patterns are refused without the others of the policy, and without what stands around their
    /// matches; [`Questions::of_detectors`] still goes.
    pub fn of(policy: &Policy, key: &Key) -> Result<Option<Self>, Refusal> {
        let hashed = |name: &str| policy.hashed().any(|known| known == name);
        let mut patterns = policy.patterns().to_vec();
        patterns.retain(|pattern| pattern.strategy == Strategy::Hash || hashed(&pattern.name));
        for pattern in &mut patterns {
            pattern.strategy = Strategy::Hash;
            pattern.keywords = Words::default();
            pattern.scope = Scope::default();
            pattern.suppress = AllowList::default();
            pattern.mode = Mode::Observe;
            pattern.replacement = None;
            pattern.is_active = true;
        }
        let asked = detectors(policy).with_patterns(patterns)?;
        Ok(Self::asking(policy, asked, key))
    }

    /// As [`Questions::of`], without what patterns have hashed.
    pub fn of_detectors(policy: &Policy, key: &Key) -> Option<Self> {
        Self::asking(policy, detectors(policy), key)
    }

    fn asking(policy: &Policy, asked: Policy, key: &Key) -> Option<Self> {
        let is_idle =
            asked.patterns().is_empty() && Detector::ALL.iter().all(|d| asked.rule(*d).is_none());
        if is_idle {
            return None;
        }
        let parts = asked.patterns().iter().zip(0u8..);
        let of_parts = parts.filter(|(pattern, _)| pattern.capture.is_some());
        Some(Self {
            of_parts: of_parts.map(|(_, place)| place).collect(),
            keys: (1..=policy.hash_key)
                .rev()
                .map(|number| key.derived(number))
                .collect(),
            masker: Masker::new(asked, key.clone()),
        })
    }

    /// What stands for this value where it was hashed, with each key; empty where no rule would hash it.
    /// `field` is the name of the custom field that is asked about, if it is one.
    pub fn hashes(&self, field: Option<&str>, value: &str) -> Vec<String> {
        let place = Place {
            name: field,
            says: field.map(|name| self.masker.says(name)).unwrap_or_default(),
            service: "",
            path: field.unwrap_or_default(),
            ..Place::default()
        };
        let value = value.trim();
        let mut by = self.masker.finders_of(value, place);
        let parts = self.of_parts.iter().map(|p| Finder::Pattern(*p));
        by.retain(|found| parts.clone().all(|part| part != *found));
        by.extend(parts);
        let mut hashes = Vec::with_capacity(by.len() * self.keys.len());
        for key in &self.keys {
            for finder in &by {
                let mut hash = String::new();
                render::hash(key, *finder, &self.masker.name(*finder), value, &mut hash);
                hashes.push(hash);
            }
        }
        hashes
    }
}

/// The detectors that hash or have hashed. All of them only observe, so that none hides what another one would
/// have hashed, and no address stays: what a policy leaves now, an earlier one may have hashed.
fn detectors(policy: &Policy) -> Policy {
    let hashed = |name: &str| policy.hashed().any(|known| known == name);
    let mut asked = Policy::empty();
    asked.keep_loopback = false;
    asked.keep_private = false;
    for detector in Detector::ALL {
        if policy.strategy(detector) == Some(Strategy::Hash) || hashed(detector.name()) {
            let rule = Rule {
                strategy: Strategy::Hash,
                mode: Mode::Observe,
                ..Rule::of(detector)
            };
            asked.put(detector, Some(rule));
        }
    }
    asked
}

/// Prints nothing of the keys.
impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}
