//! `make demo`: the main job for people to watch.
//!
//! Data goes to `demo-data` in the working folder, which is made anew each time.

use std::path::Path;

use anyhow::Result;
use hushlog_chaos_tests::cluster::{Ports, binary};
use hushlog_chaos_tests::main_job::{Settings, run};

const DATA: &str = "demo-data";
const RECORDS: u64 = 1_000_000;
const PORTS: Ports = Ports {
    http: 7_700,
    grpc: 4_317,
};

#[expect(clippy::print_stdout, reason = "this is what a person watches")]
fn say(line: String) {
    println!("  {line}");
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = Path::new(DATA);
    if data.exists() {
        std::fs::remove_dir_all(data)?;
    }
    say(
        "three nodes, a million lines, one node killed in the middle; then every answer is checked"
            .into(),
    );
    let records = std::env::args()
        .nth(1)
        .map_or(Ok(RECORDS), |text| text.parse())?;
    let settings = Settings {
        binary: &binary()?,
        data,
        ports: PORTS,
        records,
        seed: 42,
        say: &say,
    };
    let report = run(&settings).await?;
    let rate = report.records as f64 / report.send_seconds;
    say(format!(
        "done: {rate:.0} records/s acknowledged by a majority, none lost, none twice"
    ));
    Ok(())
}
