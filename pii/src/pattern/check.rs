//! The checks that a pattern may ask for by name: whether a found text can be what it looks like.
//!
//! They read letters and digits and pass over all other marks.

use crate::detector::{Row, rows};
use crate::validators::{card, iban, luhn, nanp};

type Plain = fn(&str) -> bool;

/// A check.
#[derive(Clone, Copy)]
pub(super) enum Check {
    Plain(Plain),
    /// That of a built-in detector.
    Row(&'static Row),
}

impl Check {
    /// The check of this name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        let plain = PLAIN.iter().find(|(known, _)| *known == name);
        let row = || rows().find(|row| row.detector.name() == name);
        plain
            .map(|(_, check)| Self::Plain(*check))
            .or_else(|| row().map(Self::Row))
    }

    pub(super) fn passes(self, text: &str) -> bool {
        match self {
            Self::Plain(check) => check(text),
            Self::Row(row) => row.is_valid(text.as_bytes()),
        }
    }
}

/// The names of all checks.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let plain = PLAIN.iter().map(|(name, _)| *name);
    plain.chain(rows().map(|row| row.detector.name()))
}

const PLAIN: [(&str, Plain); 4] = [
    ("card", |text| {
        let digits = digits(text);
        card::issued(&digits) && luhn::passes(&digits)
    }),
    ("iban", |text| {
        let number = letters_and_digits(text);
        let country = number.first_chunk::<2>().copied().unwrap_or_default();
        iban::length(country) == Some(number.len()) && iban::passes(&number)
    }),
    ("luhn", |text| {
        let digits = digits(text);
        digits.len() > 1 && luhn::passes(&digits)
    }),
    ("nanp", |text| {
        let digits = digits(text);
        nanp::valid(digits.strip_prefix(&[1]).unwrap_or(&digits))
    }),
];

/// The digits of a text, as values 0 to 9.
fn digits(text: &str) -> Vec<u8> {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(|b| b - b'0')
        .collect()
}

/// The letters, in upper case, and digits of a text.
fn letters_and_digits(text: &str) -> Vec<u8> {
    text.bytes()
        .filter(u8::is_ascii_alphanumeric)
        .map(|b| b.to_ascii_uppercase())
        .collect()
}
