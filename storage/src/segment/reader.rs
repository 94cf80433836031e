//! An open segment: its footer in memory, its granules read on demand.
//!
//! Any number of threads may read. Nothing is cached but the footer, nothing is mapped.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use hushlog_record::Timestamp;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::{ColumnIndexMetaData, PrimitiveColumnIndex};

use super::checked::{self, CheckedFile};
use super::{CHECKSUM_FILE, Error, GRANULE_ROWS, ROW_GROUP_GRANULES, ROWS_FILE, layout};
use crate::batch::name;
use crate::manifest::SegmentMeta;

/// Smallest and largest value of a column per granule; `None` where it has no value, or where the
/// file says nothing. Bounds of text may be cut: the lower one to a prefix, the upper one to a
/// string above.
#[derive(Clone, Debug, PartialEq)]
pub enum Bounds {
    /// Integers; times are nanoseconds since the Unix epoch.
    Int(Vec<Option<(i64, i64)>>),
    /// Floating-point numbers.
    Float(Vec<Option<(f64, f64)>>),
    /// Bytes: text, or a `log_id`.
    Bytes(Vec<Option<(Vec<u8>, Vec<u8>)>>),
}

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    file: CheckedFile,
    reader: ArrowReaderMetadata,
    times: Vec<(Timestamp, Timestamp)>,
    rows: u64,
}

impl Segment {
    /// Opens the segment of `meta` in its shard's folder: checks the lengths, reads the footer and
    /// refuses one that does not fit. The data is checked piece by piece as it is read.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Damaged`].
    pub fn open(shard_folder: &Path, meta: &SegmentMeta) -> Result<Self, Error> {
        let folder = shard_folder.join(meta.folder_name());
        let checksums = meta.file(CHECKSUM_FILE)?.read(&folder)?;
        let checksum_path = folder.join(CHECKSUM_FILE);
        let pieces = checked::decode(&checksums).map_err(|e| Error::damaged(&checksum_path, e))?;

        let path = folder.join(ROWS_FILE);
        let file = File::open(&path).map_err(Error::file("opening", &path))?;
        let bytes = file
            .metadata()
            .map_err(Error::file("reading", &path))?
            .len();
        if bytes != meta.file(ROWS_FILE)?.bytes {
            return Err(Error::damaged(&path, "its length is not the manifest's"));
        }
        let file = CheckedFile::new(file, bytes, pieces)
            .ok_or_else(|| Error::damaged(&checksum_path, "it is of another file"))?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let reader = ArrowReaderMetadata::load(&file, options).map_err(|e| as_damage(&path, e))?;
        check_version(&path, reader.metadata())?;
        layout::check_pages(&path, reader.metadata())?;
        let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        if rows != meta.rows {
            return Err(Error::damaged(&path, "its row count is not the manifest's"));
        }
        let mut segment = Self {
            path,
            file,
            reader,
            times: Vec::new(),
            rows,
        };
        segment.times = segment.granule_times()?;
        Ok(segment)
    }

    /// The Parquet file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of granules.
    pub fn granule_count(&self) -> u32 {
        u32::try_from(self.times.len()).expect("a segment has fewer than 2^32 granules")
    }

    /// Rows of this granule; 0 if there is no such granule.
    pub fn granule_rows(&self, granule: u32) -> usize {
        let before = granule as usize * GRANULE_ROWS;
        usize::try_from(self.rows)
            .unwrap_or(usize::MAX)
            .saturating_sub(before)
            .min(GRANULE_ROWS)
    }

    /// All granules, in time order.
    pub fn all_granules(&self) -> Vec<u32> {
        (0..self.granule_count()).collect()
    }

    /// First and last event time in this granule.
    pub fn granule_time(&self, granule: u32) -> Option<(Timestamp, Timestamp)> {
        self.times.get(granule as usize).copied()
    }

    /// The schema, typed columns included.
    pub fn schema(&self) -> &SchemaRef {
        self.reader.schema()
    }

    /// Bytes that the footer holds in memory, roughly.
    pub fn memory_bytes(&self) -> usize {
        self.reader.metadata().memory_size()
    }

    /// What the page index says of a column; `None` for a column that does not exist, is nested, or
    /// has no such statistics (long text).
    pub fn bounds(&self, column: &str) -> Option<Bounds> {
        let metadata = self.reader.metadata();
        let descriptor = metadata.file_metadata().schema_descr();
        let leaf = descriptor
            .columns()
            .iter()
            .position(|c| c.path().parts() == [column])?;
        let index = metadata.page_index()?;
        let mut parts = (0..metadata.num_row_groups()).map(|group| index.column_index(group, leaf));
        let mut bounds = match self.schema().field_with_name(column).ok()?.data_type() {
            DataType::Float64 => Bounds::Float(Vec::new()),
            DataType::Utf8 | DataType::Dictionary(_, _) | DataType::FixedSizeBinary(_) => {
                Bounds::Bytes(Vec::new())
            }
            _ => Bounds::Int(Vec::new()),
        };
        parts.try_for_each(|part| bounds.extend(part?))?;
        Some(bounds)
    }

    /// The rows of these granules (ascending, no repetitions), one batch a granule. Without
    /// `columns`, all columns; names that the segment lacks are passed over.
    ///
    /// # Errors
    /// [`Error::Granule`], and on reading [`Error::Damaged`] and [`Error::File`].
    pub fn read(
        &self,
        granules: &[u32],
        columns: Option<&[&str]>,
    ) -> Result<Vec<(u32, RecordBatch)>, Error> {
        self.scan(granules, columns)?.collect()
    }

    /// As [`Segment::read`], a granule at a time: memory for one, and the caller may stop early.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub fn scan(&self, granules: &[u32], columns: Option<&[&str]>) -> Result<Scan, Error> {
        let count = self.granule_count();
        if let Some(granule) = granules.iter().find(|granule| **granule >= count) {
            return Err(Error::Granule {
                granule: *granule,
                count,
            });
        }
        assert!(granules.is_sorted_by(|a, b| a < b), "granules ascend");
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.file.clone(),
            self.reader.clone(),
        );
        let mask = match columns {
            None => ProjectionMask::all(),
            Some(names) => self.mask(names),
        };
        let (groups, selection) = self.selection(granules);
        let reader = builder
            .with_batch_size(GRANULE_ROWS)
            .with_projection(mask)
            .with_row_groups(groups)
            .with_row_selection(selection)
            .build()
            .map_err(|e| as_damage(&self.path, e))?;
        let expected: Vec<_> = granules
            .iter()
            .map(|g| (*g, self.granule_rows(*g)))
            .collect();
        Ok(Scan {
            reader,
            expected: expected.into_iter(),
            path: self.path.clone(),
        })
    }

    /// Reads the whole file and compares it with its checksums.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::File`].
    pub fn verify(&self) -> Result<(), Error> {
        self.file.verify_all().map_err(|e| match e.kind() {
            std::io::ErrorKind::InvalidData => Error::damaged(&self.path, e.to_string()),
            _ => Error::file("reading", &self.path)(e),
        })
    }

    fn mask(&self, names: &[&str]) -> ProjectionMask {
        let roots = self.schema().fields().iter().enumerate();
        let roots = roots.filter(|(_, field)| names.contains(&field.name().as_str()));
        ProjectionMask::roots(self.reader.parquet_schema(), roots.map(|(i, _)| i))
    }

    /// The row groups that hold these granules, and the rows of these groups to read.
    fn selection(&self, granules: &[u32]) -> (Vec<usize>, RowSelection) {
        let mut groups: Vec<usize> = granules
            .iter()
            .map(|g| *g as usize / ROW_GROUP_GRANULES)
            .collect();
        groups.dedup();
        let mut wanted = granules.iter().peekable();
        let mut selectors = Vec::new();
        for group in &groups {
            let first = group * ROW_GROUP_GRANULES;
            let end = (first + ROW_GROUP_GRANULES).min(self.times.len());
            for granule in (first..end).filter_map(|g| u32::try_from(g).ok()) {
                let rows = self.granule_rows(granule);
                let selector = match wanted.next_if_eq(&&granule) {
                    Some(_) => RowSelector::select(rows),
                    None => RowSelector::skip(rows),
                };
                selectors.push(selector);
            }
        }
        (groups, RowSelection::from(selectors))
    }

    fn granule_times(&self) -> Result<Vec<(Timestamp, Timestamp)>, Error> {
        let missing = || Error::damaged(&self.path, "it has no statistics of its times");
        let Some(Bounds::Int(times)) = self.bounds(name::TIMESTAMP) else {
            return Err(missing());
        };
        times
            .into_iter()
            .map(|bounds| {
                let (min, max) = bounds?;
                Some((Timestamp::from_nanos(min), Timestamp::from_nanos(max)))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(missing)
    }
}

/// Granules as they are read.
pub struct Scan {
    reader: ParquetRecordBatchReader,
    expected: std::vec::IntoIter<(u32, usize)>,
    path: PathBuf,
}

impl Iterator for Scan {
    type Item = Result<(u32, RecordBatch), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (granule, rows) = self.expected.next()?;
        Some(match self.reader.next() {
            Some(Ok(batch)) if batch.num_rows() == rows => Ok((granule, batch)),
            Some(Err(error)) => Err(Error::damaged(&self.path, error.to_string())),
            Some(Ok(_)) | None => Err(Error::damaged(&self.path, "a granule lacks rows")),
        })
    }
}

fn as_damage(path: &Path, error: ParquetError) -> Error {
    Error::damaged(path, error.to_string())
}

fn check_version(path: &Path, metadata: &ParquetMetaData) -> Result<(), Error> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let version = pairs.and_then(|pairs| {
        pairs
            .iter()
            .find(|pair| pair.key == layout::VERSION_KEY)?
            .value
            .as_deref()
    });
    match version {
        Some(layout::VERSION | layout::VERSION_UNSIGNED) => Ok(()),
        Some(other) => Err(Error::damaged(
            path,
            format!("layout version {other} is not known to this release"),
        )),
        None => Err(Error::damaged(path, "it is not a segment")),
    }
}

impl Bounds {
    /// Appends the pages of one row group; `None` if the file says nothing of them.
    fn extend(&mut self, index: &ColumnIndexMetaData) -> Option<()> {
        match (self, index) {
            (Self::Int(out), ColumnIndexMetaData::INT64(index)) => out.extend(pairs(index, |v| *v)),
            (Self::Int(out), ColumnIndexMetaData::INT32(index)) => {
                out.extend(pairs(index, |v| i64::from(*v)));
            }
            (Self::Float(out), ColumnIndexMetaData::DOUBLE(index)) => {
                out.extend(pairs(index, |v| *v));
            }
            (
                Self::Bytes(out),
                ColumnIndexMetaData::BYTE_ARRAY(index)
                | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index),
            ) => {
                let values = index.min_values_iter().zip(index.max_values_iter());
                out.extend(values.map(|(min, max)| Some((min?.to_vec(), max?.to_vec()))));
            }
            _ => return None,
        }
        Some(())
    }
}

fn pairs<T, V>(
    index: &PrimitiveColumnIndex<T>,
    value: impl Fn(&T) -> V,
) -> impl Iterator<Item = Option<(V, V)>> {
    let values = index.min_values_iter().zip(index.max_values_iter());
    values.map(move |(min, max)| Some((value(min?), value(max?))))
}
