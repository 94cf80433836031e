//! Many seeds: on every core, with one summary; a failing one is made small and its replay is told.
//!
//! Each run has a process of its own. The runtime numbers its tasks through the whole process, and the
//! order in which a crash drops them depends on the numbers: a run is the same only in a fresh one.
//!
//! A run that ends without an outcome, or that does not end, is a broken promise like any other: it is told
//! with its replay, and the other seeds go on. The only part of the simulation that reads the machine's
//! clock and starts threads: it runs beside the runs, never in one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hushlog_record::museum::Bug;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
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
/// How long a run may take by the machine's clock: some hundred times as long as on a machine that is idle.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Pause between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);
/// What a violation begins with that is a run's not coming to its end in time.
const HUNG: &str = "hung:";
/// Fewer lines than any whole run's trace has.
const LINES_MIN: usize = 500;
/// Faults that must have struck for each seed, in the mean: with the seeds of CI more than 2,000.
const FAULTS_PER_SEED_MIN: u64 = 10;
/// Fewer seeds may be gentle.
const JUDGED_MIN: u64 = 20;
/// Seeds in a row that the meta-test runs.
const META_SEEDS: u64 = 3;

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
    /// How long a run may take by the machine's clock.
    pub patience: Duration,
}

/// How a process ended, and what it said.
struct Ended {
    /// Nothing if it was killed because it did not end.
    status: Option<ExitStatus>,
    stdout: Vec<u8>,
    stderr: String,
    patience: Duration,
}

impl Ended {
    /// Whether it came to its end, with or without broken promises.
    fn is_whole(&self) -> bool {
        let code = self.status.and_then(|status| status.code());
        matches!(code, Some(0 | 1))
    }

    /// Why there is no outcome.
    fn why(&self) -> String {
        let Some(status) = self.status else {
            return format!("{HUNG} no end after {} s", self.patience.as_secs());
        };
        let mut lines = self.stderr.lines();
        // The first panic: where, and what it said.
        let Some(place) = lines.find(|line| line.contains("panicked")) else {
            let last = self.stderr.lines().next_back().unwrap_or_default();
            return format!("aborted: {status} {last}");
        };
        let file = place.rsplit('/').next().unwrap_or_default();
        let what = lines.next().unwrap_or("the process was aborted");
        format!("panic: {file} {what}")
    }
}

/// Waits for a process; nothing if it had to be killed.
fn end(mut child: Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

impl Lab<'_> {
    /// Runs a schedule in a process of its own. One that is aborted, or does not end in time, has broken a
    /// promise too.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn run(&self, schedule: &Schedule) -> Result<Outcome> {
        let file = tempfile::Builder::new()
            .suffix(".json")
            .tempfile_in(self.folder)?;
        fs::write(file.path(), serde_json::to_vec(schedule)?)?;
        let mut command = Command::new(self.program);
        command.args(["replay", "--json"]).arg(file.path());
        let ended = self.wait(command)?;
        let outcome = serde_json::from_slice::<Outcome>(&ended.stdout).ok();
        Ok(outcome
            .filter(|_| ended.is_whole())
            .unwrap_or_else(|| Outcome {
                violations: vec![ended.why()],
                ..Outcome::default()
            }))
    }

    /// Runs a command to its end, or until patience ends; then it is killed.
    fn wait(&self, mut command: Command) -> Result<Ended> {
        let said = |name: &str| {
            let prefix = format!("{name}-");
            tempfile::Builder::new()
                .prefix(&prefix)
                .tempfile_in(self.folder)
        };
        let (stdout, stderr) = (said("out")?, said("err")?);
        command.stdout(File::create(stdout.path())?);
        command.stderr(File::create(stderr.path())?);
        wake(&mut command, self.bug);
        let program = self.program.display().to_string();
        let child = command.spawn().with_context(|| program)?;
        let status = end(child, self.patience)?;
        Ok(Ended {
            status,
            stdout: fs::read(stdout.path())?,
            stderr: String::from_utf8_lossy(&fs::read(stderr.path())?).into_owned(),
            patience: self.patience,
        })
    }

    /// The trace of a seed, from a process of its own that came to its end. Whether the promises are kept is
    /// not the question here.
    fn trace(&self, layer: Layer, seed: u64, run: &str) -> Result<String> {
        let name = format!("{}-{seed}-{run}.trace", layer.name());
        let file = self.folder.join(name);
        // What an earlier test run left would be compared with itself.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let mut command = Command::new(self.program);
        command.args(["run", "--layer", layer.name(), "--seed", &seed.to_string()]);
        command.args(["--seconds", &(MILLIS / 1_000).to_string(), "--trace"]);
        command.arg(&file);
        let ended = self.wait(command)?;
        ensure!(
            ended.is_whole(),
            "{} seed {seed} leaves no trace to compare: {}",
            layer.name(),
            ended.why()
        );
        let trace = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let lines = trace.lines().count();
        ensure!(
            lines >= LINES_MIN,
            "{} seed {seed}: a trace of {lines} lines is none of a whole run",
            layer.name()
        );
        Ok(trace)
    }

    fn save(&self, schedule: &Schedule) -> Result<PathBuf> {
        let name = format!("{}-{}.json", schedule.layer.name(), schedule.seed);
        let file = self.folder.join(name);
        fs::write(&file, serde_json::to_string_pretty(schedule)? + "\n")
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
    let cores_before = core_minutes()?;
    let totals = Mutex::new(Stats::default());
    let failed = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
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
    let spent = Spent {
        minutes: began.elapsed().as_secs_f64() / 60.0,
        core_minutes: core_minutes()? - cores_before,
    };
    let stats = totals.into_inner();
    let mut summary = format!(
        "{} layer: {count} seeds from {first}, {}, {stats:?}",
        layer.name(),
        spent.rates(&stats)
    );
    let failed = failed.into_inner();
    if failed.is_empty() {
        let enough = count < JUDGED_MIN || stats.faults >= FAULTS_PER_SEED_MIN * count;
        ensure!(
            enough,
            "{summary}\nFAILED: fewer faults have struck than {FAULTS_PER_SEED_MIN} a seed"
        );
        return Ok(summary);
    }
    summary += &format!("\nFAILED: seeds {:?}", failed.keys().collect::<Vec<_>>());
    for (seed, violations) in failed.iter().take(TOLD_MAX) {
        summary += &tell(&Schedule::generate(layer, *seed, MILLIS), violations, lab);
    }
    bail!(summary)
}

/// What many runs took of the machine.
struct Spent {
    /// By its clock.
    minutes: f64,
    /// Of its processors, in the runs' own processes.
    core_minutes: f64,
}

impl Spent {
    /// How much was simulated for it.
    fn rates(&self, stats: &Stats) -> String {
        let simulated = stats.millis as f64 / 60_000.0;
        format!(
            "{simulated:.0} simulated minutes in {:.2} ({:.2} core-minutes): {:.0} simulated minutes per \
             core-minute, {} faults struck, {:.0} per simulated minute, {:.0} per minute, and {} hit nothing",
            self.minutes,
            self.core_minutes,
            simulated / self.core_minutes,
            stats.faults,
            stats.faults as f64 / simulated,
            stats.faults as f64 / self.minutes,
            stats.idle
        )
    }
}

/// Processor time of all processes that were started here and have ended.
fn core_minutes() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok((seconds(usage.user_time()) + seconds(usage.system_time())) / 60.0)
}

/// A failing seed: what was broken, how it is run again, and how few faults suffice.
fn tell(schedule: &Schedule, violations: &[String], lab: Lab<'_>) -> String {
    let mut text = format!("\n\nseed {}:", schedule.seed);
    for violation in violations {
        text += &format!("\n  {violation}");
    }
    text += &format!("\n  replay: {}", replay(schedule));
    // Every try would take as long.
    if violations.iter().any(|what| what.starts_with(HUNG)) {
        return text;
    }
    match small(schedule, lab) {
        Ok(small) => text + &small,
        Err(error) => text + &format!("\n  it was not made small: {error:#}"),
    }
}

fn small(schedule: &Schedule, lab: Lab<'_>) -> Result<String> {
    let Some(small) = shrink::shrink(schedule, TRIES, &|schedule| lab.run(schedule))? else {
        return Ok("\n  it did not fail when it was run again".into());
    };
    let file = lab.save(&small.schedule)?;
    Ok(format!(
        "\n  {} faults of {} are left after {} runs, replay: cargo run -p hushlog-chaos-tests --bin sim \
         -- replay {}\n{}",
        small.schedule.faults.len(),
        schedule.faults.len(),
        small.runs,
        file.display(),
        small.outcome.tail
    ))
}

/// Seeds for [`meta`]: the first ones that are run, and the first one after them with five nodes.
///
/// # Errors
/// When the environment's first seed is no number.
pub fn meta_seeds(layer: Layer) -> Result<BTreeSet<u64>> {
    let first = number(FIRST, 1)?;
    let mut seeds: BTreeSet<u64> = (first..first + META_SEEDS).collect();
    seeds.extend((first..).find(|seed| Schedule::generate(layer, *seed, MILLIS).nodes == 5));
    Ok(seeds)
}

/// Runs each seed twice in processes of their own; their traces must be equal, byte for byte.
///
/// # Errors
/// The first line in which two runs of one seed differ; a run that did not come to its end.
pub fn meta(layer: Layer, seeds: &BTreeSet<u64>, lab: Lab<'_>) -> Result<()> {
    for seed in seeds {
        let [a, b] = [lab.trace(layer, *seed, "a")?, lab.trace(layer, *seed, "b")?];
        if a != b {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A program in the place of `sim`.
    fn program(folder: &Path, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let file = folder.join("sim");
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn with<T>(script: &str, patience: Duration, test: impl FnOnce(Lab<'_>) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path(), script);
        test(Lab {
            program: &program,
            folder: folder.path(),
            bug: None,
            patience,
        })
    }

    fn told(script: &str, patience: Duration) -> String {
        let outcome = with(script, patience, |lab| seeds(Layer::Raft, 1, lab));
        format!("{:#}", outcome.unwrap_err())
    }

    #[test]
    fn a_run_that_is_aborted_or_hangs_is_told_with_its_replay() {
        let replay = replay(&Schedule::generate(Layer::Raft, 1, MILLIS));
        let abort =
            "echo 'thread main panicked at /a/b.rs:7:' >&2; echo 'it broke' >&2; kill -ABRT $$";
        let told_of_abort = told(abort, PATIENCE);
        assert!(
            told_of_abort.contains("panic: b.rs:7: it broke"),
            "{told_of_abort}"
        );
        assert!(told_of_abort.contains(&replay), "{told_of_abort}");
        let told_of_hang = told("exec sleep 600", Duration::from_millis(100));
        assert!(told_of_hang.contains(HUNG), "{told_of_hang}");
        assert!(told_of_hang.contains(&replay), "{told_of_hang}");
        // An outcome does not count if the process fell over afterwards.
        let late = told(
            "echo '{\"violations\":[],\"stats\":{},\"tail\":\"\"}'; exit 3",
            PATIENCE,
        );
        assert!(late.contains("aborted"), "{late}");
    }

    #[test]
    fn many_seeds_in_which_few_faults_have_struck_prove_nothing() {
        let judged = |faults: u64, count| {
            let outcome = format!(r#"{{"violations":[],"stats":{{"faults":{faults}}},"tail":""}}"#);
            let script = format!("echo '{outcome}'");
            with(&script, PATIENCE, |lab| seeds(Layer::Raft, count, lab))
        };
        judged(FAULTS_PER_SEED_MIN, JUDGED_MIN).unwrap();
        judged(0, JUDGED_MIN - 1).unwrap();
        let error = judged(FAULTS_PER_SEED_MIN - 1, JUDGED_MIN).unwrap_err();
        assert!(error.to_string().contains("fewer faults"), "{error}");
    }

    #[test]
    fn equal_traces_of_nothing_prove_nothing() {
        let meta = |script: &str| {
            with(script, PATIENCE, |lab| {
                // As an earlier test run would have left them.
                for run in ["a", "b"] {
                    let name = lab.folder.join(format!("raft-7-{run}.trace"));
                    fs::write(name, "same\n".repeat(LINES_MIN)).unwrap();
                }
                meta(Layer::Raft, &BTreeSet::from([7]), lab)
            })
        };
        assert!(meta("exit 3").is_err(), "it was aborted");
        assert!(meta("exit 0").is_err(), "it left no trace");
        let whole = "for last; do :; done; seq 9999 >\"$last\"; exit 1";
        meta(whole).unwrap();
        assert!(
            meta("for last; do :; done; seq 9 >\"$last\"").is_err(),
            "it is no whole run"
        );
        let other = "for last; do :; done; seq 9999 >\"$last\"; echo $$ >>\"$last\"";
        let error = meta(other).unwrap_err().to_string();
        assert!(error.contains("9999 lines are equal"), "{error}");
    }
}
