//! Percentiles: exact while the values are few, afterwards within 1 % of the value.
//!
//! The sketch counts values in buckets that grow by a constant factor, so merging is addition and
//! the result depends on the values alone, never on their order.

use std::collections::BTreeMap;

use crate::limits::QUANTILES_EXACT_MAX;

/// Largest relative error of a percentile once the values are many.
pub(crate) const RELATIVE_ERROR: f64 = 0.01;
/// Magnitudes below this count as zero.
const SMALLEST: f64 = 1e-12;

/// The values seen so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Quantiles {
    /// All of them, in any order.
    Exact(Vec<f64>),
    /// How many fell into each bucket.
    Sketch(Sketch),
}

/// Counts per bucket: positive keys for positive numbers, mirrored for negative ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sketch {
    pub(crate) negative: BTreeMap<i32, u64>,
    pub(crate) zero: u64,
    pub(crate) positive: BTreeMap<i32, u64>,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

fn ln_gamma() -> f64 {
    ((1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)).ln()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the logarithm of a float is below 1100"
)]
fn bucket(magnitude: f64) -> i32 {
    (magnitude.ln() / ln_gamma()).ceil() as i32
}

fn middle(bucket: i32) -> f64 {
    let gamma = ln_gamma();
    (f64::from(bucket) * gamma).exp() * 2.0 / (1.0 + gamma.exp())
}

impl Sketch {
    fn add(&mut self, value: f64) {
        if value.abs() < SMALLEST {
            self.zero += 1;
        } else if value > 0.0 {
            *self.positive.entry(bucket(value)).or_insert(0) += 1;
        } else {
            *self.negative.entry(bucket(-value)).or_insert(0) += 1;
        }
    }

    /// Counts in rising order of value.
    fn rising(&self) -> impl Iterator<Item = (f64, u64)> {
        let negative = self
            .negative
            .iter()
            .rev()
            .map(|(&key, &count)| (-middle(key), count));
        let positive = self
            .positive
            .iter()
            .map(|(&key, &count)| (middle(key), count));
        negative
            .chain((self.zero > 0).then_some((0.0, self.zero)))
            .chain(positive)
    }

    fn count(&self) -> u64 {
        self.zero + self.negative.values().sum::<u64>() + self.positive.values().sum::<u64>()
    }
}

impl Quantiles {
    pub(crate) fn add(&mut self, value: f64) {
        match self {
            Self::Exact(values) if values.len() < QUANTILES_EXACT_MAX => values.push(value),
            Self::Exact(_) => {
                self.sketch().add(value);
            }
            Self::Sketch(sketch) => sketch.add(value),
        }
    }

    fn sketch(&mut self) -> &mut Sketch {
        if let Self::Exact(values) = self {
            let mut sketch = Sketch::default();
            values.iter().for_each(|&value| sketch.add(value));
            *self = Self::Sketch(sketch);
        }
        match self {
            Self::Sketch(sketch) => sketch,
            Self::Exact(_) => unreachable!("it was turned into a sketch just now"),
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        match other {
            Self::Exact(values) => values.into_iter().for_each(|value| self.add(value)),
            Self::Sketch(other) => {
                let own = self.sketch();
                own.zero += other.zero;
                for (from, to) in [
                    (other.negative, &mut own.negative),
                    (other.positive, &mut own.positive),
                ] {
                    for (key, count) in from {
                        *to.entry(key).or_insert(0) += count;
                    }
                }
            }
        }
    }

    /// The value below which this percentage of all lies; between two values, what lies between.
    pub(crate) fn percentile(&self, percent: f64) -> Option<f64> {
        match self {
            Self::Exact(values) => exact(values.clone(), percent),
            Self::Sketch(sketch) => {
                let rank = as_float(sketch.count().checked_sub(1)?) * percent / 100.0;
                let mut seen = 0;
                for (value, count) in sketch.rising() {
                    seen += count;
                    if as_float(seen) > rank {
                        return Some(value);
                    }
                }
                None
            }
        }
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Exact(values) => values.len() * 8,
            Self::Sketch(sketch) => (sketch.negative.len() + sketch.positive.len()) * 24,
        }
    }
}

fn exact(mut values: Vec<f64>, percent: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let rank = as_float(last as u64) * percent / 100.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 ≤ rank ≤ last"
    )]
    let below = (rank.floor() as usize).min(last);
    let (low, high) = (values.get(below)?, values.get((below + 1).min(last))?);
    Some(low + (high - low) * rank.fract())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts beyond 2^53 do not occur"
)]
const fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Quantiles {
        let mut quantiles = Quantiles::default();
        values.into_iter().for_each(|value| quantiles.add(value));
        quantiles
    }

    #[test]
    fn few_values_are_exact() {
        let quantiles = of([4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!(quantiles.percentile(0.0), Some(1.0));
        assert_eq!(quantiles.percentile(50.0), Some(3.0));
        assert_eq!(quantiles.percentile(90.0), Some(4.6));
        assert_eq!(quantiles.percentile(100.0), Some(5.0));
        assert_eq!(of([]).percentile(50.0), None);
    }

    #[test]
    fn many_values_are_within_the_error() {
        let quantiles = of((0..100_000).map(|i| f64::from(i) - 20_000.0));
        for (percent, value) in [(1.0, -19_000.0), (50.0, 30_000.0), (99.0, 79_000.0)] {
            let got = quantiles.percentile(percent).unwrap();
            assert!(
                (got - value).abs() <= value.abs() * 1.01 * RELATIVE_ERROR,
                "{percent}: {got}"
            );
        }
    }

    proptest! {
        #[test]
        fn merging_is_the_same_as_adding(
            values in prop::collection::vec(-1e6f64..1e6, 0..5_000), at in 0usize..5_000,
        ) {
            let (left, right) = values.split_at(at.min(values.len()));
            let mut merged = of(right.iter().copied());
            merged.merge(of(left.iter().copied()));
            let whole = of(values.iter().copied());
            prop_assert_eq!(merged.percentile(50.0), whole.percentile(50.0));
            prop_assert_eq!(merged.percentile(99.0), whole.percentile(99.0));
        }
    }
}
