//! Many seeds: on every core, with one summary; a failing one is made small and its replay is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;

use super::report::{self, Report, Stats};
use super::schedule::{Layer, Schedule};
use super::shrink;

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

/// Runs so many seeds, or as many as the environment says. Gives a summary; failing schedules are left
/// in `folder`.
///
/// # Errors
/// What failed, and the commands that repeat it.
pub fn seeds(layer: Layer, default: u64, folder: &Path) -> Result<String> {
    let first = number(FIRST, 1)?;
    let count = number(COUNT, default)?;
    let next = AtomicU64::new(first);
    let began = Instant::now();
    let totals = Mutex::new(Stats::default());
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let report = report::run(&Schedule::generate(layer, seed, MILLIS));
                    totals.lock().add(&report.stats);
                    if !report.is_good() {
                        failed.lock().push(report);
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
    let mut failed = failed.into_inner();
    if failed.is_empty() {
        return Ok(summary);
    }
    failed.sort_by_key(|report| report.schedule.seed);
    let all: Vec<_> = failed.iter().map(|report| report.schedule.seed).collect();
    summary += &format!("\nFAILED: seeds {all:?}");
    for report in failed.iter().take(TOLD_MAX) {
        summary += &tell(report, folder)?;
    }
    bail!(summary)
}

fn tell(report: &Report, folder: &Path) -> Result<String> {
    let mut text = format!("\n\nseed {}:", report.schedule.seed);
    for violation in &report.violations {
        text += &format!("\n  {violation}");
    }
    text += &format!("\n  replay: {}", report.replay());
    if let Some((small, runs)) = shrink::shrink(&report.schedule, TRIES) {
        let file = save(&small.schedule, folder)?;
        text += &format!(
            "\n  {} faults of {} are left after {runs} runs, replay: cargo run -p \
             hushlog-chaos-tests --bin sim -- replay {}\n{}",
            small.schedule.faults.len(),
            report.schedule.faults.len(),
            file.display(),
            small.trace.tail(30)
        );
    } else {
        text += "\n  it did not fail when it was run again";
    }
    Ok(text)
}

fn save(schedule: &Schedule, folder: &Path) -> Result<PathBuf> {
    let name = format!("{}-{}.json", schedule.layer.name(), schedule.seed);
    let file = folder.join(name);
    std::fs::write(&file, serde_json::to_string_pretty(schedule)? + "\n")
        .with_context(|| file.display().to_string())?;
    Ok(file)
}

/// Runs each seed twice in processes of their own; their traces must be equal, byte for byte.
/// `program` is the `sim` binary.
///
/// # Errors
/// The first line in which two runs of one seed differ.
pub fn meta(layer: Layer, seeds: &[u64], program: &Path, folder: &Path) -> Result<()> {
    for seed in seeds {
        let mut traces = Vec::new();
        for run in ["a", "b"] {
            let file = folder.join(format!("{}-{seed}-{run}.trace", layer.name()));
            let mut command = Command::new(program);
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
