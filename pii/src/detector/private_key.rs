//! Private keys in PEM form (RFC 7468), over several lines or with `\n` written out.

use std::ops::Range;

use memchr::memmem;

use crate::bytes::{slice, starts_with};

/// Longest label between `BEGIN` and the dashes.
const LABEL_MAX: usize = 40;
/// What its first line begins with.
pub(crate) const BEGIN: &[u8] = b"-----BEGIN ";
/// Length of the shortest first line, in bytes.
pub(crate) const BYTES_MIN: usize = BEGIN.len() + LABEL_END.len();
const LABEL_END: &[u8] = b"PRIVATE KEY-----";
const KEY_END: &[u8] = b"-----END ";

/// The key whose first line begins at `start`, to its last line or the end of the text: half a key is
/// one too.
pub(crate) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    let label = start + BEGIN.len();
    let body =
        (label..label + LABEL_MAX).find(|at| starts_with(text, *at, LABEL_END))? + LABEL_END.len();
    let rest = slice(text, body, text.len());
    let end = memmem::find(rest, KEY_END);
    let Some(last) = end.map(|found| body + found + KEY_END.len()) else {
        return Some(start..text.len());
    };
    let end = (last..last + LABEL_MAX)
        .find(|at| starts_with(text, *at, LABEL_END))
        .map_or(last, |at| at + LABEL_END.len());
    Some(start..end)
}
