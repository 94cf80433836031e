//! Columns that hold nothing in the granules that are read.
//!
//! Reading a dictionary column of nulls costs as much as reading text, so such columns are left out
//! of what is read; to the scanner a nullable column that is not there is a column of nulls.

use arrow_schema::DataType;
use hushlog_storage::batch::name;
use hushlog_storage::segment::{Bounds, Segment};

use crate::scan::column::is_typed;

/// Of each nullable dictionary column of the fixed ones in a segment, the granules without a value.
pub(crate) struct Nulls(Vec<(String, Vec<bool>)>);

impl Nulls {
    /// Asks the statistics, which are in memory.
    pub(crate) fn of(segment: &Segment) -> Self {
        let nullable = segment.schema().fields().iter().filter(|field| {
            let is_dictionary = matches!(field.data_type(), DataType::Dictionary(_, _));
            field.is_nullable() && is_dictionary && !is_typed(field.name())
        });
        let columns = nullable.filter_map(|field| match segment.bounds(field.name())? {
            Bounds::Bytes(bounds) => {
                let empty = bounds.iter().map(Option::is_none).collect();
                Some((field.name().clone(), empty))
            }
            Bounds::Int(_) | Bounds::Float(_) => None,
        });
        Self(columns.collect())
    }

    /// The columns of these that are worth reading, at least one: a batch needs a length.
    pub(crate) fn leave_out<'c>(&self, granules: &[u32], columns: &'c [String]) -> Vec<&'c str> {
        let columns = columns.iter().map(String::as_str);
        let mut left: Vec<&str> = columns
            .filter(|column| !self.is_empty(column, granules))
            .collect();
        if left.is_empty() {
            left.push(name::LEVEL);
        }
        left
    }

    /// Whether all of a column is null in these granules.
    pub(crate) fn is_empty(&self, column: &str, granules: &[u32]) -> bool {
        let found = self.0.iter().find(|(name, _)| name == column);
        found.is_some_and(|(_, empty)| {
            granules
                .iter()
                .all(|&granule| empty.get(granule as usize) == Some(&true))
        })
    }
}
