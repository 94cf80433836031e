//! What waits, by class, given out so that no class waits behind all that another one has sent.
//!
//! The class that was given least is next (fair queueing by virtual time). One that had nothing waiting
//! begins where all are on average: it comes next, and gains nothing by having been silent. As the average
//! goes on with everything that is given out, classes that come anew without end do not keep the others
//! waiting either.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What one unit of cost counts, so that it can be divided among many classes.
const SCALE: u64 = 1 << 10;

/// Things that wait, each of a class and with a cost.
pub(super) struct Fair<T> {
    queues: BTreeMap<u64, Queue<T>>,
    /// The classes with something waiting, the one that was given least first.
    order: BTreeSet<Place>,
    /// What a class has been given on average that had something waiting all the time.
    average: u64,
}

/// Where a class stands: what it has been given, whether it was given any of it since it came, and which.
type Place = (u64, bool, u64);

struct Queue<T> {
    given: u64,
    waiting: VecDeque<(u64, T)>,
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            order: BTreeSet::new(),
            average: 0,
        }
    }
}

impl<T> Fair<T> {
    /// Adds one to the end of its class. A cost of 0 counts as 1.
    pub(super) fn push(&mut self, class: u64, cost: u64, item: T) {
        let (order, average) = (&mut self.order, self.average);
        let queue = self.queues.entry(class).or_insert_with(|| {
            order.insert((average, false, class));
            Queue {
                given: average,
                waiting: VecDeque::new(),
            }
        });
        let cost = cost.max(1).saturating_mul(SCALE);
        queue.waiting.push_back((cost, item));
    }

    /// Takes the next one.
    pub(super) fn pop(&mut self) -> Option<T> {
        let classes = self.order.len() as u64;
        let (given, _, class) = self.order.pop_first()?;
        let queue = self.queues.get_mut(&class)?;
        let (cost, item) = queue.waiting.pop_front()?;
        queue.given = given.saturating_add(cost);
        if queue.waiting.is_empty() {
            self.queues.remove(&class);
        } else {
            self.order.insert((queue.given, true, class));
        }
        self.average = self.average.max(given).saturating_add(cost / classes);
        if self.queues.is_empty() {
            self.average = 0;
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

    fn count(items: &[&str], wanted: &str) -> usize {
        items.iter().filter(|item| **item == wanted).count()
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
        let next = drained(&mut fair, 4);
        assert_eq!(next, ["small", "flood", "small", "flood"]);
    }

    #[test]
    fn each_class_gets_the_same_share_of_the_cost_in_the_order_it_came() {
        let mut fair = Fair::default();
        for _ in 0..20 {
            fair.push(1, 4, "large");
            fair.push(2, 1, "small");
        }
        let first = drained(&mut fair, 20);
        assert_eq!(count(&first, "small"), 16, "four for each large one");
        assert_eq!(drained(&mut fair, 40).len(), 20);
        assert!(fair.is_empty() && fair.pop().is_none());
        for item in ["a", "b", "c"] {
            fair.push(7, 0, item);
        }
        assert_eq!(drained(&mut fair, 3), ["a", "b", "c"]);
    }

    #[test]
    fn classes_that_come_anew_without_end_keep_nobody_waiting() {
        for once in [false, true] {
            let mut fair = Fair::default();
            for _ in 0..1_000 {
                fair.push(1, 10, "flood");
            }
            let mut given = Vec::new();
            for number in 0..400 {
                // Always another class, or one that comes again as soon as it was given what it asked for.
                let class = if once { 2 } else { 2 + number };
                fair.push(class, 10, "new");
                given.extend(drained(&mut fair, 1));
            }
            // With one other class it has half; with ever more of them its share gets smaller.
            let least = if once { 190 } else { 20 };
            let flood = count(&given, "flood");
            assert!((least..=210).contains(&flood), "{flood} of 400, {once}");
        }
    }
}
