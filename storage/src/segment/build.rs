//! Builds a segment of blocks: sorts rows, writes the Parquet file, reads it back.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use hushlog_record::block::Columns;
use hushlog_record::{LogId, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::checked::{self, Hashing};
use super::digest::RowDigest;
use super::reader::Segment;
use super::{BlockRows, CHECKSUM_FILE, Error, GRANULE_ROWS, ROWS_FILE, folder_name, layout, raw};
use crate::batch::gather::{At, Gather, Input, Origin};
use crate::batch::{self, Typed, typed};
use crate::files;
use crate::manifest::{FileMeta, SegmentMeta};

/// Buffer in front of the file.
const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// A segment on the disk, in no manifest yet.
#[derive(Debug)]
pub struct Written {
    /// What the manifest is to say of it; the caller adds the files that it writes beside it.
    pub meta: SegmentMeta,
    /// The segment, open.
    pub segment: Segment,
}

/// Builds the segment of `range` from its blocks, in any order, in the folder `<from>-<to>` of
/// `shard_folder`. A folder left by a build that was interrupted is replaced.
///
/// Every granule is read back from the file, compared with what was meant to be written, and given
/// to `each`: the index and the summary are made of what is on the disk. When this returns, file and
/// folder are synced.
///
/// # Errors
/// [`Error::Empty`] when no row is left, [`Error::Range`] for blocks that do not belong, and
/// anything that the disk or the libraries refuse.
pub fn write(
    shard_folder: &Path,
    range: Range<u64>,
    mut blocks: Vec<BlockRows>,
    mut each: impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    blocks.sort_by_key(|block| block.seq);
    check_range(&range, &blocks)?;
    let inputs: Vec<Input<'_>> = blocks.iter().map(BlockRows::input).collect();
    let skips = blocks.iter().map(|block| block.skip.as_slice());
    let rows = in_time_order(&inputs, skips);
    let meta = write_files(shard_folder, (range, 0), &inputs, &rows)?;
    drop((inputs, rows));
    drop(blocks);
    finish(shard_folder, meta, &mut each)
}

/// Writes the rows and their checksums, durably; what the manifest is to say of them.
fn write_files(
    shard_folder: &Path,
    place: Place,
    inputs: &[Input<'_>],
    rows: &[Timed],
) -> Result<SegmentMeta, Error> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(Error::Empty {
            from: place.0.start,
            to: place.0.end,
        });
    };
    let columns: Vec<&Columns> = inputs.iter().map(|input| input.columns).collect();
    let gather = Gather::new(inputs, &typed::choose(&columns))?;
    let mut file = RowsFile::create(shard_folder, place, gather.typed(), gather.is_signed())?;
    let mut granule: Vec<At> = Vec::with_capacity(GRANULE_ROWS);
    for chunk in rows.chunks(GRANULE_ROWS) {
        granule.clear();
        granule.extend(chunk.iter().map(|row| (row.1, row.2)));
        file.add(&gather.batch(&granule)?)?;
    }
    let mut facts = Facts::new();
    facts.see_time(first.0);
    facts.see_time(last.0);
    facts.rows = rows.len() as u64;
    facts.raw_bytes = raw_bytes(&columns, rows);
    let ids = rows.iter().filter_map(|row| {
        let columns = columns.get(row.1 as usize)?;
        columns.log_id.get(row.2 as usize).copied()
    });
    ids.for_each(|id| facts.see(id));
    file.finish(&facts)
}

/// Where a segment lies: the positions that it covers, and its edition.
pub(super) type Place = (Range<u64>, u32);

/// What a manifest says of the rows of a segment.
pub(super) struct Facts {
    pub(super) rows: u64,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    pub(super) log_id_min: LogId,
    pub(super) log_id_max: LogId,
    pub(super) raw_bytes: u64,
}

impl Facts {
    /// Of no row.
    pub(super) fn new() -> Self {
        Self {
            rows: 0,
            time_min: i64::MAX,
            time_max: i64::MIN,
            log_id_min: LogId([0xff; 16]),
            log_id_max: LogId([0; 16]),
            raw_bytes: 0,
        }
    }

    /// One of the rows has this time.
    pub(super) fn see_time(&mut self, time: i64) {
        self.time_min = self.time_min.min(time);
        self.time_max = self.time_max.max(time);
    }

    /// One of the rows has this id.
    pub(super) fn see(&mut self, id: LogId) {
        self.log_id_min = self.log_id_min.min(id);
        self.log_id_max = self.log_id_max.max(id);
    }
}

/// The file of the rows of a segment under construction.
pub(super) struct RowsFile {
    place: Place,
    folder: PathBuf,
    writer: ArrowWriter<Hashing<BufWriter<File>>>,
    /// Of what was meant to be written.
    digest: RowDigest,
}

impl RowsFile {
    /// In the folder of its place, which is made anew.
    pub(super) fn create(
        shard_folder: &Path,
        place: Place,
        typed: &[Typed],
        is_signed: bool,
    ) -> Result<Self, Error> {
        let folder = shard_folder.join(folder_name(&place.0, place.1));
        files::remove_folder(&folder)?;
        files::create_folder(&folder)?;
        let path = folder.join(ROWS_FILE);
        let file = File::create_new(&path).map_err(Error::file("creating", &path))?;
        let sink = Hashing::new(BufWriter::with_capacity(WRITE_BUFFER_BYTES, file));
        let options = ArrowWriterOptions::new()
            .with_properties(layout::properties(typed, is_signed)?)
            .with_parquet_schema(layout::parquet_schema(typed, is_signed)?);
        let schema = Arc::new(batch::schema(typed, is_signed));
        Ok(Self {
            place,
            folder,
            writer: ArrowWriter::try_new_with_options(sink, schema, options)?,
            digest: RowDigest::new(),
        })
    }

    /// Adds the next granule.
    pub(super) fn add(&mut self, granule: &RecordBatch) -> Result<(), Error> {
        self.digest.add(granule)?;
        Ok(self.writer.write(granule)?)
    }

    /// Ends and syncs it, and writes its checksums beside it; what the manifest is to say of the segment.
    pub(super) fn finish(self, facts: &Facts) -> Result<SegmentMeta, Error> {
        let path = self.folder.join(ROWS_FILE);
        let (buffered, hashes) = self.writer.into_inner()?.finish();
        let file = buffered
            .into_inner()
            .map_err(|e| Error::file("writing", &path)(e.into_error()))?;
        file.sync_all().map_err(Error::file("syncing", &path))?;
        files::sync_folder(&self.folder)?;
        let checksums = checked::encode(&hashes.pieces);
        let checksums = FileMeta::create(&self.folder, CHECKSUM_FILE, &checksums)?;
        let rows = FileMeta {
            name: ROWS_FILE.to_owned(),
            bytes: hashes.bytes,
            crc32: hashes.crc32,
            blake3: hashes.blake3,
        };
        let (range, edition) = self.place;
        Ok(SegmentMeta {
            from: range.start,
            to: range.end,
            edition,
            rows: facts.rows,
            time_min: Timestamp::from_nanos(facts.time_min),
            time_max: Timestamp::from_nanos(facts.time_max),
            log_id_min: facts.log_id_min,
            log_id_max: facts.log_id_max,
            row_digest: self.digest.finish(),
            raw_bytes: facts.raw_bytes,
            files: vec![rows, checksums],
        })
    }
}

/// Opens what was written, and reads it back.
pub(super) fn finish(
    shard_folder: &Path,
    meta: SegmentMeta,
    each: &mut impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    let segment = Segment::open(shard_folder, &meta)?;
    read_back(&segment, &meta, each)?;
    Ok(Written { meta, segment })
}

impl BlockRows {
    fn input(&self) -> Input<'_> {
        Input {
            origin: Origin::Block(self.seq),
            columns: &self.columns,
        }
    }
}

fn check_range(range: &Range<u64>, blocks: &[BlockRows]) -> Result<(), Error> {
    let repeated = blocks
        .windows(2)
        .find(|pair| pair[0].seq == pair[1].seq)
        .map(|pair| &pair[0]);
    let foreign = blocks.iter().find(|block| !range.contains(&block.seq));
    match repeated.or(foreign) {
        None => Ok(()),
        Some(block) => Err(Error::Range {
            seq: block.seq,
            from: range.start,
            to: range.end,
        }),
    }
}

/// A row and its time, so that the order of tuples is (time, seq, row).
type Timed = (i64, u32, u32);

/// The rows of all inputs that `skips` leaves of each. Inputs ascend by position, and so do the rows of one
/// time in each of them.
fn in_time_order<'a>(
    inputs: &[Input<'_>],
    skips: impl Iterator<Item = &'a [Range<u32>]>,
) -> Vec<Timed> {
    let all = inputs.iter().map(|input| input.columns.rows as usize).sum();
    let mut rows = Vec::with_capacity(all);
    for ((place, input), skip) in (0u32..).zip(inputs).zip(skips) {
        let columns = input.columns;
        let kept = batch::kept_rows(columns.rows, skip);
        rows.extend(
            kept.filter_map(|row| Some((*columns.timestamp.get(row as usize)?, place, row))),
        );
    }
    // The stable sort, since it takes advantage of runs, and a block's rows mostly are one.
    rows.sort();
    rows
}

/// What the rows are before they are encoded.
fn raw_bytes(inputs: &[&Columns], rows: &[Timed]) -> u64 {
    let unseen = |columns: &&Columns| vec![false; columns.rows as usize];
    let mut kept: Vec<Vec<bool>> = inputs.iter().map(unseen).collect();
    for (_, input, row) in rows {
        let of_input = kept.get_mut(*input as usize);
        if let Some(kept) = of_input.and_then(|rows| rows.get_mut(*row as usize)) {
            *kept = true;
        }
    }
    let inputs = inputs.iter().zip(&kept);
    inputs
        .map(|(columns, kept)| raw::bytes(columns, kept))
        .sum()
}

/// Reads every granule from the file and compares the whole with what was meant.
fn read_back(
    segment: &Segment,
    meta: &SegmentMeta,
    each: &mut impl FnMut(u32, &RecordBatch),
) -> Result<(), Error> {
    let mut digest = RowDigest::new();
    let mut rows = 0;
    for granule in segment.scan(&segment.all_granules(), None)? {
        let (number, batch) = granule?;
        digest.add(&batch)?;
        rows += batch.num_rows() as u64;
        each(number, &batch);
    }
    if rows != meta.rows || digest.finish() != meta.row_digest {
        return Err(Error::damaged(
            segment.path(),
            "it does not hold the rows that were written",
        ));
    }
    Ok(())
}
