//! Many seeds: on every core, with one summary; a failing one is made small and its replay is told.
//!
//! Each run has a process of its own. The runtime numbers its tasks through the whole process, and the
//! order in which a crash drops them depends on the numbers: a run is the same only in a fresh one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use hushlog_record::museum::Bug;
use parking_lot::Mutex;

use super::report::{Outcome, Stats, replay};
use super::schedule::{Layer, Schedule};
use super::shrink;
use crate::museum::wake;

/// Simulated length of a run.
pub const MILLIS: u64 = 60_000;
/// How many seeds are run, in place of the default.
pub const COUNT: &str = "HUSHLOG_SIM_SEEDS";
/// The first seed, in place of 1.
pub const FIRST: &str = "HUSHLOG_SIM_FIRST";
/// Runs that making one failing schedule small may take.
const TRIES: u32 = 60;
/// Failing seeds that are told in full.
const TOLD_MAX: usize = 3;

fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(default),
    }
}

/// The `sim` program, and where it may leave files.
#[derive(Clone, Copy)]
pub struct Lab<'a> {
    /// The program.
    pub program: &'a Path,
    /// The folder.
    pub folder: &'a Path,
    /// The planted bug that is awake, in a museum build.
    pub bug: Option<Bug>,
}

impl Lab<'_> {
    /// Runs a schedule in a process of its own.
    ///
    /// # Errors
    /// When the process cannot be started, or says nothing.
    pub fn run(&self, schedule: &Schedule) -> Result<Outcome> {
        let file = tempfile::Builder::new()
            .suffix(".json")
            .tempfile_in(self.folder)?;
        std::fs::write(file.path(), serde_json::to_vec(schedule)?)?;
        let mut command = Command::new(self.program);
        command.args(["replay", "--json"]).arg(file.path());
        wake(&mut command, self.bug);
        let output = command.output()?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "seed {}: {}",
                schedule.seed,
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    fn save(&self, schedule: &Schedule) -> Result<PathBuf> {
        let name = format!("{}-{}.json", schedule.layer.name(), schedule.seed);
        let file = self.folder.join(name);
        std::fs::write(&file, serde_json::to_string_pretty(schedule)? + "\n")
            .with_context(|| file.display().to_string())?;
        Ok(file)
    }
}

/// Runs so many seeds, or as many as the environment says. Gives a summary; failing schedules are left
/// in the lab's folder.
///
/// # Errors
/// What failed, and the commands that repeat it.
pub fn seeds(layer: Layer, default: u64, lab: Lab<'_>) -> Result<String> {
    let first = number(FIRST, 1)?;
    let count = number(COUNT, default)?;
    let next = AtomicU64::new(first);
    let began = Instant::now();
    let totals = Mutex::new(Stats::default());
    let failed = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    match lab.run(&Schedule::generate(layer, seed, MILLIS)) {
                        Ok(outcome) => {
                            totals.lock().add(&outcome.stats);
                            if !outcome.violations.is_empty() {
                                failed.lock().insert(seed, outcome.violations);
                            }
                        }
                        Err(error) => {
                            failed.lock().insert(seed, vec![format!("{error:#}")]);
                        }
                    }
                }
            });
        }
    });
    let stats = totals.into_inner();
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let simulated = stats.millis as f64 / 60_000.0;
    let mut summary = format!(
        "{} layer: {count} seeds from {first}, {simulated:.0} simulated minutes in {minutes:.2} ({:.0} \
         per core-minute on {threads} cores), {stats:?}",
        layer.name(),
        simulated / minutes / threads as f64,
    );
    let failed = failed.into_inner();
    if failed.is_empty() {
        return Ok(summary);
    }
    summary += &format!("\nFAILED: seeds {:?}", failed.keys().collect::<Vec<_>>());
    for (seed, violations) in failed.iter().take(TOLD_MAX) {
        summary += &tell(&Schedule::generate(layer, *seed, MILLIS), violations, lab)?;
    }
    bail!(summary)
}

fn tell(schedule: &Schedule, violations: &[String], lab: Lab<'_>) -> Result<String> {
    let mut text = format!("\n\nseed {}:", schedule.seed);
    for violation in violations {
        text += &format!("\n  {violation}");
    }
    text += &format!("\n  replay: {}", replay(schedule));
    let Some(small) = shrink::shrink(schedule, TRIES, &|schedule| lab.run(schedule))? else {
        return Ok(text + "\n  it did not fail when it was run again");
    };
    let file = lab.save(&small.schedule)?;
    text += &format!(
        "\n  {} faults of {} are left after {} runs, replay: cargo run -p hushlog-chaos-tests --bin sim \
         -- replay {}\n{}",
        small.schedule.faults.len(),
        schedule.faults.len(),
        small.runs,
        file.display(),
        small.outcome.tail
    );
    Ok(text)
}

/// Runs each seed twice in processes of their own; their traces must be equal, byte for byte.
///
/// # Errors
/// The first line in which two runs of one seed differ.
pub fn meta(layer: Layer, seeds: &[u64], lab: Lab<'_>) -> Result<()> {
    for seed in seeds {
        let mut traces = Vec::new();
        for run in ["a", "b"] {
            let file = lab
                .folder
                .join(format!("{}-{seed}-{run}.trace", layer.name()));
            let mut command = Command::new(lab.program);
            command.args(["run", "--layer", layer.name(), "--seed", &seed.to_string()]);
            command.args(["--seconds", &(MILLIS / 1_000).to_string(), "--trace"]);
            // Whether the promises are kept is not the question here.
            command.arg(&file).output()?;
            traces
                .push(std::fs::read_to_string(&file).with_context(|| file.display().to_string())?);
        }
        if let [a, b] = traces.as_slice()
            && a != b
        {
            let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
            bail!(
                "{} seed {seed} does not repeat itself, so nothing found here is worth anything.\n\
                 The first {same} lines are equal, then\n  {}\n  {}",
                layer.name(),
                a.lines().nth(same).unwrap_or("the end"),
                b.lines().nth(same).unwrap_or("the end")
            );
        }
    }
    Ok(())
}
