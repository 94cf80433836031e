//! One run from a schedule: ground, cluster, load, faults, heal, checks, search for planted data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use super::check;
use super::load::{Load, Pace};
use super::nemesis::Nemesis;
use super::report::{self, Report};
use super::schedule::Schedule;
use super::world::{Size, World};
use crate::leaks;

/// How long writers may take to finish what they had begun, after everything is healed.
const FINISH_WITHIN: Duration = Duration::from_secs(60);

/// Runs a schedule. An error means that it could not be carried out; what is broken is in the report.
pub async fn run(
    binary: PathBuf,
    schedule: &Schedule,
    say: &(dyn Fn(String) + Sync),
) -> Result<Report> {
    let started = Instant::now();
    say(format!(
        "scenario {} seed {} binary {}",
        schedule.scenario,
        schedule.seed,
        binary.display()
    ));
    let size = Size {
        nodes: schedule.nodes,
        spares: schedule.spares,
        disk_mib: schedule.disk_mib,
        settings: &schedule.settings,
    };
    let mut world = World::start(binary, &size).await?;
    say(format!(
        "  {} nodes ready after {:.1} s",
        schedule.nodes,
        started.elapsed().as_secs_f64()
    ));
    let load = Load::start(world.urls(), schedule.seed, schedule.pace)?;
    let mut taken = schedule.clone();
    let (stopped, mut report) = {
        let mut nemesis = Nemesis::new(&mut world, &load, schedule.seed, say);
        let stopped = match nemesis.run(&schedule.steps).await {
            Ok(()) => nemesis.heal().await,
            Err(error) => Err(error),
        };
        taken.steps = std::mem::take(&mut nemesis.taken);
        let report = Report {
            scenario: schedule.scenario.clone(),
            seed: schedule.seed,
            seconds: 0.0,
            faults: std::mem::take(&mut nemesis.tally),
            acked: 0,
            attempts: [0; 3],
            reads: BTreeMap::new(),
            gaps_ms: std::mem::take(&mut nemesis.gaps_ms),
            searched: String::new(),
            broken: std::mem::take(&mut nemesis.broken),
        };
        (stopped, report)
    };
    let patience = if stopped.is_ok() {
        FINISH_WITHIN
    } else {
        Duration::ZERO
    };
    let (history, plan, corpus) = load.finish(patience).await?;
    report.count(&history);
    report.broken.extend(history.broken.iter().cloned());
    if stopped.is_ok() {
        let sound = world.members().into_iter();
        let sound: Vec<String> = sound.map(|index| world.url(index)).collect();
        let checked = Instant::now();
        report
            .broken
            .extend(check::all(&sound, &history, &plan, &corpus).await?);
        say(format!(
            "  checked through {} nodes in {:.1} s",
            sound.len(),
            checked.elapsed().as_secs_f64()
        ));
        report.broken.extend(world.stop()?);
        report.broken.extend(world.panics()?);
        if schedule.pace.readers > 0 && !report.reads.contains_key(&200) {
            report
                .broken
                .push("no reader ever had a whole answer".into());
        }
        for node in world.nodes.iter().filter(|node| node.out) {
            // What is damaged cannot be decoded: its image is searched as it is.
            node.disk.detach()?;
            if let Err(error) = leaks::scan_raw(node.disk.image(), &plan) {
                report.broken.push(format!("C9: {error:#}"));
            }
        }
        let data = world.ground.folder().join("nodes");
        match leaks::scan(&data, &plan) {
            Ok(searched) => report.searched = searched,
            Err(error) => report.broken.push(format!("C9: {error:#}")),
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    let path = report::keep(
        &report,
        &taken,
        &history,
        &world.ground.folder().join("nodes"),
    )?;
    say(format!("  {}", report.line()));
    say(format!("  next acknowledgement after {}", report.gaps()));
    let replay = format!(
        "cargo run -p hushlog-chaos-tests --bin chaos -- replay {}",
        path.display()
    );
    if let Err(error) = stopped {
        bail!("{error:#}; REPLAY: {replay}");
    }
    for broken in &report.broken {
        say(format!("  BROKEN {broken}"));
    }
    if !report.broken.is_empty() {
        say(format!("  REPLAY: {replay}"));
    }
    Ok(report)
}

/// A schedule without steps.
pub fn quiet(scenario: &str, seed: u64) -> Schedule {
    Schedule {
        scenario: scenario.to_owned(),
        seed,
        nodes: 3,
        spares: 0,
        disk_mib: 512,
        pace: Pace::default(),
        settings: Vec::new(),
        steps: Vec::new(),
    }
}
