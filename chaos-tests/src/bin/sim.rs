//! Runs the simulation by hand: a seed, many seeds, a schedule from a file; and makes a failing
//! schedule smaller.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use hushlog_chaos_tests::sim::batch::{Lab, PATIENCE};
use hushlog_chaos_tests::sim::report::{self, Outcome, Report};
use hushlog_chaos_tests::sim::schedule::{Layer, Schedule};
use hushlog_chaos_tests::sim::shrink;
use hushlog_record::museum;

/// Deterministic simulation of a Hushlog cluster.
#[derive(Parser)]
struct Args {
    /// Which log lines of the nodes are printed, in the syntax of `RUST_LOG`.
    #[arg(long, default_value = "off", global = true)]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    Raft,
    Full,
}

impl From<Which> for Layer {
    fn from(which: Which) -> Self {
        match which {
            Which::Raft => Self::Raft,
            Which::Full => Self::Full,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run the schedule of a seed, or of several in a row.
    Run {
        /// What is simulated.
        #[arg(long, value_enum)]
        layer: Which,
        /// The seed, or the first one.
        #[arg(long)]
        seed: u64,
        /// How many seeds.
        #[arg(long, default_value_t = 1)]
        count: u64,
        /// Simulated seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Write what happened to this file.
        #[arg(long)]
        trace: Option<PathBuf>,
    },
    /// Write the schedule of a seed to a file.
    Schedule {
        /// What is simulated.
        #[arg(long, value_enum)]
        layer: Which,
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Simulated seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// The file.
        file: PathBuf,
    },
    /// Run a schedule from a file.
    Replay {
        /// The file.
        file: PathBuf,
        /// Tell the outcome as JSON.
        #[arg(long)]
        json: bool,
        /// Write what happened to this file.
        #[arg(long)]
        trace: Option<PathBuf>,
    },
    /// Make a failing schedule smaller and write it beside itself.
    Shrink {
        /// The file.
        file: PathBuf,
        /// Most runs.
        #[arg(long, default_value_t = 200)]
        tries: u32,
    },
}

#[expect(clippy::print_stdout, reason = "this is what a person reads")]
fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(&args.log)
        .without_time()
        .with_ansi(false)
        .init();
    let good = match args.command {
        Command::Run {
            layer,
            seed,
            count,
            seconds,
            trace,
        } => {
            let schedule = |seed| Schedule::generate(layer.into(), seed, seconds * 1_000);
            if count == 1 {
                run(&schedule(seed), trace.as_deref())?
            } else {
                run_all((seed..seed + count).map(schedule))?
            }
        }
        Command::Schedule {
            layer,
            seed,
            seconds,
            file,
        } => {
            write(
                &Schedule::generate(layer.into(), seed, seconds * 1_000),
                &file,
            )?;
            true
        }
        Command::Replay {
            file, json: true, ..
        } => {
            let report = report::run(&read(&file)?);
            say(serde_json::to_string(&report.outcome())?);
            report.is_good()
        }
        Command::Replay { file, trace, .. } => run(&read(&file)?, trace.as_deref())?,
        Command::Shrink { file, tries } => {
            match shrink::shrink(&read(&file)?, tries, &in_a_process)? {
                None => say("it does not fail"),
                Some(small) => {
                    let target = file.with_extension("small.json");
                    write(&small.schedule, &target)?;
                    let (faults, runs) = (small.schedule.faults.len(), small.runs);
                    say(format_args!(
                        "{faults} faults after {runs} runs: {}",
                        target.display()
                    ));
                    small.outcome.violations.iter().for_each(say);
                    say(small.outcome.tail);
                }
            }
            true
        }
    };
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn read(file: &Path) -> Result<Schedule> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

fn write(schedule: &Schedule, file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(schedule)?;
    std::fs::write(file, text + "\n").with_context(|| file.display().to_string())
}

/// Runs a schedule in a process of its own: a run is the same only in a fresh one.
fn in_a_process(schedule: &Schedule) -> Result<Outcome> {
    let program = std::env::current_exe()?;
    let folder = std::env::temp_dir();
    let lab = Lab {
        program: &program,
        folder: &folder,
        bug: museum::awake(),
        patience: PATIENCE,
    };
    lab.run(schedule)
}

fn run_all(schedules: impl Iterator<Item = Schedule>) -> Result<bool> {
    let mut failed = Vec::new();
    for schedule in schedules {
        let outcome = in_a_process(&schedule)?;
        say(format_args!("seed {}: {:?}", schedule.seed, outcome.stats));
        for violation in &outcome.violations {
            say(format_args!("  {violation}"));
        }
        if !outcome.violations.is_empty() {
            failed.push(schedule.seed);
        }
    }
    if failed.is_empty() {
        say("every promise was kept");
    } else {
        say(format_args!("FAILED: seeds {failed:?}"));
    }
    Ok(failed.is_empty())
}

fn run(schedule: &Schedule, trace: Option<&Path>) -> Result<bool> {
    let report = report::run(schedule);
    if let Some(trace) = trace {
        std::fs::write(trace, report.trace.text()).with_context(|| trace.display().to_string())?;
    }
    tell(&report);
    Ok(report.is_good())
}

fn tell(report: &Report) {
    say(format_args!(
        "{} seed {}: {} lines {}, {:?}",
        report.schedule.layer.name(),
        report.schedule.seed,
        report.trace.lines(),
        report.trace.digest(),
        report.stats
    ));
    for violation in &report.violations {
        say(format_args!("  {violation}"));
    }
    if !report.is_good() {
        say(report.trace.tail(40));
    }
}
