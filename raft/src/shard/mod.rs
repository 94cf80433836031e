//! A shard's state machine: which blocks are applied, which requests it has seen, what is cut.
//!
//! Applying moves positions and remembers keys; it decodes no rows (but when a request comes a second
//! time inside a larger block), does no search work and never waits for a disk. Every replica that
//! has applied the same log has the same state.

mod cuts;
mod dropped;
mod keys;
mod kind;
mod producers;
mod record;
mod sealed;
mod shared;
mod state;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hushlog_record::block::{Block, Counts};

pub use dropped::{drop_shard, stored_shards};
pub(crate) use producers::{Form, Known};
pub use producers::{Origin, Table, TableEntry};
pub(crate) use record::Record;
pub use sealed::{Sealed, forget_sealed_keys, has_group, sealed_keys};
pub(crate) use shared::Shared;
pub(crate) use state::{counts_without, parts_of, skipped};

/// An applied block that no segment covers yet. A clone shares the block.
#[derive(Clone, Debug)]
pub struct TailBlock {
    /// Its position in the shard.
    pub seq: u64,
    /// As the gateway sealed it.
    pub block: Block,
    /// Rows that exist for no reader; ascending.
    pub skip: Arc<[Range<u32>]>,
    /// The counts of the other rows, where `skip` is not empty.
    adjusted: Option<Arc<Counts>>,
}

impl TailBlock {
    /// The counts of the rows that exist.
    pub fn counts(&self) -> &Counts {
        self.adjusted
            .as_deref()
            .unwrap_or_else(|| &self.block.header().counts)
    }

    /// How many rows exist.
    pub fn rows(&self) -> u32 {
        let skipped: u32 = self.skip.iter().map(|rows| rows.end - rows.start).sum();
        self.block.header().rows - skipped
    }
}

/// What became of one part of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartAnswer {
    /// The part's rows in its block.
    pub rows: Range<u32>,
    /// Where they are.
    pub origin: Origin,
    /// Version of the patterns that they were masked under.
    pub policy_epoch: u64,
    /// Whether they had been there before: the rows of this block are skipped.
    pub duplicate: bool,
    /// Whether what had been there is of another content: these rows are not stored, and nowhere.
    pub conflict: bool,
}

/// One unchanging view of a shard: segments, then exactly the tail that they do not cover.
#[derive(Clone, Debug)]
pub struct View {
    /// The manifest as the node encoded it; empty before the first segment.
    pub manifest: Bytes,
    /// Blocks before this are in segments.
    pub segmented_to: u64,
    /// Blocks before this are applied.
    pub applied_to: u64,
    /// The blocks from `segmented_to` to `applied_to`, ascending.
    pub tail: Arc<Vec<TailBlock>>,
    /// Cuts whose segments are not reported yet, oldest first.
    pub pending_cuts: Vec<Range<u64>>,
    /// Whether it takes no more data.
    pub closed: bool,
}

/// How far a shard is here. Half-open, always `segmented_to ≤ cut_to ≤ applied_to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Blocks before this are in segments.
    pub segmented_to: u64,
    /// Blocks before this are in a segment or a pending cut.
    pub cut_to: u64,
    /// Blocks before this are applied.
    pub applied_to: u64,
    /// Bytes of the blocks from `cut_to` on.
    pub uncut_bytes: u64,
    /// Whether it takes no more data.
    pub closed: bool,
    /// Whether it knows the request keys of the shards before it: until then it takes no keyed request.
    pub inherited: bool,
    /// The lowest version of the patterns that it takes blocks of.
    pub policy_epoch: u64,
}
