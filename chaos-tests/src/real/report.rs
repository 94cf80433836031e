//! What a run was and what it found: one file for machines, a few lines for people, all that is
//! needed to look into a failure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use super::load::{History, Outcome};
use super::schedule::{Schedule, Tally};

/// The outcome of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Scenario and seed.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Seconds from the first process to the last check.
    pub seconds: f64,
    /// Faults that took effect, by class.
    pub faults: Tally,
    /// Records acknowledged.
    pub acked: u64,
    /// Attempts to write: acknowledged, refused, unknown.
    pub attempts: [u64; 3],
    /// Answers of reads by status; 0 is none.
    pub reads: BTreeMap<u16, u64>,
    /// Milliseconds from a question for the next acknowledgement to the acknowledgement, by the class of
    /// the fault before.
    pub gaps_ms: BTreeMap<String, Vec<u64>>,
    /// What was searched for planted data.
    pub searched: String,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

impl Report {
    /// Counts what a history says.
    pub fn count(&mut self, history: &History) {
        for attempt in &history.attempts {
            match attempt.outcome {
                Outcome::Acked => {
                    self.acked += attempt.count;
                    self.attempts[0] += 1;
                }
                Outcome::Refused(_) => self.attempts[1] += 1,
                Outcome::Unknown | Outcome::Rejected(_) => self.attempts[2] += 1,
            }
        }
        self.reads.clone_from(&history.reads);
    }

    /// A percentile of the waits for the next acknowledgement.
    pub fn gap_ms(&self, percent: usize) -> u64 {
        percentile(self.gaps_ms.values().flatten(), percent)
    }

    /// The waits after each class of faults, a line for people.
    pub fn gaps(&self) -> String {
        let line = |(class, gaps): (&String, &Vec<u64>)| {
            let [middle, worst] = [50, 99].map(|percent| percentile(gaps, percent));
            format!("{class}: {} times, p50 {middle} p99 {worst} ms", gaps.len())
        };
        let lines: Vec<String> = self.gaps_ms.iter().map(line).collect();
        lines.join("; ")
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let faults: Vec<String> = self
            .faults
            .0
            .iter()
            .map(|(class, n)| format!("{n} {class}"))
            .collect();
        let [acked, refused, unknown] = self.attempts;
        format!(
            "{}: {} in {:.0} s; faults: {}; {} records acknowledged; attempts {acked} acked, {refused} \
             refused, {unknown} unknown; next ack after p50 {} p99 {} ms",
            self.scenario,
            if self.broken.is_empty() {
                "kept"
            } else {
                "BROKEN"
            },
            self.seconds,
            faults.join(", "),
            self.acked,
            self.gap_ms(50),
            self.gap_ms(99),
        )
    }
}

fn percentile<'a>(values: impl IntoIterator<Item = &'a u64>, percent: usize) -> u64 {
    let mut sorted: Vec<u64> = values.into_iter().copied().collect();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(at).copied().unwrap_or_default()
}

/// The folder of reports, below the build's.
pub fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    target.join("chaos")
}

/// Writes report, schedule, history and the nodes' own logs; gives the schedule's path.
pub fn keep(report: &Report, taken: &Schedule, history: &History, logs: &Path) -> Result<PathBuf> {
    let folder = folder().join(format!("{}-{}", report.scenario, report.seed));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("report.json"),
        serde_json::to_vec_pretty(report)?,
    )?;
    let schedule = folder.join("schedule.json");
    fs::write(&schedule, serde_json::to_vec_pretty(taken)?)?;
    let mut lines = String::new();
    for attempt in &history.attempts {
        lines.push_str(&serde_json::to_string(attempt)?);
        lines.push('\n');
    }
    fs::write(folder.join("history.jsonl"), lines)?;
    for entry in fs::read_dir(logs)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, folder.join(name))?;
        }
    }
    Ok(schedule)
}
