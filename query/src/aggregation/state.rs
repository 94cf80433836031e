//! What an aggregation has counted so far, and how two such states become one.

use std::collections::BTreeMap;

use super::metric::MetricState;
use super::{Aggregation, Kind};
use crate::Error;
use crate::limits::{BUCKETS_COLLECTED_MAX, BUCKETS_SHIPPED_MAX};
use crate::number::Number;

/// What tells one bucket from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// Number of the interval or range.
    Place(i64),
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
}

impl Key {
    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + if let Self::Text(text) = self {
                text.len()
            } else {
                0
            }
    }
}

/// One bucket.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Bucket {
    pub(crate) count: u64,
    /// The states of the aggregations inside, in their order.
    pub(crate) children: Vec<State>,
}

/// The buckets of an aggregation.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Buckets {
    pub(crate) map: BTreeMap<Key, Bucket>,
    /// Records in buckets that were cut.
    pub(crate) cut_count: u64,
    /// How many records a bucket may lack because a shard had cut it.
    pub(crate) error: u64,
}

/// The state of one aggregation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// Of a bucket aggregation.
    Buckets(Buckets),
    /// Of a metric.
    Metric(MetricState),
}

impl State {
    pub(crate) fn new(aggregation: &Aggregation) -> Self {
        match &aggregation.kind {
            Kind::Metric(metric) => Self::Metric(MetricState::new(metric)),
            _ => Self::Buckets(Buckets::default()),
        }
    }
}

/// The states before anything was counted.
pub(crate) fn empty(aggregations: &[Aggregation]) -> Vec<State> {
    aggregations.iter().map(State::new).collect()
}

/// Number of buckets and bytes of memory.
pub(crate) fn size(states: &[State]) -> (usize, usize) {
    states
        .iter()
        .fold((0, 0), |(buckets, bytes), state| match state {
            State::Metric(metric) => (buckets, bytes + metric.memory_bytes()),
            State::Buckets(own) => {
                own.map
                    .iter()
                    .fold((buckets, bytes), |(buckets, bytes), (key, bucket)| {
                        let inner = size(&bucket.children);
                        (
                            buckets + 1 + inner.0,
                            bytes + key.memory_bytes() + size_of::<Bucket>() + inner.1,
                        )
                    })
            }
        })
}

/// Prepares the states of one shard for the way: the rarest of very many terms are cut.
pub(crate) fn finish(aggregations: &[Aggregation], states: &mut [State]) {
    for (aggregation, state) in aggregations.iter().zip(states) {
        let State::Buckets(buckets) = state else {
            continue;
        };
        if matches!(aggregation.kind, Kind::Terms { .. }) {
            cut(buckets);
        }
        for bucket in buckets.map.values_mut() {
            finish(&aggregation.children, &mut bucket.children);
        }
    }
}

fn cut(buckets: &mut Buckets) {
    if buckets.map.len() <= BUCKETS_SHIPPED_MAX {
        return;
    }
    let all = std::mem::take(&mut buckets.map);
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by(|(a, x), (b, y)| y.count.cmp(&x.count).then_with(|| a.cmp(b)));
    let rare = all.split_off(BUCKETS_SHIPPED_MAX);
    buckets.error += rare.first().map_or(0, |(_, bucket)| bucket.count);
    buckets.cut_count += rare.iter().map(|(_, bucket)| bucket.count).sum::<u64>();
    buckets.map = all.into_iter().collect();
}

/// Adds one shard's states to the others'.
///
/// # Errors
/// [`Error::Damaged`] when they are of another request, [`Error::Buckets`] when they are too many.
pub(crate) fn merge(own: &mut [State], other: Vec<State>) -> Result<(), Error> {
    merge_level(own, other)?;
    let (buckets, _) = size(own);
    if buckets > BUCKETS_COLLECTED_MAX {
        return Err(Error::Buckets(BUCKETS_COLLECTED_MAX));
    }
    Ok(())
}

fn merge_level(own: &mut [State], other: Vec<State>) -> Result<(), Error> {
    let damaged = || Error::Damaged("a partial answer");
    if own.len() != other.len() {
        return Err(damaged());
    }
    for (own, other) in own.iter_mut().zip(other) {
        match (own, other) {
            (State::Metric(own), State::Metric(other)) => {
                if !own.merge(other) {
                    return Err(damaged());
                }
            }
            (State::Buckets(own), State::Buckets(other)) => {
                own.cut_count += other.cut_count;
                own.error += other.error;
                for (key, bucket) in other.map {
                    match own.map.entry(key) {
                        std::collections::btree_map::Entry::Vacant(entry) => {
                            entry.insert(bucket);
                        }
                        std::collections::btree_map::Entry::Occupied(mut entry) => {
                            entry.get_mut().count += bucket.count;
                            merge_level(&mut entry.get_mut().children, bucket.children)?;
                        }
                    }
                }
            }
            _ => return Err(damaged()),
        }
    }
    Ok(())
}
