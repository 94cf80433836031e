//! From a failing schedule to a small one: ddmin over the list of faults, then shorter faults. The length of
//! the run stays. Every try is a whole run; the workload is drawn from streams of its own, so that it does
//! not move when a fault goes.

use anyhow::Result;

use super::report::Outcome;
use super::schedule::{Fault, Schedule};

/// A schedule that fails, and how.
pub struct Small {
    /// The schedule.
    pub schedule: Schedule,
    /// What it comes to.
    pub outcome: Outcome,
    /// Runs that finding it took.
    pub runs: u32,
}

/// The smallest schedule found that still fails; `None` if `schedule` does not fail. At most `tries`
/// runs, by `run`.
///
/// # Errors
/// Those of `run`.
pub fn shrink(
    schedule: &Schedule,
    tries: u32,
    run: &dyn Fn(&Schedule) -> Result<Outcome>,
) -> Result<Option<Small>> {
    let outcome = run(schedule)?;
    if outcome.violations.is_empty() {
        return Ok(None);
    }
    let best = Small {
        schedule: schedule.clone(),
        outcome,
        runs: 1,
    };
    let mut search = Search {
        run,
        best,
        left: tries,
    };
    search.drop_faults()?;
    search.shorten_faults()?;
    search.drop_faults()?;
    Ok(Some(search.best))
}

struct Search<'a> {
    run: &'a dyn Fn(&Schedule) -> Result<Outcome>,
    best: Small,
    left: u32,
}

impl Search<'_> {
    /// Runs a candidate; keeps it if it fails too.
    fn fails(&mut self, faults: Vec<Fault>) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.best.runs += 1;
        let schedule = Schedule {
            faults,
            ..self.best.schedule.clone()
        };
        let outcome = (self.run)(&schedule)?;
        let fails = !outcome.violations.is_empty();
        if fails {
            self.best.schedule = schedule;
            self.best.outcome = outcome;
        }
        Ok(fails)
    }

    /// Leaves out ever smaller pieces of the list.
    fn drop_faults(&mut self) -> Result<()> {
        let mut pieces = 2;
        while self.left > 0 && !self.best.schedule.faults.is_empty() {
            let faults = self.best.schedule.faults.clone();
            let size = faults.len().div_ceil(pieces);
            let mut smaller = false;
            for from in (0..faults.len()).step_by(size) {
                let kept = faults
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| !(from..from + size).contains(at));
                smaller = self.fails(kept.map(|(_, fault)| fault.clone()).collect())?;
                if smaller {
                    break;
                }
            }
            if smaller {
                pieces = pieces.saturating_sub(1).max(2);
            } else if size == 1 {
                return Ok(());
            } else {
                pieces = (pieces * 2).min(faults.len());
            }
        }
        Ok(())
    }

    /// Halves faults that last.
    fn shorten_faults(&mut self) -> Result<()> {
        for at in 0..self.best.schedule.faults.len() {
            loop {
                let mut faults = self.best.schedule.faults.clone();
                let Some(fault) = faults.get_mut(at).filter(|f| f.until > f.at + 20) else {
                    break;
                };
                fault.until = fault.at + (fault.until - fault.at) / 2;
                if !self.fails(faults)? {
                    break;
                }
            }
        }
        Ok(())
    }
}
