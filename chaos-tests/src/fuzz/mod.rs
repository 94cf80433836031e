//! Fuzzing of whatever reads bytes from outside or from disk, on stable Rust and without any privilege.
//!
//! A target takes bytes and panics where what it tries does not hold. Inputs are made of seeds by mutations that
//! know of lines, numbers and the words of the target's format, and repair checksums. There is no coverage: an
//! input is kept to go on from when what came out of it has a *shape* that none had before (which error, how many
//! records of which kinds). What fails is made small and kept in `chaos-tests/fuzz/cases`, which a test replays.

mod mutate;
mod run;
pub mod targets;

pub use mutate::Mutator;
pub use run::{Failure, Figures, Plan, fuzz, replay};

use std::path::PathBuf;

/// Longest input that is made, in bytes.
pub const INPUT_BYTES_MAX: usize = 64 << 10;

/// Something that is tried on any bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line, and that of its folder of cases.
    pub name: &'static str,
    /// What it reads.
    pub what: &'static str,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of its format, to be put in anywhere.
    pub words: &'static [&'static str],
    /// Repairs what a mutation breaks for certain, such as a checksum.
    pub repair: fn(&mut Vec<u8>),
    /// Tries the bytes; gives a number that is the same for outcomes alike.
    pub run: fn(&[u8]) -> u64,
}

/// Where the cases of a target are kept.
pub fn cases_of(target: &Target) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.join("fuzz/cases").join(target.name)
}

/// Numbers of an outcome as one; those from 8 on by their order of magnitude only, so that outcomes do not
/// differ for ever.
pub(crate) fn shape(numbers: &[usize]) -> u64 {
    numbers.iter().fold(0xcbf2_9ce4_8422_2325, |hash, number| {
        let coarse = match *number {
            small @ 0..8 => small as u64,
            large => 8 + u64::from(large.ilog2()),
        };
        (hash ^ coarse).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
