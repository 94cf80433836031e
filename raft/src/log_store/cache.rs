//! The end of one group's log in memory: what followers and the state machine read next.
//!
//! Holds every entry that is not synced yet, whatever its size, and of the synced ones as many of the
//! newest as fit. What it holds is always one unbroken run up to the last entry.

use std::collections::VecDeque;

use crate::codec::entry_bytes;
use crate::types::Entry;

pub(super) struct Cache {
    /// Index of the first entry held; the next to be appended when none is.
    first: u64,
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
    bytes_max: usize,
    /// Entries before this are synced and may be dropped.
    synced_to: u64,
}

impl Cache {
    /// An empty cache of a log whose next entry is `next`.
    pub(super) fn new(next: u64, bytes_max: usize) -> Self {
        Self {
            first: next,
            entries: VecDeque::new(),
            bytes: 0,
            bytes_max,
            synced_to: next,
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Entries before this are synced.
    pub(super) fn synced_to(&self) -> u64 {
        self.synced_to
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let bytes = entry_bytes(&entry);
        if self.entries.is_empty() {
            self.first = entry.log_id.index;
        }
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
    }

    /// Entries before `to` are synced.
    pub(super) fn synced(&mut self, to: u64) {
        self.synced_to = self.synced_to.max(to);
        self.evict();
    }

    /// Drops everything from `next` on.
    pub(super) fn truncate(&mut self, next: u64) {
        while let Some((_, bytes)) = self.entries.pop_back_if(|(e, _)| e.log_id.index >= next) {
            self.bytes -= bytes;
        }
        self.synced_to = self.synced_to.min(next);
        if self.entries.is_empty() {
            self.first = next;
        }
    }

    /// Drops everything before `to`.
    pub(super) fn purge(&mut self, to: u64) {
        while let Some((_, bytes)) = self.entries.pop_front_if(|(e, _)| e.log_id.index < to) {
            self.bytes -= bytes;
        }
        self.first = self
            .entries
            .front()
            .map_or_else(|| self.first.max(to), |(e, _)| e.log_id.index);
        self.synced_to = self.synced_to.max(to);
    }

    /// Entries of `[from, to)`, the first whatever its size, the next while the sum stays in
    /// `budget`. `from` must not be before [`first`](Self::first).
    pub(super) fn read(&self, from: u64, to: u64, budget: &mut usize, out: &mut Vec<Entry>) {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for (entry, bytes) in self.entries.iter().skip(skip) {
            let fits = out.is_empty() || *bytes <= *budget;
            if entry.log_id.index >= to || !fits {
                return;
            }
            *budget = budget.saturating_sub(*bytes);
            out.push(entry.clone());
        }
    }

    fn evict(&mut self) {
        while self.bytes > self.bytes_max && self.first < self.synced_to {
            let Some((entry, bytes)) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= bytes;
            self.first = entry.log_id.index + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Payload, log_id};

    fn cache_of(entries: u64, bytes_max: usize) -> Cache {
        let mut cache = Cache::new(0, bytes_max);
        for index in 0..entries {
            cache.push(Entry {
                log_id: log_id(1, index),
                payload: Payload::Blank,
            });
        }
        cache
    }

    fn indexes(cache: &Cache, from: u64, to: u64, mut budget: usize) -> Vec<u64> {
        let mut out = Vec::new();
        cache.read(from, to, &mut budget, &mut out);
        out.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn keeps_what_is_not_synced_whatever_its_size() {
        let mut cache = cache_of(10, 1);
        assert_eq!(
            indexes(&cache, 0, 10, usize::MAX),
            (0..10).collect::<Vec<_>>()
        );
        cache.synced(4);
        assert_eq!(cache.first(), 4);
        assert_eq!(
            indexes(&cache, 4, 10, usize::MAX),
            (4..10).collect::<Vec<_>>()
        );
    }

    #[test]
    fn reads_one_entry_whatever_the_budget() {
        let cache = cache_of(10, usize::MAX);
        assert_eq!(indexes(&cache, 3, 10, 0), [3]);
        assert_eq!(indexes(&cache, 3, 5, usize::MAX), [3, 4]);
    }

    #[test]
    fn truncation_makes_the_end_unsynced_again() {
        let mut cache = cache_of(10, 1);
        cache.synced(10);
        assert_eq!(cache.first(), 10);
        cache.truncate(6);
        cache.push(Entry {
            log_id: log_id(2, 6),
            payload: Payload::Blank,
        });
        cache.synced(6);
        assert_eq!(indexes(&cache, 6, 7, 0), [6]);
    }

    #[test]
    fn purging_past_the_end_leaves_an_empty_run() {
        let mut cache = cache_of(3, usize::MAX);
        cache.purge(20);
        assert_eq!(cache.first(), 20);
        assert!(indexes(&cache, 20, 30, usize::MAX).is_empty());
    }
}
