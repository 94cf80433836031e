//! What is masked, and how.

use std::fmt;

use crate::Detector;

/// How a finding is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Strategy {
    /// A fixed text takes its place: `[EMAIL]`.
    Redact,
    /// A keyed hash takes its place, so that equal values can still be found: `email:k1:…`.
    Hash,
    /// A part stays: the last digits, the domain, the network.
    PartialMask,
}

impl Strategy {
    /// The name used on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redact => "REDACT",
            Self::Hash => "HASH",
            Self::PartialMask => "PARTIAL_MASK",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One detector's part of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) strategy: Strategy,
    pub(crate) replacement: String,
}

/// Which detectors are on, and what becomes of what they find.
///
/// The default is the pack of this release: every built-in detector with its default strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Version of the policy; blocks carry it.
    pub epoch: u64,
    /// Leave `127.0.0.0/8`, `::1` and the unspecified addresses as they are. Default: yes.
    pub keep_loopback: bool,
    /// Leave RFC 1918, link-local and unique local addresses as they are. Default: no.
    pub keep_private: bool,
    rules: [Option<Rule>; Detector::ALL.len()],
}

impl Policy {
    /// A policy that masks nothing.
    pub fn empty() -> Self {
        let rules = Detector::ALL.map(|_| None);
        Self {
            epoch: 0,
            keep_loopback: true,
            keep_private: false,
            rules,
        }
    }

    /// This policy with the detector on.
    #[must_use]
    pub fn with(mut self, detector: Detector, strategy: Strategy) -> Self {
        let replacement = detector.replacement().to_owned();
        self.put(
            detector,
            Some(Rule {
                strategy,
                replacement,
            }),
        );
        self
    }

    /// This policy with the detector on and this text in place of what it finds.
    ///
    /// The text should be one that no detector finds, or masking twice masks it again.
    #[must_use]
    pub fn with_replacement(mut self, detector: Detector, text: impl Into<String>) -> Self {
        self.put(
            detector,
            Some(Rule {
                strategy: Strategy::Redact,
                replacement: text.into(),
            }),
        );
        self
    }

    /// This policy with the detector off.
    #[must_use]
    pub fn without(mut self, detector: Detector) -> Self {
        self.put(detector, None);
        self
    }

    /// The detector's strategy; `None` when it is off.
    pub fn strategy(&self, detector: Detector) -> Option<Strategy> {
        self.rule(detector).map(|rule| rule.strategy)
    }

    pub(crate) fn rule(&self, detector: Detector) -> Option<&Rule> {
        self.rules.get(detector as usize).and_then(Option::as_ref)
    }

    fn put(&mut self, detector: Detector, rule: Option<Rule>) {
        if let Some(slot) = self.rules.get_mut(detector as usize) {
            *slot = rule;
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        let policy = Self {
            epoch: 1,
            ..Self::empty()
        };
        Detector::ALL
            .into_iter()
            .fold(policy, |p, d| p.with(d, d.default_strategy()))
    }
}
