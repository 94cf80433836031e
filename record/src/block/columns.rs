//! The rows of a block, column by column, as the scanner and the segment builder read them.
//!
//! Text stays where decompression put it: a [`StrColumn`] is offsets into shared bytes.

use std::fmt;

use bytes::Bytes;

use super::Error;
use crate::{Exception, Kind, Level, LogId, Masked, Record, Timestamp, Value};

/// Strings, one after the other in shared bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct StrColumn {
    offsets: Vec<i32>,
    data: Bytes,
}

/// Strings that repeat: the distinct ones in order of appearance, and one number per row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DictColumn {
    /// The distinct strings.
    pub values: StrColumn,
    /// For each row the number of its string, from 0.
    pub codes: Vec<u32>,
}

/// The exceptions of the rows that have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionColumn {
    /// The rows, ascending.
    pub rows: Vec<u32>,
    /// Type of each.
    pub type_name: StrColumn,
    /// Message of each.
    pub message: StrColumn,
    /// Stack trace of each.
    pub stack_trace: StrColumn,
    /// Signature of each, 0 where it is not known; empty where none is.
    pub signature: Vec<u64>,
}

/// The detectors that fired, for the rows where any did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PiiColumn {
    /// The rows, ascending.
    pub rows: Vec<u32>,
    /// The detectors' names of each, joined by commas.
    pub names: StrColumn,
}

/// One custom field, for the rows that carry it.
#[derive(Clone, PartialEq, Eq)]
pub struct FieldColumn {
    /// Name of the field.
    pub key: String,
    /// The rows, ascending.
    pub rows: Vec<u32>,
    /// What each value stands for.
    pub kinds: Vec<Kind>,
    /// The values.
    pub values: StrColumn,
}

/// All rows of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Number of rows.
    pub rows: u32,
    /// Identity of each row.
    pub log_id: Vec<LogId>,
    /// Event times, nanoseconds since the Unix epoch.
    pub timestamp: Vec<i64>,
    /// Receive times, nanoseconds since the Unix epoch.
    pub created_at: Vec<i64>,
    /// Levels.
    pub level: Vec<Level>,
    /// Services.
    pub service_name: DictColumn,
    /// Hosts; empty where absent.
    pub host: DictColumn,
    /// Environments; empty where absent.
    pub environment: DictColumn,
    /// Regions; empty where absent.
    pub region: DictColumn,
    /// Trace ids; empty where absent.
    pub trace_id: StrColumn,
    /// Span ids; empty where absent.
    pub span_id: StrColumn,
    /// The texts.
    pub message: StrColumn,
    /// Exceptions, sparse.
    pub exception: ExceptionColumn,
    /// Detectors that fired, sparse.
    pub pii: PiiColumn,
    /// Custom fields, sorted by key.
    pub fields: Vec<FieldColumn>,
}

impl StrColumn {
    /// `offsets` begin at 0, never fall, end at the length of `data` and lie between characters.
    pub(super) fn new(offsets: Vec<i32>, data: Bytes) -> Result<Self, Error> {
        const OFFSETS: Error = Error::Malformed("text lengths do not fit their text");
        let text = std::str::from_utf8(&data).map_err(|_| Error::Malformed("text is not UTF-8"))?;
        let mut before = 0;
        for offset in &offsets {
            let at = usize::try_from(*offset).map_err(|_| OFFSETS)?;
            if at < before || !text.is_char_boundary(at) {
                return Err(OFFSETS);
            }
            before = at;
        }
        if offsets.first() != Some(&0) || before != data.len() {
            return Err(OFFSETS);
        }
        Ok(Self { offsets, data })
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The string with this number; the empty string when there is none.
    pub fn get(&self, index: usize) -> &str {
        self.slice(index).unwrap_or_default()
    }

    fn slice(&self, index: usize) -> Option<&str> {
        let from = usize::try_from(*self.offsets.get(index)?).ok()?;
        let to = usize::try_from(*self.offsets.get(index.checked_add(1)?)?).ok()?;
        std::str::from_utf8(self.data.get(from..to)?).ok()
    }

    /// All strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Where each string begins in [`data`](Self::data), and where the last one ends.
    pub fn offsets(&self) -> &[i32] {
        &self.offsets
    }

    /// The text of all strings, valid UTF-8.
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}

/// A [`StrColumn`] under construction.
#[derive(Default)]
pub struct StrColumnBuilder {
    ends: Vec<i32>,
    data: String,
}

impl StrColumnBuilder {
    /// Appends a string.
    ///
    /// # Errors
    /// [`Error::Limit`] beyond 2 GiB of text.
    pub fn push(&mut self, text: &str) -> Result<(), Error> {
        let end = self.data.len() + text.len();
        let Ok(offset) = i32::try_from(end) else {
            return Err(Error::Limit {
                what: "bytes of a text column",
                value: end as u64,
                limit: i32::MAX as u64,
            });
        };
        self.data.push_str(text);
        self.ends.push(offset);
        Ok(())
    }

    /// The strings so far.
    pub fn finish(self) -> StrColumn {
        let offsets = std::iter::once(0).chain(self.ends).collect();
        StrColumn {
            offsets,
            data: Bytes::from(self.data),
        }
    }
}

impl DictColumn {
    /// The string of this row; the empty string when there is no such row.
    pub fn get(&self, row: usize) -> &str {
        self.codes
            .get(row)
            .map_or("", |code| self.values.get(*code as usize))
    }
}

impl ExceptionColumn {
    fn get(&self, row: u32) -> Option<Exception> {
        let index = self.rows.binary_search(&row).ok()?;
        Some(Exception {
            type_name: self.type_name.get(index).to_owned(),
            message: self.message.get(index).to_owned(),
            stack_trace: self.stack_trace.get(index).to_owned(),
            signature: self.signature.get(index).copied().unwrap_or_default(),
        })
    }
}

impl PiiColumn {
    fn get(&self, row: u32) -> Vec<String> {
        match self.rows.binary_search(&row) {
            Ok(index) => self
                .names
                .get(index)
                .split(',')
                .map(str::to_owned)
                .collect(),
            Err(_) => Vec::new(),
        }
    }
}

impl FieldColumn {
    fn get(&self, row: u32) -> Option<(String, Value)> {
        let index = self.rows.binary_search(&row).ok()?;
        let value = Value {
            kind: *self.kinds.get(index)?,
            text: self.values.get(index).to_owned(),
        };
        Some((self.key.clone(), value))
    }
}

impl Columns {
    /// One row as a record; `None` when there is no such row.
    pub fn record(&self, row: u32) -> Option<Masked<Record>> {
        let i = row as usize;
        // What a block holds was masked before it was sealed: `Block::seal` takes nothing else.
        Some(Masked::vouch(Record {
            log_id: *self.log_id.get(i)?,
            timestamp: Timestamp::from_nanos(*self.timestamp.get(i)?),
            created_at: Timestamp::from_nanos(*self.created_at.get(i)?),
            service_name: self.service_name.get(i).to_owned(),
            level: *self.level.get(i)?,
            message: self.message.get(i).to_owned(),
            fields: self
                .fields
                .iter()
                .filter_map(|field| field.get(row))
                .collect(),
            exception: self.exception.get(row),
            host: self.host.get(i).to_owned(),
            environment: self.environment.get(i).to_owned(),
            region: self.region.get(i).to_owned(),
            trace_id: self.trace_id.get(i).to_owned(),
            span_id: self.span_id.get(i).to_owned(),
            pii: self.pii.get(row),
        }))
    }

    /// All rows as records.
    pub fn records(&self) -> Vec<Masked<Record>> {
        (0..self.rows).filter_map(|row| self.record(row)).collect()
    }
}

/// Prints sizes, never text.
impl fmt::Debug for StrColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StrColumn({} strings, {} bytes)",
            self.len(),
            self.data.len()
        )
    }
}

/// Prints sizes, never text.
impl fmt::Debug for FieldColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FieldColumn({} rows, {:?})",
            self.rows.len(),
            self.values
        )
    }
}
