//! Columns of a batch by the field that they hold.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, MapArray, RecordBatch, StringArray,
};
use arrow_schema::{DataType, Schema};
use hushlog_storage::batch::{Text, name};

use crate::Error;
use crate::field::Field;
use crate::letters::Letters;

/// The column that a field is in, when it has exactly one.
pub(crate) fn fixed(field: &Field) -> Option<&'static str> {
    Some(match field {
        Field::Message => name::MESSAGE,
        Field::Level => name::LEVEL,
        Field::Service => name::SERVICE_NAME,
        Field::Timestamp => name::TIMESTAMP,
        Field::CreatedAt => name::CREATED_AT,
        Field::Host => name::HOST,
        Field::Environment => name::ENVIRONMENT,
        Field::Region => name::REGION,
        Field::TraceId => name::TRACE_ID,
        Field::SpanId => name::SPAN_ID,
        Field::LogId => name::LOG_ID,
        Field::ExceptionType => name::EXCEPTION_TYPE,
        Field::ExceptionMessage => name::EXCEPTION_MESSAGE,
        Field::StackTrace => name::STACK_TRACE,
        Field::ExceptionSignature => name::EXCEPTION_SIGNATURE,
        Field::Pii => name::PII,
        Field::Exception | Field::ExceptionId | Field::Custom(_) => return None,
    })
}

/// The text columns that a test without a field looks at, besides the custom fields.
pub(crate) const ANYWHERE: [&str; 10] = [
    name::MESSAGE,
    name::SERVICE_NAME,
    name::HOST,
    name::ENVIRONMENT,
    name::REGION,
    name::TRACE_ID,
    name::SPAN_ID,
    name::EXCEPTION_TYPE,
    name::EXCEPTION_MESSAGE,
    name::STACK_TRACE,
];

/// The columns of an exception.
pub(crate) const EXCEPTION: [&str; 3] = [
    name::EXCEPTION_TYPE,
    name::EXCEPTION_MESSAGE,
    name::STACK_TRACE,
];

/// Whether this column is never left out of what is read.
pub(crate) fn is_required(column: &str) -> bool {
    matches!(column, name::MESSAGE | name::LEVEL)
}

/// A column that a test looks at.
pub(crate) struct Need {
    /// Its name.
    pub(crate) column: String,
    /// What a text in it must hold to pass; none: it is needed whatever it holds.
    pub(crate) letters: Letters,
}

impl Need {
    pub(crate) fn any(column: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            letters: Letters::NONE,
        }
    }
}

/// Whether this is the column of a custom field.
pub(crate) fn is_typed(column: &str) -> bool {
    column.starts_with(name::TYPED_PREFIX)
}

/// Adds the columns that hold this field under this schema.
pub(crate) fn needed(field: &Field, schema: &Schema, into: &mut Vec<String>) {
    match field {
        Field::Exception => into.extend(EXCEPTION.map(str::to_owned)),
        Field::ExceptionId => {
            into.extend([name::EXCEPTION_TYPE, name::SERVICE_NAME].map(str::to_owned));
        }
        Field::Custom(custom) => {
            let typed = format!("{}{custom}", name::TYPED_PREFIX);
            let has = schema.column_with_name(&typed).is_some();
            into.push(if has { typed } else { name::FIELDS.to_owned() });
        }
        fixed_field => into.extend(fixed(fixed_field).map(str::to_owned)),
    }
}

/// A custom field's values.
pub(crate) enum Values<'a> {
    /// No row has it.
    Absent,
    /// Integers.
    Int(&'a Int64Array),
    /// Floats.
    Float(&'a Float64Array),
    /// Truth values.
    Bool(&'a BooleanArray),
    /// Encoded values.
    Encoded(Text<'a>),
    /// The rows that have it, ascending, and the entry of each in the map's encoded values.
    Map(Vec<(u32, u32)>, &'a StringArray),
}

/// The columns of one batch.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Self {
        Self { batch }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    pub(crate) fn column(&self, name: &str) -> Result<&'a ArrayRef, Error> {
        self.batch
            .column_by_name(name)
            .ok_or_else(|| mismatch(name))
    }

    /// A text column; `None` if it was left out because all of it is null, or none of it passes.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Text<'a>>, Error> {
        match self.batch.column_by_name(name) {
            None if !is_required(name) => Ok(None),
            None => Err(mismatch(name)),
            Some(column) => Text::of(column).map(Some).ok_or_else(|| mismatch(name)),
        }
    }

    pub(crate) fn times(&self, name: &str) -> Result<&'a [i64], Error> {
        let column = self
            .column(name)?
            .as_primitive_opt::<TimestampNanosecondType>();
        column
            .map(|column| &column.values()[..])
            .ok_or_else(|| mismatch(name))
    }

    /// The map; `None` if it was left out because nothing in it passes.
    pub(crate) fn map_if_read(&self) -> Result<Option<&'a MapArray>, Error> {
        match self.batch.column_by_name(name::FIELDS) {
            None => Ok(None),
            Some(_) => self.map().map(Some),
        }
    }

    pub(crate) fn map(&self) -> Result<&'a MapArray, Error> {
        self.column(name::FIELDS)?
            .as_map_opt()
            .ok_or_else(|| mismatch(name::FIELDS))
    }

    /// Columns of custom fields that hold text.
    pub(crate) fn typed_texts(&self) -> impl Iterator<Item = Text<'a>> {
        let batch = self.batch;
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        fields
            .filter(|(field, _)| is_typed(field.name()))
            .filter_map(|(_, column)| Text::of(column))
    }

    pub(crate) fn custom(&self, field: &str) -> Result<Values<'a>, Error> {
        let typed = format!("{}{field}", name::TYPED_PREFIX);
        let Some(column) = self.batch.column_by_name(&typed) else {
            return self.custom_in_map(field);
        };
        let values = match column.data_type() {
            DataType::Int64 => column.as_primitive_opt::<Int64Type>().map(Values::Int),
            DataType::Float64 => column.as_primitive_opt::<Float64Type>().map(Values::Float),
            DataType::Boolean => column.as_boolean_opt().map(Values::Bool),
            _ => Text::of(column).map(Values::Encoded),
        };
        values.ok_or_else(|| mismatch(&typed))
    }

    fn custom_in_map(&self, field: &str) -> Result<Values<'a>, Error> {
        let map = self.map()?;
        let keys = map
            .keys()
            .as_string_opt::<i32>()
            .ok_or_else(|| mismatch(name::FIELDS))?;
        let values = map
            .values()
            .as_string_opt::<i32>()
            .ok_or_else(|| mismatch(name::FIELDS))?;
        let mut found = Vec::new();
        for (row, entries) in entries(map) {
            let entry = entries
                .into_iter()
                .find(|&entry| keys.value(entry as usize) == field);
            found.extend(entry.map(|entry| (row, entry)));
        }
        Ok(if found.is_empty() {
            Values::Absent
        } else {
            Values::Map(found, values)
        })
    }
}

/// The range of entries of each row.
pub(crate) fn entries(map: &MapArray) -> impl Iterator<Item = (u32, std::ops::Range<u32>)> {
    let bound = |offset: i32| u32::try_from(offset).unwrap_or(0);
    let ranges = map.value_offsets().windows(2);
    (0..).zip(ranges.map(move |pair| bound(pair[0])..bound(pair[1])))
}

pub(crate) fn mismatch(name: &str) -> Error {
    Error::Data(format!("column {name:?} is not as the schema says"))
}
