//! The exceptions of a window, summed over minutes, segments and shards, and ranked at the end.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use crate::count_min::CountMin;
use crate::tally::Tally;
use crate::{Error, codec, hash};

/// A partial answer to "which exceptions occur most". Adds up in any order and grouping.
///
/// Where no minute had more than [`EXACT_MAX`](crate::EXACT_MAX) different exceptions, every count is
/// exact. Otherwise a count is an upper bound, and `count_error` says how much too high it can be.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Exceptions {
    /// By (type, service).
    pub(crate) entries: BTreeMap<(String, String), Entry>,
    /// All that was counted in minutes that were not exact.
    pub(crate) sketch: Option<CountMin>,
}

/// One exception of a ranking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// Type of the exception.
    pub type_name: String,
    /// The service; `None` when services are folded.
    pub service_name: Option<String>,
    /// At least how often it occurred.
    pub count: u64,
    /// By how much `count` can be too high; 0 when it is exact.
    pub count_error: u64,
    /// Earliest event time known, nanoseconds since the Unix epoch.
    pub first_seen: i64,
    /// Latest event time known, nanoseconds since the Unix epoch.
    pub last_seen: i64,
    /// Ids of some of the records, newest first, at most [`SAMPLES_MAX`](crate::SAMPLES_MAX).
    pub samples: Vec<[u8; 16]>,
}

/// What is known of one exception.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Occurrences in minutes that are exact.
    pub(crate) exact: u64,
    /// All occurrences that were counted under its name; the rest is in the sketch only.
    pub(crate) tally: Tally,
}

impl Entry {
    pub(crate) fn add(&mut self, tally: &Tally, exact: bool) {
        self.tally.merge(tally);
        if exact {
            self.exact = self.exact.saturating_add(tally.count);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.exact = self.exact.saturating_add(other.exact);
    }
}

impl Exceptions {
    /// A partial of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether every count is exact.
    pub fn is_exact(&self) -> bool {
        self.sketch.is_none()
    }

    /// Memory that it takes, estimated from what is in it.
    pub fn memory_bytes(&self) -> usize {
        let entries: usize = self
            .entries
            .iter()
            .map(|((type_name, service), entry)| {
                let samples = size_of_val(entry.tally.samples.as_slice());
                size_of::<((String, String), Entry)>() + type_name.len() + service.len() + samples
            })
            .sum();
        entries + self.sketch.as_ref().map_or(0, CountMin::memory_bytes)
    }

    /// Adds another partial. The order and grouping of merges do not matter.
    pub fn merge(&mut self, other: &Self) {
        for ((type_name, service), entry) in &other.entries {
            self.add_entry(type_name, service, entry);
        }
        if let Some(sketch) = &other.sketch {
            self.add_sketch(sketch);
        }
    }

    /// The `k` most frequent, ties by type and service; with `fold_services` one row per type.
    pub fn top(&self, k: usize, fold_services: bool) -> Vec<Top> {
        let mut rows = BTreeMap::<(&str, Option<&str>), Top>::new();
        for ((type_name, service), entry) in &self.entries {
            let key = (
                type_name.as_str(),
                (!fold_services).then_some(service.as_str()),
            );
            let row = self.row(type_name, service, entry);
            match rows.get_mut(&key) {
                Some(sum) => sum.add(&row),
                None => {
                    let service_name = row.service_name.filter(|_| !fold_services);
                    rows.insert(
                        key,
                        Top {
                            service_name,
                            ..row
                        },
                    );
                }
            }
        }
        let mut ranked: Vec<Top> = rows.into_values().collect();
        ranked.sort_by_key(|row| Reverse(row.count));
        ranked.truncate(k);
        ranked
    }

    /// The bytes of this partial; equal contents give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_exceptions(self)
    }

    /// Reads what [`encode`](Self::encode) wrote, to the last byte.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode_exceptions(bytes)
    }

    pub(crate) fn add_entry(&mut self, type_name: &str, service: &str, entry: &Entry) {
        let key = (type_name.to_owned(), service.to_owned());
        self.entries.entry(key).or_default().merge(entry);
    }

    pub(crate) fn add_sketch(&mut self, sketch: &CountMin) {
        match &mut self.sketch {
            Some(sum) => sum.merge(sketch),
            None => self.sketch = Some(sketch.clone()),
        }
    }

    fn row(&self, type_name: &str, service: &str, entry: &Entry) -> Top {
        let sketched = self.sketch.as_ref();
        let sketched = sketched.map_or(0, |s| s.estimate(hash::of_pair(type_name, service)));
        let count = entry.exact.saturating_add(sketched);
        Top {
            type_name: type_name.to_owned(),
            service_name: Some(service.to_owned()),
            count,
            count_error: count.saturating_sub(entry.tally.count),
            first_seen: entry.tally.first_seen,
            last_seen: entry.tally.last_seen,
            samples: entry.tally.samples.clone(),
        }
    }
}

impl Top {
    fn add(&mut self, other: &Self) {
        let mut tally = Tally::default();
        for row in [&*self, other] {
            tally.merge(&Tally {
                count: 0,
                first_seen: row.first_seen,
                last_seen: row.last_seen,
                samples: row.samples.clone(),
            });
        }
        self.count = self.count.saturating_add(other.count);
        self.count_error = self.count_error.saturating_add(other.count_error);
        (self.first_seen, self.last_seen) = (tally.first_seen, tally.last_seen);
        self.samples = tally.samples;
    }
}

/// Prints sizes only.
impl fmt::Debug for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Exceptions({} listed, exact: {})",
            self.entries.len(),
            self.is_exact()
        )
    }
}
