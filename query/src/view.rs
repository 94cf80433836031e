//! What one shard gives a query to look at: its segments and the tail behind them, pinned together.

use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use hushlog_index::Index;
use hushlog_record::block::Counts;
use hushlog_record::{Block, ShardId, Timestamp};
use hushlog_sketch::{IdFilter, Summary};
use hushlog_storage::batch;
use hushlog_storage::manifest::SegmentMeta;
use hushlog_storage::segment::Segment;

use crate::Error;
use crate::budget::{Budget, Kept, Lease, TailMemory};
use crate::letters::Alphabets;
use crate::limits::PART_ROWS_MIN;

/// One shard at one moment. Cheap to make; nothing in it changes any more.
#[derive(Clone, Debug)]
pub struct View {
    /// The shard.
    pub shard: ShardId,
    /// Its segments, not overlapping.
    pub segments: Vec<Arc<SegmentView>>,
    /// The applied blocks that no segment covers.
    pub tail: Vec<Arc<TailBlock>>,
    /// End of what was applied when the view was made.
    pub applied_to: u64,
}

impl View {
    /// How many threads it is worth giving parts of this view, of those that there are.
    pub fn threads(&self, threads: usize) -> usize {
        let in_segments: u64 = self.segments.iter().map(|segment| segment.meta.rows).sum();
        let blocks = self.tail.iter();
        let in_tail: u64 = blocks.map(|b| u64::from(b.block.header().rows)).sum();
        let worth = (in_segments + in_tail) / PART_ROWS_MIN;
        usize::try_from(worth).map_or(threads, |worth| worth.clamp(1, threads.max(1)))
    }

    /// The same shard in at most `parts` views of about equally many rows, always cut alike, so that
    /// several threads can look through it: [`Part`](crate::Part).
    #[must_use]
    pub fn split(&self, parts: usize) -> Vec<Self> {
        let empty = Self {
            segments: Vec::new(),
            tail: Vec::new(),
            ..self.clone()
        };
        let mut views = vec![(0u64, empty); parts.max(1)];
        let mut segments: Vec<_> = self.segments.iter().collect();
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.meta.rows));
        for segment in segments {
            if let Some((rows, view)) = views.iter_mut().min_by_key(|(rows, _)| *rows) {
                *rows += segment.meta.rows;
                view.segments.push(Arc::clone(segment));
            }
        }
        for block in &self.tail {
            if let Some((rows, view)) = views.iter_mut().min_by_key(|(rows, _)| *rows) {
                *rows += u64::from(block.block.header().rows);
                view.tail.push(Arc::clone(block));
            }
        }
        let filled = |(rows, view): (u64, Self)| (rows > 0).then_some(view);
        let views: Vec<Self> = views.into_iter().filter_map(filled).collect();
        if views.is_empty() {
            vec![self.clone()]
        } else {
            views
        }
    }
}

/// A segment with what lies beside it. What is missing is done without.
#[derive(Debug)]
pub struct SegmentView {
    /// Its entry in the manifest.
    pub meta: SegmentMeta,
    /// Its rows.
    pub segment: Segment,
    /// Its index.
    pub index: Option<Arc<Index>>,
    /// Its counts per minute.
    pub summary: Option<Arc<Summary>>,
    /// Its record ids.
    pub filter: Option<Arc<IdFilter>>,
    /// What queries learnt of its columns.
    pub alphabets: Alphabets,
}

/// A block of the tail, turned into columns when a query needs them, and kept as such where there is memory
/// for it.
pub struct TailBlock {
    seq: u64,
    block: Block,
    skip: Vec<Range<u32>>,
    memory: TailMemory,
    kept: OnceLock<(RecordBatch, Kept)>,
}

impl TailBlock {
    /// The block at this seq, but for the rows in `skip` (ascending, disjoint); its columns are kept in `memory`.
    pub fn new(seq: u64, block: Block, skip: Vec<Range<u32>>, memory: TailMemory) -> Self {
        Self {
            seq,
            block,
            skip,
            memory,
            kept: OnceLock::new(),
        }
    }

    /// Its position.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The block as it was applied.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The rows that no reader may see.
    pub fn skip(&self) -> &[Range<u32>] {
        &self.skip
    }

    /// First and last event time, skipped rows included.
    pub(crate) fn times(&self) -> (Timestamp, Timestamp) {
        let header = self.block.header();
        (header.time_min, header.time_max)
    }

    /// Counts of its rows; `None` when the header counts rows that are skipped.
    pub(crate) fn counts(&self) -> Option<&Counts> {
        self.skip.is_empty().then(|| &self.block.header().counts)
    }

    /// Its rows: those that are kept, or decoded for whoever asks alone, and then in the memory of the question.
    ///
    /// # Errors
    /// [`Error::Data`] when they cannot be decoded, [`Error::Memory`] and [`Error::Busy`] when there is no room for them.
    pub(crate) fn batch(&self, budget: &Budget) -> Result<Decoded, Error> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let columns = self.block.columns().map_err(data)?;
        let batch = batch::from_columns(self.seq, &columns, &self.skip).map_err(data)?;
        let bytes = batch.get_array_memory_size();
        if let Some(kept) = self.memory.take(bytes) {
            // Another question may have been first: then what that has decoded is used.
            drop(self.kept.set((batch, kept)));
            return self.kept().ok_or(Error::Damaged("a block"));
        }
        let lease = budget.lease(bytes)?;
        Ok(Decoded {
            batch,
            _lease: Some(lease),
        })
    }

    fn kept(&self) -> Option<Decoded> {
        let (batch, _) = self.kept.get()?;
        Some(Decoded {
            batch: batch.clone(),
            _lease: None,
        })
    }
}

/// The rows of a block, for as long as they are looked at.
pub(crate) struct Decoded {
    batch: RecordBatch,
    /// Of the question's memory, if they are not kept.
    _lease: Option<Lease>,
}

impl Deref for Decoded {
    type Target = RecordBatch;

    fn deref(&self) -> &RecordBatch {
        &self.batch
    }
}

/// Prints no rows.
impl std::fmt::Debug for TailBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TailBlock")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// What a failure below means to a query.
pub(crate) fn data(error: impl std::fmt::Display) -> Error {
    Error::Data(error.to_string())
}
