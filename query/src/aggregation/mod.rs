//! Counting besides finding: `terms`, histograms, ranges and metrics in the shapes of Elasticsearch.
//!
//! A state is collected per shard, merges in any order to the same result, and is bounded.

mod read;
mod spec;

pub(crate) use read::read;
pub use spec::{Aggregation, Kind, Metric, RangeBucket, TermsOrder};
