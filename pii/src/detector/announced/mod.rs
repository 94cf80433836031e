//! Numbers that a word announces, or the name of their field: `NPI 1003000126`, `"passport": "…"`.
//!
//! Each kind has a row: words, shapes, and a check of what a shape has found. Those whose shape and check
//! leave no doubt are found without a word too, where a policy has turned them on.

mod national;
mod shape;
mod us;

use std::ops::Range;

use super::{Detector, Found, ssn};
use crate::bytes::{at, before, char_at, char_before, is_currency, is_word, joins, part, slice};

/// How far behind its word a number may begin, in bytes.
const REACH: usize = 30;
/// Most numbers that one word announces.
const LIST_MAX: usize = 8;
/// Longest number, in bytes as it is written.
const NUMBER_BYTES_MAX: usize = 40;
/// Fewest digits of a number.
const DIGITS_MIN: usize = 5;
/// Longest number, in letters and digits.
const CHARACTERS_MAX: usize = 24;

/// What may be joined to a word in the name of a field: `imeinumber`.
const NUMBER_WORDS: [&str; 4] = ["number", "num", "no", "nr"];

/// One kind of number.
pub(crate) struct Row {
    pub(crate) detector: Detector,
    /// Codes of the countries (ISO 3166) that have it; none where it is no country's.
    pub(crate) countries: &'static [&'static str],
    /// Words one of which announces it, in lower case.
    pub(crate) words: &'static [&'static str],
    /// How it is written.
    shapes: &'static [&'static str],
    /// Whether upper-case letters and digits can be one.
    check: fn(&[u8]) -> bool,
    /// Shapes in which it is found without a word.
    pub(crate) alone: &'static [&'static str],
}

/// All kinds.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    us::ROWS.iter().chain(&national::ROWS)
}

/// The row of a detector that has one.
pub(crate) fn row(detector: Detector) -> Option<&'static Row> {
    rows().find(|row| row.detector == detector)
}

impl Row {
    /// The number that starts at `start`.
    fn find(&self, text: &[u8], start: usize) -> Option<Range<usize>> {
        self.find_as(self.shapes, text, start)
    }

    fn find_as(&self, shapes: &[&str], text: &[u8], start: usize) -> Option<Range<usize>> {
        shapes.iter().find_map(|shape| {
            let end = shape::end(shape, text, start)?;
            (is_free(text, start, end) && self.is_valid(slice(text, start, end)))
                .then_some(start..end)
        })
    }

    /// Whether a written number can be one.
    pub(crate) fn is_valid(&self, written: &[u8]) -> bool {
        let mut plain = [0u8; CHARACTERS_MAX];
        let mut len = 0;
        for byte in written.iter().filter(|b| b.is_ascii_alphanumeric()) {
            let Some(place) = plain.get_mut(len) else {
                return false;
            };
            *place = byte.to_ascii_uppercase();
            len += 1;
        }
        plain.get(..len).is_some_and(self.check)
    }

    /// Whether a text has one of the shapes from end to end, and can be one.
    pub(crate) fn is_whole(&self, text: &[u8]) -> bool {
        self.shapes
            .iter()
            .any(|shape| shape::end(shape, text, 0) == Some(text.len()) && self.is_valid(text))
    }

    /// Whether the words of a field's name announce it.
    fn is_named(&self, name: &str) -> bool {
        self.words.iter().any(|word| {
            name.match_indices(word).any(|(at, _)| {
                let begins = !before(name.as_bytes(), at, 1).is_ascii_alphanumeric();
                let rest = part(name, at + word.len(), name.len());
                let rest = NUMBER_WORDS
                    .iter()
                    .find_map(|word| rest.strip_prefix(word))
                    .unwrap_or(rest);
                begins && !rest.starts_with(|c: char| c.is_ascii_alphabetic())
            })
        })
    }
}

/// Whether the number of a vehicle starts here, whatever goes on behind it: the mask of what does may set it free.
pub(crate) fn is_vehicle(text: &[u8], start: usize) -> bool {
    let is_one = |row: &Row, shape: &str| {
        let end = shape::end(shape, text, start);
        end.is_some_and(|end| row.is_valid(slice(text, start, end)))
    };
    row(Detector::Vin).is_some_and(|row| row.shapes.iter().any(|shape| is_one(row, shape)))
}

/// Whether neither side goes on, and it is no amount. Quotes, spaces and particles of other scripts are not
/// a part of it.
fn is_free(text: &[u8], start: usize, end: usize) -> bool {
    let prev = char_before(text, start);
    prev.is_none_or(|c| !joins(c) && !is_currency(c))
        && char_at(text, end).is_none_or(|c| !joins(c))
        && ssn::free(text, start, end)
}

/// Visits the numbers of a kind within reach behind a word that ends at `word_end`; returns how far those go that
/// are masked. Stops at what a mask or another finding is made of.
pub(crate) fn announced(
    row: &Row,
    text: &[u8],
    word_end: usize,
    visit: &mut impl FnMut(Found) -> bool,
) -> usize {
    let (mut from, mut masked) = (word_end, word_end);
    if is_hash(text, from) {
        return masked;
    }
    for _ in 0..LIST_MAX {
        let Some(range) = next(row, text, from) else {
            break;
        };
        from = range.end;
        if visit(Found::new(row.detector, range)) {
            masked = from;
        }
    }
    masked
}

/// Whether a hash goes on here behind the name of what was hashed.
fn is_hash(text: &[u8], pos: usize) -> bool {
    at(text, pos) == b':' && at(text, pos + 1) == b'k' && at(text, pos + 2).is_ascii_digit()
}

fn next(row: &Row, text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut pos = from;
    while pos < from + REACH {
        let byte = at(text, pos);
        if matches!(byte, 0 | b'@' | b'*' | b'[' | b']' | b'\n' | b'%' | b'\\') {
            return None;
        }
        if !byte.is_ascii_alphanumeric() {
            pos += 1;
            continue;
        }
        if let Some(range) = row.find(text, pos) {
            return Some(range);
        }
        while pos < from + REACH && is_word(at(text, pos)) {
            pos += 1;
        }
    }
    None
}

/// Visits numbers that need no word, of rows that the policy has on.
pub(crate) fn alone(rows: &[&'static Row], text: &[u8], mut visit: impl FnMut(Found) -> bool) {
    let mut pos = 0;
    while pos < text.len() {
        let is_start = at(text, pos).is_ascii_alphanumeric();
        if !is_start {
            pos += 1;
            continue;
        }
        let masked = rows.iter().find_map(|row| {
            let found = Found::new(row.detector, row.find_as(row.alone, text, pos)?);
            visit(found).then_some(found.end)
        });
        pos = masked.unwrap_or(pos);
        while is_word(at(text, pos)) {
            pos += 1;
        }
    }
}

/// Whether the name of a field announces a number of any of these rows.
pub(crate) fn is_name(rows: &[&'static Row], name: &str) -> bool {
    let words = spaced(name);
    rows.iter().any(|row| row.is_named(&words))
}

/// Visits what the name of a field makes of its value, a number from end to end, until one is masked. `rows`
/// are those that the policy has on.
pub(crate) fn named(
    rows: &[&'static Row],
    name: &str,
    text: &[u8],
    visit: impl FnMut(Found) -> bool,
) {
    let mut words = None;
    let is_named = |row: &Row| row.is_named(words.get_or_insert_with(|| spaced(name)));
    whole(rows, text, is_named, visit);
}

/// Visits what a text is that is a number from end to end, of rows whose numbers need no more than that, until
/// one is masked.
pub(crate) fn bare(rows: &[&'static Row], text: &[u8], visit: impl FnMut(Found) -> bool) {
    if !rows.is_empty() {
        whole(rows, text, |_| true, visit);
    }
}

fn whole(
    rows: &[&'static Row],
    text: &[u8],
    mut is_meant: impl FnMut(&Row) -> bool,
    mut visit: impl FnMut(Found) -> bool,
) {
    let Some(number) = could_be_whole(text) else {
        return;
    };
    let written = slice(text, number.start, number.end);
    let rows = rows.iter().filter(|row| row.is_whole(written));
    for row in rows {
        if is_meant(row) && visit(Found::new(row.detector, number.clone())) {
            return;
        }
    }
}

/// Where the text without the white space around it stands, if it is as short, and has as many digits, as a
/// number.
fn could_be_whole(text: &[u8]) -> Option<Range<usize>> {
    let behind = text.trim_ascii_start();
    let start = text.len() - behind.len();
    let number = behind.trim_ascii_end();
    let fits = number.len() <= NUMBER_BYTES_MAX
        && number.iter().filter(|b| b.is_ascii_digit()).count() >= DIGITS_MIN
        && number.is_ascii();
    fits.then(|| start..start + number.len())
}

/// The words of a field's name, in lower case with spaces between: `userPassport_no` is `user passport no`,
/// `IMEINumber` is `imei number`.
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut last = ' ';
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let begins = last.is_lowercase()
            || last.is_uppercase() && chars.peek().is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && begins {
            words.push(' ');
        }
        let is_part = c.is_alphanumeric() || c == '\'';
        words.extend(if is_part { c } else { ' ' }.to_lowercase());
        last = c;
    }
    words
}
