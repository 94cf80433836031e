//! Builds a segment of smaller ones that lie side by side, or of one without some of its rows.
//!
//! The rows go through memory a few granules at a time, however many there are: once to choose the columns,
//! once to be written. The file is the one that a build of all of them at once would give.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::path::Path;

use arrow_array::RecordBatch;
use hushlog_record::Timestamp;

use super::build::{self, Facts, Place, RowsFile};
use super::digest::RowDigest;
use super::reader::{Scan, Segment};
use super::{Error, GRANULE_ROWS, Written, folder_name, raw};
use crate::batch::gather::{At, Gather, Input, Origin};
use crate::batch::restore::{Restore, Restored};
use crate::batch::typed::Chooser;
use crate::batch::{Row, Rows, Typed, name};
use crate::files;
use crate::manifest::SegmentMeta;

/// Granules that are gathered at once. The granules of the parts that they come from are in memory meanwhile.
const STRIDE_GRANULES: usize = 16;

/// Which rows of a segment stay when it is written anew.
#[derive(Clone, Copy)]
pub struct Keep<'a> {
    /// The columns that are looked at for that.
    pub columns: &'a [&'a str],
    /// Whether a row stays, of which these columns are there, and perhaps others.
    pub says: &'a dyn Fn(&Row<'_, '_>) -> bool,
}

/// Builds one segment of the rows of several that lie side by side, in order; all their rows are in it, in
/// the positions that they have. What is read of each is compared with the digest in its manifest. `each` is as
/// in [`write`](super::write).
///
/// # Errors
/// As [`write`](super::write); [`Error::Alone`] for one part, whose place would be that of what is made of it;
/// [`Error::Damaged`] when a part does not hold the rows that its manifest says.
pub fn merge(
    shard_folder: &Path,
    parts: &[(&SegmentMeta, &Segment)],
    each: impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    match parts {
        [] => Err(Error::Empty { from: 0, to: 0 }),
        [(one, _)] => Err(Error::Alone {
            from: one.from,
            to: one.to,
        }),
        [(first, _), .., (last, _)] => {
            write(shard_folder, (first.from..last.to, 0), (parts, None), each)
        }
    }
}

/// Builds a segment anew of those of its rows that stay, in the positions that they have, as its next edition: beside
/// what is there, which is not touched. What is read is compared with the digest in the manifest.
///
/// # Errors
/// As [`merge`]; [`Error::Empty`] when no row stays.
pub fn rewrite(
    shard_folder: &Path,
    (meta, segment): (&SegmentMeta, &Segment),
    keep: Keep<'_>,
    each: impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    let place = (meta.from..meta.to, meta.edition.saturating_add(1));
    let parts = [(meta, segment)];
    write(shard_folder, place, (&parts, Some(keep)), each)
}

/// Parts, and which of their rows are taken: all of them, if nothing is said.
type Taken<'a> = (&'a [(&'a SegmentMeta, &'a Segment)], Option<Keep<'a>>);

fn write(
    shard_folder: &Path,
    place: Place,
    from: Taken<'_>,
    mut each: impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    let folder = shard_folder.join(folder_name(&place.0, place.1));
    let layout = Layout::of(from)?;
    if layout.rows == 0 {
        let Range { start, end } = place.0;
        return Err(Error::Empty {
            from: start,
            to: end,
        });
    }
    match write_files(shard_folder, place, from, &layout) {
        Ok(meta) => build::finish(shard_folder, meta, &mut each),
        Err(error) => {
            // What is half written is no use to anybody.
            files::remove_folder(&folder)?;
            Err(error)
        }
    }
}

fn write_files(
    shard_folder: &Path,
    place: Place,
    from: Taken<'_>,
    layout: &Layout,
) -> Result<SegmentMeta, Error> {
    let mut facts = Facts::new();
    let mut file = RowsFile::create(shard_folder, place, &layout.typed, layout.is_signed)?;
    let mut merging = Merging::of(from, &mut facts)?;
    loop {
        let stride = merging.next_stride(&mut facts)?;
        if stride.is_empty() {
            break;
        }
        let inputs = merging.inputs();
        let gather = Gather::of(&inputs, &layout.typed, layout.is_signed)?;
        for granule in stride.chunks(GRANULE_ROWS) {
            file.add(&gather.batch(granule)?)?;
        }
        merging.forget_written();
    }
    merging.check()?;
    file.finish(&facts)
}

/// Which columns the new segment has, and how many rows.
struct Layout {
    typed: Vec<Typed>,
    is_signed: bool,
    rows: u64,
}

impl Layout {
    /// As the rows that are taken ask for.
    fn of((parts, keep): Taken<'_>) -> Result<Self, Error> {
        let mut chooser = Chooser::default();
        let mut is_signed = false;
        let mut taken = 0;
        let kept_by = keep.map_or(&[][..], |keep| keep.columns);
        for (_, segment) in parts {
            let schema = segment.schema().fields().iter();
            let names = schema.map(|field| field.name().as_str());
            let is_asked = |name: &&str| {
                [name::FIELDS, name::EXCEPTION_SIGNATURE].contains(name)
                    || name.starts_with(name::TYPED_PREFIX)
                    || kept_by.contains(name)
            };
            let columns: Vec<&str> = names.filter(is_asked).collect();
            for granule in segment.scan(&segment.all_granules(), Some(&columns))? {
                let (_, batch) = granule?;
                let rows = Rows::new(&batch)?;
                let stays = |row: &Row<'_, '_>| keep.is_none_or(|keep| (keep.says)(row));
                for row in rows.iter().filter(stays) {
                    let fields = row.fields();
                    chooser.add(fields.iter().map(|f| (f.name, f.kind, &*f.text)));
                    is_signed |= row.signature() != 0;
                    taken += 1;
                }
            }
        }
        Ok(Self {
            typed: chooser.finish(),
            is_signed,
            rows: taken,
        })
    }
}

/// Parts whose rows are taken in the order of their times, those of one time in the order of the parts.
struct Merging<'a> {
    parts: Vec<Part<'a>>,
    /// The parts that have rows left, by the time of their next one.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
}

/// A part, of which some granules are in memory.
struct Part<'a> {
    meta: &'a SegmentMeta,
    segment: &'a Segment,
    scan: Scan,
    digest: RowDigest,
    /// Granules that are read and not all written.
    granules: VecDeque<Restored>,
    /// The place of the first of these among the inputs of a stride.
    first_input: u32,
    /// How many granules were read.
    read: u32,
    /// The next row of the last one.
    row: usize,
    keep: Option<Keep<'a>>,
}

impl<'a> Merging<'a> {
    fn of((parts, keep): Taken<'a>, facts: &mut Facts) -> Result<Self, Error> {
        let mut merging = Self {
            parts: Vec::with_capacity(parts.len()),
            heads: BinaryHeap::with_capacity(parts.len()),
        };
        for (place, (meta, segment)) in parts.iter().enumerate() {
            let mut part = Part::open(meta, segment, keep)?;
            let head = part.head(facts)?;
            merging
                .heads
                .extend(head.map(|head| Reverse((head, place))));
            merging.parts.push(part);
        }
        Ok(merging)
    }

    /// The next rows: the place of their granule among all that are in memory, and their row in it.
    fn next_stride(&mut self, facts: &mut Facts) -> Result<Vec<At>, Error> {
        // Part, granule of it, row: where a granule is among all is known when all of them are read.
        let mut order: Vec<(usize, u32, u32)> = Vec::new();
        while order.len() < STRIDE_GRANULES * GRANULE_ROWS
            && let Some(Reverse((_, place))) = self.heads.pop()
        {
            let Some(part) = self.parts.get_mut(place) else {
                continue;
            };
            let (granule, row) = part.next(facts)?;
            order.push((place, granule, row));
            if let Some(head) = part.head(facts)? {
                self.heads.push(Reverse((head, place)));
            }
        }
        let mut inputs = 0;
        for part in &mut self.parts {
            part.first_input = inputs;
            inputs += small(part.granules.len());
        }
        let input = |(place, granule, row): (usize, u32, u32)| {
            let first = self.parts.get(place).map_or(0, |part| part.first_input);
            (first + granule, row)
        };
        Ok(order.into_iter().map(input).collect())
    }

    /// All granules that are in memory.
    fn inputs(&self) -> Vec<Input<'_>> {
        let granules = self.parts.iter().flat_map(|part| &part.granules);
        let inputs = granules.map(|granule| Input {
            origin: Origin::Rows(&granule.positions),
            columns: &granule.columns,
        });
        inputs.collect()
    }

    /// Lets go of the granules all of whose rows are written.
    fn forget_written(&mut self) {
        self.parts.iter_mut().for_each(Part::forget_written);
    }

    /// Whether all parts were what their manifests say.
    fn check(&self) -> Result<(), Error> {
        self.parts.iter().try_for_each(Part::check)
    }
}

impl<'a> Part<'a> {
    fn open(
        meta: &'a SegmentMeta,
        segment: &'a Segment,
        keep: Option<Keep<'a>>,
    ) -> Result<Self, Error> {
        Ok(Self {
            meta,
            segment,
            scan: segment.scan(&segment.all_granules(), None)?,
            digest: RowDigest::new(),
            granules: VecDeque::new(),
            first_input: 0,
            read: 0,
            row: 0,
            keep,
        })
    }

    /// The granule that the next row is in, if it is read.
    fn current(&self) -> Option<&Restored> {
        let last = self.granules.back();
        last.filter(|granule| self.row < granule.positions.len())
    }

    /// The time of the next row that is taken. A granule need not be read for that where all rows are.
    fn head(&mut self, facts: &mut Facts) -> Result<Option<i64>, Error> {
        while self.keep.is_some() && self.current().is_none() && self.next_begins().is_some() {
            self.read_granule(facts)?;
        }
        Ok(match self.current() {
            Some(granule) => granule.columns.timestamp.get(self.row).copied(),
            None => self.next_begins(),
        })
    }

    /// When the next granule that is not read begins, if there is one.
    fn next_begins(&self) -> Option<i64> {
        Some(self.segment.granule_time(self.read)?.0.nanos())
    }

    /// Takes the next row: its granule among those in memory, and its place there.
    fn next(&mut self, facts: &mut Facts) -> Result<(u32, u32), Error> {
        if self.current().is_none() {
            self.read_granule(facts)?;
        }
        let row = small(self.row);
        self.row += 1;
        Ok((small(self.granules.len()) - 1, row))
    }

    fn read_granule(&mut self, facts: &mut Facts) -> Result<(), Error> {
        let expected = self.next_begins();
        let damaged = |what| Err(Error::damaged(self.segment.path(), what));
        let Some(granule) = self.scan.next() else {
            return damaged("it has fewer granules than its footer says");
        };
        let (_, batch) = granule?;
        self.digest.add(&batch)?;
        let first = Rows::new(&batch)?
            .iter()
            .next()
            .and_then(|row| row.timestamp());
        if first.map(Timestamp::nanos) != expected {
            return damaged("a granule does not begin when its footer says");
        }
        let mut restore = Restore::default();
        restore.add(&batch, &|row| self.keep.is_none_or(|keep| (keep.says)(row)))?;
        let granule = restore.finish();
        let columns = &granule.columns;
        facts.rows += u64::from(columns.rows);
        facts.raw_bytes += raw::bytes(columns, &vec![true; granule.positions.len()]);
        columns.log_id.iter().for_each(|id| facts.see(*id));
        let times = [columns.timestamp.first(), columns.timestamp.last()];
        times
            .into_iter()
            .flatten()
            .for_each(|time| facts.see_time(*time));
        self.read += 1;
        if !granule.positions.is_empty() {
            self.granules.push_back(granule);
            self.row = 0;
        }
        Ok(())
    }

    fn forget_written(&mut self) {
        let kept = usize::from(self.current().is_some());
        self.granules.drain(..self.granules.len() - kept);
    }

    fn check(&self) -> Result<(), Error> {
        if self.digest.finish() == self.meta.row_digest {
            return Ok(());
        }
        let what = "its rows are not the manifest's";
        Err(Error::damaged(self.segment.path(), what))
    }
}

/// Granules in memory and rows of one are few.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
