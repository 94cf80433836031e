//! The state of a metric.

use super::Metric;
use super::distinct::Distinct;
use super::quantiles::Quantiles;

/// What a metric has seen so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MetricState {
    /// For avg, sum, min, max and stats.
    Numbers(Numbers),
    /// For value_count.
    Count(u64),
    /// For cardinality.
    Distinct(Distinct),
    /// For percentiles.
    Quantiles(Quantiles),
}

/// Count, sum and extremes of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl MetricState {
    pub(crate) fn new(metric: &Metric) -> Self {
        match metric {
            Metric::Avg | Metric::Sum | Metric::Min | Metric::Max | Metric::Stats => {
                Self::Numbers(Numbers::default())
            }
            Metric::ValueCount => Self::Count(0),
            Metric::Cardinality => Self::Distinct(Distinct::default()),
            Metric::Percentiles(_) => Self::Quantiles(Quantiles::default()),
        }
    }

    pub(crate) fn add_number(&mut self, value: f64) {
        match self {
            Self::Numbers(numbers) => {
                numbers.count += 1;
                numbers.sum += value;
                numbers.min = numbers.min.min(value);
                numbers.max = numbers.max.max(value);
            }
            Self::Quantiles(quantiles) => quantiles.add(value),
            Self::Count(_) | Self::Distinct(_) => {}
        }
    }

    pub(crate) fn add_value(&mut self, kind: u8, value: &str) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Distinct(distinct) => distinct.add(kind, value),
            Self::Numbers(_) | Self::Quantiles(_) => {}
        }
    }

    /// Adds what another saw; false when it is of another kind.
    #[must_use]
    pub(crate) fn merge(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::Numbers(own), Self::Numbers(other)) => {
                own.count += other.count;
                own.sum += other.sum;
                own.min = own.min.min(other.min);
                own.max = own.max.max(other.max);
            }
            (Self::Count(own), Self::Count(other)) => *own += other,
            (Self::Distinct(own), Self::Distinct(other)) => own.merge(other),
            (Self::Quantiles(own), Self::Quantiles(other)) => own.merge(other),
            _ => return false,
        }
        true
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Numbers(_) | Self::Count(_) => 0,
                Self::Distinct(distinct) => distinct.memory_bytes(),
                Self::Quantiles(quantiles) => quantiles.memory_bytes(),
            }
    }
}
