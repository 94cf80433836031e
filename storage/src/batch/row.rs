//! Rows of a batch, one at a time: what output and tests read. Not for scans.
//!
//! Works on any projection: a column that is not there reads as absent.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int32Array, MapArray, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::DataType;
use hushlog_record::{Kind, Level, LogId, Timestamp};

use super::{Error, name, value};

/// A text column, plain or as a dictionary.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// One string per row.
    Plain(&'a StringArray),
    /// One key per row into the distinct strings.
    Dictionary(&'a Int32Array, &'a StringArray),
}

impl<'a> Text<'a> {
    /// The column as text; `None` if it is of another type.
    pub fn of(column: &'a ArrayRef) -> Option<Self> {
        if let Some(plain) = column.as_string_opt::<i32>() {
            return Some(Self::Plain(plain));
        }
        let dictionary = column.as_dictionary_opt::<Int32Type>()?;
        Some(Self::Dictionary(
            dictionary.keys(),
            dictionary.values().as_string_opt::<i32>()?,
        ))
    }

    /// The string of this row; `None` where it is null.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        match *self {
            Self::Plain(column) => column.is_valid(row).then(|| column.value(row)),
            Self::Dictionary(keys, values) => {
                let key = keys.is_valid(row).then(|| keys.value(row))?;
                Some(values.value(usize::try_from(key).ok()?))
            }
        }
    }
}

/// The rows of one batch, columns looked up once.
#[derive(Debug)]
pub struct Rows<'a> {
    len: usize,
    seq: Option<&'a UInt64Array>,
    row: Option<&'a UInt32Array>,
    log_id: Option<&'a FixedSizeBinaryArray>,
    timestamp: Option<&'a TimestampNanosecondArray>,
    created_at: Option<&'a TimestampNanosecondArray>,
    texts: [Option<Text<'a>>; TEXTS.len()],
    typed: Vec<(&'a str, &'a ArrayRef)>,
    fields: Option<&'a MapArray>,
}

/// The text columns, in the order of [`Rows::texts`].
const TEXTS: [&str; 13] = [
    name::LEVEL,
    name::SERVICE_NAME,
    name::HOST,
    name::ENVIRONMENT,
    name::REGION,
    name::MESSAGE,
    name::EXCEPTION_TYPE,
    name::EXCEPTION_MESSAGE,
    name::STACK_TRACE,
    name::TRACE_ID,
    name::SPAN_ID,
    name::PII,
    name::EXCEPTION_SIGNATURE,
];

impl<'a> Rows<'a> {
    /// Looks the columns up.
    ///
    /// # Errors
    /// [`Error::Schema`] when a column of the schema's name has another type.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, Error> {
        let column = |name: &str| batch.column_by_name(name);
        let mismatch = |name: &str| Error::Schema(name.to_owned());
        let time = |name: &str| {
            column(name)
                .map(|c| {
                    c.as_primitive_opt::<TimestampNanosecondType>()
                        .ok_or_else(|| mismatch(name))
                })
                .transpose()
        };
        let mut texts = [None; TEXTS.len()];
        for (text, name) in texts.iter_mut().zip(TEXTS) {
            *text = column(name)
                .map(|c| Text::of(c).ok_or_else(|| mismatch(name)))
                .transpose()?;
        }
        let schema = batch.schema_ref();
        let typed = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .filter_map(|(field, column)| {
                Some((field.name().strip_prefix(name::TYPED_PREFIX)?, column))
            });
        Ok(Self {
            len: batch.num_rows(),
            seq: column(name::SEQ)
                .map(|c| {
                    c.as_primitive_opt::<UInt64Type>()
                        .ok_or_else(|| mismatch(name::SEQ))
                })
                .transpose()?,
            row: column(name::ROW)
                .map(|c| {
                    c.as_primitive_opt::<UInt32Type>()
                        .ok_or_else(|| mismatch(name::ROW))
                })
                .transpose()?,
            log_id: column(name::LOG_ID)
                .map(|c| {
                    c.as_fixed_size_binary_opt()
                        .ok_or_else(|| mismatch(name::LOG_ID))
                })
                .transpose()?,
            timestamp: time(name::TIMESTAMP)?,
            created_at: time(name::CREATED_AT)?,
            texts,
            typed: typed.collect(),
            fields: column(name::FIELDS)
                .map(|c| c.as_map_opt().ok_or_else(|| mismatch(name::FIELDS)))
                .transpose()?,
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One row; `index` must be less than [`Rows::len`].
    pub fn get(&self, index: usize) -> Row<'_, 'a> {
        assert!(index < self.len, "the row exists");
        Row { rows: self, index }
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_, 'a>> {
        (0..self.len).map(|index| self.get(index))
    }
}

/// One row of a batch. Every text that it gives was masked before it was stored.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r, 'a> {
    rows: &'r Rows<'a>,
    index: usize,
}

/// One field of a row.
#[derive(Clone, PartialEq, Eq)]
pub struct FieldRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// What `text` stands for.
    pub kind: Kind,
    /// The value.
    pub text: Cow<'a, str>,
}

/// Prints no text.
impl std::fmt::Debug for FieldRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FieldRef({:?}, {} bytes)", self.kind, self.text.len())
    }
}

impl<'a> Row<'_, 'a> {
    fn text(&self, text: usize) -> Option<&'a str> {
        self.rows.texts[text].and_then(|column| column.get(self.index))
    }

    /// The block's seq.
    pub fn seq(&self) -> Option<u64> {
        self.rows.seq.map(|column| column.value(self.index))
    }

    /// The row in its block.
    pub fn row(&self) -> Option<u32> {
        self.rows.row.map(|column| column.value(self.index))
    }

    /// Identity of the record.
    pub fn log_id(&self) -> Option<LogId> {
        let bytes = self.rows.log_id?.value(self.index);
        bytes.try_into().ok().map(LogId)
    }

    /// Event time.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.rows
            .timestamp
            .map(|column| Timestamp::from_nanos(column.value(self.index)))
    }

    /// Receive time.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.rows
            .created_at
            .map(|column| Timestamp::from_nanos(column.value(self.index)))
    }

    /// Severity.
    pub fn level(&self) -> Option<Level> {
        let name = self.text(0)?;
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Service.
    pub fn service_name(&self) -> Option<&'a str> {
        self.text(1)
    }

    /// Host; empty when absent.
    pub fn host(&self) -> &'a str {
        self.text(2).unwrap_or_default()
    }

    /// Deployment environment; empty when absent.
    pub fn environment(&self) -> &'a str {
        self.text(3).unwrap_or_default()
    }

    /// Region; empty when absent.
    pub fn region(&self) -> &'a str {
        self.text(4).unwrap_or_default()
    }

    /// The text.
    pub fn message(&self) -> Option<&'a str> {
        self.text(5)
    }

    /// Type, message and stack trace of the exception.
    pub fn exception(&self) -> Option<(&'a str, &'a str, &'a str)> {
        let type_name = self.text(6)?;
        Some((
            type_name,
            self.text(7).unwrap_or_default(),
            self.text(8).unwrap_or_default(),
        ))
    }

    /// Signature of the exception; 0 where it is not known.
    pub fn signature(&self) -> u64 {
        let hex = self.text(12).unwrap_or_default();
        u64::from_str_radix(hex, 16).unwrap_or_default()
    }

    /// Trace id; empty when absent.
    pub fn trace_id(&self) -> &'a str {
        self.text(9).unwrap_or_default()
    }

    /// Span id; empty when absent.
    pub fn span_id(&self) -> &'a str {
        self.text(10).unwrap_or_default()
    }

    /// Names of the detectors that fired.
    pub fn pii(&self) -> impl Iterator<Item = &'a str> {
        let names = self.pii_names().into_iter();
        names.flat_map(|names| names.split(','))
    }

    /// The same, joined by commas; `None` where none did.
    pub(crate) fn pii_names(&self) -> Option<&'a str> {
        self.text(11)
    }

    /// All fields, typed and from the map, sorted by name.
    pub fn fields(&self) -> Vec<FieldRef<'a>> {
        let mut fields: Vec<_> = self
            .rows
            .typed
            .iter()
            .filter_map(|(name, column)| typed_field(name, column, self.index))
            .collect();
        if let Some(map) = self.rows.fields {
            fields.extend(map_fields(map, self.index));
        }
        fields.sort_by(|a, b| a.name.cmp(b.name));
        fields
    }
}

/// A row's value in a typed column.
fn typed_field<'a>(name: &'a str, column: &'a ArrayRef, row: usize) -> Option<FieldRef<'a>> {
    if column.is_null(row) {
        return None;
    }
    let (kind, text) = match column.data_type() {
        DataType::Int64 => {
            let number = column.as_primitive_opt::<Int64Type>()?.value(row);
            (Kind::Number, Cow::Owned(number.to_string()))
        }
        DataType::Float64 => {
            let number = column.as_primitive_opt::<Float64Type>()?.value(row);
            (Kind::Number, Cow::Owned(number.to_string()))
        }
        DataType::Boolean => {
            let truth = column.as_boolean_opt()?.value(row);
            (
                Kind::Bool,
                Cow::Borrowed(if truth { "true" } else { "false" }),
            )
        }
        _ => value::decode(Text::of(column)?.get(row)?),
    };
    Some(FieldRef { name, kind, text })
}

/// A row's entries in the map.
fn map_fields(map: &MapArray, row: usize) -> impl Iterator<Item = FieldRef<'_>> {
    let offsets = map.value_offsets();
    let bound = |i: usize| {
        offsets
            .get(i)
            .and_then(|o| usize::try_from(*o).ok())
            .unwrap_or(0)
    };
    let keys = map.keys().as_string_opt::<i32>();
    let values = map.values().as_string_opt::<i32>();
    (bound(row)..bound(row + 1)).filter_map(move |entry| {
        let (kind, text) = value::decode(values?.value(entry));
        Some(FieldRef {
            name: keys?.value(entry),
            kind,
            text,
        })
    })
}
