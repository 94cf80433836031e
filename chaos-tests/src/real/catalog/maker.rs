//! How a schedule is written, step by step.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::real::scenario::quiet;
use crate::real::schedule::{Action, Schedule, Step, Who};

/// Builds a schedule step by step.
pub(super) struct Maker {
    pub(super) schedule: Schedule,
    pub(super) at_ms: u64,
    pub(super) rng: ChaCha8Rng,
}

impl Maker {
    pub(super) fn new(name: &str, seed: u64, at_ms: u64) -> Self {
        Self {
            schedule: quiet(name, seed),
            at_ms,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(super) fn then(&mut self, action: Action) {
        let at_ms = self.at_ms;
        self.schedule.steps.push(Step { at_ms, action });
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.at_ms += millis;
    }

    /// Some time that the seed decides, so that faults meet other moments.
    pub(super) fn wait_some(&mut self) {
        let millis = self.rng.random_range(300..1_200);
        self.wait(millis);
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.schedule
            .settings
            .push((name.to_owned(), value.to_owned()));
    }

    /// All nodes, in an order that the seed decides.
    pub(super) fn order(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.schedule.nodes).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.rng.random_range(0..=last));
        }
        order
    }

    pub(super) fn everyone(&self) -> Vec<Who> {
        (0..self.schedule.nodes).map(Who::Node).collect()
    }

    pub(super) fn pick(&mut self) -> Who {
        Who::Node(self.rng.random_range(0..self.schedule.nodes))
    }
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
