//! Segments: the immutable data of one seq range of a shard, as a Parquet file.
//!
//! Rows lie in time order, ties by position. 1,024 rows are a granule: exactly one page of every
//! column, so that the index can point to it and the scanner can read it alone. A file whose pages
//! do not all begin at multiples of 1,024 rows is refused, by the builder and by the reader.
//!
//! A segment is a folder `<from>-<to>`, or `<from>-<to>.<edition>` where rows were left out of it, with `rows.parquet`, its checksums `rows.crc`, and what other
//! crates add (`index.bin`, `summary.bin`). Two builds of one range by one version of the builder
//! are byte-identical. No file is ever changed, none is mapped into memory.

pub(crate) mod build;
pub mod checked;
pub mod digest;
pub(crate) mod layout;
mod merge;
mod raw;
pub mod reader;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_schema::ArrowError;
use hushlog_record::block::Columns;
use parquet::errors::ParquetError;

use crate::{batch, manifest};

pub use build::{Written, write};
pub use merge::{Keep, merge, rewrite};
pub use reader::{Bounds, Segment};

/// Rows of a granule; every granule but a segment's last is full.
pub const GRANULE_ROWS: usize = 1_024;
/// Granules of a row group.
pub const ROW_GROUP_GRANULES: usize = 64;
/// The Parquet file.
pub const ROWS_FILE: &str = "rows.parquet";
/// The checksums of the Parquet file's pieces.
pub const CHECKSUM_FILE: &str = "rows.crc";
/// Where the index lies; written by the caller through [`manifest::FileMeta::create`].
pub const INDEX_FILE: &str = "index.bin";
/// Where the summary lies; written by the caller through [`manifest::FileMeta::create`].
pub const SUMMARY_FILE: &str = "summary.bin";

/// The rows of one block that go into a segment.
#[derive(Clone, Debug)]
pub struct BlockRows {
    /// The block's position.
    pub seq: u64,
    /// Its rows.
    pub columns: Columns,
    /// Rows that no reader may see: repetitions. Ascending, disjoint.
    pub skip: Vec<Range<u32>>,
}

/// A segment could not be built or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A folder or file could not be made durable.
    #[error(transparent)]
    Disk(#[from] crate::Error),
    /// The file is damaged: fetch it from another replica or build it anew.
    #[error("segment file {path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The Parquet library refused.
    #[error("parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// The Arrow library refused.
    #[error("arrow: {0}")]
    Arrow(#[from] ArrowError),
    /// The rows do not fit the schema.
    #[error(transparent)]
    Batch(#[from] batch::Error),
    /// The manifest's entry is not of this file.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The range holds no row: there is nothing to build.
    #[error("the range {from}..{to} holds no row")]
    Empty {
        /// First seq.
        from: u64,
        /// End of the range.
        to: u64,
    },
    /// A merge is of one segment alone, in whose place it would be written.
    #[error("the segment {from}..{to} is alone: there is nothing to merge it with")]
    Alone {
        /// First seq.
        from: u64,
        /// End of the range.
        to: u64,
    },
    /// A block lies outside the range, or two blocks have the same seq.
    #[error("block {seq} does not belong into the range {from}..{to}")]
    Range {
        /// The block.
        seq: u64,
        /// First seq of the range.
        from: u64,
        /// End of the range.
        to: u64,
    },
    /// There is no such granule.
    #[error("granule {granule} of {count}")]
    Granule {
        /// What was asked for.
        granule: u32,
        /// How many there are.
        count: u32,
    },
}

impl Error {
    /// For use in `map_err`.
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// The name of a segment's folder.
pub fn folder_name(range: &Range<u64>, edition: u32) -> String {
    let Range { start, end } = range;
    match edition {
        0 => format!("{start}-{end}"),
        edition => format!("{start}-{end}.{edition}"),
    }
}
