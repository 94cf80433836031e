//! Real faults on real processes, by name: lists, runs, replays.
//!
//! Needs root; everything that it makes is named after its process and taken away again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use hushlog_chaos_tests::cluster::binary;
use hushlog_chaos_tests::museum::Museum;
use hushlog_chaos_tests::real::catalog::{self, Scenario};
use hushlog_chaos_tests::real::ground::{self, Permission};
use hushlog_chaos_tests::real::report::Report;
use hushlog_chaos_tests::real::scenario;
use hushlog_chaos_tests::real::schedule::Schedule;
use hushlog_record::museum::{self, Bug};

const USAGE: &str = "\
chaos list                     the scenarios, and the rows of the fault matrix that each covers
chaos run NAME… [--seed N]     some of them; `all` for every one, `ci` for those of a test run
chaos show NAME [--seed N]     the schedule of one, as the file that `replay` takes
chaos replay FILE              a schedule from a file
chaos soak [--minutes N]       a random mix of all faults under load
chaos demo-power               the power of a live cluster fails; what was acknowledged is whole
chaos museum [NAME…]           wakes planted bugs, all or these, until each is caught (`make museum`)
chaos sweep                    takes away what killed runs left";

#[expect(clippy::print_stdout, reason = "this is what a person watches")]
fn say(line: String) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "this is what a person watches")]
#[tokio::main]
async fn main() -> ExitCode {
    match act().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn act() -> Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let seed = number("--seed", &mut words)?.unwrap_or(1);
    let minutes = number("--minutes", &mut words)?.unwrap_or(10);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["list"] => {
            catalog::ALL
                .iter()
                .for_each(|scenario| say(entry(scenario)));
            Ok(())
        }
        ["run", ref names @ ..] if !names.is_empty() => run(names, seed).await,
        ["show", name] => {
            let schedule = find(name)?.schedule(seed);
            say(serde_json::to_string_pretty(&schedule)?);
            Ok(())
        }
        ["replay", file] => {
            let text = std::fs::read(Path::new(file)).context("cannot read the schedule")?;
            let schedule: Schedule = serde_json::from_slice(&text)?;
            finish(&[one(&schedule).await?])
        }
        ["soak"] => finish(&[one(&catalog::soak(seed, minutes)).await?]),
        ["demo-power"] => demo_power(seed).await,
        ["museum", ref names @ ..] => hunt(names),
        ["sweep"] => ground::sweep(),
        _ => bail!("{USAGE}"),
    }
}

fn entry(scenario: &Scenario) -> String {
    let rows: Vec<String> = scenario.rows.iter().map(u8::to_string).collect();
    let rows = rows.join(" ");
    let when = if scenario.in_ci {
        "every test run"
    } else {
        "make chaos"
    };
    format!("{:16} rows {rows:12} {when}", scenario.name)
}

/// Takes a flag and its number out of the words.
fn number(flag: &str, words: &mut Vec<String>) -> Result<Option<u64>> {
    let Some(at) = words.iter().position(|word| word == flag) else {
        return Ok(None);
    };
    ensure!(at + 1 < words.len(), "{flag} needs a number");
    words.remove(at);
    let number = words.remove(at).parse();
    number
        .map(Some)
        .with_context(|| format!("{flag} needs a number"))
}

fn find(name: &str) -> Result<&'static Scenario> {
    catalog::find(name).with_context(|| format!("there is no scenario `{name}`; see `chaos list`"))
}

async fn run(names: &[&str], seed: u64) -> Result<()> {
    let chosen: Vec<&Scenario> = match names {
        ["all"] => catalog::ALL.iter().collect(),
        ["ci"] => catalog::ALL.iter().filter(|s| s.in_ci).collect(),
        names => names.iter().map(|name| find(name)).collect::<Result<_>>()?,
    };
    let mut reports = Vec::new();
    let mut stopped = Vec::new();
    for scenario in chosen {
        match one(&scenario.schedule(seed)).await {
            Ok(report) => reports.push(report),
            Err(error) => stopped.push(format!("{} could not be run: {error:#}", scenario.name)),
        }
    }
    stopped.iter().for_each(|stopped| say(stopped.clone()));
    finish(&reports)?;
    ensure!(
        stopped.is_empty(),
        "{} scenarios could not be run",
        stopped.len()
    );
    Ok(())
}

async fn demo_power(seed: u64) -> Result<()> {
    say(
        "three nodes, each on a file system of its own; their power is cut while clients write"
            .into(),
    );
    let report = one(&catalog::DEMO_POWER.schedule(seed)).await?;
    ensure!(
        report.broken.is_empty(),
        "promises were broken: {:?}",
        report.broken
    );
    say(format!(
        "{} power cuts; {} records were acknowledged, and each is there exactly once",
        report.faults.of("power cut"),
        report.acked
    ));
    Ok(())
}

/// Wakes the named bugs, or all; every one must be caught.
fn hunt(names: &[&str]) -> Result<()> {
    ensure!(
        museum::IS_OPEN,
        "no bug is planted in this build: run `make museum`"
    );
    let find = |name: &&str| Bug::find(name).with_context(|| format!("no bug is called `{name}`"));
    let bugs = match names {
        [] => Bug::ALL.to_vec(),
        names => names.iter().map(find).collect::<Result<_>>()?,
    };
    let program = std::env::current_exe()?;
    let programs = program.parent().context("no parent folder")?;
    let folder = std::env::temp_dir();
    let mut museum = Museum::new(programs, &folder);
    let mut missed = Vec::new();
    let mut times = Vec::new();
    for bug in bugs {
        say(match museum.hunt(bug) {
            Ok(Some(catch)) => {
                times.push(catch.seconds);
                format!(
                    "{bug:24} caught by {} seed {} in {:.1} s: {}",
                    catch.by, catch.seed, catch.seconds, catch.violation
                )
            }
            Ok(None) => {
                missed.push(bug.name());
                format!("{bug:24} MISSED")
            }
            Err(error) => {
                missed.push(bug.name());
                format!("{bug:24} NOT RUN: {error:#}")
            }
        });
    }
    let mean = times.iter().fold(0.0, |sum, time| sum + time) / times.len().max(1) as f64;
    say(format!(
        "{} bugs caught, {mean:.1} s each in the mean",
        times.len()
    ));
    ensure!(missed.is_empty(), "not caught: {}", missed.join(", "));
    Ok(())
}

async fn one(schedule: &Schedule) -> Result<Report> {
    if let Permission::Missing(what) = ground::permission()? {
        bail!("real faults cannot be made here: {what}");
    }
    let binary: PathBuf = binary()?;
    scenario::run(binary, schedule, &say).await
}

fn finish(reports: &[Report]) -> Result<()> {
    say(String::new());
    for report in reports {
        say(report.line());
        report
            .broken
            .iter()
            .for_each(|broken| say(format!("  BROKEN {broken}")));
    }
    let faults: u64 = reports.iter().map(|report| report.faults.total()).sum();
    let broken = reports
        .iter()
        .filter(|report| !report.broken.is_empty())
        .count();
    say(format!(
        "{} scenarios, {faults} faults, {broken} broken",
        reports.len()
    ));
    ensure!(broken == 0, "promises were broken");
    Ok(())
}
