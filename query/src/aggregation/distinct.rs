//! Number of distinct values: exact while they are few, afterwards by HyperLogLog with 2^14
//! registers (standard error 0.8 %).

use std::collections::BTreeSet;

use crate::limits::CARDINALITY_EXACT_MAX;

/// Bits of a hash that choose the register.
const BITS: u32 = 14;
/// Number of registers.
pub(crate) const REGISTERS: usize = 1 << BITS;

/// The distinct values seen so far, as hashes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Distinct {
    /// All hashes.
    Exact(BTreeSet<u64>),
    /// Per register, the longest run of leading zeros plus one.
    Registers(Vec<u8>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(BTreeSet::new())
    }
}

/// A 64-bit hash that is the same on every node and in every release: FNV-1a, then mixed.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for &byte in parts.iter().copied().flatten() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

impl Distinct {
    /// Adds a value; `kind` keeps the number 1 and the text 1 apart.
    pub(crate) fn add(&mut self, kind: u8, value: &str) {
        self.add_hash(hash(&[&[kind], value.as_bytes()]));
    }

    fn add_hash(&mut self, hash: u64) {
        match self {
            Self::Exact(hashes) => {
                hashes.insert(hash);
                if hashes.len() > CARDINALITY_EXACT_MAX {
                    let hashes = std::mem::take(hashes);
                    *self = Self::Registers(vec![0; REGISTERS]);
                    hashes.into_iter().for_each(|hash| self.add_hash(hash));
                }
            }
            Self::Registers(registers) => {
                let register = usize::try_from(hash >> (64 - BITS)).unwrap_or(0);
                let zeros = (hash << BITS).leading_zeros().min(64 - BITS) + 1;
                if let Some(register) = registers.get_mut(register) {
                    *register = (*register).max(u8::try_from(zeros).unwrap_or(u8::MAX));
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (_, Self::Exact(hashes)) => hashes.into_iter().for_each(|hash| self.add_hash(hash)),
            (Self::Registers(own), Self::Registers(other)) => {
                for (own, other) in own.iter_mut().zip(other) {
                    *own = (*own).max(other);
                }
            }
            (Self::Exact(_), registers) => {
                let hashes = std::mem::replace(self, registers);
                self.merge(hashes);
            }
        }
    }

    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Exact(hashes) => hashes.len() as u64,
            Self::Registers(registers) => estimate(registers),
        }
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Exact(hashes) => hashes.len() * 12,
            Self::Registers(registers) => registers.len(),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the number of registers is small"
)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "estimates are ≥ 0"
)]
fn estimate(registers: &[u8]) -> u64 {
    let m = REGISTERS as f64;
    let sum: f64 = registers
        .iter()
        .map(|&run| 2f64.powi(-i32::from(run)))
        .sum();
    let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
    let zeros = registers.iter().filter(|&&run| run == 0).count() as f64;
    let count = if raw <= 2.5 * m && zeros > 0.0 {
        m * (m / zeros).ln()
    } else {
        raw
    };
    count.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: std::ops::Range<u32>) -> Distinct {
        let mut distinct = Distinct::default();
        range.for_each(|i| distinct.add(0, &format!("user_{i}")));
        distinct
    }

    #[test]
    fn few_are_exact_and_many_are_close() {
        assert_eq!(of(0..3_000).count(), 3_000);
        for n in [5_000, 50_000, 300_000] {
            let count = of(0..n).count();
            assert!(
                count.abs_diff(u64::from(n)) < u64::from(n) * 3 / 100,
                "{n}: {count}"
            );
        }
    }

    #[test]
    fn merging_counts_common_values_once() {
        for (a, b, all) in [
            (0..10, 5..20, 0..20),
            (0..2_000, 1_000..9_000, 0..9_000),
            (0..9_000, 0..10, 0..9_000),
        ] {
            let mut merged = of(a.clone());
            merged.merge(of(b.clone()));
            let mut other = of(b);
            other.merge(of(a));
            assert_eq!(merged, of(all));
            assert_eq!(merged, other);
        }
    }
}
