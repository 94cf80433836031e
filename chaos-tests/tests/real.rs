//! Real faults on real processes, one test per scenario.
//!
//! Where the machine does not allow them, each says so and passes; with `CI=true` or
//! `CHAOS_REQUIRE=1` it fails instead.

use hushlog_chaos_tests::cluster::binary;
use hushlog_chaos_tests::real::catalog::{self, Scenario};
use hushlog_chaos_tests::real::ground::{self, Permission, permission};
use hushlog_chaos_tests::real::report::Report;
use hushlog_chaos_tests::real::scenario;
use tokio::sync::Mutex;

const SEED: u64 = 1;

/// Scenarios measure time: one after the other, also under a runner that knows threads only.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

#[expect(clippy::print_stderr, reason = "a long test shows where it is")]
fn say(line: String) {
    eprintln!("{line}");
}

async fn report_of(scenario: &Scenario) -> anyhow::Result<Option<Report>> {
    let _turn = ONE_AT_A_TIME.lock().await;
    if let Permission::Missing(what) = permission()? {
        say(format!("skipped: {what}"));
        return Ok(None);
    }
    let schedule = scenario.schedule(SEED);
    // A fault that does not take effect is an error of the run.
    Ok(Some(scenario::run(binary()?, &schedule, &say).await?))
}

async fn keeps(name: &str) -> anyhow::Result<()> {
    let scenario = catalog::find(name).expect("a scenario of the catalog");
    if let Some(report) = report_of(scenario).await? {
        assert!(report.broken.is_empty(), "{:#?}", report.broken);
    }
    Ok(())
}

macro_rules! scenarios {
    ($($test:ident = $name:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                keeps($name).await
            }
        )*

        const LISTED: &[&str] = &[$($name),*];
    };
}

scenarios! {
    kills = "kill";
    a_leader_that_stands_still = "freeze";
    buckets_end_one_after_the_other = "buckets";
    power_loss_of_one = "power-one";
    power_loss_of_all = "power-all";
    failed_syncs = "sync-error";
    failed_syncs_hand_over = "sync-error-handover";
    a_full_disk = "disk-full-one";
    a_full_disk_with_space_again = "disk-full-resume";
    only_full_disks = "disk-full-all";
    a_slow_disk_hands_over = "slow-disk-handover";
    a_read_only_disk = "read-only";
    flipped_bits_in_the_log = "flip-log";
    lost_and_damaged_files_are_replaced = "repair";
    deleted_and_swapped_files = "lost-files";
    an_outdated_folder_votes = "old-backup-votes";
    a_wiped_voter_votes = "wiped-voter-votes";
    partitions = "partition";
    one_way_and_partial_cuts = "bad-links";
    gray_links = "gray-link";
    reset_connections = "resets";
    jumping_clocks = "clock";
}

/// The instrument itself: on disks that lie, acknowledged records are lost, and that is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_is_seen_when_disks_lie() -> anyhow::Result<()> {
    if let Some(report) = report_of(&catalog::LYING_DISKS).await? {
        let lost = |said: &String| said.contains("C1 acknowledged and lost");
        assert!(
            report.broken.iter().any(lost),
            "nothing was noticed: {:?}",
            report.broken
        );
    }
    Ok(())
}

/// A list as a killed run leaves it: its owner is gone, what it names is still there.
#[test]
fn what_a_killed_run_left_is_taken_away() -> anyhow::Result<()> {
    if let Permission::Missing(what) = permission()? {
        say(format!("skipped: {what}"));
        return Ok(());
    }
    let mut owner = std::process::Command::new("true").spawn()?;
    owner.wait()?;
    let name = format!("{}dead", std::process::id());
    let folder = std::env::temp_dir().join(format!("real-hushlog-{name}"));
    let namespace = format!("hl{name}");
    std::fs::create_dir(&folder)?;
    let list = format!(
        "namespace\t{namespace}\nmount\t{}/never\n",
        folder.display()
    );
    std::fs::write(folder.join("made.txt"), list)?;
    ground::run("ip", &["netns", "add", &namespace])?;
    // Last: from now on it is a run whose owner is dead.
    std::fs::write(
        folder.join("owner.txt"),
        format!("process\t{}\t1", owner.id()),
    )?;
    ground::sweep()?;
    assert!(!folder.exists());
    assert!(!std::path::Path::new("/run/netns").join(namespace).exists());
    Ok(())
}

#[test]
fn every_scenario_of_a_test_run_is_listed() {
    for scenario in catalog::ALL.iter().filter(|s| s.in_ci) {
        assert!(LISTED.contains(&scenario.name), "{}", scenario.name);
    }
}
