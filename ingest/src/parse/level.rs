//! Severities: words, numbers, and what the start of a message says.
//!
//! A number in a level field is a syslog severity from 0 to 7 (also what GELF calls `level`) and
//! pino's, bunyan's or Python's from 10 to 60, or Monolog's from 100 to 600; only others from 1 to 24 are OpenTelemetry's. A field named
//! after OpenTelemetry's severity number holds nothing else.

use hushlog_record::Level;

use crate::limits::LEVEL_SEARCH_BYTES;

/// OpenTelemetry severity number.
pub(crate) fn otel(number: i32) -> Option<Level> {
    match number {
        1..=8 => Some(Level::Debug),
        9..=12 => Some(Level::Info),
        13..=16 => Some(Level::Warn),
        17..=20 => Some(Level::Error),
        21..=24 => Some(Level::Fatal),
        _ => None,
    }
}

/// Syslog severity (RFC 5424, table 2).
pub(crate) fn syslog(severity: usize) -> Option<Level> {
    number(&severity.to_string())
}

/// OpenTelemetry severity number as text.
pub(crate) fn otel_text(text: &str) -> Option<Level> {
    otel(text.parse().ok()?)
}

/// What a level field says. Go's `slog` writes levels between the named ones as `INFO+2`.
pub(crate) fn value(text: &str) -> Option<Level> {
    let word = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let word = match word.rsplit_once(['+', '-']) {
        Some((name, step)) if step.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => word,
    };
    Level::from_word(word)
        .or(match word {
            "dpanic" | "DPANIC" => Some(Level::Fatal),
            // log15 writes four letters.
            "eror" => Some(Level::Error),
            "dbug" => Some(Level::Debug),
            _ => None,
        })
        .or_else(|| number(word))
        .or(match word {
            "T" | "t" | "D" | "d" => Some(Level::Debug),
            "I" | "i" => Some(Level::Info),
            "W" | "w" => Some(Level::Warn),
            "E" | "e" => Some(Level::Error),
            "F" | "f" => Some(Level::Fatal),
            _ => None,
        })
}

fn number(word: &str) -> Option<Level> {
    match word.parse::<u16>().ok()? {
        0..=2 => Some(Level::Fatal),
        3 => Some(Level::Error),
        4 => Some(Level::Warn),
        5 | 6 => Some(Level::Info),
        7 | 10 | 20 => Some(Level::Debug),
        30 => Some(Level::Info),
        40 => Some(Level::Warn),
        50 => Some(Level::Error),
        60 => Some(Level::Fatal),
        100 => Some(Level::Debug),
        200 | 250 => Some(Level::Info),
        300 => Some(Level::Warn),
        400 => Some(Level::Error),
        500 | 550 | 600 => Some(Level::Fatal),
        other => otel(i32::from(other)),
    }
}

/// The level that the start of a message names, if it does so in a form that loggers use: `ERROR`
/// by itself in capitals, `[error]`, `<warn>`, `level=error`, `error:` first of all, klog's `E0102 `.
pub(crate) fn in_message(message: &str) -> Option<Level> {
    let bytes = message.as_bytes();
    let head = &bytes[..bytes.len().min(LEVEL_SEARCH_BYTES)];
    if let Some(level) = klog(head) {
        return Some(level);
    }
    let mut at = 0;
    while at < head.len() {
        if !head[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        // The word may go on past the searched part.
        let length = bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        if (3..=13).contains(&length)
            && let Some(level) = word(bytes, at, at + length)
        {
            return Some(level);
        }
        at += length;
    }
    None
}

fn word(bytes: &[u8], start: usize, end: usize) -> Option<Level> {
    let before = start.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    let after = bytes.get(end).copied();
    let opens = matches!(
        before,
        None | Some(b' ' | b'\t' | b'[' | b'<' | b'(' | b'|' | b'=' | b'"' | b':')
    );
    let closes = matches!(
        after,
        None | Some(
            b' ' | b'\t' | b'\n' | b'\r' | b']' | b'>' | b')' | b'|' | b':' | b',' | b'"' | b'-'
        )
    );
    if !opens || !closes {
        return None;
    }
    let bracketed = matches!(
        (before, after),
        (Some(b'['), Some(b']')) | (Some(b'<'), Some(b'>'))
    );
    let first = (before.is_none() && after == Some(b':')) || keyed(&bytes[..start]);
    let capitals = bytes[start..end].iter().all(u8::is_ascii_uppercase);
    // The names of levels are looked at last: nearly no word of a text comes so far.
    if !bracketed && !first && !capitals {
        return None;
    }
    let word = std::str::from_utf8(&bytes[start..end]).ok()?;
    let level = Level::from_word(word)?;
    (bracketed || first || !is_prose(word)).then_some(level)
}

/// A level written in capitals where a header has its level.
pub(crate) fn capitals(word: &str) -> Option<Level> {
    Level::from_word(word).filter(|_| !is_prose(word))
}

/// Words that are levels only where brackets or a key say so.
fn is_prose(word: &str) -> bool {
    matches!(word, "LOG" | "CONFIG" | "FINE" | "INF" | "ALERT" | "PANIC")
}

fn keyed(before: &[u8]) -> bool {
    if !matches!(before.last(), Some(b'=' | b':' | b'"')) {
        return false;
    }
    let before = before.strip_suffix(b"\"").unwrap_or(before);
    [
        &b"level="[..],
        b"lvl=",
        b"severity=",
        b"level\":",
        b"severity\":",
    ]
    .iter()
    .any(|key| before.ends_with(key))
}

/// `E0102 15:04:05.678901`; glog since 0.6 writes the year too, `E20260102 15:04:05.678901`.
pub(crate) fn klog(head: &[u8]) -> Option<Level> {
    let letter = head.first()?;
    let digits = head[1..]
        .iter()
        .take(9)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if !matches!(digits, 4 | 8) || head.get(digits + 1) != Some(&b' ') {
        return None;
    }
    // A clock follows: `A1234 of the series` is no log header.
    if head.get(digits + 4) != Some(&b':') {
        return None;
    }
    match letter {
        b'D' => Some(Level::Debug),
        b'I' => Some(Level::Info),
        b'W' => Some(Level::Warn),
        b'E' => Some(Level::Error),
        b'F' => Some(Level::Fatal),
        _ => None,
    }
}
