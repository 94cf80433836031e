//! E-mail addresses, also with `%40` for `@`.
//!
//! The domain must have a dot and end in letters (or punycode) that are no file type: that is what
//! keeps `QuorumCnxManager@368`, `icon@2x.png` and `getty@tty1.service` out.

use std::ops::Range;

use crate::bytes::{at, before, is_word, slice, starts_with};

/// Longest part before the `@`, in bytes (RFC 5321).
const LOCAL_MAX: usize = 64;
/// Longest domain, in bytes (RFC 5321).
const DOMAIN_MAX: usize = 255;

/// Last labels that are types of files and units, not domains.
const FILE_TYPES: [&[u8]; 40] = [
    b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"ico", b"bmp", b"css", b"scss", b"js",
    b"mjs", b"jsx", b"ts", b"tsx", b"json", b"xml", b"html", b"htm", b"yml", b"yaml", b"toml",
    b"txt", b"log", b"jar", b"war", b"class", b"exe", b"dll", b"conf", b"cfg", b"ini", b"bak",
    b"gz", b"tgz", b"service", b"socket", b"target", b"timer", b"slice",
];

/// Top-level domains that most addresses are under.
const COMMON_TOPS: [&[u8]; 48] = [
    b"com", b"org", b"net", b"edu", b"gov", b"info", b"biz", b"io", b"dev", b"app", b"ai", b"me",
    b"co", b"us", b"uk", b"de", b"fr", b"it", b"es", b"nl", b"be", b"ch", b"at", b"se", b"no",
    b"dk", b"fi", b"pl", b"cz", b"pt", b"ie", b"gr", b"ro", b"hu", b"eu", b"ru", b"ua", b"tr",
    b"in", b"cn", b"jp", b"kr", b"au", b"nz", b"br", b"mx", b"ca", b"za",
];

/// The address around the `@` or `%40` at `mark`.
pub(crate) fn find(text: &[u8], mark: usize) -> Option<Range<usize>> {
    let domain = match at(text, mark) {
        b'@' => mark + 1,
        _ if starts_with(text, mark, b"%40") => mark + 3,
        _ => return None,
    };
    let end = domain_end(text, domain)?;
    let start = local_start(text, mark)?;
    if slice(text, start, mark) == b"git" && at(text, end) == b':' {
        return None; // the address of a repository
    }
    Some(start..end)
}

/// Whether the part before the `@` of an address ends here: a number there is none of its own.
pub(crate) fn has_local_end(text: &[u8], end: usize) -> bool {
    at(text, end) == b'@' && find(text, end).is_some()
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'%' | b'\'')
        || byte >= 0x80
}

fn local_start(text: &[u8], mark: usize) -> Option<usize> {
    let mut start = mark;
    while start > 0 && mark - start <= LOCAL_MAX && is_local(before(text, start, 1)) {
        start -= 1;
        if at(text, start) == b'%' && is_escape(text, start) {
            start += 3; // an escaped separator of a URL, such as %3D
            break;
        }
    }
    while start < mark && !begins_local(text, start) {
        start += 1;
    }
    let last = before(text, mark, 1);
    (start < mark && mark - start <= LOCAL_MAX && last != b'.' && last != b'\'').then_some(start)
}

fn is_escape(text: &[u8], percent: usize) -> bool {
    at(text, percent + 1).is_ascii_hexdigit() && at(text, percent + 2).is_ascii_hexdigit()
}

/// Letters, digits, `_` and whole characters begin a local part; quotes, dots and the like are around it.
fn begins_local(text: &[u8], i: usize) -> bool {
    let byte = at(text, i);
    if byte < 0x80 {
        return is_word(byte) || byte == b'+' && is_word(at(text, i + 1));
    }
    crate::bytes::char_at(text, i).is_some_and(char::is_alphanumeric)
}

/// End of the domain that starts at `start`: labels of letters, digits and inner hyphens.
fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let mut label = start;
    let mut labels = 0usize;
    let mut numeric = 0usize;
    let mut end = None;
    let mut last_label = 0..0;
    // End of the longest domain so far that other labels may follow.
    let mut joined = None;
    while label - start <= DOMAIN_MAX {
        let len = label_len(text, label);
        let stop = label + len;
        if len == 0 {
            break;
        }
        labels += 1;
        if slice(text, label, stop).iter().all(u8::is_ascii_digit) {
            numeric += 1;
        }
        if labels >= 2 && numeric < 2 && is_common_top(slice(text, label, stop)) {
            joined = Some(stop);
        }
        last_label = label..stop;
        end = Some(stop);
        if at(text, stop) != b'.' {
            break;
        }
        label = stop + 1;
    }
    let mut end = end?;
    let mut top = slice(text, last_label.start, last_label.end);
    if let Some(hyphen) = top.iter().position(|b| *b == b'-').filter(|_| !is_top(top)) {
        // `ana@example.org-eu`: what is joined to a domain is none of it.
        end = last_label.start + hyphen;
        top = slice(text, last_label.start, end);
    }
    let follows = at(text, end);
    let fits = labels >= 2 && numeric < 2 && end - start <= DOMAIN_MAX;
    if fits && is_top(top) && !matches!(follows, b'_' | b'(' | b'*') {
        return Some(end);
    }
    let joined = joined.filter(|joined| *joined - start <= DOMAIN_MAX);
    // The call of a method has names before it, not the domain of an address alone.
    joined.filter(|joined| follows != b'(' || *joined == end)
}

/// Whether a domain ends behind this label even where more is joined to it by dots, as in the names of
/// flattened members: `users.ana@example.org.n1`.
pub(crate) fn is_common_top(label: &[u8]) -> bool {
    let is_known = |top: &&[u8]| label.eq_ignore_ascii_case(top);
    COMMON_TOPS.iter().any(is_known)
}

/// Length of the label at `i`: hyphens only inside. Letters of any script count.
fn label_len(text: &[u8], i: usize) -> usize {
    let mut end = i;
    let mut at_end = i;
    loop {
        match crate::bytes::char_at(text, at_end) {
            Some(c) if c.is_ascii_alphanumeric() || !c.is_ascii() && c.is_alphanumeric() => {
                at_end += c.len_utf8();
                end = at_end;
            }
            Some('-') if at_end > i => {
                at_end += 1;
            }
            _ => return end - i,
        }
        if at_end - i > DOMAIN_MAX {
            return end - i;
        }
    }
}

/// Whether a last label can be a top-level domain.
fn is_top(label: &[u8]) -> bool {
    if label.len() >= 4 && starts_with(label, 0, b"xn--") {
        return true;
    }
    let letters = label.len() >= 2 && label.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80);
    // `Thread.getName` is a method, not a domain.
    let camel = label
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()));
    letters
        && !camel
        && !FILE_TYPES
            .iter()
            .any(|kind| label.eq_ignore_ascii_case(kind))
}
