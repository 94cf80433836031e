//! User name and password in front of a URL's host.

use std::ops::Range;

use crate::bytes::{before, ends_with, slice};

/// Longest user name and password together, in bytes.
const USERINFO_MAX: usize = 256;

/// What an `@` in a URL means to the detectors of what stands before it.
pub(crate) enum At {
    /// It ends a user name and password.
    Credentials(Range<usize>),
    /// It ends what was masked before.
    Masked,
    /// It belongs to no user name and password.
    Other,
}

/// What the `@` at `mark` is.
pub(crate) fn find(text: &[u8], mark: usize) -> At {
    // Most have no schema in front of them, and need not be read byte by byte.
    let head = slice(text, mark.saturating_sub(USERINFO_MAX + 1), mark);
    let slash = memchr::memrchr(b'/', head).map(|at| mark - head.len() + at);
    if !slash.is_some_and(|slash| ends_with(text, slash + 1, b"://")) {
        return At::Other;
    }
    let mut start = mark;
    let mut colon = false;
    loop {
        match before(text, start, 1) {
            b'/' => break,
            b':' => colon = true,
            byte if byte <= b' ' || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`' | b'@') => {
                return At::Other;
            }
            _ => {}
        }
        start -= 1;
        if mark - start > USERINFO_MAX {
            return At::Other;
        }
    }
    let schema = ends_with(text, start, b"://") && before(text, start, 4).is_ascii_alphanumeric();
    let secret = slice(text, start, mark);
    if schema && (secret.starts_with(b"url_credentials:k") || secret.starts_with(b"[")) {
        At::Masked
    } else if schema && colon {
        At::Credentials(start..mark)
    } else {
        At::Other
    }
}
