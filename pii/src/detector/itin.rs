//! Taxpayer numbers of the United States for those without a social security number: `9dd-dd-dddd`.

use std::ops::Range;

use super::ssn::free;
use crate::bytes::{at, digits, slice};

/// The number that starts at `start`.
pub(crate) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    let end = start + 11;
    let shape = at(text, start) == b'9'
        && digits(text, start) == 3
        && digits(text, start + 4) == 2
        && digits(text, start + 7) == 4;
    let dashes = at(text, start + 3) == b'-' && at(text, start + 6) == b'-';
    // Groups that have been given out (IRS, Publication 1915).
    let group = slice(text, start + 4, start + 6);
    let issued = [b"50"..=b"65", b"70"..=b"88", b"90"..=b"92", b"94"..=b"99"]
        .iter()
        .any(|groups| groups.start().as_slice() <= group && group <= groups.end().as_slice());
    (shape && dashes && issued && free(text, start, end)).then_some(start..end)
}
