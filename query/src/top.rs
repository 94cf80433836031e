//! The best hits so far: a bounded heap by position, rows read only for the winners.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use hushlog_record::Timestamp;

use crate::position::{Order, Position};

/// Where a candidate's row is: source, granule, row in the granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) source: usize,
    pub(crate) granule: u32,
    pub(crate) index: u32,
}

/// A row that may be in the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) position: Position,
    pub(crate) place: Place,
    order: Order,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(&self.position, &other.position)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

/// The best candidates so far; the worst of them on top.
pub(crate) struct Top {
    order: Order,
    capacity: usize,
    after: Option<Position>,
    heap: BinaryHeap<Candidate>,
    more: bool,
}

/// What a granule can do for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chance {
    /// It may have a hit.
    Some,
    /// All its rows stand before the place where the answer begins.
    Before,
    /// All its rows are worse than the worst hit.
    Worse,
}

impl Top {
    pub(crate) fn new(order: Order, capacity: usize, after: Option<Position>) -> Self {
        Self {
            order,
            capacity,
            after,
            heap: BinaryHeap::new(),
            more: false,
        }
    }

    /// Whether any hits are wanted at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.capacity > 0
    }

    /// What rows between these event times can do for the answer.
    pub(crate) fn chance(&self, min: Timestamp, max: Timestamp) -> Chance {
        if !self.is_wanted() {
            return Chance::Worse;
        }
        let (best, least) = match self.order {
            Order::Descending => (max.nanos(), min.nanos()),
            Order::Ascending => (min.nanos(), max.nanos()),
        };
        let is_before = |a: i64, b: i64| match self.order {
            Order::Descending => a > b,
            Order::Ascending => a < b,
        };
        if self
            .after
            .is_some_and(|after| is_before(least, after.timestamp))
        {
            return Chance::Before;
        }
        match self.heap.peek() {
            Some(worst)
                if self.heap.len() == self.capacity
                    && is_before(worst.position.timestamp, best) =>
            {
                Chance::Worse
            }
            _ => Chance::Some,
        }
    }

    /// Whether it holds this many hits and wants all that there are.
    pub(crate) fn has_all(&self, total: u64) -> bool {
        self.after.is_none() && self.heap.len() as u64 >= total
    }

    /// Remembers that rows behind the last hit exist, or may exist.
    pub(crate) fn note_more(&mut self) {
        self.more = true;
    }

    pub(crate) fn offer(&mut self, position: Position, place: Place) {
        if self
            .after
            .is_some_and(|after| self.order.compare(&position, &after) != Ordering::Greater)
        {
            return;
        }
        let candidate = Candidate {
            position,
            place,
            order: self.order,
        };
        if self.heap.len() < self.capacity {
            self.heap.push(candidate);
            return;
        }
        self.more = true;
        if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// The hits in order, and whether there may be more behind them.
    pub(crate) fn finish(self) -> (Vec<Candidate>, bool) {
        (self.heap.into_sorted_vec(), self.more)
    }
}
