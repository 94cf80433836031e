//! Groups over storage alone, simulated: first that runs repeat themselves, then many seeds.

use std::path::Path;

use hushlog_chaos_tests::sim::batch::{Lab, meta, seeds};
use hushlog_chaos_tests::sim::schedule::Layer;

/// In a few minutes of two cores.
const SEEDS: u64 = 160;

#[test]
fn runs_repeat_themselves_and_keep_every_promise() {
    let lab = Lab {
        program: Path::new(env!("CARGO_BIN_EXE_sim")),
        folder: Path::new(env!("CARGO_TARGET_TMPDIR")),
        bug: None,
    };
    if let Err(error) = meta(Layer::Raft, &[1, 2, 3], lab) {
        panic!("{error:#}");
    }
    match seeds(Layer::Raft, SEEDS, lab) {
        Ok(summary) => say(&summary),
        Err(error) => panic!("{error:#}"),
    }
}

#[expect(clippy::print_stdout, reason = "how much was proved is worth a line")]
fn say(summary: &str) {
    println!("{summary}");
}
