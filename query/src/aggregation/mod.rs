//! Counting besides finding: `terms`, histograms, ranges and metrics in the shapes of Elasticsearch.
//!
//! A state is collected per shard, merges in any order to the same result, and is bounded.

mod answer;
mod collect;
mod distinct;
mod metric;
mod quantiles;
mod read;
mod spec;
mod state;
mod wire;

pub(crate) use answer::render;
pub(crate) use collect::{CountRow, collect, collect_count, is_countable, needed, uses_service};
pub(crate) use read::read;
pub use spec::{Aggregation, Kind, Metric, RangeBucket, TermsOrder};
pub(crate) use state::{State, empty, finish, merge, size};
pub(crate) use wire::{decode, encode};
