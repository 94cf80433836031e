//! Questions to the log store: the language, the plan, the scan of rows, and the merge of answers.
//!
//! One scanner decides which rows match, for segments and tail alike; the index and the statistics
//! only leave out granules that hold no match. Never writes, never reads a clock, and cannot tell
//! whether a partial came from this node or another.

pub mod aggregation;
mod error;
pub mod field;
pub mod language;
pub mod limits;
pub mod number;
mod object;
pub mod position;
pub mod request;
pub mod text;
pub mod when;

pub use error::Error;
pub use request::Request;
