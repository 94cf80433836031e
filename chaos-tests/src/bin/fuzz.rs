//! Fuzzes targets by hand: `fuzz --minutes 60 json mask`; without names all of them, one after the other.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use hushlog_chaos_tests::fuzz::{Plan, Target, cases_of, fuzz, targets};

/// Feeds decoders and the masker what nobody would send. What fails is made small, kept in chaos-tests/fuzz/cases and
/// replayed by the tests from then on.
#[derive(Parser)]
struct Args {
    /// Targets; none: all.
    targets: Vec<String>,
    /// Minutes for each target.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// The first inputs; the same seed makes the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show the targets.
    #[arg(long)]
    list: bool,
}

#[expect(clippy::print_stdout, reason = "a program's output")]
fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let all = targets::all();
    if args.list {
        for target in &all {
            println!("{:<16} {}", target.name, target.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = chosen(all, &args.targets)?;
    let plan = Plan {
        time: Duration::from_secs_f64(args.minutes * 60.0),
        runs_max: u64::MAX,
        seed: args.seed,
    };
    let mut failed = false;
    for target in &chosen {
        let folder = cases_of(target);
        let (figures, failure) = fuzz(target, plan, &folder)?;
        println!(
            "{:<16} {:>10} inputs, {:>6} MB, {:>5} shapes, {:>5} kept, slowest {:?}",
            target.name,
            figures.runs,
            figures.bytes >> 20,
            figures.shapes,
            figures.corpus,
            figures.slowest,
        );
        if let Some(failure) = failure {
            failed = true;
            let bytes = failure.input.len();
            println!(
                "{:<16} FAILED: {} ({bytes} bytes in {})",
                target.name,
                failure.message,
                folder.display()
            );
        }
    }
    Ok(if failed {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn chosen(all: Vec<Target>, names: &[String]) -> Result<Vec<Target>> {
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let target = all.iter().find(|target| target.name == name);
        target
            .copied()
            .with_context(|| format!("there is no target {name}; --list shows all"))
    };
    names.iter().map(find).collect()
}
