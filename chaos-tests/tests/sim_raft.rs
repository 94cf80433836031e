//! Groups over storage alone, simulated: first that runs repeat themselves, then many seeds.

use std::path::Path;

use hushlog_chaos_tests::sim::batch::{Lab, PATIENCE, meta, meta_seeds, seeds};
use hushlog_chaos_tests::sim::schedule::Layer;

/// In a few minutes of two cores.
const SEEDS: u64 = 160;

#[test]
fn runs_repeat_themselves_and_keep_every_promise() {
    let lab = Lab {
        program: Path::new(env!("CARGO_BIN_EXE_sim")),
        folder: Path::new(env!("CARGO_TARGET_TMPDIR")),
        bug: None,
        patience: PATIENCE,
    };
    let repeats = meta_seeds(Layer::Raft).and_then(|seeds| meta(Layer::Raft, &seeds, lab));
    if let Err(error) = repeats {
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
