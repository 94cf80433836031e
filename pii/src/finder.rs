//! Who finds: a built-in detector, or a pattern of the policy; and sets of them.

use crate::Detector;
use crate::pattern::limits::PATTERNS_MAX;

/// Who found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finder {
    BuiltIn(Detector),
    /// The place of the pattern among those of the policy.
    Pattern(u8),
}

impl From<Detector> for Finder {
    fn from(detector: Detector) -> Self {
        Self::BuiltIn(detector)
    }
}

/// One bit for each pattern that a policy may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patterns([u64; PATTERNS_MAX.div_ceil(64)]);

impl Patterns {
    pub(crate) fn add(&mut self, pattern: u8) {
        if let Some(word) = self.0.get_mut(usize::from(pattern / 64)) {
            *word |= 1 << (pattern % 64);
        }
    }

    pub(crate) fn any(self) -> bool {
        self.0.iter().any(|word| *word != 0)
    }

    /// In ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        let firsts = (0..=u8::MAX).step_by(64);
        self.0.into_iter().zip(firsts).flat_map(|(word, first)| {
            (0..64u8)
                .filter(move |bit| word >> bit & 1 != 0)
                .map(move |bit| first + bit)
        })
    }
}

/// A set of finders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fired {
    built_in: u128,
    patterns: Patterns,
}

impl Fired {
    pub(crate) fn add(&mut self, finder: Finder) {
        match finder {
            Finder::BuiltIn(detector) => self.built_in |= 1 << detector as u32,
            Finder::Pattern(pattern) => self.patterns.add(pattern),
        }
    }

    pub(crate) fn any(self) -> bool {
        self.built_in != 0 || self.patterns.any()
    }

    /// The detectors, then the patterns.
    pub(crate) fn iter(self) -> impl Iterator<Item = Finder> {
        Detector::ALL
            .into_iter()
            .filter(move |d| self.built_in & 1 << *d as u32 != 0)
            .map(Finder::BuiltIn)
            .chain(self.patterns.iter().map(Finder::Pattern))
    }
}

/// Every detector has its bit.
const _: () = assert!(Detector::ALL.len() <= u128::BITS as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_was_added_in_order() {
        let mut fired = Fired::default();
        assert!(!fired.any());
        let added = [
            Finder::BuiltIn(Detector::Email),
            Finder::BuiltIn(Detector::KvSecret),
            Finder::Pattern(0),
            Finder::Pattern(63),
            Finder::Pattern(64),
            Finder::Pattern(199),
        ];
        for finder in added.iter().rev() {
            fired.add(*finder);
        }
        assert!(fired.any());
        assert_eq!(fired.iter().collect::<Vec<_>>(), added);
    }
}
