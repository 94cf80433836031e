//! What waits, by class, given out so that no class waits behind all that another one has sent.
//!
//! The class that was given least is next (start-time fair queueing). One that had nothing waiting begins
//! where the others are now: it comes next, and gains nothing by having been silent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Things that wait, each of a class and with a cost.
pub(super) struct Fair<T> {
    queues: BTreeMap<u64, Queue<T>>,
    /// What each class with something waiting has been given, and the class: the least first.
    order: BTreeSet<(u64, u64)>,
    /// What the class had been given whose turn was last.
    clock: u64,
}

struct Queue<T> {
    given: u64,
    waiting: VecDeque<(u64, T)>,
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            order: BTreeSet::new(),
            clock: 0,
        }
    }
}

impl<T> Fair<T> {
    /// Adds one to the end of its class. A cost of 0 counts as 1.
    pub(super) fn push(&mut self, class: u64, cost: u64, item: T) {
        let (order, clock) = (&mut self.order, self.clock);
        let queue = self.queues.entry(class).or_insert_with(|| {
            order.insert((clock, class));
            Queue {
                given: clock,
                waiting: VecDeque::new(),
            }
        });
        queue.waiting.push_back((cost.max(1), item));
    }

    /// Takes the next one.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (given, class) = self.order.pop_first()?;
        self.clock = given;
        let queue = self.queues.get_mut(&class)?;
        let (cost, item) = queue.waiting.pop_front()?;
        queue.given = given.saturating_add(cost);
        if queue.waiting.is_empty() {
            self.queues.remove(&class);
        } else {
            self.order.insert((queue.given, class));
        }
        if self.queues.is_empty() {
            self.clock = 0;
        }
        Some(item)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(fair: &mut Fair<&'static str>, count: usize) -> Vec<&'static str> {
        (0..count).filter_map(|_| fair.pop()).collect()
    }

    #[test]
    fn a_class_that_comes_late_is_next() {
        let mut fair = Fair::default();
        for _ in 0..100 {
            fair.push(1, 10, "flood");
        }
        assert_eq!(drained(&mut fair, 5), ["flood"; 5]);
        fair.push(2, 1, "small");
        fair.push(2, 1, "small");
        assert_eq!(drained(&mut fair, 4), ["small", "small", "flood", "flood"]);
    }

    #[test]
    fn each_class_gets_the_same_share_of_the_cost_in_the_order_it_came() {
        let mut fair = Fair::default();
        for _ in 0..20 {
            fair.push(1, 4, "large");
            fair.push(2, 1, "small");
        }
        let first = drained(&mut fair, 20);
        let small = first.iter().filter(|item| **item == "small").count();
        assert_eq!(small, 16, "four for each large one: {first:?}");
        assert_eq!(drained(&mut fair, 40).len(), 20);
        assert!(fair.is_empty() && fair.pop().is_none());
        for item in ["a", "b", "c"] {
            fair.push(7, 0, item);
        }
        assert_eq!(drained(&mut fair, 3), ["a", "b", "c"]);
    }
}
