//! The bug museum's runner: wakes one planted bug after the other (`hushlog_record::museum`), and measures
//! how soon the checks see it.
//!
//! Every run is a process of its own, and every seed is first run without a bug: a check that fails by
//! itself catches nothing. Never starts a program that has no museum built in.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use hushlog_record::museum::{Bug, VARIABLE};

use crate::sim::batch::{Lab, MILLIS, PATIENCE};
use crate::sim::schedule::{Layer, Schedule};

/// Seeds of the simulation before a bug counts as missed.
pub const SEEDS: u64 = 40;
/// Seeds of a real scenario before a bug counts as missed.
const REAL_SEEDS: u64 = 3;
/// What a broken promise begins with in the output of `chaos run`: once when it is seen, if that is
/// during the faults, and once at the end.
const BROKEN: &str = "BROKEN";
/// What it says of a scenario that it cannot run.
const NOT_RUN: &str = "could not be run: ";

/// What is expected to catch a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Seeds of the simulation.
    Simulated(Layer),
    /// A scenario of real faults: the bug lies where the simulation has something of its own.
    Real(&'static str),
}

/// How a bug was caught.
#[derive(Clone, Debug)]
pub struct Catch {
    /// Layer or scenario.
    pub by: &'static str,
    /// The seed that showed it.
    pub seed: u64,
    /// The first broken promise.
    pub violation: String,
    /// All runs with the bug, the last one until it was seen; control runs are not counted.
    pub seconds: f64,
}

/// The programs, and what is known of them without a bug.
pub struct Museum<'a> {
    /// The folder of `sim`, `chaos` and `hushlog`, all with planted bugs.
    programs: &'a Path,
    /// Where simulated runs may leave files.
    folder: &'a Path,
    /// Layers and scenarios with the seeds that keep every promise when no bug is awake.
    sound: BTreeSet<(&'static str, u64)>,
}

/// What is expected to catch this bug.
pub fn proof(bug: Bug) -> Proof {
    match bug {
        Bug::AckBeforeSync
        | Bug::AckWithoutQuorum
        | Bug::SkippedChecksum
        | Bug::RetriedSync
        | Bug::DedupeLostAtRestart
        | Bug::CountedTwiceAtCut
        | Bug::UnknownCalledRefused
        | Bug::VoteNotSaved
        | Bug::ReadWithoutLeader
        | Bug::NoPreVote => Proof::Simulated(Layer::Raft),
        Bug::UnmaskedPath | Bug::PartialCalledComplete | Bug::MoveUnverified => {
            Proof::Simulated(Layer::Full)
        }
        Bug::WalDefaultRecovery => Proof::Real("flip-log"),
        Bug::IncarnationIgnored => Proof::Real("wiped-voter"),
    }
}

impl<'a> Museum<'a> {
    /// A museum of the programs in this folder.
    pub fn new(programs: &'a Path, folder: &'a Path) -> Self {
        Self {
            programs,
            folder,
            sound: BTreeSet::new(),
        }
    }

    /// Wakes a bug, seed after seed, until it is caught; `None` if it never was.
    ///
    /// # Errors
    /// When a run cannot be made, or fails without a bug.
    pub fn hunt(&mut self, bug: Bug) -> Result<Option<Catch>> {
        let (by, seeds) = match proof(bug) {
            Proof::Simulated(layer) => (layer.name(), SEEDS),
            Proof::Real(scenario) => (scenario, REAL_SEEDS),
        };
        let mut seconds = 0.0;
        for seed in 1..=seeds {
            self.control(bug, by, seed)?;
            let (violation, took) = self.run(proof(bug), seed, Some(bug))?;
            seconds += took;
            if let Some(violation) = violation {
                return Ok(Some(Catch {
                    by,
                    seed,
                    violation,
                    seconds,
                }));
            }
        }
        Ok(None)
    }

    /// The same run without a bug, once.
    fn control(&mut self, bug: Bug, by: &'static str, seed: u64) -> Result<()> {
        if self.sound.contains(&(by, seed)) {
            return Ok(());
        }
        let (violation, _) = self.run(proof(bug), seed, None)?;
        ensure!(
            violation.is_none(),
            "{by} seed {seed} fails without any bug: {}",
            violation.unwrap_or_default()
        );
        self.sound.insert((by, seed));
        Ok(())
    }

    /// A run: the first broken promise, and the seconds until it was seen.
    fn run(&self, proof: Proof, seed: u64, bug: Option<Bug>) -> Result<(Option<String>, f64)> {
        let began = Instant::now();
        match proof {
            Proof::Simulated(layer) => {
                let violation = self.run_simulated(layer, seed, bug)?;
                Ok((violation, began.elapsed().as_secs_f64()))
            }
            Proof::Real(scenario) => self.run_real(scenario, seed, bug),
        }
    }

    fn run_simulated(&self, layer: Layer, seed: u64, bug: Option<Bug>) -> Result<Option<String>> {
        let program = self.programs.join("sim");
        let lab = Lab {
            program: &program,
            folder: self.folder,
            bug,
            patience: PATIENCE,
        };
        // Where the same run ends well without the bug, an abort is the product's own assertions seeing it.
        let outcome = lab.run(&Schedule::generate(layer, seed, MILLIS))?;
        Ok(outcome.violations.into_iter().next())
    }

    fn run_real(
        &self,
        scenario: &str,
        seed: u64,
        bug: Option<Bug>,
    ) -> Result<(Option<String>, f64)> {
        let began = Instant::now();
        let mut command = Command::new(self.programs.join("chaos"));
        command
            .args(["run", scenario, "--seed", &seed.to_string()])
            .env("HUSHLOG_BIN", self.programs.join("hushlog"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        wake(&mut command, bug);
        let mut child = command.spawn().context("cannot start `chaos`")?;
        let mut seen = None;
        let mut why = String::new();
        for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
            let line = line?;
            if let Some(broken) = line.trim_start().strip_prefix(BROKEN)
                && seen.is_none()
            {
                let broken = broken.trim_start_matches([':', ' ']);
                seen = Some((broken.to_owned(), began.elapsed().as_secs_f64()));
            }
            if line.contains(NOT_RUN) {
                why = line;
            }
        }
        // To its end, also once a promise was seen broken: it takes away what it has made.
        let status = child.wait()?;
        match seen {
            Some((broken, seconds)) => Ok((Some(broken), seconds)),
            None if status.success() => Ok((None, began.elapsed().as_secs_f64())),
            None => bail!("{why}"),
        }
    }
}

/// Wakes this bug, and no other, in a process and all that it starts.
pub fn wake(command: &mut Command, bug: Option<Bug>) {
    match bug {
        Some(bug) => command.env(VARIABLE, bug.name()),
        None => command.env_remove(VARIABLE),
    };
}
