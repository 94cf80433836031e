//! The main job, as a test: a million records, three nodes, one of them killed on the way.
//!
//! `HUSHLOG_MAIN_JOB_RECORDS` makes it smaller for a quick look; `HUSHLOG_CORPUS` names a folder of
//! real logs.

use std::path::Path;

use hushlog_chaos_tests::cluster::{Ports, binary};
use hushlog_chaos_tests::main_job::{Settings, run};

const RECORDS: u64 = 1_000_000;
const PORTS: Ports = Ports {
    http: 17_700,
    grpc: 14_317,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_record_is_there_once_and_nothing_leaks() -> anyhow::Result<()> {
    let records = match std::env::var("HUSHLOG_MAIN_JOB_RECORDS") {
        Ok(text) => text.parse()?,
        Err(_) => RECORDS,
    };
    let folder = tempfile::tempdir()?;
    let settings = Settings {
        binary: &binary()?,
        data: Path::new(folder.path()),
        ports: PORTS,
        records,
        seed: 0x0068_7573_686c_6f67,
        say: &say,
    };
    let report = run(&settings).await?;
    assert_eq!(report.records, records);
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a long test shows where it is")]
fn say(line: String) {
    eprintln!("{line}");
}
