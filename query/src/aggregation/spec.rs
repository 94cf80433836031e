//! What an aggregation asks for.

use crate::field::Field;

/// One named aggregation with the ones inside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregation {
    /// Its name in request and answer.
    pub name: String,
    /// The field it looks at.
    pub field: Field,
    /// What it does.
    pub kind: Kind,
    /// What is counted within each of its buckets.
    pub children: Vec<Aggregation>,
}

/// What an aggregation does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// One bucket per value.
    Terms {
        /// Most buckets in the answer.
        size: usize,
        /// Their order.
        order: TermsOrder,
        /// Buckets with fewer records are left out.
        min_doc_count: u64,
    },
    /// One bucket per interval of time.
    DateHistogram {
        /// Length in nanoseconds.
        interval: i64,
        /// Where intervals begin, in nanoseconds after the epoch, less than the interval.
        offset: i64,
        /// Buckets with fewer records are left out; 0 fills gaps.
        min_doc_count: u64,
        /// Empty buckets reach at least from and to here (nanoseconds).
        extended: Option<(i64, i64)>,
    },
    /// One bucket per interval of numbers.
    Histogram {
        /// Length.
        interval: f64,
        /// Where intervals begin.
        offset: f64,
        /// Buckets with fewer records are left out; 0 fills gaps.
        min_doc_count: u64,
    },
    /// One bucket per given range of numbers.
    Range {
        /// The ranges, in the order of the answer.
        ranges: Vec<RangeBucket>,
    },
    /// A number computed from the values.
    Metric(Metric),
}

/// One range of a `range` aggregation: `from` belongs to it, `to` does not.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeBucket {
    /// Its key in the answer.
    pub key: String,
    /// Lower end; `None`: open.
    pub from: Option<f64>,
    /// Upper end; `None`: open.
    pub to: Option<f64>,
}

/// The order of `terms` buckets; ties by key, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermsOrder {
    /// Most records first.
    CountDescending,
    /// Fewest records first.
    CountAscending,
    /// By key.
    KeyAscending,
    /// By key, backwards.
    KeyDescending,
}

/// A number computed from values.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// Mean.
    Avg,
    /// Sum.
    Sum,
    /// Least.
    Min,
    /// Greatest.
    Max,
    /// Count, min, max, mean and sum.
    Stats,
    /// Number of values.
    ValueCount,
    /// Number of distinct values.
    Cardinality,
    /// Values below which these percentages of all lie.
    Percentiles(Vec<f64>),
}

impl Metric {
    /// Whether it computes with numbers, not with values of any kind.
    pub const fn is_numeric(&self) -> bool {
        !matches!(self, Self::ValueCount | Self::Cardinality)
    }
}
