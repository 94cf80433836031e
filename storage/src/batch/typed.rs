//! Which fields of a segment get a column of their own, and of which type.
//!
//! A pure function of the rows: every replica chooses alike. A number column is chosen only if every
//! value's literal comes back from the machine number letter for letter, so `1.50` stays `1.50`.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use hushlog_record::Kind;
use hushlog_record::block::{Columns, FieldColumn};
use rustc_hash::FxHashSet;

use super::{dictionary, name, value};

/// Most typed columns of a segment.
pub const TYPED_COLUMNS_MAX: usize = 32;
/// A field gets a column if at least one row in this many carries it.
pub const TYPED_ROWS_SHARE: u64 = 10;
/// Most distinct values of a text column that is stored as a dictionary.
pub const DICTIONARY_VALUES_MAX: usize = 4_096;
/// A dictionary needs at least this many rows per distinct value.
pub const DICTIONARY_ROWS_PER_VALUE: u64 = 8;

/// The type of a typed column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypedKind {
    /// Numbers that are 64-bit integers.
    Int,
    /// Numbers, at least one not an integer.
    Float,
    /// Truth values.
    Bool,
    /// Anything, as [`value::encode`] writes it.
    Text,
    /// The same, with few distinct values.
    Words,
}

impl TypedKind {
    /// The column's Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Words => dictionary(),
        }
    }
}

/// One typed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The field.
    pub name: String,
    /// Its type.
    pub kind: TypedKind,
}

impl Typed {
    /// The name of its column.
    pub fn column(&self) -> String {
        format!("{}{}", name::TYPED_PREFIX, self.name)
    }
}

/// Chooses the typed columns for these blocks: the most frequent fields first, ties by name; the
/// result is sorted by name.
pub fn choose(blocks: &[&Columns]) -> Vec<Typed> {
    let rows: u64 = blocks.iter().map(|columns| u64::from(columns.rows)).sum();
    let mut fields: BTreeMap<&str, Vec<&FieldColumn>> = BTreeMap::new();
    for columns in blocks {
        for field in &columns.fields {
            fields.entry(&field.key).or_default().push(field);
        }
    }
    let count =
        |parts: &[&FieldColumn]| parts.iter().map(|part| part.rows.len() as u64).sum::<u64>();
    let mut frequent: Vec<_> = fields
        .into_iter()
        .map(|(name, parts)| (count(&parts), name, parts))
        .filter(|(count, _, _)| count * TYPED_ROWS_SHARE >= rows)
        .collect();
    frequent.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    frequent.truncate(TYPED_COLUMNS_MAX);
    frequent.sort_by_key(|(_, name, _)| *name);
    frequent
        .into_iter()
        .map(|(count, name, parts)| Typed {
            name: name.to_owned(),
            kind: kind_of(count, &parts),
        })
        .collect()
}

/// The narrowest type that holds every value exactly.
fn kind_of(count: u64, parts: &[&FieldColumn]) -> TypedKind {
    let all = |accepts: fn(Kind, &str) -> bool| {
        parts.iter().all(|part| {
            part.kinds
                .iter()
                .enumerate()
                .all(|(i, kind)| accepts(*kind, part.values.get(i)))
        })
    };
    if all(|kind, text| kind == Kind::Number && int(text).is_some()) {
        TypedKind::Int
    } else if all(|kind, text| kind == Kind::Number && float(text).is_some()) {
        TypedKind::Float
    } else if all(|kind, text| kind == Kind::Bool && matches!(text, "true" | "false")) {
        TypedKind::Bool
    } else if is_wordlike(count, parts) {
        TypedKind::Words
    } else {
        TypedKind::Text
    }
}

/// Whether the values repeat enough for a dictionary.
fn is_wordlike(count: u64, parts: &[&FieldColumn]) -> bool {
    let mut seen = FxHashSet::default();
    for part in parts {
        for i in 0..part.values.len() {
            seen.insert(part.values.get(i));
            if seen.len() > DICTIONARY_VALUES_MAX {
                return false;
            }
        }
    }
    seen.len() as u64 * DICTIONARY_ROWS_PER_VALUE <= count
}

/// The integer that is written exactly as `text`.
pub(crate) fn int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { text.parse().ok() } else { None }
}

/// The floating-point number that Rust prints exactly as `text`.
pub(crate) fn float(text: &str) -> Option<f64> {
    if !value::is_number(text) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literals_that_come_back_exactly_are_numbers() {
        for (text, as_int) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-0", None),
            ("007", None),
            ("+1", None),
            ("1.0", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(int(text), as_int, "{text}");
        }
        for (text, as_float) in [
            ("1.5", Some(1.5)),
            ("12", Some(12.0)),
            ("-0.25", Some(-0.25)),
            ("1.50", None),
            ("1e3", None),
            ("9007199254740993", None),
            ("1e400", None),
            ("NaN", None),
            ("inf", None),
        ] {
            assert_eq!(float(text), as_float, "{text}");
        }
    }
}
