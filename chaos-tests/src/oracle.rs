//! What must be true of the store, kept as numbers while records are sent.

use std::collections::BTreeMap;

use crate::corpus::Drawn;

/// True totals of everything that was acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oracle {
    /// Records per (service number, level).
    pub levels: BTreeMap<(usize, &'static str), u64>,
    /// Records per (exception type, service number).
    pub exceptions: BTreeMap<(&'static str, usize), u64>,
}

impl Oracle {
    /// Counts one acknowledged record.
    pub fn add(&mut self, drawn: &Drawn) {
        *self.levels.entry((drawn.service, drawn.level)).or_default() += 1;
        if let Some(exception) = drawn.exception {
            *self
                .exceptions
                .entry((exception, drawn.service))
                .or_default() += 1;
        }
    }

    /// Adds what another client counted.
    pub fn merge(&mut self, other: &Self) {
        for (key, count) in &other.levels {
            *self.levels.entry(*key).or_default() += count;
        }
        for (key, count) in &other.exceptions {
            *self.exceptions.entry(*key).or_default() += count;
        }
    }

    /// All acknowledged records.
    pub fn total(&self) -> u64 {
        self.levels.values().sum()
    }

    /// Records per service number.
    pub fn by_service(&self) -> BTreeMap<usize, u64> {
        let mut totals = BTreeMap::new();
        for ((service, _), count) in &self.levels {
            *totals.entry(*service).or_default() += count;
        }
        totals
    }

    /// Records per level.
    pub fn by_level(&self) -> BTreeMap<&'static str, u64> {
        let mut totals = BTreeMap::new();
        for ((_, level), count) in &self.levels {
            *totals.entry(*level).or_default() += count;
        }
        totals
    }

    /// Exception counts, most frequent first, ties in name order.
    pub fn top(&self) -> Vec<((&'static str, usize), u64)> {
        let mut rows: Vec<_> = self
            .exceptions
            .iter()
            .map(|(key, count)| (*key, *count))
            .collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        rows
    }
}
