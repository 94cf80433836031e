//! What a run came to, and how panics of simulated tasks are noticed.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use serde::{Deserialize, Serialize};

use super::schedule::{Layer, Schedule};
use super::trace::Trace;

thread_local! {
    /// Panics on this thread while a simulation runs on it; none while none runs.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What a run came to.
pub struct Report {
    /// What ran.
    pub schedule: Schedule,
    /// Broken promises; empty when all is well.
    pub violations: Vec<String>,
    /// What happened.
    pub trace: Trace,
    /// Counts.
    pub stats: Stats,
}

/// Counts of a run, or of many.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Simulated milliseconds.
    pub millis: u64,
    /// Faults that struck something.
    pub faults: u64,
    /// Faults that hit nothing: a link that nobody used, a disk that nobody wrote to, a node that was off.
    pub idle: u64,
    /// Requests acknowledged.
    pub acked: u64,
    /// Requests of unknown outcome that were given up.
    pub unknown: u64,
    /// Requests that nobody took.
    pub refused: u64,
    /// Retries.
    pub retries: u64,
    /// Reads that were checked.
    pub reads: u64,
    /// Leaders elected.
    pub elections: u64,
    /// Entries committed.
    pub commits: u64,
    /// Segments built.
    pub segments: u64,
    /// Replicas that came back by a snapshot.
    pub installs: u64,
    /// Finished shards that rows were left out of.
    pub rewritten: u64,
    /// Times that a replica's timers were stopped since nobody used its group.
    pub rests: u64,
    /// Times that they were started again.
    pub wakings: u64,
}

impl Stats {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.millis += other.millis;
        self.faults += other.faults;
        self.idle += other.idle;
        self.acked += other.acked;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.retries += other.retries;
        self.reads += other.reads;
        self.elections += other.elections;
        self.commits += other.commits;
        self.segments += other.segments;
        self.installs += other.installs;
        self.rewritten += other.rewritten;
        self.rests += other.rests;
        self.wakings += other.wakings;
    }
}

/// What is told of a run that another process made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// As in [`Report`].
    pub violations: Vec<String>,
    /// As in [`Report`].
    pub stats: Stats,
    /// The last lines of the trace.
    pub tail: String,
}

impl Report {
    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }

    /// What is told to another process.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            violations: self.violations.clone(),
            stats: self.stats,
            tail: self.trace.tail(40),
        }
    }
}

/// The one command that runs the schedule of this seed.
pub fn replay(schedule: &Schedule) -> String {
    format!(
        "cargo run -p hushlog-chaos-tests --bin sim -- run --layer {} --seed {} --seconds {}",
        schedule.layer.name(),
        schedule.seed,
        schedule.millis / 1_000
    )
}

/// Runs a schedule on its layer.
pub fn run(schedule: &Schedule) -> Report {
    let trace = Trace::default();
    notice_panics();
    PANICS.set(Some(Vec::new()));
    let outcome = catch_unwind(AssertUnwindSafe(|| match schedule.layer {
        Layer::Raft => super::raft::run(schedule, &trace),
        Layer::Full => super::full::run(schedule, &trace),
    }));
    let panics = PANICS.take().unwrap_or_default();
    let (stats, mut violations) = outcome.unwrap_or_default();
    violations.extend(panics.into_iter().map(|panic| format!("panic: {panic}")));
    Report {
        schedule: schedule.clone(),
        violations,
        trace,
        stats,
    }
}

/// Takes the panics noticed so far: a task's panic is swallowed by its runtime.
pub fn take_panics() -> Vec<String> {
    PANICS.with_borrow_mut(|panics| panics.as_mut().map(std::mem::take).unwrap_or_default())
}

fn notice_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let noticed = PANICS.with_borrow_mut(|panics| match panics {
                Some(panics) => {
                    panics.push(panic.to_string());
                    true
                }
                None => false,
            });
            if noticed {
                // One that comes while another unwinds ends the process, and with it the report.
                tell(panic);
            } else {
                before(panic);
            }
        }));
    });
}

#[expect(
    clippy::print_stderr,
    reason = "what a process says before it is ended"
)]
fn tell(panic: &PanicHookInfo<'_>) {
    eprintln!("{panic}");
}
