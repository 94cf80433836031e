//! The query language: a Lucene-style string becomes an [`Expr`].
//!
//! Never looks at data, and never prints a query: an error says where it is wrong and what was
//! expected there, in words of its own.

mod cursor;
mod expr;
mod leaf;
mod parser;
mod pattern;
#[cfg(test)]
mod tests;

pub use expr::{Bound, Expr, Leaf, Levels, Range, Scalar, Target, Test};
pub(crate) use leaf::{LEVELS, compile, whole};
pub use parser::parse;
pub use pattern::{Glyph, Pattern};

/// A query string that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query is malformed at position {position}: {expected}")]
pub struct Error {
    /// Where, in Unicode code points from 0.
    pub position: usize,
    /// What is wrong or was expected there.
    pub expected: String,
}

/// The test that `field:value` makes, for values that come from elsewhere than a query string.
pub(crate) fn words(
    field: crate::field::Field,
    value: String,
    now: hushlog_record::Timestamp,
) -> Result<Expr, String> {
    leaf::words(Target::Field(field), value, now)
}
