//! Secrets that their name gives away: `password=…`, `"api_key": "…"`, `Authorization: Bearer …`.
//!
//! The name must end where its word ends (`token_count` is none), a sign must follow it, and what
//! follows that must be a value: behind `name:` in prose only what no word of a language looks like.

use std::ops::Range;

use super::{Detector, Found};
use crate::bytes::{at, before, ends_with, is_word, slice, starts_with};

/// How far a line is looked at for a cookie's first `=`, in bytes.
const COOKIE_NAME_MAX: usize = 256;
/// Most spaces on either side of a sign: names and values are often aligned.
const SPACES_MAX: usize = 32;
/// Characters of a hash.
const HASH_CHARACTERS: usize = 24;
/// Shortest value behind a word that also stands in prose.
const PROSE_VALUE_MIN: usize = 6;

/// What a name announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Nothing but a secret.
    Secret,
    /// A secret, if the whole name is this word: `pin`, not `spin`.
    Word,
    /// A scheme and credentials.
    Authorization,
    /// Names and values to the end of the line.
    Cookie,
}

/// The ends of names, in lower case; names that end so in any case are meant.
const NAMES: [(&[u8], Name); 20] = [
    (b"password", Name::Secret),
    (b"passwd", Name::Secret),
    (b"passphrase", Name::Secret),
    (b"secret", Name::Secret),
    (b"token", Name::Secret),
    (b"api_key", Name::Secret),
    (b"api-key", Name::Secret),
    (b"apikey", Name::Secret),
    (b"access_key", Name::Secret),
    (b"accesskey", Name::Secret),
    (b"accountkey", Name::Secret),
    (b"private_key", Name::Secret),
    (b"credential", Name::Secret),
    (b"credentials", Name::Secret),
    (b"pwd", Name::Word),
    (b"cvv", Name::Word),
    (b"otp", Name::Word),
    (b"session_id", Name::Word),
    (b"authorization", Name::Authorization),
    (b"cookie", Name::Cookie),
];

/// What the name that ends before `end` announces.
fn named(text: &[u8], end: usize) -> Option<Name> {
    // The last letters of all of them: nearly every other name ends here.
    let last = before(text, end, 1) | 0x20;
    if !matches!(
        last,
        b'd' | b'e' | b't' | b'n' | b'y' | b'l' | b's' | b'v' | b'p'
    ) {
        return None;
    }
    let (word, name) = NAMES
        .iter()
        .find(|(word, _)| word.last() == Some(&last) && ends_with(text, end, word))?;
    let joined = before(text, end - word.len(), 1).is_ascii_alphanumeric();
    (*name != Name::Word || !joined).then_some(*name)
}

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

/// How a value stands behind its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `name=value`, or in quotes.
    Plain,
    /// `name: value`, as prose has it too.
    Prose,
}

/// The value behind the sign at `pos`, if a secret's name stands before it.
pub(crate) fn find(text: &[u8], pos: usize) -> Option<Found> {
    let (name_end, quoted) = name_end(text, pos);
    let name = named(text, name_end)?;
    let (start, quote, sign) = value(text, pos, quoted);
    if is_mask(text, start) {
        return None;
    }
    match name {
        Name::Authorization => {
            let credentials = after_scheme_word(text, start);
            let word = credentials..end(text, credentials, quote);
            let known = credentials > start;
            // A scheme of several parameters, as Digest and AWS4-HMAC-SHA256 are.
            let parameters = !known && quote == 0 && has_parameters(text, word.end);
            let range = if parameters {
                credentials..text_line_end(text, credentials)
            } else {
                word
            };
            // Behind a scheme nothing but credentials stands, in prose too.
            let sign = if known || parameters {
                Sign::Plain
            } else {
                sign
            };
            (!range.is_empty() && !is_mask(text, credentials) && tells(text, &range, sign))
                .then(|| Found::new(Detector::AuthHeader, range))
        }
        Name::Cookie => {
            let head = slice(text, start, text.len().min(start + COOKIE_NAME_MAX));
            let ends = |b: &u8| matches!(b, b'\n' | b'\r' | b'"');
            let named = head.iter().take_while(|b| !ends(b)).any(|b| *b == b'=');
            named.then(|| Found::new(Detector::AuthHeader, start..line_end(text, start, quote)))
        }
        Name::Secret | Name::Word => {
            let range = start..end(text, start, quote);
            (!range.is_empty() && tells(text, &range, sign))
                .then(|| Found::new(Detector::KvSecret, range))
        }
    }
}

/// Whether the whole value of a field of this name is a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.as_bytes();
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or(name);
    named(last, last.len()).is_some() || last.eq_ignore_ascii_case(b"pin")
}

/// Whether the value of a secret's field is one, and not a mask or a way to say that there is none.
pub(crate) fn is_value(text: &[u8]) -> bool {
    !text.is_empty() && !is_mask(text, 0) && !is_nothing(text)
}

/// End of the name before the sign at `pos`, past spaces and a quote; whether there was a quote.
fn name_end(text: &[u8], pos: usize) -> (usize, bool) {
    let spaces = (1..=SPACES_MAX)
        .take_while(|back| matches!(before(text, pos, *back), b' ' | b'\t'))
        .count();
    let end = pos - spaces;
    if !matches!(before(text, end, 1), b'"' | b'\'' | b'`') {
        return (end, false);
    }
    let escaped = usize::from(before(text, end, 2) == b'\\');
    (end - 1 - escaped, true)
}

/// Start of the value, its quote (0 for none) and how it stands.
fn value(text: &[u8], sign_at: usize, quoted_name: bool) -> (usize, u8, Sign) {
    let sign = at(text, sign_at);
    let mut pos = sign_at + 1;
    // `=>`, `==`, `===`, `=~`, `:=`.
    while pos < sign_at + 3 && matches!(at(text, pos), b'=' | b'>' | b'~') {
        pos += 1;
    }
    let spaced = skip_spaces(text, &mut pos);
    let quote = skip_quote(text, &mut pos);
    let prose = sign == b':' && spaced && quote == 0 && !quoted_name;
    (pos, quote, if prose { Sign::Prose } else { Sign::Plain })
}

fn skip_spaces(text: &[u8], pos: &mut usize) -> bool {
    let start = *pos;
    while matches!(at(text, *pos), b' ' | b'\t') && *pos < start + SPACES_MAX {
        *pos += 1;
    }
    *pos > start
}

/// Passes a quote, also one that is escaped; says which.
fn skip_quote(text: &[u8], pos: &mut usize) -> u8 {
    let escaped = usize::from(at(text, *pos) == b'\\');
    let quote = at(text, *pos + escaped);
    if matches!(quote, b'"' | b'\'' | b'`') {
        *pos += escaped + 1;
        quote
    } else {
        0
    }
}

/// End of a value: its quote, else the first byte that ends a word in text, URLs or code.
fn end(text: &[u8], start: usize, quote: u8) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let length = if quote == 0 {
        unquoted(rest)
    } else {
        // A quote that was escaped itself ends at the next escaped one.
        quoted(rest, quote, before(text, start, 2) == b'\\')
    };
    char_boundary(text, start + length)
}

fn unquoted(rest: &[u8]) -> usize {
    let ends = |(i, b): (usize, &u8)| match b {
        b'&' | b',' | b';' | b'"' | b'\'' | b'`' | b')' | b'}' | b']' | b'<' | b'>' | b'|' => true,
        // An escaped end of the line or of a text in quotes.
        b'\\' => matches!(at(rest, i + 1), b'n' | b'r' | b't' | b'"' | b'\'' | 0),
        other => other.is_ascii_whitespace(),
    };
    let end = rest.iter().enumerate().position(ends);
    end.unwrap_or(rest.len())
}

fn quoted(rest: &[u8], quote: u8, escaped: bool) -> usize {
    let mut pos = 0;
    while pos < rest.len() {
        match at(rest, pos) {
            b'\n' => return pos,
            b'\\' if escaped && at(rest, pos + 1) == quote => return pos,
            b'\\' => pos += 2,
            byte if byte == quote => return pos,
            _ => pos += 1,
        }
    }
    rest.len()
}

fn line_end(text: &[u8], start: usize, quote: u8) -> usize {
    let rest = text.get(start..).unwrap_or_default().iter();
    let length = rest
        .take_while(|b| {
            !matches!(**b, b'\n' | b'\r' | b'\\' | b'"') && (quote == 0 || **b != quote)
        })
        .count();
    char_boundary(text, start + length)
}

/// Whether `name=` stands behind the word that ends here.
fn has_parameters(text: &[u8], end: usize) -> bool {
    let name = end + 1..end + 1 + PLACE_MAX;
    let name = name.take_while(|i| is_word(at(text, *i)) || at(text, *i) == b'-');
    let length = name.count();
    at(text, end) == b' ' && length > 0 && at(text, end + 1 + length) == b'='
}

fn text_line_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len())
}

/// The end of the character that `end` may cut.
fn char_boundary(text: &[u8], mut end: usize) -> usize {
    while at(text, end) & 0xc0 == 0x80 {
        end += 1;
    }
    end
}

/// Start of the credentials behind the word of a scheme, if there is one.
fn after_scheme_word(text: &[u8], start: usize) -> usize {
    let schemes: [&[u8]; 5] = [b"bearer ", b"basic ", b"token ", b"apikey ", b"negotiate "];
    let scheme = schemes.iter().find(|word| starts_with(text, start, word));
    start + scheme.map_or(0, |word| word.len())
}

/// Whether what stands here was written by a mask, or is a place to be filled: as a whole, since secrets
/// begin with any mark.
fn is_mask(text: &[u8], start: usize) -> bool {
    let first = at(text, start);
    let run = |is: fn(u8) -> bool| {
        let rest = text.get(start + 1..).unwrap_or_default().iter();
        start + 1 + rest.take_while(|b| is(**b)).take(PLACE_MAX).count()
    };
    let closed = |end: usize, by: u8| end > start + 1 && at(text, end) == by;
    match first {
        b'[' => closed(
            run(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
            b']',
        ),
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

/// Longest name of a place to be filled, in bytes.
const PLACE_MAX: usize = 64;

/// Letters only: what stands in a place must be nothing that another detector masks.
fn is_place(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' ')
}

/// Whether this byte is no part of an unquoted value.
fn is_end(byte: u8) -> bool {
    byte == 0 || byte == b'\\' || unquoted(&[byte]) == 0
}

fn is_named_hash(text: &[u8], start: usize) -> bool {
    Detector::ALL.iter().any(|detector| {
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
fn is_mask_hash(text: &[u8], pos: usize) -> bool {
    is_hash(text, pos)
        && before(text, pos, 1) == b':'
        && Detector::ALL
            .iter()
            .any(|detector| ends_with(text, pos - 1, detector.name().as_bytes()))
}

fn is_nothing(value: &[u8]) -> bool {
    NOTHING.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether a value is one: behind a plain sign unless it says that there is none; in prose only with a
/// digit in it that is not a hash's, so that masking what stands in it does not make it a secret.
fn tells(text: &[u8], range: &Range<usize>, sign: Sign) -> bool {
    let value = slice(text, range.start, range.end);
    match sign {
        Sign::Plain => !is_nothing(value),
        Sign::Prose => {
            value.len() >= PROSE_VALUE_MIN
                && value.iter().any(u8::is_ascii_digit)
                && !range.clone().any(|pos| is_mask_hash(text, pos))
        }
    }
}
