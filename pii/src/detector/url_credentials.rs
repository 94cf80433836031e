//! User name and password in front of a URL's host.

use std::ops::Range;

use crate::bytes::{before, ends_with, slice};

/// Longest user name and password together, in bytes.
const USERINFO_MAX: usize = 256;

/// The `user:password` that ends at the `@` at `mark`.
pub(crate) fn find(text: &[u8], mark: usize) -> Option<Range<usize>> {
    let mut start = mark;
    let mut colon = false;
    loop {
        match before(text, start, 1) {
            b'/' => break,
            b':' => colon = true,
            byte if byte <= b' ' || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`' | b'@') => {
                return None;
            }
            _ => {}
        }
        start -= 1;
        if mark - start > USERINFO_MAX {
            return None;
        }
    }
    let schema = ends_with(text, start, b"://") && before(text, start, 4).is_ascii_alphanumeric();
    let secret = slice(text, start, mark);
    let masked = secret.starts_with(b"url_credentials:k") || secret.starts_with(b"[");
    (schema && colon && !masked).then_some(start..mark)
}
