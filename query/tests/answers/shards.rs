//! Puts records into a shard: some blocks in segments, the others in the tail.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use hushlog_index::Index;
use hushlog_query::{
    Alphabets, Answer, Budget, Error, Floors, Memory, Part, Partial, Plan, SegmentView, TailBlock,
    TailMemory, View,
};
use hushlog_query::{merge, unite};
use hushlog_record::block::Counts;
use hushlog_record::{Block, Masked, Record, ShardId, Timestamp};
use hushlog_sketch::{ExceptionTally, IdFilter, Summary};
use hushlog_storage::segment::{self, BlockRows};

/// What now is in every test: 2026-01-02T03:04:05Z.
pub(crate) fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// One block to be: its records, and the rows that no reader may see.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    pub(crate) skip: Vec<Range<u32>>,
}

impl Batch {
    pub(crate) fn of(records: Vec<Record>) -> Self {
        Self {
            records,
            skip: Vec::new(),
        }
    }

    /// The records that readers see, with their rows.
    pub(crate) fn visible(&self) -> impl Iterator<Item = (u32, &Record)> {
        let skipped = |row: &u32| self.skip.iter().any(|range| range.contains(row));
        (0..)
            .zip(&self.records)
            .filter(move |(row, _)| !skipped(row))
    }
}

/// Memory of tails that has room for the columns of some blocks, and not for those of many.
const TAIL_BYTES: usize = 48 << 10;

/// A shard of these blocks, from seq 1. Segments cover `cuts` of them in turn, the tail the rest.
pub(crate) fn view(folder: &Path, shard: ShardId, batches: &[Batch], cuts: &[usize]) -> View {
    view_in(folder, shard, batches, cuts, &TailMemory::new(TAIL_BYTES))
}

/// The same, with the columns of its tail in this memory.
pub(crate) fn view_in(
    folder: &Path,
    shard: ShardId,
    batches: &[Batch],
    cuts: &[usize],
    memory: &TailMemory,
) -> View {
    let blocks: Vec<(u64, Block, &Batch)> = (1..)
        .zip(batches)
        .map(|(seq, batch)| {
            let masked: Vec<_> = batch.records.iter().cloned().map(Masked::vouch).collect();
            (
                seq,
                Block::seal(shard, 1, now(), Vec::new(), &masked),
                batch,
            )
        })
        .collect();
    let mut rest = blocks.as_slice();
    let mut segments = Vec::new();
    for &cut in cuts {
        let (covered, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        segments.extend(segment(folder, covered));
    }
    let tail = rest.iter().map(|(seq, block, batch)| {
        let (block, skip) = (block.clone(), batch.skip.clone());
        Arc::new(TailBlock::new(*seq, block, skip, memory.clone()))
    });
    View {
        shard,
        segments,
        tail: tail.collect(),
        applied_to: batches.len() as u64 + 1,
    }
}

fn segment(folder: &Path, blocks: &[(u64, Block, &Batch)]) -> Option<Arc<SegmentView>> {
    let range = blocks.first()?.0..blocks.last()?.0 + 1;
    let rows = blocks.iter().map(|(seq, block, batch)| BlockRows {
        seq: *seq,
        columns: block.columns().unwrap(),
        skip: batch.skip.clone(),
    });
    let mut granules: Vec<RecordBatch> = Vec::new();
    let written = segment::write(folder, range, rows.collect(), |_, granule| {
        granules.push(granule.clone());
    });
    let written = match written {
        Err(segment::Error::Empty { .. }) => return None,
        written => written.unwrap(),
    };
    let visible: Vec<&Record> = blocks
        .iter()
        .flat_map(|(_, _, batch)| batch.visible().map(|(_, record)| record))
        .collect();
    let ids: Vec<[u8; 16]> = visible.iter().map(|record| record.log_id.0).collect();
    let index = hushlog_index::build(&granules).unwrap();
    Some(Arc::new(SegmentView {
        meta: written.meta,
        segment: written.segment,
        index: Some(Arc::new(Index::from_bytes(index).unwrap())),
        summary: Some(Arc::new(summary(&Counts::of(visible)))),
        filter: Some(Arc::new(IdFilter::build(&ids))),
        alphabets: Alphabets::default(),
    }))
}

fn summary(counts: &Counts) -> Summary {
    let mut summary = Summary::new();
    for cell in &counts.levels {
        summary.add_level(cell.minute, &cell.service, cell.level.code(), cell.count);
    }
    for cell in &counts.exceptions {
        let samples: Vec<[u8; 16]> = cell.samples.iter().map(|id| id.0).collect();
        let tally = ExceptionTally {
            count: cell.count,
            first_seen: cell.first_seen.nanos(),
            last_seen: cell.last_seen.nanos(),
            samples: &samples,
        };
        summary.add_exception(cell.minute, &cell.service, &cell.type_name, tally);
    }
    summary
}

/// A budget that nothing exceeds.
pub(crate) fn budget(use_index: bool, use_summaries: bool) -> Budget {
    let mut budget = Budget::new(Memory::alone(1 << 30), || None);
    budget.use_index = use_index;
    budget.use_summaries = use_summaries;
    budget
}

/// Answers a request over these shards, each in parts, every plan and partial having travelled.
pub(crate) fn answer(json: &str, views: &[View], budget: &Budget) -> Answer {
    answer_above(&Floors::NONE, json, views, budget)
}

/// The same, where what is older than `floors` is hidden.
pub(crate) fn answer_above(floors: &Floors, json: &str, views: &[View], budget: &Budget) -> Answer {
    let plan = Plan::new(json.as_bytes(), now());
    let mut plan = plan.unwrap_or_else(|error| panic!("{json}: {error}"));
    plan.hide(floors.clone());
    let plan = Plan::decode(&plan.encode()).unwrap();
    // One, two or three threads, so that every way is taken.
    let threads = 1 + usize::from(budget.use_index) + usize::from(budget.use_summaries);
    let partials = views.iter().map(|view| {
        let partial = in_parts(&plan, view, threads, budget).unwrap();
        assert_eq!(partial.scanned.index_failures, 0);
        let back = Partial::decode(&plan, &partial.encode()).unwrap();
        assert_eq!(back, partial);
        back
    });
    merge(&plan, partials.collect()).unwrap()
}

/// Answers a plan from parts of a shard, as several threads would.
pub(crate) fn in_parts(
    plan: &Plan,
    view: &View,
    threads: usize,
    budget: &Budget,
) -> Result<Partial, Error> {
    let parts = view.split(threads).into_iter();
    let parts = parts.map(|view| Part::scan(plan, view, budget));
    unite(plan, parts.collect::<Result<_, _>>()?, budget)
}
