//! What the names of fields say of their values, and which of the few words that label every record (its
//! service, its host) hold something. The same ones come again and again, so what one says is remembered by
//! a hash of it: names themselves are never kept, they may be personal data.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Key;

/// Names that share a set; more push each other out.
const WAYS: usize = 4;
/// So many times as many names are remembered.
const SETS: usize = 1 << SET_BITS;
const SET_BITS: u32 = 10;
/// Longest name that is remembered, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Context of the key that hashes of names are made with.
const CONTEXT: &[u8] = b"hushlog names of fields";

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Says(u8);

impl Says {
    /// Nothing that detectors look for.
    pub(crate) const NOTHING: Self = Self(0);
    /// Anything: what it says must be looked at.
    pub(crate) const ANYTHING: Self = Self(Self::FOUND | Self::SECRET | Self::USER | Self::NUMBER);
    /// The name itself holds something, at least in some place.
    pub(crate) const FOUND: u8 = 1;
    /// The value is a secret.
    pub(crate) const SECRET: u8 = 2;
    /// The value is the name of a user.
    pub(crate) const USER: u8 = 4;
    /// The value is a number of some kind.
    pub(crate) const NUMBER: u8 = 8;
    /// Bits of what is said.
    const BITS: u32 = 4;

    /// Adds one of the constants, if so.
    pub(crate) const fn with(self, what: u8, so: bool) -> Self {
        if so { Self(self.0 | what) } else { self }
    }

    /// Whether it says any of these.
    pub(crate) const fn any(self, what: u8) -> bool {
        self.0 & what != 0
    }
}

/// A place in a record that nobody has looked at says anything.
impl Default for Says {
    fn default() -> Self {
        Self::ANYTHING
    }
}

/// The names seen last.
pub(crate) struct Names {
    /// Secret, so that nobody can make two names of one hash.
    seed: u64,
    /// By some bits of the hash. A slot has all other bits of it, [`SET`], and what the name says: one word, so that no
    /// reader sees the half of another thread's.
    sets: Box<[[AtomicU64; WAYS]]>,
}

/// In every slot that is filled.
const SET: u64 = 1 << Says::BITS;
/// Bits of a slot that are of the hash.
const TAG: u64 = !(SET | (SET - 1));

impl Names {
    pub(crate) fn new(key: &Key) -> Self {
        let mut bytes = [0; 8];
        let mut hasher = key.hasher();
        hasher.update(CONTEXT);
        hasher.finalize_xof().fill(&mut bytes);
        Self {
            seed: (u64::from_be_bytes(bytes) % PRIME).max(2),
            sets: (0..SETS).map(|_| Default::default()).collect(),
        }
    }

    /// What this name says; `look` finds it out.
    #[inline]
    pub(crate) fn get(&self, name: &str, look: impl FnOnce() -> Says) -> Says {
        if name.len() > NAME_BYTES_MAX {
            return look();
        }
        let hash = self.hash(name);
        let set = usize::try_from(hash >> (u64::BITS - SET_BITS)).unwrap_or(0);
        let Some(set) = self.sets.get(set) else {
            return look();
        };
        let mut free = None;
        for slot in set {
            let known = slot.load(Ordering::Relaxed);
            if known & SET == 0 {
                free = Some(slot);
            } else if (known ^ hash) & TAG == 0 {
                return Says((known & (SET - 1)).to_le_bytes()[0]);
            }
        }
        let says = look();
        // Bits that no other use has say who goes.
        let last = (hash >> (Says::BITS + 1)).to_le_bytes()[0];
        if let Some(slot) = free.or_else(|| set.get(usize::from(last) % WAYS)) {
            slot.store(hash & TAG | SET | u64::from(says.0), Ordering::Relaxed);
        }
        says
    }

    /// A polynomial of the name's bytes, seven at a time, at a secret place (Carter and Wegman, 1979): of any two
    /// names, hardly one place in 10^16 makes two alike.
    #[inline]
    fn hash(&self, name: &str) -> u64 {
        let (sevens, rest) = name.as_bytes().as_chunks::<7>();
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let next = |hash, bytes| multiplied(hash + number(bytes), self.seed);
        // Names of one length, each number of them less than the prime: no two are of one polynomial.
        let hash = sevens
            .iter()
            .fold(multiplied(name.len() as u64, self.seed), |hash, seven| {
                next(hash, seven)
            });
        next(hash, rest) << (u64::BITS - PRIME_BITS)
    }
}

const PRIME_BITS: u32 = 61;
/// A prime (Mersenne's) by which it is easy to divide.
const PRIME: u64 = (1 << PRIME_BITS) - 1;

/// The product modulo [`PRIME`] of a number below twice the prime, and one below it.
#[inline]
fn multiplied(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let rest = |n: u128| (n & u128::from(PRIME)) + (n >> PRIME_BITS);
    let rest = low(rest(rest(product)));
    if rest >= PRIME { rest - PRIME } else { rest }
}

/// A number that is below 2^64.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "it is a little more than the prime at most"
)]
fn low(n: u128) -> u64 {
    n as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_at_once_and_says_the_same_again() {
        let names = Names::new(&Key::new([1; 32]));
        let says = Says::NOTHING
            .with(Says::USER, true)
            .with(Says::FOUND, false);
        assert_eq!(names.get("login", || says), says);
        assert_eq!(names.get("login", || Says::NOTHING), says);
        assert_eq!(names.get("", || Says::NOTHING), Says::NOTHING);
        assert!(says.any(Says::USER | Says::SECRET) && !says.any(Says::FOUND));
    }

    #[test]
    fn more_names_than_there_is_room_for_are_never_taken_for_each_other() {
        let names = Names::new(&Key::new([1; 32]));
        for round in 0..3 {
            for number in 0..3 * SETS * WAYS {
                let says = Says::NOTHING.with(Says::SECRET, number % 3 == 0);
                let name = format!("name {number}");
                assert_eq!(names.get(&name, || says), says, "{name}, round {round}");
            }
        }
    }

    #[test]
    fn products_are_those_of_the_field() {
        for (a, b) in [
            (0, 7),
            (3, 5),
            (PRIME - 1, PRIME - 1),
            (2 * PRIME - 1, PRIME - 1),
            (PRIME, 12),
            (1 << 60, 1 << 60),
        ] {
            let expected = u128::from(a) * u128::from(b) % u128::from(PRIME);
            assert_eq!(u128::from(multiplied(a, b)), expected, "{a} times {b}");
        }
    }

    #[test]
    fn names_of_zeros_are_told_apart_by_their_length() {
        let names = Names::new(&Key::new([1; 32]));
        let hashes: std::collections::BTreeSet<_> = (0..NAME_BYTES_MAX)
            .map(|length| names.hash(&"\0".repeat(length)))
            .collect();
        assert_eq!(hashes.len(), NAME_BYTES_MAX);
    }

    #[test]
    fn a_long_name_is_not_remembered() {
        let names = Names::new(&Key::new([1; 32]));
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(names.get(&long, || Says::NOTHING), Says::NOTHING);
        assert_eq!(names.get(&long, || Says::ANYTHING), Says::ANYTHING);
    }
}
