//! From bytes to records: decode, parse, find exceptions, join stack traces.
//!
//! Everything here is pure: time and randomness are arguments, nothing reads a clock, a socket or a
//! disk. A strange record is kept as text, never refused for its shape, and no error, reason or
//! `Debug` output quotes the text of a record: it is not masked yet.

pub mod body;
mod digits;
pub mod exception;
pub mod json;
pub mod limits;
pub mod multiline;
pub mod parse;
pub mod raw;
pub mod syslog;

pub use parse::Context;
pub use raw::RawRecord;
