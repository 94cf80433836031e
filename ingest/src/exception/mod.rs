//! Exceptions in text: type, message and stack trace.
//!
//! The type is that of the outermost exception: the first line in Java, the last in Python, the last
//! `Next` in PHP, what stands before `--->` in .NET. A panic of Go or Rust has no type and is called
//! `panic`. A literal gate keeps the cost off ordinary lines, and a line that merely contains the
//! word Exception reports none.

mod cause;
mod frames;
mod header;
mod in_app;
mod normalise;
mod parameterise;
mod python;
mod runtime;
mod signature;
mod trace;

pub use cause::root_cause;
pub use frames::{Frame, frames};
pub use parameterise::parameterise;
pub use signature::{Basis, Signature, signature};

pub(crate) use header::{reports, starts_line as header_starts_line};

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use hushlog_record::Exception;

use crate::limits::NAME_BYTES_MAX;
use crate::raw::cut_name;

/// Without one of these a text reports no exception.
const LITERALS: [&str; 16] = [
    "Exception",
    "Error",
    "Throwable",
    "panic",
    "Traceback",
    "Uncaught",
    "Unhandled exception",
    "terminate called",
    "goroutine ",
    "stack traceback",
    "** (",
    ":in `",
    ":in '",
    "\tat ",
    "  at ",
    "libc++abi",
];

/// The gate.
static GATE: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(LITERALS)
        .expect("a dozen short literals always make an automaton")
});

/// An exception found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where its type stands, or a fixed word for languages without types.
    pub type_name: TypeName,
    /// Where its message stands; may be empty.
    pub message: Range<usize>,
    /// Where its stack trace stands, from the line that reports it; empty when there is none.
    pub stack: Range<usize>,
}

/// The type of an exception found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeName {
    /// A part of the text.
    Written(Range<usize>),
    /// The language has no types for it: `panic`, `fatal error`.
    Fixed(&'static str),
}

impl Found {
    /// The type's name in `text`, the text that was searched.
    pub fn type_name<'a>(&self, text: &'a str) -> &'a str {
        match &self.type_name {
            TypeName::Written(range) => cut_name(&text[range.clone()], NAME_BYTES_MAX),
            TypeName::Fixed(name) => name,
        }
    }

    /// Copies it out of `text`, the text that was searched.
    pub fn to_exception(&self, text: &str) -> Exception {
        Exception {
            type_name: self.type_name(text).to_owned(),
            message: text[self.message.clone()].to_owned(),
            stack_trace: text[self.stack.clone()].to_owned(),
            // Its text is not masked yet.
            signature: 0,
        }
    }
}

/// Finds the exception that a text reports.
pub fn find(text: &str) -> Option<Found> {
    if !GATE.is_match(text) {
        return None;
    }
    python::find(text)
        .or_else(|| runtime::find(text))
        .or_else(|| trace::find(text))
        .filter(|found| !found.type_name(text).is_empty())
}

/// Finds the exception of a text that is known to be a stack trace: there the first line names it,
/// whatever its name looks like.
pub fn find_in_stack(stack: &str) -> Option<Found> {
    find(stack).or_else(|| trace::first_line(stack))
}

/// The lines of a text as ranges, without their line ends.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?;
        let end = memchr::memchr(b'\n', &text.as_bytes()[from..]).map(|length| from + length);
        start = end.map(|end| end + 1);
        let to = end.unwrap_or(text.len());
        let whole = &text[from..to];
        let line = whole.strip_suffix('\r').unwrap_or(whole);
        Some(from..from + line.len())
    })
}

/// The part of `text[range]` without white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    start..end
}
