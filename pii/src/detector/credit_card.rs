//! Payment card numbers: bare, or in the groups that are printed on cards.
//!
//! Issuer and length first, then Luhn: Luhn alone lets every tenth number pass.

use std::ops::Range;

use crate::bytes::{at, before, digits, follows_mask, is_in_number, is_word};
use crate::validators::{card, luhn};

/// How printed numbers are grouped.
const GROUPINGS: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];

/// The number that starts at `start`.
pub(crate) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    if !free_before(text, start) {
        return None;
    }
    let run = digits(text, start);
    if run >= card::DIGITS_MIN {
        return valid(text, start, start + run);
    }
    if run != 4 || !matches!(at(text, start + 4), b' ' | b'-' | b'.') {
        return None;
    }
    GROUPINGS
        .iter()
        .find_map(|grouping| valid(text, start, grouped_end(text, start, grouping)?))
}

/// End of a number with these groups and one kind of separator.
fn grouped_end(text: &[u8], start: usize, grouping: &[usize]) -> Option<usize> {
    let separator = at(text, start + 4);
    let mut pos = start;
    for (i, len) in grouping.iter().enumerate() {
        if i > 0 {
            if at(text, pos) != separator {
                return None;
            }
            pos += 1;
        }
        if digits(text, pos) != *len {
            return None;
        }
        pos += len;
    }
    Some(pos)
}

fn valid(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let mut number = [0u8; card::DIGITS_MAX];
    let mut len = 0;
    for byte in text.get(start..end)?.iter().filter(|b| b.is_ascii_digit()) {
        *number.get_mut(len)? = byte - b'0';
        len += 1;
    }
    let number = number.get(..len)?;
    let varied = number.iter().any(|d| Some(d) != number.first());
    (varied && card::issued(number) && luhn::passes(number) && free_after(text, end))
        .then_some(start..end)
}

fn free_before(text: &[u8], start: usize) -> bool {
    let prev = before(text, start, 1);
    let joined = prev == b'.' && is_word(before(text, start, 2));
    !is_word(prev)
        && prev != b'-'
        && prev != b'+'
        && prev != b'$'
        && !joined
        && !follows_mask(text, start)
}

fn free_after(text: &[u8], end: usize) -> bool {
    let next = at(text, end);
    let continued = matches!(next, b'.' | b'-') && at(text, end + 1).is_ascii_digit()
        || next == b'-' && is_word(at(text, end + 1))
        || next == b',' && is_in_number(text, end);
    !is_word(next) && !continued && !super::email::has_local_end(text, end)
}
