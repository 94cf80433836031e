//! The full-text index of a segment: for a token, the granules that hold it.
//!
//! It only prunes. Whether a row matches is decided by the scanner, so an index may be missing,
//! coarse or rebuilt at any time; it must never leave out a granule that holds a match. The distinct
//! words of a granule are one tantivy document; ids and hashes are kept as fingerprints beside it.
//!
//! Never touches a disk by itself, never tells the time, never rolls dice: equal granules give equal
//! bytes.

mod build;
mod directory;
mod fingerprint;
mod granules;
mod hash;
mod pack;
mod search;
mod terms;
pub mod token;
mod words;

pub use build::{Builder, NOT_INDEXED, build};
pub use granules::GranuleSet;
pub use pack::{Source, parts};
pub use search::{Index, Prune};

/// An index could not be built or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not those of an index: build it anew.
    #[error("the index is damaged: {0}")]
    Damaged(&'static str),
    /// Another release wrote it: build it anew.
    #[error("index version {packing}, tokens {tokens}, is not known to this release")]
    Version {
        /// Version of the packing.
        packing: u8,
        /// Version of the tokens.
        tokens: u8,
    },
    /// A granule has a column that no segment has.
    #[error("column {0:?} is not as the schema says")]
    Schema(String),
    /// The file could not be read, or a piece of it is damaged.
    #[error("reading the index: {0}")]
    Io(#[from] std::io::Error),
    /// tantivy refused.
    #[error("tantivy: {0}")]
    Tantivy(#[from] tantivy::TantivyError),
}
