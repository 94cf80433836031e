//! Social security numbers of the United States, `ddd-dd-dddd`.
//!
//! With dashes or dots anywhere; with spaces only between words, so that columns of numbers stay;
//! nine bare digits only with context (`context.rs`). Sample numbers that were never issued are
//! masked as well, since people try the masker with them.

use std::ops::Range;

use crate::bytes::{at, before, digits, follows_mask, is_in_number, is_word, slice};

/// How many digits a number without separators has.
pub(super) const BARE_DIGITS: usize = 9;

/// The number that starts at `start`.
pub(crate) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    let end = start + 11;
    let shape =
        digits(text, start) == 3 && digits(text, start + 4) == 2 && digits(text, start + 7) == 4;
    let separator = at(text, start + 3);
    if !shape || separator != at(text, start + 6) || !possible(text, start, start + 4, start + 7) {
        return None;
    }
    let closed = match separator {
        b'-' | b'.' => free(text, start, end),
        b' ' => free(text, start, end) && between_words(text, start, end),
        _ => false,
    };
    closed.then_some(start..end)
}

/// Nine bare digits, or any separators: only for callers that know from context what it is.
pub(crate) fn find_in_context(text: &[u8], start: usize) -> Option<Range<usize>> {
    let run = digits(text, start);
    if run == BARE_DIGITS {
        let end = start + BARE_DIGITS;
        return (possible(text, start, start + 3, start + 5) && free(text, start, end))
            .then_some(start..end);
    }
    let end = start + 11;
    let grouped = run == 3 && digits(text, start + 4) == 2 && digits(text, start + 7) == 4;
    let separators = [at(text, start + 3), at(text, start + 6)];
    let known = separators.iter().all(|b| matches!(b, b'-' | b'.' | b' '));
    (grouped && known && possible(text, start, start + 4, start + 7) && free(text, start, end))
        .then_some(start..end)
}

/// Whether area, group and serial number, at these positions, can have been issued.
fn possible(text: &[u8], area: usize, group: usize, serial: usize) -> bool {
    let area = slice(text, area, area + 3);
    let group = slice(text, group, group + 2);
    let serial = slice(text, serial, serial + 4);
    area != b"000"
        && area != b"666"
        && !area.starts_with(b"9")
        && group != b"00"
        && serial != b"0000"
}

/// Whether nothing on either side makes it a part of something longer.
pub(super) fn free(text: &[u8], start: usize, end: usize) -> bool {
    let prev = before(text, start, 1);
    let joined = matches!(prev, b'-' | b'.' | b'+') && is_word(before(text, start, 2))
        || prev == b'-' && before(text, start, 2) == b'-';
    let next = at(text, end);
    let continued = matches!(next, b'-' | b'.') && at(text, end + 1).is_ascii_digit()
        || next == b'-' && is_word(at(text, end + 1))
        || next == b',' && is_in_number(text, end);
    !is_word(prev)
        && !joined
        && !follows_mask(text, start)
        && !is_word(next)
        && !continued
        && next != b'%'
        && !super::email::has_local_end(text, end)
}

/// Whether the neighbours, past one space, are words or nothing.
fn between_words(text: &[u8], start: usize, end: usize) -> bool {
    let left = match before(text, start, 1) {
        0 => true,
        b' ' => before(text, start, 2).is_ascii_alphabetic() || before(text, start, 2) == b':',
        b':' | b'=' => true,
        _ => false,
    };
    let right = match (at(text, end), at(text, end + 1)) {
        (0 | b'.' | b',' | b';' | b')', b' ' | 0) => true,
        (b' ', next) => next.is_ascii_alphabetic(),
        _ => false,
    };
    left && right
}
