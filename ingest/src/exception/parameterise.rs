//! A message without what differs from one occurrence to the next: `user 7 not found` becomes
//! `user <int> not found`.
//!
//! The kinds and their order are those of Sentry's parameterisation (e-mail, URL, host name, IP,
//! trace parent, UUID, SHA-1, MD5, date, duration, hex, git SHA, float, integer, quoted string,
//! truth value). One pass over the text, linear in its length.

use std::net::{Ipv4Addr, Ipv6Addr};

/// How much of a message counts, in bytes: its first line, up to this length.
const MESSAGE_BYTES_MAX: usize = 1_024;
/// Longest quoted string, in bytes; a quote without its end within is a character like others.
const QUOTED_BYTES_MAX: usize = 256;
/// Last parts of a name with dots that make it the name of a host.
const HOST_ENDS: [&str; 16] = [
    "com",
    "net",
    "org",
    "io",
    "dev",
    "app",
    "cloud",
    "local",
    "internal",
    "localdomain",
    "eu",
    "de",
    "uk",
    "co",
    "ai",
    "us",
];
/// Units of a duration.
const UNITS: [&str; 10] = ["ns", "us", "µs", "ms", "s", "sec", "m", "min", "h", "d"];

/// The first line of the message with its parameters replaced by their kind in angle brackets.
pub fn parameterise(message: &str) -> String {
    let line = message.trim_start().lines().next().unwrap_or_default();
    let line = crate::raw::cut(line, MESSAGE_BYTES_MAX).trim_end();
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        if matches!(c, '\'' | '"' | '`')
            && !before.is_alphanumeric()
            && let Some(length) = quoted(rest, c)
        {
            out.push_str("<quoted_str>");
            before = c;
            rest = &rest[length..];
        } else if is_word(c) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            word(&rest[..length], &mut out);
            before = 'x';
            rest = &rest[length..];
        } else {
            out.push(c);
            before = c;
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Length of the quoted string that `text` starts with.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let head = crate::raw::cut(text, QUOTED_BYTES_MAX);
    let end = match quote {
        // Ruby and GNU tools open with a grave accent and close with a quote.
        '`' => head[1..].find(['`', '\''])?,
        _ => head[1..].find(quote)?,
    };
    let length = end + 2;
    let closes = !text[length..].starts_with(char::is_alphanumeric);
    closes.then_some(length)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(
            c,
            '_' | '.'
                | ':'
                | '/'
                | '-'
                | '+'
                | '@'
                | '%'
                | '?'
                | '&'
                | '='
                | '#'
                | '~'
                | '*'
                | '\\'
        )
}

/// Appends the word, or what kind of parameter it is; a word of several parts part by part.
fn word(word: &str, out: &mut String) {
    let core = word.trim_end_matches(['.', ':', '?', '=', '-', '/']);
    let tail = &word[core.len()..];
    match kind(core) {
        Some(kind) => out.push_str(kind),
        None => {
            // `host/10.0.0.1:9000`, `key=value`
            for part in core.split_inclusive(['/', '=']) {
                let end = part.trim_end_matches(['/', '=']);
                match kind(end).filter(|_| end.len() < core.len()) {
                    Some(kind) => out.push_str(kind),
                    None => parts(end, out),
                }
                out.push_str(&part[end.len()..]);
            }
        }
    }
    out.push_str(tail);
}

/// The kind of a word as a whole.
fn kind(word: &str) -> Option<&'static str> {
    if word.contains("://") {
        return Some("<url>");
    }
    if let Some((local, domain)) = word.split_once('@')
        && !local.is_empty()
        && !local.contains(['=', '/', ':'])
        && domain.contains('.')
    {
        return Some("<email>");
    }
    if is_host(word) {
        return Some("<hostname>");
    }
    if is_address(word) {
        return Some("<ip>");
    }
    let bytes = word.as_bytes();
    if word.len() == 55 && word.starts_with("00-") && word.get(3..35).is_some_and(is_hex) {
        return Some("<traceparent>");
    }
    if is_uuid(bytes) {
        return Some("<uuid>");
    }
    if is_date(bytes) {
        return Some("<date>");
    }
    piece(word)
}

/// The kind of a word without separators in it.
fn piece(word: &str) -> Option<&'static str> {
    if word.starts_with("0x") && word.len() > 2 && is_hex(&word[2..]) {
        return Some("<hex>");
    }
    if matches!(word, "true" | "false" | "True" | "False") {
        return Some("<bool>");
    }
    let number = word.strip_prefix(['-', '+']).unwrap_or(word);
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return hash(word);
    }
    let digits = number
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    if digits == number.len() {
        let float = number.bytes().filter(|byte| *byte == b'.').count() == 1;
        let whole = !number.contains('.');
        return match (whole, float) {
            (true, _) if is_long_hash(number) => hash(number),
            (true, _) => Some("<int>"),
            (_, true) => Some("<float>"),
            _ => None,
        };
    }
    if UNITS.contains(&&number[digits..]) {
        return Some("<duration>");
    }
    hash(word)
}

fn is_long_hash(word: &str) -> bool {
    matches!(word.len(), 32 | 40)
}

/// `<sha1>`, `<md5>`, or another run of hex digits that holds letters and digits.
fn hash(word: &str) -> Option<&'static str> {
    if word.len() < 6 || !is_hex(word) || !word.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(match word.len() {
        40 => "<sha1>",
        32 => "<md5>",
        _ => "<hex>",
    })
}

/// Appends a word part by part: `order-17` is `order-<int>`.
fn parts(word: &str, out: &mut String) {
    let mut rest = word;
    while !rest.is_empty() {
        let length = rest
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(rest.len());
        match piece(&rest[..length]) {
            Some(kind) => out.push_str(kind),
            None => out.push_str(&rest[..length]),
        }
        rest = &rest[length..];
        if let Some(c) = rest.chars().next() {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
}

pub(super) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_host(word: &str) -> bool {
    let (host, port) = word.split_once(':').unwrap_or((word, ""));
    let labels = host.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    });
    let known = host
        .rsplit_once('.')
        .is_some_and(|(_, end)| HOST_ENDS.contains(&end));
    labels && known && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// An address, with a port or without.
fn is_address(word: &str) -> bool {
    // Hadoop writes `host/10.0.0.1:9000` and `/10.0.0.1:9000`.
    let word = word.strip_prefix('/').unwrap_or(word);
    let (host, port) = word.rsplit_once(':').unwrap_or((word, ""));
    let ported = port.bytes().all(|byte| byte.is_ascii_digit());
    (ported && host.parse::<Ipv4Addr>().is_ok())
        || (word.len() > 3 && word.contains(':') && word.parse::<Ipv6Addr>().is_ok())
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2026-01-02`, `2026-01-02T03:04:05Z`, `03:04:05.678`
fn is_date(bytes: &[u8]) -> bool {
    let shaped = |start: usize, separator: u8, shape: &[u8]| {
        shape.iter().enumerate().all(|(at, kind)| {
            bytes.get(start + at).is_some_and(|byte| match kind {
                b'0' => byte.is_ascii_digit(),
                _ => *byte == separator,
            })
        })
    };
    shaped(0, b'-', b"0000-00-00") || shaped(0, b'/', b"0000/00/00") || shaped(0, b':', b"00:00:00")
}
