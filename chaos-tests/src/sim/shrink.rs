//! From a failing schedule to a small one: ddmin over the list of faults, then shorter faults, then
//! a shorter run. Every try is a whole run; the workload is drawn from streams of its own, so that
//! it does not move when a fault goes.

use super::report::{self, Report};
use super::schedule::{Fault, Schedule};

/// The smallest schedule found that still fails, with its report; `None` if `schedule` does not fail.
/// At most `tries` runs.
pub fn shrink(schedule: &Schedule, tries: u32) -> Option<(Report, u32)> {
    let first = report::run(schedule);
    if first.is_good() {
        return None;
    }
    let mut search = Search {
        best: first,
        left: tries,
        done: 1,
    };
    search.drop_faults();
    search.shorten_faults();
    search.drop_faults();
    Some((search.best, search.done))
}

struct Search {
    best: Report,
    left: u32,
    done: u32,
}

impl Search {
    /// Runs a candidate; keeps it if it fails too.
    fn fails(&mut self, faults: Vec<Fault>) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.done += 1;
        let candidate = Schedule {
            faults,
            ..self.best.schedule.clone()
        };
        let report = report::run(&candidate);
        let fails = !report.is_good();
        if fails {
            self.best = report;
        }
        fails
    }

    /// Leaves out ever smaller pieces of the list.
    fn drop_faults(&mut self) {
        let mut pieces = 2;
        while self.left > 0 && !self.best.schedule.faults.is_empty() {
            let faults = self.best.schedule.faults.clone();
            let size = faults.len().div_ceil(pieces);
            let without = |from: usize| {
                let to = (from + size).min(faults.len());
                let kept = faults.iter().enumerate();
                kept.filter(|(at, _)| !(from..to).contains(at))
                    .map(|(_, fault)| fault.clone())
                    .collect()
            };
            let smaller = (0..faults.len())
                .step_by(size)
                .any(|from| self.fails(without(from)));
            if smaller {
                pieces = pieces.saturating_sub(1).max(2);
            } else if size == 1 {
                return;
            } else {
                pieces = (pieces * 2).min(faults.len());
            }
        }
    }

    /// Halves faults that last.
    fn shorten_faults(&mut self) {
        for at in 0..self.best.schedule.faults.len() {
            loop {
                let mut faults = self.best.schedule.faults.clone();
                let Some(fault) = faults.get_mut(at).filter(|f| f.until > f.at + 20) else {
                    break;
                };
                fault.until = fault.at + (fault.until - fault.at) / 2;
                if !self.fails(faults) {
                    break;
                }
            }
        }
    }
}
