//! The scanner: which rows of a batch match, for segments and tail alike.
//!
//! It alone decides; index and statistics only leave out what it would refuse. Works a column at a
//! time: a dictionary column is looked at once per distinct value, a text column as one buffer.

pub(crate) mod column;
mod matcher;
pub(crate) mod number;
mod text;
mod value;
mod words;

pub(crate) use matcher::{Matcher, is_cheap_expr};
