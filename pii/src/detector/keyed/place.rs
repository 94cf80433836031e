//! What stands in the place of a secret and is none: masks, places to be filled, words for nothing.

use super::value::unquoted;
use crate::bytes::{at, before, ends_with, is_word, slice, starts_with};
use crate::detector::Detector;
use crate::render::HASH_CHARACTERS;

/// Values that say that there is none.
const NOTHING: [&[u8]; 8] = [
    b"null",
    b"none",
    b"nil",
    b"true",
    b"false",
    b"undefined",
    b"empty",
    b"required",
];

/// Whether what stands here was written by a mask, or is a place to be filled: as a whole, since secrets
/// begin with any mark.
pub(super) fn is_mask(text: &[u8], start: usize) -> bool {
    let first = at(text, start);
    let run = |is: fn(u8) -> bool| {
        let rest = text.get(start + 1..).unwrap_or_default().iter();
        start + 1 + rest.take_while(|b| is(**b)).take(PLACE_MAX).count()
    };
    let closed = |end: usize, by: u8| end > start + 1 && at(text, end) == by;
    match first {
        b'[' => {
            closed(run(|b| b.is_ascii_uppercase() || b == b'_'), b']')
                || is_replacement(text, start)
        }
        b'<' => closed(run(is_place), b'>'),
        b'(' => closed(run(is_place), b')') || closed(run(|b| b == b'*'), b')'),
        b'{' => closed(run(|b| is_place(b) || b == b'{'), b'}'),
        b'$' => at(text, start + 1) == b'{' && closed(run(|b| is_place(b) || b == b'{'), b'}'),
        b'%' => {
            matches!(at(text, start + 1), b's' | b'd' | b'v' | b'@')
                && !is_word(at(text, start + 2))
        }
        b'*' => is_end(at(text, run(|b| b == b'*'))),
        _ => is_hash(text, start) || is_named_hash(text, start),
    }
}

/// Whether REDACT has written what stands here: some of its texts have digits.
fn is_replacement(text: &[u8], start: usize) -> bool {
    let mut texts = Detector::ALL.iter().map(|detector| detector.replacement());
    texts.any(|written| slice(text, start, start + written.len()) == written.as_bytes())
}

/// Longest name of a place to be filled, in bytes.
pub(super) const PLACE_MAX: usize = 64;

/// Letters only: what stands in a place must be nothing that another detector masks.
fn is_place(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' ')
}

/// Whether this byte is no part of an unquoted value.
fn is_end(byte: u8) -> bool {
    byte == 0 || byte == b'\\' || unquoted(&[byte]) == 0
}

fn is_named_hash(text: &[u8], start: usize) -> bool {
    let rest = text.get(start..).unwrap_or_default();
    let name = rest.iter().position(|b| !is_word(*b)).unwrap_or(0);
    // Most values are none, and need not be held against every name.
    at(rest, name) == b':'
        && at(rest, name + 1) == b'k'
        && Detector::ALL.iter().any(|detector| {
            let name = detector.name().as_bytes();
            starts_with(text, start, name) && is_hash(text, start + name.len() + 1)
        })
}

/// Whether a hash stands here, without the name of what was hashed: `k`, the key's number, a colon, and
/// its characters.
fn is_hash(text: &[u8], start: usize) -> bool {
    let digits = (start + 1..start + 6)
        .take_while(|i| at(text, *i).is_ascii_digit())
        .count();
    let hash = start + digits + 2;
    at(text, start) == b'k'
        && digits > 0
        && at(text, hash - 1) == b':'
        && slice(text, hash, hash + HASH_CHARACTERS).len() == HASH_CHARACTERS
        && slice(text, hash, hash + HASH_CHARACTERS)
            .iter()
            .all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}

/// Whether the key of a hash stands here, behind the name of what was hashed.
pub(super) fn is_mask_hash(text: &[u8], pos: usize) -> bool {
    is_hash(text, pos)
        && before(text, pos, 1) == b':'
        && Detector::ALL
            .iter()
            .any(|detector| ends_with(text, pos - 1, detector.name().as_bytes()))
}

/// Whether a value says that there is none.
pub(super) fn is_nothing(value: &[u8]) -> bool {
    NOTHING.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Accounts that belong to no person.
const SYSTEM_USERS: [&[u8]; 16] = [
    b"root",
    b"admin",
    b"administrator",
    b"nobody",
    b"daemon",
    b"system",
    b"guest",
    b"test",
    b"anonymous",
    b"unknown",
    b"www-data",
    b"postgres",
    b"mysql",
    b"oracle",
    b"ubuntu",
    b"default",
];

/// Whether this can be the name of a person's account: it has a letter, and is none of a system's.
pub(crate) fn is_user(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_alphabetic)
        && !SYSTEM_USERS
            .iter()
            .any(|user| value.eq_ignore_ascii_case(user))
}
