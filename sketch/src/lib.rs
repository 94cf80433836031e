//! Small summaries of record streams that add up: counts per minute, top exceptions, sets of ids.
//!
//! A summary of two ranges is the merge of their summaries, in any order and grouping, so shards,
//! segments and minutes add up to any window. Encodings are deterministic and carry a version; the
//! caller keeps a checksum. Nothing here knows a record, a clock, randomness, a disk or a socket,
//! and decoding never panics, whatever the bytes are.

#![deny(clippy::indexing_slicing, missing_docs)]

mod codec;
mod count_min;
mod error;
mod exceptions;
mod hash;
mod id_filter;
mod names;
mod pane;
mod summary;
mod tally;
mod wire;

pub use error::Error;
pub use exceptions::{Exceptions, Top};
pub use id_filter::{BITS_PER_ID, IdFilter};
pub use pane::{EXACT_MAX, HEAVY_MAX};
pub use summary::{LevelCount, Summary};
pub use tally::{ExceptionTally, SAMPLES_MAX};

/// Levels are numbers below this.
pub const LEVELS_MAX: u8 = 8;
