//! International bank account numbers: bare, or in groups of four.
//!
//! Country, its length, then the check digits: of random text with the right beginning one in
//! ninety-seven passes, and hardly any text has the right beginning.

use std::ops::Range;

use crate::bytes::{at, before, is_word};
use crate::validators::iban;

/// The number whose check digits begin at `digits`, behind the two letters of its country.
pub(crate) fn find(text: &[u8], digits: usize) -> Option<Range<usize>> {
    let start = digits.checked_sub(2)?;
    let country = [at(text, start), at(text, start + 1)].map(|b| b.to_ascii_uppercase());
    if !country.iter().all(u8::is_ascii_uppercase) || is_word(before(text, start, 1)) {
        return None;
    }
    let length = iban::length(country)?;
    let separator = Some(at(text, start + 4)).filter(|b| matches!(b, b' ' | b'-'));
    let mut number = [0u8; iban::LENGTH_MAX];
    let number = number.get_mut(..length)?;
    let mut pos = start;
    for (i, place) in number.iter_mut().enumerate() {
        if let (Some(separator), true) = (separator, i > 0 && i % 4 == 0) {
            if at(text, pos) != separator {
                return None;
            }
            pos += 1;
        }
        let byte = at(text, pos);
        if !byte.is_ascii_alphanumeric() {
            return None;
        }
        *place = byte.to_ascii_uppercase();
        pos += 1;
    }
    (!is_word(at(text, pos)) && iban::passes(number)).then_some(start..pos)
}
