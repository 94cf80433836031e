//! How often each rule found something. Numbers only, no values.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::detector::Detector;
use crate::finder::Finder;
use crate::policy::Policy;

/// What one detector or pattern has found since the masker was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Name of the detector or pattern.
    pub name: String,
    /// Findings that were hidden.
    pub masked: u64,
    /// Findings that were only counted.
    pub observed: u64,
}

/// The counts of a masker, detectors first.
pub(crate) struct Counters(Box<[Arc<Counter>]>);

#[derive(Default)]
struct Counter {
    masked: AtomicU64,
    observed: AtomicU64,
}

impl Counters {
    /// For this policy; rules that were there before go on counting with what they had.
    pub(crate) fn new(policy: &Policy, before: Option<(&Policy, &Self)>) -> Self {
        let known = |finder| before.and_then(|(_, counters)| counters.of(finder));
        let detectors = Detector::ALL
            .into_iter()
            .map(|detector| known(Finder::BuiltIn(detector)).cloned());
        let patterns = policy.patterns().iter().map(|pattern| {
            let (before, _) = before?;
            let all = before.patterns().iter();
            let (_, place) = all
                .zip(0u8..)
                .find(|(known, _)| known.name == pattern.name)?;
            known(Finder::Pattern(place)).cloned()
        });
        Self(
            detectors
                .chain(patterns)
                .map(Option::unwrap_or_default)
                .collect(),
        )
    }

    pub(crate) fn masked(&self, finder: Finder) {
        if let Some(counter) = self.of(finder) {
            counter.masked.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn observed(&self, finder: Finder) {
        if let Some(counter) = self.of(finder) {
            counter.observed.fetch_add(1, Relaxed);
        }
    }

    fn of(&self, finder: Finder) -> Option<&Arc<Counter>> {
        self.0.get(match finder {
            Finder::BuiltIn(detector) => detector as usize,
            Finder::Pattern(pattern) => Detector::ALL.len() + usize::from(pattern),
        })
    }

    /// Those of the rules that are on.
    pub(crate) fn counts(&self, policy: &Policy) -> Vec<Count> {
        let patterns = (0u8..).take(policy.patterns().len());
        Detector::ALL
            .into_iter()
            .map(Finder::BuiltIn)
            .chain(patterns.map(Finder::Pattern))
            .filter_map(|finder| {
                let counter = self.of(finder)?;
                Some(Count {
                    name: policy.named(finder)?.name.to_owned(),
                    masked: counter.masked.load(Relaxed),
                    observed: counter.observed.load(Relaxed),
                })
            })
            .collect()
    }
}
