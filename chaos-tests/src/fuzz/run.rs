//! Runs a target for a time, and makes what fails small.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use parking_lot::Mutex;

use super::{Mutator, Target};

/// Inputs that are kept to go on from; beyond, one makes way.
const CORPUS_MAX: usize = 4_096;
/// Longest time for one input. The inputs are short.
const INPUT_TIME_MAX: Duration = Duration::from_secs(20);
/// Memory of the process at which a target is taken to have no bound, in bytes.
const MEMORY_MAX: usize = 4 << 30;
/// Runs between two looks at the clock.
const RUNS_PER_LOOK: u64 = 16;
/// Runs that make a failing input smaller.
const SHRINK_RUNS_MAX: usize = 4_000;

/// How long, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Time for the target.
    pub time: Duration,
    /// Most runs; the time may be over before.
    pub runs_max: u64,
    /// Same seed, same inputs, as long as the target is the same.
    pub seed: u64,
}

/// What a run has come to.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Inputs tried.
    pub runs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Inputs that are kept.
    pub corpus: usize,
    /// Shapes of outcomes.
    pub shapes: usize,
    /// Time of the slowest input.
    pub slowest: Duration,
}

/// An input that failed.
#[derive(Debug)]
pub struct Failure {
    /// What the target said.
    pub message: String,
    /// The input, made small.
    pub input: Vec<u8>,
}

thread_local! {
    /// Whether a panic of this thread is caught and told by somebody else.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Panics of targets are not printed where they are caught.
fn hush() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
}

/// Tries one input.
///
/// # Errors
/// What the target's panic said.
pub fn replay(target: &Target, input: &[u8]) -> Result<u64, String> {
    hush();
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    QUIET.set(false);
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "it panicked".to_owned())
    })
}

/// Tries inputs until the time is over, or one fails, which is kept in this folder.
///
/// # Errors
/// When a case cannot be written. An input that takes too long, or too much memory, is written and ends the
/// process: nothing else can end it.
pub fn fuzz(target: &Target, plan: Plan, cases: &Path) -> Result<(Figures, Option<Failure>)> {
    let mut mutator = Mutator::new(plan.seed);
    let mut corpus = (target.seeds)();
    let mut shapes = BTreeSet::new();
    let mut figures = Figures::default();
    let watch = Watch::start(target.name, cases);
    let began = Instant::now();
    let mut fresh: Vec<Vec<u8>> = corpus.clone();
    while figures.runs < plan.runs_max {
        if figures.runs.is_multiple_of(RUNS_PER_LOOK) && began.elapsed() >= plan.time {
            break;
        }
        let input = fresh
            .pop()
            .unwrap_or_else(|| mutator.input(target, &corpus));
        let started = watch.begin(&input);
        let outcome = replay(target, &input);
        figures.slowest = figures.slowest.max(started.elapsed());
        watch.end();
        figures.runs += 1;
        figures.bytes += input.len() as u64;
        match outcome {
            Ok(shape) if shapes.insert(shape) => keep(&mut corpus, input, &mut mutator),
            Ok(_) => {}
            Err(message) => {
                let input = smaller(target, input);
                write_case(cases, &input)?;
                figures.corpus = corpus.len();
                figures.shapes = shapes.len();
                return Ok((figures, Some(Failure { message, input })));
            }
        }
    }
    figures.corpus = corpus.len();
    figures.shapes = shapes.len();
    Ok((figures, None))
}

fn keep(corpus: &mut Vec<Vec<u8>>, input: Vec<u8>, mutator: &mut Mutator) {
    if corpus.len() < CORPUS_MAX {
        corpus.push(input);
        return;
    }
    let place = mutator.below(corpus.len());
    if let Some(old) = corpus.get_mut(place) {
        *old = input;
    }
}

/// The input without whatever is not needed to fail.
fn smaller(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let mut runs = 0;
    let mut step = input.len() / 2;
    while step > 0 && runs < SHRINK_RUNS_MAX {
        let mut start = 0;
        while start < input.len() && runs < SHRINK_RUNS_MAX {
            let end = input.len().min(start + step);
            let mut less = input.clone();
            less.drain(start..end);
            (target.repair)(&mut less);
            runs += 1;
            if less.len() < input.len() && replay(target, &less).is_err() {
                input = less;
            } else {
                start = end;
            }
        }
        step /= 2;
    }
    input
}

fn write_case(folder: &Path, input: &[u8]) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let name = blake3::hash(input).to_hex();
    let path = folder.join(&name[..16]);
    fs::write(&path, input).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// The input that is tried, and since when.
type Trying = Option<(Instant, Vec<u8>)>;

/// Looks on while inputs are tried: one that never ends cannot be stopped by who tries it.
struct Watch {
    now: Arc<Mutex<Trying>>,
    over: Arc<AtomicBool>,
}

impl Watch {
    fn start(name: &'static str, cases: &Path) -> Self {
        let watch = Self {
            now: Arc::default(),
            over: Arc::default(),
        };
        let (current, over) = (Arc::clone(&watch.now), Arc::clone(&watch.over));
        let cases = cases.to_owned();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(500));
                let current = current.lock();
                let Some((began, input)) = &*current else {
                    continue;
                };
                let why = if began.elapsed() > INPUT_TIME_MAX {
                    "too long"
                } else if memory() > MEMORY_MAX {
                    "too much memory"
                } else {
                    continue;
                };
                give_up(name, &cases, input, why);
            }
        });
        watch
    }

    fn begin(&self, input: &[u8]) -> Instant {
        let began = Instant::now();
        *self.now.lock() = Some((began, input.to_vec()));
        began
    }

    fn end(&self) {
        *self.now.lock() = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a program")]
fn give_up(name: &str, cases: &Path, input: &[u8], why: &str) -> ! {
    match write_case(cases, input) {
        Ok(path) => eprintln!("{name}: an input takes {why}: {}", path.display()),
        Err(error) => eprintln!("{name}: an input takes {why}, and is not kept: {error:#}"),
    }
    std::process::exit(3)
}

/// Memory of this process in bytes; 0 where the system does not tell.
fn memory() -> usize {
    let pages = fs::read_to_string(Path::new("/proc/self/statm"))
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or_default() * 4_096
}
