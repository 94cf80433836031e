//! How often each rule found something. Numbers only, no values.

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
pub(crate) struct Counters(Box<[Counter]>);

#[derive(Default)]
struct Counter {
    masked: AtomicU64,
    observed: AtomicU64,
}

impl Counters {
    pub(crate) fn new(patterns: usize) -> Self {
        let all = Detector::ALL.len() + patterns;
        Self((0..all).map(|_| Counter::default()).collect())
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

    fn of(&self, finder: Finder) -> Option<&Counter> {
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
