//! Times: RFC 3339 and its relatives, numbers since the epoch, and the times that lines start with.
//!
//! A time without a zone is UTC. A time without a year gets the one that puts it closest before the
//! receive time. A clock without a date is no event time. Nothing here reads a clock.

mod civil;
mod digits;
mod epoch;
mod named;
mod numeric;

use hushlog_record::Timestamp;

/// How far into a line the bracketed time of an access log is looked for, in bytes.
const ACCESS_SEARCH_BYTES: usize = 128;
/// Longest first word that a time may stand behind, in bytes.
const FIRST_WORD_BYTES: usize = 64;

/// A time given as a value: text in a known form, or a number since the epoch in s, ms, us or ns by
/// its magnitude. `None` when it is neither, or outside of 1677 to 2262.
pub(crate) fn value(text: &str, received: Timestamp) -> Option<Timestamp> {
    let text = text.trim_ascii();
    if let Some((timestamp, length)) = numeric::iso(text.as_bytes())
        && length == text.len()
    {
        return Some(timestamp);
    }
    let text = without_region(text);
    let bytes = text.as_bytes();
    let forms = [
        numeric::iso,
        numeric::iso_basic,
        numeric::iso_short,
        named::common_log,
        numeric::short_year,
        numeric::slashes,
    ];
    forms
        .iter()
        .find_map(|form| whole(form(bytes), bytes))
        .or_else(|| epoch::read(text))
        .or_else(|| text.parse().ok())
        .or_else(|| whole(named::loose(bytes, received), bytes))
}

/// Seconds since the epoch and nanoseconds within them, given apart (Google Cloud, Log4j 2).
pub(crate) fn seconds_and_nanos(seconds: &str, nanos: &str) -> Option<Timestamp> {
    let seconds: i64 = seconds.trim_ascii().parse().ok()?;
    let nanos: i64 = nanos.trim_ascii().parse().unwrap_or(0);
    let whole = seconds.checked_mul(hushlog_record::time::NANOS_PER_SECOND)?;
    whole.checked_add(nanos).map(Timestamp::from_nanos)
}

/// Without the `[Europe/Berlin]` that Java writes after an offset.
fn without_region(text: &str) -> &str {
    let Some(inner) = text.strip_suffix(']') else {
        return text;
    };
    match inner.rsplit_once('[') {
        Some((time, region)) if !time.is_empty() && !region.contains(' ') => time,
        _ => text,
    }
}

fn whole(found: Option<(Timestamp, usize)>, bytes: &[u8]) -> Option<Timestamp> {
    found
        .filter(|(_, length)| *length == bytes.len())
        .map(|(timestamp, _)| timestamp)
}

/// The time that a line starts with, perhaps after a bracket or a first word, and where it ends in
/// the line; a closing bracket is part of it.
pub(crate) fn prefix(line: &str, received: Timestamp) -> Option<(Timestamp, usize)> {
    let bytes = line.as_bytes();
    match bytes.first()? {
        b'0'..=b'9' => digits_first(bytes, received),
        b'[' => bracketed(bytes, received),
        b'A'..=b'Z' => letters_first(bytes, received),
        _ => None,
    }
    .or_else(|| common_log_in(bytes))
    .or_else(|| second_word(bytes, received))
}

/// The time that a syslog message starts with: of RFC 3164, with a year or not, after Cisco's `*`, or
/// of ISO form, as rsyslog forwards it.
pub(crate) fn at_start(text: &str, received: Timestamp) -> Option<(Timestamp, usize)> {
    let star = usize::from(text.starts_with(['*', '.']));
    let bytes = &text.as_bytes()[star..];
    numeric::iso(bytes)
        .or_else(|| named::syslog(bytes, received))
        .map(|(timestamp, length)| (timestamp, star + length))
}

/// Whether it begins with a month by its short name, as the times of RFC 3164 do.
pub(crate) fn begins_with_month(text: &str) -> bool {
    digits::month(text.as_bytes()).is_some() && text.as_bytes().get(3) == Some(&b' ')
}

fn digits_first(bytes: &[u8], received: Timestamp) -> Option<(Timestamp, usize)> {
    numeric::iso(bytes)
        .or_else(|| numeric::short_year(bytes))
        .or_else(|| numeric::hdfs(bytes))
        .or_else(|| numeric::iso_basic(bytes))
        .or_else(|| numeric::slashes(bytes))
        .or_else(|| {
            // `02 Jan 2026 03:04:05.678`
            let month = bytes
                .get(3..)
                .filter(|_| bytes[2..].first() == Some(&b' '))?;
            digits::month(month)?;
            named::loose(bytes, received)
        })
}

fn letters_first(bytes: &[u8], received: Timestamp) -> Option<(Timestamp, usize)> {
    if let Some(found) = numeric::klog(bytes, received) {
        return Some(found);
    }
    // `E, [2026-01-02T03:04:05.678901 #123] ERROR -- pay: it failed`, Ruby's.
    if let Some(rest) = bytes.get(1..).and_then(|rest| rest.strip_prefix(b", [")) {
        return numeric::iso(rest).map(|(time, length)| (time, 4 + length));
    }
    if digits::month(bytes).is_some() {
        return named::syslog(bytes, received).or_else(|| named::loose(bytes, received));
    }
    // `Fri Jan  2 03:04:05 2026`, `Fri, 02 Jan 2026 03:04:05 GMT`
    let day = matches!(
        &bytes[..bytes.len().min(3)],
        b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun"
    );
    day.then(|| named::apache(bytes).or_else(|| named::loose(bytes, received)))?
}

fn bracketed(bytes: &[u8], received: Timestamp) -> Option<(Timestamp, usize)> {
    let inner = &bytes[1..];
    let (timestamp, length) = numeric::iso(inner)
        .or_else(|| named::apache(inner))
        .or_else(|| named::common_log(inner))
        .or_else(|| numeric::slashes(inner))
        .or_else(|| {
            digits::month(inner.get(3..)?)?;
            named::loose(inner, received)
        })?;
    let end = 1 + length;
    Some((timestamp, end + usize::from(bytes.get(end) == Some(&b']'))))
}

/// A line whose first word is a file name or a process, as OpenStack's collected logs have.
fn second_word(bytes: &[u8], received: Timestamp) -> Option<(Timestamp, usize)> {
    let head = &bytes[..bytes.len().min(FIRST_WORD_BYTES)];
    let start = memchr::memchr2(b' ', b'\t', head)? + 1;
    let rest = &bytes[start..];
    numeric::iso(rest)
        // Redis: `1:M 02 Jan 2026 03:04:05.678 * Ready`
        .or_else(|| {
            digits::month(rest.get(3..)?)?;
            digits::two(rest, 0)?;
            named::loose(rest, received)
        })
        .map(|(timestamp, length)| (timestamp, start + length))
}

/// The bracketed time of an access log line.
fn common_log_in(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    let head = &bytes[..bytes.len().min(ACCESS_SEARCH_BYTES)];
    let start = memchr::memchr(b'[', head)? + 1;
    let (timestamp, length) = named::common_log(&bytes[start..])?;
    let end = start + length;
    Some((timestamp, end + usize::from(bytes.get(end) == Some(&b']'))))
}
