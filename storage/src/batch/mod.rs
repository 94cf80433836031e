//! Rows as Arrow columns: the one schema that tail and segments share.
//!
//! | column | type | |
//! | --- | --- | --- |
//! | `_seq`, `_row` | UInt64, UInt32 | the row's position in its shard |
//! | `log_id` | FixedSizeBinary(16) | |
//! | `timestamp`, `created_at` | Timestamp(ns, UTC) | |
//! | `level`, `service_name` | Dictionary(Int32, Utf8) | |
//! | `host`, `environment`, `region` | Dictionary(Int32, Utf8) | null: absent |
//! | `message` | Utf8 | |
//! | `exception_type` | Dictionary(Int32, Utf8) | null: no exception |
//! | `exception_message`, `stack_trace` | Utf8 | null: no exception |
//! | `exception_signature` | Dictionary(Int32, Utf8) | 16 hex digits; null: not known; no such column where none is |
//! | `trace_id`, `span_id` | Utf8 | null: absent |
//! | `pii` | Dictionary(Int32, Utf8) | detector names joined by commas; null: none |
//! | `f.<name>` | Int64, Float64, Boolean, Utf8 or Dictionary(Int32, Utf8) | segments only; null: the row has no such field |
//! | `fields` | Map(Utf8, Utf8) | the other fields, sorted by name; values as [`value`] writes them |
//!
//! A typed text column holds what [`value`] writes, too. Never compares or filters: that is `query`.

mod elements;
pub(crate) mod gather;
pub(crate) mod restore;
pub mod row;
pub mod typed;
pub mod value;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, TimeUnit};
use hushlog_record::block::Columns;

pub use elements::{for_each_element, for_each_member};
pub use row::{FieldRef, Row, Rows, Text};
pub use typed::{Typed, TypedKind};

/// Names of the fixed columns.
pub mod name {
    /// Position: the block's seq.
    pub const SEQ: &str = "_seq";
    /// Position: the row in its block.
    pub const ROW: &str = "_row";
    /// Identity of the record.
    pub const LOG_ID: &str = "log_id";
    /// Event time.
    pub const TIMESTAMP: &str = "timestamp";
    /// Receive time.
    pub const CREATED_AT: &str = "created_at";
    /// Severity, by name.
    pub const LEVEL: &str = "level";
    /// Service.
    pub const SERVICE_NAME: &str = "service_name";
    /// Host.
    pub const HOST: &str = "host";
    /// Deployment environment.
    pub const ENVIRONMENT: &str = "environment";
    /// Region.
    pub const REGION: &str = "region";
    /// The text.
    pub const MESSAGE: &str = "message";
    /// Exception type.
    pub const EXCEPTION_TYPE: &str = "exception_type";
    /// Exception message.
    pub const EXCEPTION_MESSAGE: &str = "exception_message";
    /// Stack trace.
    pub const STACK_TRACE: &str = "stack_trace";
    /// Signature of the exception.
    pub const EXCEPTION_SIGNATURE: &str = "exception_signature";
    /// Trace id.
    pub const TRACE_ID: &str = "trace_id";
    /// Span id.
    pub const SPAN_ID: &str = "span_id";
    /// Detectors that fired.
    pub const PII: &str = "pii";
    /// Fields without a column of their own.
    pub const FIELDS: &str = "fields";
    /// What the name of a typed column begins with.
    pub const TYPED_PREFIX: &str = "f.";
}

/// Rows could not be put into Arrow columns, or a batch is not of this schema.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Arrow refused: an offset over 2 GiB or columns that disagree.
    #[error("cannot make a batch: {0}")]
    Arrow(#[from] ArrowError),
    /// A column is missing or has another type than the schema says.
    #[error("column {0:?} is not as the schema says")]
    Schema(String),
    /// The block's columns contradict each other.
    #[error("the block's columns are inconsistent: {0}")]
    Columns(&'static str),
    /// More text than a column can hold.
    #[error(transparent)]
    Block(#[from] hushlog_record::block::Error),
}

/// The type of dictionary columns.
pub fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The type of the time columns.
pub fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The struct inside the `fields` map.
pub(crate) fn map_entries() -> Fields {
    vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, false),
    ]
    .into()
}

/// The schema with these typed columns, which must be sorted by name, and with signatures of exceptions if any is
/// known: rows without one look as they did before there were any.
pub fn schema(typed: &[Typed], signed: bool) -> Schema {
    let mut fields = vec![
        Field::new(name::SEQ, DataType::UInt64, false),
        Field::new(name::ROW, DataType::UInt32, false),
        Field::new(name::LOG_ID, DataType::FixedSizeBinary(16), false),
        Field::new(name::TIMESTAMP, time(), false),
        Field::new(name::CREATED_AT, time(), false),
        Field::new(name::LEVEL, dictionary(), false),
        Field::new(name::SERVICE_NAME, dictionary(), false),
        Field::new(name::HOST, dictionary(), true),
        Field::new(name::ENVIRONMENT, dictionary(), true),
        Field::new(name::REGION, dictionary(), true),
        Field::new(name::MESSAGE, DataType::Utf8, false),
        Field::new(name::EXCEPTION_TYPE, dictionary(), true),
        Field::new(name::EXCEPTION_MESSAGE, DataType::Utf8, true),
        Field::new(name::STACK_TRACE, DataType::Utf8, true),
    ];
    if signed {
        fields.push(Field::new(name::EXCEPTION_SIGNATURE, dictionary(), true));
    }
    fields.extend([
        Field::new(name::TRACE_ID, DataType::Utf8, true),
        Field::new(name::SPAN_ID, DataType::Utf8, true),
        Field::new(name::PII, dictionary(), true),
    ]);
    fields.extend(
        typed
            .iter()
            .map(|t| Field::new(t.column(), t.kind.data_type(), true)),
    );
    let entries = Field::new("key_value", DataType::Struct(map_entries()), false);
    fields.push(Field::new(
        name::FIELDS,
        DataType::Map(Arc::new(entries), false),
        false,
    ));
    Schema::new(fields)
}

/// The rows of one block, but for those in `skip` (ascending, disjoint), in the block's order. Text
/// columns share the block's memory when nothing is skipped. All fields are in the map.
pub fn from_columns(
    seq: u64,
    columns: &Columns,
    skip: &[Range<u32>],
) -> Result<RecordBatch, Error> {
    let origin = gather::Origin::Block(seq);
    let gather = gather::Gather::new(&[gather::Input { origin, columns }], &[])?;
    if skip.is_empty() {
        return gather.whole();
    }
    let rows: Vec<_> = kept_rows(columns.rows, skip).map(|row| (0, row)).collect();
    gather.batch(&rows)
}

/// The rows of a block of `rows` rows that no range of `skip` holds.
pub(crate) fn kept_rows(rows: u32, skip: &[Range<u32>]) -> impl Iterator<Item = u32> {
    (0..rows).filter(move |row| !skip.iter().any(|range| range.contains(row)))
}
