//! What is masked, and how: detectors that are on, and patterns.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::detector::{Detector, Pack};
use crate::finder::Finder;
use crate::pattern::limits::REPLACEMENT_BYTES_MAX;
use crate::pattern::{AllowList, Cause, Engine, Mode, Pattern, Refusal, Scope};
use crate::render::Named;
use crate::{Key, Masker};

/// Highest number of a key for HASH: a question is asked with every key up to the policy's.
pub const HASH_KEYS_MAX: u32 = 32;

/// How a finding is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
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
    const ALL: [Self; 3] = [Self::Redact, Self::Hash, Self::PartialMask];
    const NAMES: [&str; 3] = ["REDACT", "HASH", "PARTIAL_MASK"];

    /// The name used on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redact => "REDACT",
            Self::Hash => "HASH",
            Self::PartialMask => "PARTIAL_MASK",
        }
    }
}

/// By its name, in any case.
impl<'de> serde::Deserialize<'de> for Strategy {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::ALL
            .into_iter()
            .find(|strategy| name.eq_ignore_ascii_case(strategy.name()))
            .ok_or_else(|| serde::de::Error::unknown_variant(&name, &Self::NAMES))
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one detector or pattern does with what it finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How findings are hidden.
    pub strategy: Strategy,
    /// What REDACT writes.
    pub replacement: String,
    /// Whether findings are hidden or only counted.
    pub mode: Mode,
    /// Where it looks.
    pub scope: Scope,
    /// Values that are left as they are.
    pub allow: AllowList,
}

impl Rule {
    /// What a detector does unless a policy says otherwise.
    pub fn of(detector: Detector) -> Self {
        Self {
            strategy: detector.default_strategy(),
            replacement: detector.replacement().to_owned(),
            mode: Mode::Mask,
            scope: Scope::default(),
            allow: AllowList::default(),
        }
    }

    pub(crate) fn check_replacement(&self) -> Result<(), Cause> {
        let fits = (1..=REPLACEMENT_BYTES_MAX).contains(&self.replacement.len());
        if !fits || self.replacement.chars().any(char::is_control) {
            return Err(Cause::BadReplacement);
        }
        Ok(())
    }
}

/// Which detectors are on, what becomes of what they find, and the patterns that are added to them.
///
/// The default is the pack of this release: every detector of [`Pack::Default`] as its row says. Cheap to
/// clone: the compiled patterns are shared.
#[derive(Clone)]
pub struct Policy {
    /// Version of the policy; blocks carry it.
    pub epoch: u64,
    /// Leave `127.0.0.0/8`, `::1` and the unspecified addresses as they are. Default: yes.
    pub keep_loopback: bool,
    /// Leave RFC 1918, link-local and unique local addresses as they are. Default: no.
    pub keep_private: bool,
    /// Number of the key for HASH, from 1 to [`HASH_KEYS_MAX`]. Hashes that were made with an earlier one
    /// are still found.
    pub hash_key: u32,
    /// Names of rules that have hashed and do not any more: what they hashed is still found.
    hashed: BTreeSet<String>,
    rules: [Option<Rule>; Detector::ALL.len()],
    patterns: Arc<[Pattern]>,
    engine: Arc<Engine>,
}

impl Policy {
    /// A policy that masks nothing.
    pub fn empty() -> Self {
        let rules = Detector::ALL.map(|_| None);
        Self {
            epoch: 0,
            keep_loopback: true,
            keep_private: false,
            hash_key: 1,
            hashed: BTreeSet::new(),
            rules,
            patterns: Arc::default(),
            engine: Arc::default(),
        }
    }

    /// This policy with the detector on.
    #[must_use]
    pub fn with(mut self, detector: Detector, strategy: Strategy) -> Self {
        let rule = Rule::of(detector);
        self.put(detector, Some(Rule { strategy, ..rule }));
        self
    }

    /// This policy with the detector on and this text in place of what it finds.
    ///
    /// The text should be one that no detector finds, or masking twice masks it again:
    /// [`Policy::with_rule`] refuses such a text.
    #[must_use]
    pub fn with_replacement(mut self, detector: Detector, text: impl Into<String>) -> Self {
        let rule = Rule {
            strategy: Strategy::Redact,
            replacement: text.into(),
            ..Rule::of(detector)
        };
        self.put(detector, Some(rule));
        self
    }

    /// This policy with the numbers of a country on (its code in ISO 3166, such as `DE`); unchanged where
    /// there are none.
    #[must_use]
    pub fn with_country(self, code: &str) -> Self {
        Detector::ALL
            .into_iter()
            .filter(|detector| detector.countries().contains(&code))
            .fold(self, |policy, d| policy.with(d, d.default_strategy()))
    }

    /// This policy with the detector off.
    #[must_use]
    pub fn without(mut self, detector: Detector) -> Self {
        self.put(detector, None);
        self
    }

    /// This policy with a detector's rule, or with the detector off.
    ///
    /// # Errors
    /// Refuses a replacement or a list that is too long, and a replacement that would be masked itself.
    pub fn with_rule(mut self, detector: Detector, rule: Option<Rule>) -> Result<Self, Refusal> {
        if let Some(rule) = &rule {
            let checked = rule
                .check_replacement()
                .and_then(|()| rule.scope.check())
                .and_then(|()| rule.allow.check());
            checked.map_err(|cause| cause.of(detector.name()))?;
        }
        self.put(detector, rule);
        self.check_replacements()?;
        Ok(self)
    }

    /// This policy with these patterns in place of those it had.
    ///
    /// # Errors
    /// Says which pattern cannot be taken, and why.
    pub fn with_patterns(mut self, mut patterns: Vec<Pattern>) -> Result<Self, Refusal> {
        patterns.sort_by(|a, b| a.id.cmp(&b.id));
        self.engine = Arc::new(Engine::new(&patterns)?);
        let before = std::mem::replace(&mut self.patterns, patterns.into());
        for pattern in before.iter().filter(|p| p.strategy == Strategy::Hash) {
            self.hashed.insert(pattern.name.clone());
        }
        self.settle_hashed();
        self.check_replacements()?;
        Ok(self)
    }

    /// This policy with the detectors of a country off (its code in ISO 3166), also those that other
    /// countries share with it.
    #[must_use]
    pub fn without_country(self, code: &str) -> Self {
        Detector::ALL
            .into_iter()
            .filter(|detector| detector.countries().contains(&code))
            .fold(self, Self::without)
    }

    /// The countries all of whose numbers are looked for.
    pub fn countries(&self) -> Vec<&'static str> {
        let is_on = |code: &&str| {
            Detector::ALL
                .into_iter()
                .filter(|detector| detector.countries().contains(code))
                .all(|detector| self.rule(detector).is_some())
        };
        Detector::all_countries()
            .into_iter()
            .filter(is_on)
            .collect()
    }

    /// This policy with these rules among those that have hashed.
    #[must_use]
    pub(crate) fn with_hashed(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.hashed.extend(names);
        self.settle_hashed();
        self
    }

    /// Names of rules that have hashed and do not any more.
    pub(crate) fn hashed(&self) -> impl Iterator<Item = &str> {
        self.hashed.iter().map(String::as_str)
    }

    /// Of those that have hashed only those are kept that still exist, and hash no more.
    fn settle_hashed(&mut self) {
        let mut hashed = std::mem::take(&mut self.hashed);
        hashed.retain(|name| match Detector::from_name(name) {
            Some(detector) => self.strategy(detector) != Some(Strategy::Hash),
            None => {
                let pattern = self.patterns.iter().find(|pattern| pattern.name == *name);
                pattern.is_some_and(|pattern| pattern.strategy != Strategy::Hash)
            }
        });
        self.hashed = hashed;
    }

    /// The patterns, by id.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The detector's strategy; `None` when it is off.
    pub fn strategy(&self, detector: Detector) -> Option<Strategy> {
        self.rule(detector).map(|rule| rule.strategy)
    }

    /// The detector's rule; `None` when it is off.
    pub fn rule(&self, detector: Detector) -> Option<&Rule> {
        self.rules.get(detector as usize).and_then(Option::as_ref)
    }

    /// The rule of a detector or a pattern, with its name.
    pub(crate) fn named(&self, finder: Finder) -> Option<Named<'_>> {
        match finder {
            Finder::BuiltIn(detector) => self.rule(detector).map(|rule| Named {
                rule,
                name: detector.name(),
            }),
            Finder::Pattern(pattern) => {
                let (rule, name) = self.engine.rule(pattern)?;
                Some(Named { rule, name })
            }
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether what stands in a finding's place, or around it, can matter to rules that nobody has tried
    /// together.
    pub(crate) fn is_custom(&self) -> bool {
        let allows = |rule: &Rule| !rule.allow.is_empty();
        !self.engine.is_idle() || self.rules.iter().flatten().any(allows)
    }

    pub(crate) fn put(&mut self, detector: Detector, rule: Option<Rule>) {
        if self.strategy(detector) == Some(Strategy::Hash) {
            self.hashed.insert(detector.name().to_owned());
        }
        if let Some(slot) = self.rules.get_mut(detector as usize) {
            *slot = rule;
        }
        self.settle_hashed();
    }

    /// This policy with all detectors that are on looking everywhere.
    fn everywhere(mut self) -> Self {
        for rule in self.rules.iter_mut().flatten() {
            rule.scope = Scope::default();
        }
        self
    }

    /// Whether a detector looks at some places only.
    pub(crate) fn is_scoped(&self) -> bool {
        let scoped = |rule: &Rule| !rule.scope.is_everywhere();
        self.rules.iter().flatten().any(scoped)
    }

    /// Nothing finds anything in a text that somebody has chosen to stand in a finding's place.
    fn check_replacements(&self) -> Result<(), Refusal> {
        let built_in = Detector::ALL.into_iter().filter_map(|detector| {
            let text = &self.rule(detector)?.replacement;
            (text != detector.replacement()).then(|| (detector.name(), text.as_str()))
        });
        let chosen = self
            .patterns
            .iter()
            .filter_map(|pattern| Some((pattern.name.as_str(), pattern.replacement.as_deref()?)));
        let chosen: Vec<_> = built_in.chain(chosen).collect();
        if chosen.is_empty() {
            return Ok(());
        }
        // A text that is found anywhere is refused, wherever its rule looks.
        let masker = Masker::new(self.clone().everywhere(), Key::new([0; 32]));
        for (rule, text) in chosen {
            if let Some(finder) = masker.finder_in(text) {
                return Err(Cause::ReplacementFound(finder).of(rule));
            }
        }
        Ok(())
    }
}

/// Equal policies mask alike.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            epoch,
            keep_loopback,
            keep_private,
            hash_key,
            hashed,
            rules,
            patterns,
            engine: _,
        } = self;
        *epoch == other.epoch
            && *keep_loopback == other.keep_loopback
            && *keep_private == other.keep_private
            && *hash_key == other.hash_key
            && *hashed == other.hashed
            && *rules == other.rules
            && *patterns == other.patterns
    }
}

impl Eq for Policy {}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("epoch", &self.epoch)
            .field("rules", &self.rules)
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
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
            .filter(|detector| detector.pack() == Pack::Default)
            .fold(policy, |p, d| p.with(d, d.default_strategy()))
    }
}
