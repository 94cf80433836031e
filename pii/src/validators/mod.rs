//! Facts that tell a number of one kind from any other number of its shape, and the checks that patterns
//! may ask for by name.

pub(crate) mod card;
pub(crate) mod country;
pub(crate) mod iban;
pub(crate) mod luhn;
pub(crate) mod nanp;

/// A check that a pattern may ask for: whether a found text can be what it looks like.
pub(crate) type Check = fn(&str) -> bool;

/// Checks by name, in order. They read letters and digits and pass over all other marks.
const CHECKS: [(&str, Check); 4] = [
    ("card", |text| {
        let digits = digits(text);
        card::issued(&digits) && luhn::passes(&digits)
    }),
    ("iban", |text| {
        let number: Vec<u8> = letters_and_digits(text);
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

/// The names of all checks.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name)
}

/// The check of this name.
pub(crate) fn by_name(name: &str) -> Option<Check> {
    CHECKS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, check)| *check)
}

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
