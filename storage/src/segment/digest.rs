//! One hash over all rows of a segment, in their order: what replicas compare.
//!
//! It depends on the rows and on the schema, never on how Arrow happens to lay them out: keys of
//! dictionaries are renumbered by first appearance, offsets begin at 0.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType;

use crate::batch;

/// A hash under construction: BLAKE3 of the granules' canonical bytes.
#[derive(Clone, Debug, Default)]
pub struct RowDigest {
    hasher: blake3::Hasher,
    scratch: Vec<u8>,
}

impl RowDigest {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a granule with all its columns.
    ///
    /// # Errors
    /// When a column has a type that the schema does not know.
    pub fn add(&mut self, granule: &RecordBatch) -> Result<(), batch::Error> {
        self.scratch.clear();
        put(&mut self.scratch, granule.num_rows());
        for (field, column) in granule.schema_ref().fields().iter().zip(granule.columns()) {
            self.scratch.extend_from_slice(field.name().as_bytes());
            self.scratch.push(0);
            append(&mut self.scratch, column)
                .ok_or_else(|| batch::Error::Schema(field.name().clone()))?;
        }
        self.hasher.update(&self.scratch);
        Ok(())
    }

    /// The hash of what was added.
    pub fn finish(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

fn put(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

/// Appends the column's rows; `None` for a type that no column of ours has.
fn append(out: &mut Vec<u8>, column: &ArrayRef) -> Option<()> {
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => out.push(0),
        Some(nulls) => {
            out.push(1);
            out.extend(nulls.iter().map(u8::from));
        }
    }
    let valid = |i: &usize| column.is_valid(*i);
    let rows = 0..column.len();
    match column.data_type() {
        DataType::UInt64 => {
            let values = column.as_primitive_opt::<UInt64Type>()?.values();
            out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        DataType::UInt32 => {
            let values = column.as_primitive_opt::<UInt32Type>()?.values();
            out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        DataType::Timestamp(_, _) => {
            let values = column
                .as_primitive_opt::<TimestampNanosecondType>()?
                .values();
            out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        DataType::Int64 => {
            let values = column.as_primitive_opt::<Int64Type>()?;
            out.extend(
                rows.filter(valid)
                    .flat_map(|i| values.value(i).to_le_bytes()),
            );
        }
        DataType::Float64 => {
            let values = column.as_primitive_opt::<Float64Type>()?;
            out.extend(
                rows.filter(valid)
                    .flat_map(|i| values.value(i).to_bits().to_le_bytes()),
            );
        }
        DataType::Boolean => {
            let values = column.as_boolean_opt()?;
            out.extend(rows.filter(valid).map(|i| u8::from(values.value(i))));
        }
        DataType::FixedSizeBinary(_) => {
            let values = column.as_fixed_size_binary_opt()?;
            rows.for_each(|i| out.extend_from_slice(values.value(i)));
        }
        DataType::Utf8 => text(out, column.as_string_opt::<i32>()?),
        DataType::Dictionary(_, _) => dictionary(out, column)?,
        DataType::Map(_, _) => {
            let map = column.as_map_opt()?;
            let offsets = map.value_offsets();
            out.extend(offsets.windows(2).flat_map(|o| (o[1] - o[0]).to_le_bytes()));
            let first = usize::try_from(*offsets.first()?).ok()?;
            let count = usize::try_from(*offsets.last()?).ok()? - first;
            text(out, map.keys().slice(first, count).as_string_opt::<i32>()?);
            text(
                out,
                map.values().slice(first, count).as_string_opt::<i32>()?,
            );
        }
        _ => return None,
    }
    Some(())
}

/// Lengths, then text.
fn text(out: &mut Vec<u8>, column: &StringArray) {
    let offsets = column.value_offsets();
    out.extend(offsets.windows(2).flat_map(|o| (o[1] - o[0]).to_le_bytes()));
    let bound = |offset: Option<&i32>| offset.and_then(|o| usize::try_from(*o).ok()).unwrap_or(0);
    out.extend_from_slice(&column.value_data()[bound(offsets.first())..bound(offsets.last())]);
}

/// Keys by order of first appearance, each new one followed by its string.
fn dictionary(out: &mut Vec<u8>, column: &ArrayRef) -> Option<()> {
    let array = column.as_dictionary_opt::<Int32Type>()?;
    let values = array.values().as_string_opt::<i32>()?;
    let mut numbers = vec![0u32; values.len()];
    let mut last = 0u32;
    for row in (0..array.len()).filter(|i| array.is_valid(*i)) {
        let key = usize::try_from(array.keys().value(row)).ok()?;
        let number = numbers.get_mut(key)?;
        if *number == 0 {
            last += 1;
            *number = last;
            put(out, values.value(key).len());
            out.extend_from_slice(values.value(key).as_bytes());
        }
        out.extend_from_slice(&number.to_le_bytes());
    }
    Some(())
}
