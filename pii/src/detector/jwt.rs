//! JSON Web Tokens (RFC 7519): three parts in base64url, the first of which names an algorithm.

use std::ops::Range;

use crate::bytes::{at, before, is_word, slice};
use crate::scan::RUN;

/// Longest header that is decoded, in bytes.
const HEADER_MAX: usize = 1_024;
/// Shortest part that says anything.
const PART_MIN: usize = 10;

/// The token that begins at `start`.
///
/// One behind a dash is none, so that no part is looked through from every place in it.
pub(crate) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    if is_part(before(text, start, 1)) {
        return None;
    }
    let header = part(text, start);
    let payload = header + 1 + part(text, start + header + 1);
    let long = header >= RUN || payload - header > RUN;
    let signed = at(text, start + header) == b'.' && at(text, start + payload) == b'.';
    if !signed || !long || payload < header + 1 + PART_MIN {
        return None;
    }
    // An unsigned token ends with the second dot.
    let end = start + payload + 1 + part(text, start + payload + 1);
    let header = slice(text, start, start + header.min(HEADER_MAX));
    let decoded = data_encoding::BASE64URL_NOPAD.decode(header).ok()?;
    decoded
        .windows(5)
        .any(|name| name == b"\"alg\"")
        .then_some(start..end)
}

fn part(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default().iter();
    rest.take_while(|b| is_part(**b)).count()
}

fn is_part(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}
