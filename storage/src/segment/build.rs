//! Builds a segment, of blocks, of smaller segments, or of one without some of its rows: sorts rows, writes the Parquet file, reads it back.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::Path;

use arrow_array::RecordBatch;
use hushlog_record::block::Columns;
use hushlog_record::{LogId, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::checked::{self, Hashes, Hashing};
use super::digest::RowDigest;
use super::reader::Segment;
use super::{BlockRows, CHECKSUM_FILE, Error, GRANULE_ROWS, ROWS_FILE, folder_name, layout, raw};
use crate::batch::gather::{At, Gather, Input, Origin};
use crate::batch::restore::{Restore, Restored};
use crate::batch::{self, Row, typed};
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

/// Builds one segment of the rows of several that lie side by side, in order; all their rows are in it, in
/// the positions that they have. What is read of each is compared with the digest in its manifest.
///
/// # Errors
/// As [`write`]; [`Error::Damaged`] when a part does not hold the rows that its manifest says.
pub fn merge(
    shard_folder: &Path,
    parts: &[(&SegmentMeta, &Segment)],
    mut each: impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    let range = match parts {
        [(first, _), .., (last, _)] | [(first @ last, _)] => first.from..last.to,
        [] => return Err(Error::Empty { from: 0, to: 0 }),
    };
    let restored: Vec<Restored> = parts
        .iter()
        .map(|(meta, segment)| restore(meta, segment, &|_| true))
        .collect::<Result<_, _>>()?;
    gathered(shard_folder, (range, 0), restored, &mut each)
}

/// Builds a segment anew of those of its rows that `keep` says, in the positions that they have, as its next
/// edition: beside what is there, which is not touched. What is read is compared with the digest in the manifest.
///
/// # Errors
/// As [`merge`]; [`Error::Empty`] when no row is kept.
pub fn rewrite(
    shard_folder: &Path,
    (meta, segment): (&SegmentMeta, &Segment),
    keep: impl Fn(&Row<'_, '_>) -> bool,
    mut each: impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    let restored = restore(meta, segment, &keep)?;
    let edition = meta.edition.saturating_add(1);
    let place = (meta.from..meta.to, edition);
    gathered(shard_folder, place, vec![restored], &mut each)
}

/// Builds a segment of all these rows.
fn gathered(
    shard_folder: &Path,
    place: (Range<u64>, u32),
    restored: Vec<Restored>,
    each: &mut impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    let inputs: Vec<Input<'_>> = restored
        .iter()
        .map(|part| Input {
            origin: Origin::Rows(&part.positions),
            columns: &part.columns,
        })
        .collect();
    let rows = in_time_order(&inputs, std::iter::repeat(&[][..]));
    let meta = write_files(shard_folder, place, &inputs, &rows)?;
    drop((inputs, rows));
    drop(restored);
    finish(shard_folder, meta, each)
}

/// Those rows of a segment that `keep` says.
fn restore(
    meta: &SegmentMeta,
    segment: &Segment,
    keep: &impl Fn(&Row<'_, '_>) -> bool,
) -> Result<Restored, Error> {
    let mut digest = RowDigest::new();
    let mut restore = Restore::default();
    for granule in segment.scan(&segment.all_granules(), None)? {
        let (_, batch) = granule?;
        digest.add(&batch)?;
        restore.add(&batch, keep)?;
    }
    if digest.finish() != meta.row_digest {
        return Err(Error::damaged(
            segment.path(),
            "its rows are not the manifest's",
        ));
    }
    Ok(restore.finish())
}

/// Writes the rows and their checksums, durably; what the manifest is to say of them.
fn write_files(
    shard_folder: &Path,
    (range, edition): (Range<u64>, u32),
    inputs: &[Input<'_>],
    rows: &[Timed],
) -> Result<SegmentMeta, Error> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(Error::Empty {
            from: range.start,
            to: range.end,
        });
    };
    let columns: Vec<&Columns> = inputs.iter().map(|input| input.columns).collect();
    let gather = Gather::new(inputs, &typed::choose(&columns))?;

    let folder = shard_folder.join(folder_name(&range, edition));
    files::remove_folder(&folder)?;
    files::create_folder(&folder)?;
    let (digest, hashes) = write_rows(&folder, &gather, rows)?;
    let checksums = FileMeta::create(&folder, CHECKSUM_FILE, &checked::encode(&hashes.pieces))?;

    let (log_id_min, log_id_max) = log_ids(&columns, rows);
    Ok(SegmentMeta {
        from: range.start,
        to: range.end,
        edition,
        rows: rows.len() as u64,
        time_min: Timestamp::from_nanos(first.0),
        time_max: Timestamp::from_nanos(last.0),
        log_id_min,
        log_id_max,
        row_digest: digest,
        raw_bytes: raw_bytes(&columns, rows),
        files: vec![
            FileMeta {
                name: ROWS_FILE.to_owned(),
                bytes: hashes.bytes,
                crc32: hashes.crc32,
                blake3: hashes.blake3,
            },
            checksums,
        ],
    })
}

/// Opens what was written, and reads it back.
fn finish(
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

fn log_ids(inputs: &[&Columns], rows: &[Timed]) -> (LogId, LogId) {
    let ids = rows.iter().filter_map(|row| {
        let columns = inputs.get(row.1 as usize)?;
        columns.log_id.get(row.2 as usize).copied()
    });
    ids.fold((LogId([0xff; 16]), LogId([0; 16])), |(min, max), id| {
        (min.min(id), max.max(id))
    })
}

/// Writes and syncs the Parquet file; the digest is of what was meant.
fn write_rows(
    folder: &Path,
    gather: &Gather<'_>,
    rows: &[Timed],
) -> Result<([u8; 32], Hashes), Error> {
    let path = folder.join(ROWS_FILE);
    let file = File::create_new(&path).map_err(Error::file("creating", &path))?;
    let sink = Hashing::new(BufWriter::with_capacity(WRITE_BUFFER_BYTES, file));
    let options = ArrowWriterOptions::new()
        .with_properties(layout::properties(gather.typed(), gather.is_signed())?)
        .with_parquet_schema(layout::parquet_schema(gather.typed(), gather.is_signed())?);
    let schema = gather.schema().clone();
    let mut writer = ArrowWriter::try_new_with_options(sink, schema, options)?;
    let mut digest = RowDigest::new();
    let mut granule: Vec<At> = Vec::with_capacity(GRANULE_ROWS);
    for chunk in rows.chunks(GRANULE_ROWS) {
        granule.clear();
        granule.extend(chunk.iter().map(|row| (row.1, row.2)));
        let batch = gather.batch(&granule)?;
        digest.add(&batch)?;
        writer.write(&batch)?;
    }
    let (buffered, hashes) = writer.into_inner()?.finish();
    let file = buffered
        .into_inner()
        .map_err(|e| Error::file("writing", &path)(e.into_error()))?;
    file.sync_all().map_err(Error::file("syncing", &path))?;
    files::sync_folder(folder)?;
    Ok((digest.finish(), hashes))
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
