//! Builds the segment of a cut, of smaller segments, or of one without some of its rows: rows, index, summary, id filter, all on the disk when
//! it returns.
//!
//! CPU and disk work, called on the builder's thread. It puts nothing into a manifest: whoever called
//! does that, and only then does the segment exist. The files depend on the blocks alone, or on the segments,
//! so every replica builds the same bytes.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use hushlog_index::{Builder, Index};
use hushlog_query::{Alphabets, SegmentView};
use hushlog_raft::TailBlock;
use hushlog_raft::meta::Cutoffs;
use hushlog_sketch::{IdFilter, Summary};
use hushlog_storage::batch::{Row, name};
use hushlog_storage::manifest::{FileMeta, SegmentMeta};
use hushlog_storage::segment::checked::CheckedFile;
use hushlog_storage::segment::{self, BlockRows, INDEX_FILE, Keep, SUMMARY_FILE, Segment, Written};

use super::cpu::ThreadCpu;
use super::doubts::lacks_descriptors;
use super::summary::{self, Counting};

/// Name of the file with the filter over the segment's log ids.
pub(crate) const IDS_FILE: &str = "ids.bin";

/// A segment could not be built or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A block of the log does not decode.
    #[error("block {seq}: {source}")]
    Block {
        /// Its position.
        seq: u64,
        /// Why.
        source: hushlog_record::block::Error,
    },
    /// The segment's rows.
    #[error(transparent)]
    Segment(#[from] segment::Error),
    /// A file of the segment or its entry in the manifest.
    #[error(transparent)]
    Manifest(#[from] hushlog_storage::manifest::Error),
    /// The index.
    #[error(transparent)]
    Index(#[from] hushlog_index::Error),
    /// The summary or the id filter.
    #[error(transparent)]
    Sketch(#[from] hushlog_sketch::Error),
    /// A batch is not of the schema.
    #[error(transparent)]
    Batch(#[from] hushlog_storage::batch::Error),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] hushlog_storage::Error),
    /// What is left of a segment is not what its summary says.
    #[error("the summary of the segment {from}..{to} does not count its rows")]
    Counts {
        /// First seq.
        from: u64,
        /// End of the range.
        to: u64,
    },
}

/// CPU nanoseconds by stage, for the benchmark.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BuildTimes {
    /// Decoding blocks, sorting, writing and reading back the rows.
    pub(crate) segment_nanos: u64,
    /// Tokenising and building the index.
    pub(crate) index_nanos: u64,
}

/// A segment on the disk and open.
pub(crate) struct Built {
    pub(crate) meta: SegmentMeta,
    pub(crate) view: Arc<SegmentView>,
    pub(crate) times: BuildTimes,
}

/// Builds the segment of `range` from the blocks of it; `None` when every row of it is skipped.
pub(crate) fn build(
    shard_folder: &Path,
    range: Range<u64>,
    blocks: &[TailBlock],
) -> Result<Option<Built>, Error> {
    let clock = ThreadCpu::start();
    let rows = blocks.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let filter = IdFilter::build(&log_ids(&rows));
    let mut indexing = Indexing::new()?;
    let written = segment::write(shard_folder, range, rows, |_, granule| {
        indexing.add(granule)
    });
    let written = match written {
        Ok(written) => written,
        Err(segment::Error::Empty { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let summary = summary::of_blocks(blocks);
    let derived = Derived { summary, filter };
    complete(shard_folder, written, indexing, derived, &clock).map(Some)
}

/// Builds one segment of several that lie side by side, of the same rows.
pub(crate) fn merge(shard_folder: &Path, parts: &[SegmentMeta]) -> Result<Built, Error> {
    let clock = ThreadCpu::start();
    let open = |meta| Segment::open(shard_folder, meta);
    let segments: Vec<Segment> = parts.iter().map(open).collect::<Result<_, _>>()?;
    let parts: Vec<_> = parts.iter().zip(&segments).collect();
    from_segments(shard_folder, &clock, |each| {
        segment::merge(shard_folder, &parts, each)
    })
}

/// Builds a segment anew without the rows that are left out, beside what is there; so many are left.
pub(crate) fn rewrite(
    shard_folder: &Path,
    meta: &SegmentMeta,
    cutoffs: &Cutoffs,
    kept: u64,
) -> Result<Built, Error> {
    let clock = ThreadCpu::start();
    let segment = Segment::open(shard_folder, meta)?;
    let says = |row: &Row<'_, '_>| {
        let (time, service) = (row.timestamp(), row.service_name());
        time.is_none_or(|time| time >= cutoffs.of(service.unwrap_or_default()))
    };
    let keep = Keep {
        columns: &[name::TIMESTAMP, name::SERVICE_NAME],
        says: &says,
    };
    let built = from_segments(shard_folder, &clock, |each| {
        segment::rewrite(shard_folder, (meta, &segment), keep, each)
    })?;
    if built.meta.rows != kept {
        let (from, to) = (meta.from, meta.to);
        return Err(Error::Counts { from, to });
    }
    Ok(built)
}

/// Builds what `write` writes of other segments, whose granules it hands over as it reads them back.
fn from_segments(
    shard_folder: &Path,
    clock: &ThreadCpu,
    write: impl FnOnce(&mut dyn FnMut(u32, &RecordBatch)) -> Result<Written, segment::Error>,
) -> Result<Built, Error> {
    let mut indexing = Indexing::new()?;
    let mut counting = Ok(Counting::new());
    let written = write(&mut |_, granule: &RecordBatch| {
        indexing.add(granule);
        if let Ok(count) = &mut counting
            && let Err(error) = count.add(granule)
        {
            counting = Err(error);
        }
    })?;
    let derived = Derived::of(counting?)?;
    complete(shard_folder, written, indexing, derived, clock)
}

/// Writes what lies beside the rows.
fn complete(
    shard_folder: &Path,
    written: Written,
    indexing: Indexing,
    derived: Derived,
    clock: &ThreadCpu,
) -> Result<Built, Error> {
    let Written { mut meta, segment } = written;
    let (index, index_nanos) = indexing.finish()?;
    let folder = shard_folder.join(meta.folder_name());
    meta.files
        .push(FileMeta::create(&folder, INDEX_FILE, &index)?);
    meta.files.extend(derived.write(&folder)?);
    let index = open_index(&folder, &meta)?;
    let times = BuildTimes {
        segment_nanos: clock.nanos().saturating_sub(index_nanos),
        index_nanos,
    };
    let view = Arc::new(derived.into_view(meta.clone(), segment, index));
    Ok(Built { meta, view, times })
}

/// Feeds granules to the index as they are read back, and counts its CPU time apart.
struct Indexing {
    builder: Builder,
    failed: Option<hushlog_index::Error>,
    nanos: u64,
}

impl Indexing {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            builder: Builder::new(),
            failed: None,
            nanos: 0,
        })
    }

    fn add(&mut self, granule: &RecordBatch) {
        let clock = ThreadCpu::start();
        if self.failed.is_none() {
            self.failed = self.builder.add(granule).err();
        }
        self.nanos += clock.nanos();
    }

    fn finish(self) -> Result<(Vec<u8>, u64), Error> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        let clock = ThreadCpu::start();
        let index = self.builder.finish()?;
        Ok((index, self.nanos + clock.nanos()))
    }
}

fn decode(block: &TailBlock) -> Result<BlockRows, Error> {
    let columns = block.block.columns().map_err(|source| Error::Block {
        seq: block.seq,
        source,
    })?;
    Ok(BlockRows {
        seq: block.seq,
        columns,
        skip: block.skip.to_vec(),
    })
}

fn log_ids(blocks: &[BlockRows]) -> Vec<[u8; 16]> {
    blocks
        .iter()
        .flat_map(|block| {
            let kept = (0u32..).zip(&block.columns.log_id);
            kept.filter(|(row, _)| !block.skip.iter().any(|skip| skip.contains(row)))
                .map(|(_, id)| id.0)
        })
        .collect()
}

/// Opens a segment that the manifest lists. Index, summary and filter that are lost or damaged are
/// rebuilt from the rows and replaced on the disk; damaged rows are an error.
pub(crate) fn open(shard_folder: &Path, meta: &SegmentMeta) -> Result<SegmentView, Error> {
    let segment = Segment::open(shard_folder, meta)?;
    let folder = shard_folder.join(meta.folder_name());
    let opened =
        Derived::read(&folder, meta).and_then(|derived| Ok((derived, open_index(&folder, meta)?)));
    let (derived, index) = match opened {
        Ok(opened) => opened,
        Err(error) if lacks_descriptors(&error) => return Err(error),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "derived files are rebuilt from the rows");
            rebuild(&folder, meta, &segment)?
        }
    };
    Ok(derived.into_view(meta.clone(), segment, index))
}

fn open_index(folder: &Path, meta: &SegmentMeta) -> Result<Index, Error> {
    Ok(Index::open(CheckedFile::open(
        folder,
        meta.file(INDEX_FILE)?,
    )?)?)
}

/// Deterministic builders give the bytes that the manifest lists, so it need not change.
fn rebuild(
    folder: &Path,
    meta: &SegmentMeta,
    segment: &Segment,
) -> Result<(Derived, Index), Error> {
    let mut builder = Builder::new();
    let mut counting = Counting::new();
    for granule in segment.scan(&segment.all_granules(), None)? {
        let (_, granule) = granule?;
        builder.add(&granule)?;
        counting.add(&granule)?;
    }
    let index = builder.finish()?;
    let derived = Derived::of(counting)?;
    let mut written = derived.write(folder)?;
    written.push(FileMeta::create(folder, INDEX_FILE, &index)?);
    for file in written {
        if meta.file(&file.name).is_ok_and(|listed| *listed != file) {
            tracing::warn!(folder = %folder.display(), file = file.name, "it differs from what the manifest lists");
        }
    }
    Ok((derived, Index::from_bytes(index)?))
}

/// What lies beside the rows and the index, small enough to be kept in memory.
struct Derived {
    summary: Summary,
    filter: IdFilter,
}

impl Derived {
    fn of(rows: Counting) -> Result<Self, Error> {
        let (summary, ids) = rows.finish();
        let filter = IdFilter::build(&ids);
        Ok(Self { summary, filter })
    }

    fn read(folder: &Path, meta: &SegmentMeta) -> Result<Self, Error> {
        let read = |name| meta.file(name)?.read(folder);
        Ok(Self {
            summary: Summary::decode(&read(SUMMARY_FILE)?)?,
            filter: IdFilter::decode(&read(IDS_FILE)?)?,
        })
    }

    fn write(&self, folder: &Path) -> Result<Vec<FileMeta>, Error> {
        Ok(vec![
            FileMeta::create(folder, SUMMARY_FILE, &self.summary.encode())?,
            FileMeta::create(folder, IDS_FILE, &self.filter.encode())?,
        ])
    }

    fn into_view(self, meta: SegmentMeta, segment: Segment, index: Index) -> SegmentView {
        SegmentView {
            meta,
            segment,
            index: Some(Arc::new(index)),
            summary: Some(Arc::new(self.summary)),
            filter: Some(Arc::new(self.filter)),
            alphabets: Alphabets::default(),
        }
    }
}
