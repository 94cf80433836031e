//! Hardware addresses: six bytes in hex with one separator.

use std::ops::Range;

use crate::bytes::{at, before, is_word, slice};

/// The address whose first separator is at `mark`.
pub(crate) fn find(text: &[u8], mark: usize) -> Option<Range<usize>> {
    let start = mark.checked_sub(2)?;
    let end = start + 17;
    let separator = at(text, mark);
    let bytes = slice(text, start, end);
    let shape = bytes.len() == 17
        && bytes.iter().enumerate().all(|(i, b)| {
            if i % 3 == 2 {
                *b == separator
            } else {
                b.is_ascii_hexdigit()
            }
        });
    if !shape {
        return None;
    }
    let (prev, next) = (before(text, start, 1), at(text, end));
    let longer = prev == separator && is_word(before(text, start, 2))
        || next == separator && is_word(at(text, end + 1));
    let blank = bytes.iter().all(|b| *b == b'0' || *b == separator)
        || bytes
            .iter()
            .all(|b| matches!(b, b'f' | b'F') || *b == separator);
    (!is_word(prev) && !is_word(next) && !longer && !blank).then_some(start..end)
}
