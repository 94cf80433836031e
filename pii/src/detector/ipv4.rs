//! IPv4 addresses, with a prefix length when one follows.
//!
//! Four numbers joined by dots are as often a version: what stands before and after decides.

use std::net::Ipv4Addr;
use std::ops::Range;

use crate::bytes::{at, before, digits, ends_with, is_word, part, slice, starts_with};

/// The address whose first dot is at `dot`.
pub(crate) fn find(text: &[u8], dot: usize) -> Option<Range<usize>> {
    let start = dot
        - (1..=3)
            .take_while(|back| before(text, dot, *back).is_ascii_digit())
            .count();
    let end = quad_end(text, start)?;
    if !free(text, start, end) || is_version(text, start, end) {
        return None;
    }
    Some(start..prefix_end(text, end))
}

/// The address in a found span.
pub(crate) fn address(span: &str) -> Option<Ipv4Addr> {
    span.split('/').next()?.parse().ok()
}

/// Whether the address in a found span is a loopback, the unspecified or the broadcast one.
pub(crate) fn is_of_no_one(span: &str) -> bool {
    let is = |address| {
        span.strip_prefix(address)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    span.starts_with("127.") || is("0.0.0.0") || is("255.255.255.255")
}

/// End of four numbers up to 255 at `start`, joined by dots, without leading zeros.
pub(crate) fn quad_end(text: &[u8], start: usize) -> Option<usize> {
    let mut pos = start;
    for i in 0..4 {
        if i > 0 {
            if at(text, pos) != b'.' {
                return None;
            }
            pos += 1;
        }
        let first = pos;
        let mut value = 0;
        while at(text, pos).is_ascii_digit() {
            if pos == first + 3 {
                return None;
            }
            value = value * 10 + u32::from(at(text, pos) - b'0');
            pos += 1;
        }
        if pos == first || value > 255 || pos > first + 1 && at(text, first) == b'0' {
            return None;
        }
    }
    Some(pos)
}

fn free(text: &[u8], start: usize, end: usize) -> bool {
    let prev = before(text, start, 1);
    let next = at(text, end);
    // `ip-10.0.0.1` and `a.10.0.0.1` are names; `10.0.0.1.` ends a sentence.
    let joined = matches!(prev, b'.' | b'-') && (is_word(before(text, start, 2)));
    let continued = matches!(next, b'.' | b'-') && is_word(at(text, end + 1));
    let range = next == b'-' && quad_end(text, end + 1).is_some()
        || prev == b'-' && ends_in_quad(text, start - 1);
    let email = super::email::has_local_end(text, end);
    !is_word(prev) && !is_word(next) && (!joined || range) && (!continued || range) && !email
}

/// Whether an address ends at `end`: the left half of a range.
fn ends_in_quad(text: &[u8], end: usize) -> bool {
    (7..=15).any(|len| {
        end.checked_sub(len).is_some_and(|start| {
            quad_end(text, start) == Some(end)
                && !is_word(before(text, start, 1))
                && before(text, start, 1) != b'.'
        })
    }) || end >= 2 && slice(text, end - 2, end) == b".x"
}

/// Words before a version, with what may stand between.
const VERSION_WORDS: [&[u8]; 9] = [
    b"version",
    b"ver",
    b"v",
    b"release",
    b"build",
    b"rev",
    b"revision",
    b"firmware",
    b"driver",
];

/// Endings of a version that begin with a letter or a dash.
const VERSION_TAILS: [&[u8]; 7] = [
    b"-rc",
    b"-snapshot",
    b"-beta",
    b"-alpha",
    b".el",
    b"-release",
    b".final",
];

fn is_version(text: &[u8], start: usize, end: usize) -> bool {
    let has_tail = matches!(at(text, end), b'-' | b'.')
        && VERSION_TAILS
            .iter()
            .any(|tail| starts_with(text, end, tail));
    if has_tail {
        return true;
    }
    let prev = before(text, start, 1);
    if prev == b'~' || prev == b'^' {
        return true;
    }
    if prev == b'/' {
        return is_product(text, start - 1);
    }
    if prev == b'@' {
        // `lib@1.2.3.4` is a package, `user@10.0.0.1` a login: both mask, an address may be lost less.
        return false;
    }
    let mut word_end = start;
    while matches!(
        before(text, word_end, 1),
        b' ' | b'=' | b':' | b'.' | b'"' | b'\''
    ) && start - word_end < 4
    {
        word_end -= 1;
    }
    word_end < start
        && matches!(
            before(text, word_end, 1) | 0x20,
            b'n' | b'r' | b'v' | b'e' | b'd'
        )
        && VERSION_WORDS.iter().any(|word| {
            ends_with(text, word_end, word)
                && !is_version_part(before(text, word_end, word.len() + 1))
        })
}

/// A letter before the word makes it the tail of another word, unless the word is long.
fn is_version_part(byte: u8) -> bool {
    byte.is_ascii_alphabetic()
}

/// `Chrome/96.0.4664.110`: a product's name right before the slash, which begins with a capital and is
/// not itself behind a slash (a path) or a dot.
fn is_product(text: &[u8], slash: usize) -> bool {
    let len = (1..=24)
        .take_while(|back| before(text, slash, *back).is_ascii_alphabetic())
        .count();
    let start = slash - len;
    let left = before(text, start, 1);
    len >= 2
        && at(text, start).is_ascii_uppercase()
        && matches!(left, 0 | b' ' | b'"' | b'(' | b'=' | b';')
}

/// Past a prefix length up to 32.
fn prefix_end(text: &[u8], end: usize) -> usize {
    let len = digits(text, end + 1);
    let stop = end + 1 + len;
    let next = at(text, stop);
    let prefix = at(text, end) == b'/'
        && (len == 1 || len == 2 && slice(text, end + 1, stop) <= b"32".as_slice())
        && !is_word(next)
        && !(matches!(next, b'.' | b':' | b'/' | b'-') && is_word(at(text, stop + 1)));
    if prefix { stop } else { end }
}

/// What PARTIAL leaves: the first three numbers.
pub(crate) fn partial(span: &str, out: &mut String) {
    let (address, prefix) = span.split_at(span.find('/').unwrap_or(span.len()));
    let network = address.rfind('.').map_or("", |dot| part(address, 0, dot));
    out.push_str(network);
    out.push_str(".x");
    out.push_str(prefix);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_no_one_are_known_without_reading_them() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("127.1.2.3/8", true),
            ("0.0.0.0", true),
            ("0.0.0.0/0", true),
            ("0.0.0.1", false),
            ("255.255.255.255", true),
            ("255.255.255.25", false),
            ("12.7.0.1", false),
        ] {
            let address = address(text).expect("an address");
            assert_eq!(is_of_no_one(text), expected, "{text}");
            let is = address.is_loopback() || address.is_unspecified() || address.is_broadcast();
            assert_eq!(is, expected, "{text}");
        }
    }
}
