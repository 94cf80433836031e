//! Builds a segment of smaller ones that lie side by side.
//!
//! Their rows go through memory a few granules at a time, however many there are: once to choose the columns,
//! once to be written. The file is the one that a build of all of them at once would give.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::path::Path;

use arrow_array::RecordBatch;

use super::build::{self, Facts, RowsFile};
use super::digest::RowDigest;
use super::reader::{Scan, Segment};
use super::{Error, GRANULE_ROWS, Written, folder_name, raw};
use crate::batch::gather::{At, Gather, Input, Origin};
use crate::batch::restore::{Restore, Restored};
use crate::batch::typed::Chooser;
use crate::batch::{Rows, Typed, name};
use crate::files;
use crate::manifest::SegmentMeta;

/// Granules that are gathered at once. The granules of the parts that they come from are in memory meanwhile.
const STRIDE_GRANULES: usize = 16;

/// Builds one segment of the rows of several that lie side by side, in order; all their rows are in it, in
/// the positions that they have. What is read of each is compared with the digest in its manifest. `each` is as
/// in [`write`](super::write).
///
/// # Errors
/// As [`write`](super::write); [`Error::Damaged`] when a part does not hold the rows that its manifest says.
pub fn merge(
    shard_folder: &Path,
    parts: &[(&SegmentMeta, &Segment)],
    mut each: impl FnMut(u32, &RecordBatch),
) -> Result<Written, Error> {
    let range = match parts {
        [(first, _), .., (last, _)] | [(first @ last, _)] => first.from..last.to,
        [] => return Err(Error::Empty { from: 0, to: 0 }),
    };
    match write(shard_folder, &range, parts) {
        Ok(meta) => build::finish(shard_folder, meta, &mut each),
        Err(error) => {
            // What is half written is no use to anybody.
            files::remove_folder(&shard_folder.join(folder_name(&range, 0)))?;
            Err(error)
        }
    }
}

fn write(
    shard_folder: &Path,
    range: &Range<u64>,
    parts: &[(&SegmentMeta, &Segment)],
) -> Result<SegmentMeta, Error> {
    let layout = Layout::of(parts)?;
    let times = parts.iter().map(|(meta, _)| (meta.time_min, meta.time_max));
    let times = times.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
    let Some((min, max)) = times else {
        return Err(Error::Empty {
            from: range.start,
            to: range.end,
        });
    };
    let mut facts = Facts::new(min.nanos(), max.nanos());
    let place = (range.clone(), 0);
    let mut file = RowsFile::create(shard_folder, place, &layout.typed, layout.is_signed)?;
    let mut merging = Merging::of(parts)?;
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

/// Which columns the merged segment has.
struct Layout {
    typed: Vec<Typed>,
    is_signed: bool,
}

impl Layout {
    /// As the rows of all parts ask for.
    fn of(parts: &[(&SegmentMeta, &Segment)]) -> Result<Self, Error> {
        let mut chooser = Chooser::default();
        let mut is_signed = false;
        for (_, segment) in parts {
            let schema = segment.schema().fields().iter();
            let names = schema.map(|field| field.name().as_str());
            let is_asked = |name: &&str| {
                [name::FIELDS, name::EXCEPTION_SIGNATURE].contains(name)
                    || name.starts_with(name::TYPED_PREFIX)
            };
            let columns: Vec<&str> = names.filter(is_asked).collect();
            for granule in segment.scan(&segment.all_granules(), Some(&columns))? {
                let (_, batch) = granule?;
                for row in Rows::new(&batch)?.iter() {
                    let fields = row.fields();
                    chooser.add(fields.iter().map(|f| (f.name, f.kind, &*f.text)));
                    is_signed |= row.signature() != 0;
                }
            }
        }
        Ok(Self {
            typed: chooser.finish(),
            is_signed,
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
}

impl<'a> Merging<'a> {
    fn of(parts: &[(&'a SegmentMeta, &'a Segment)]) -> Result<Self, Error> {
        let open = |(meta, segment): &(&'a SegmentMeta, &'a Segment)| Part::open(meta, segment);
        let parts: Vec<Part<'a>> = parts.iter().map(open).collect::<Result<_, _>>()?;
        let heads = parts.iter().enumerate();
        let heads = heads.filter_map(|(place, part)| Some(Reverse((part.head()?, place))));
        Ok(Self {
            heads: heads.collect(),
            parts,
        })
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
            if let Some(head) = part.head() {
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
    fn open(meta: &'a SegmentMeta, segment: &'a Segment) -> Result<Self, Error> {
        Ok(Self {
            meta,
            segment,
            scan: segment.scan(&segment.all_granules(), None)?,
            digest: RowDigest::new(),
            granules: VecDeque::new(),
            first_input: 0,
            read: 0,
            row: 0,
        })
    }

    /// The granule that the next row is in, if it is read.
    fn current(&self) -> Option<&Restored> {
        let last = self.granules.back();
        last.filter(|granule| self.row < granule.positions.len())
    }

    /// The time of the next row. A granule need not be read for that.
    fn head(&self) -> Option<i64> {
        match self.current() {
            Some(granule) => granule.columns.timestamp.get(self.row).copied(),
            None => Some(self.segment.granule_time(self.read)?.0.nanos()),
        }
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
        let expected = self.head();
        let damaged = |what| Err(Error::damaged(self.segment.path(), what));
        let Some(granule) = self.scan.next() else {
            return damaged("it has fewer granules than its footer says");
        };
        let (_, batch) = granule?;
        self.digest.add(&batch)?;
        let mut restore = Restore::default();
        restore.add(&batch, &|_| true)?;
        let granule = restore.finish();
        let columns = &granule.columns;
        if columns.timestamp.first().copied() != expected {
            return damaged("a granule does not begin when its footer says");
        }
        facts.rows += u64::from(columns.rows);
        facts.raw_bytes += raw::bytes(columns, &vec![true; batch.num_rows()]);
        columns.log_id.iter().for_each(|id| facts.see(*id));
        self.granules.push_back(granule);
        self.read += 1;
        self.row = 0;
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
