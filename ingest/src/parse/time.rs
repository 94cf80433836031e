//! Times: RFC 3339 and its relatives, numbers since the epoch, and the times that lines start with.
//!
//! A time without a zone is UTC. A syslog time has no year: it gets the one that puts it closest
//! before the receive time. Nothing here reads a clock.

use hushlog_record::Timestamp;
use hushlog_record::time::NANOS_PER_SECOND;

/// A syslog time may be this far ahead of the receive time before it is taken for last year's.
const AHEAD_MAX: i64 = 24 * 3600 * NANOS_PER_SECOND;

/// A time given as a value: text in a known form, or a number since the epoch in s, ms, us or ns by
/// its magnitude. `None` when it is neither, or outside of 1677 to 2262.
pub(crate) fn value(text: &str) -> Option<Timestamp> {
    let text = text.trim_ascii();
    if let Some((timestamp, length)) = iso(text.as_bytes())
        && length == text.len()
    {
        return Some(timestamp);
    }
    epoch(text)
        .or_else(|| text.parse().ok())
        .or_else(|| whole(common_log(text.as_bytes()), text))
        .or_else(|| rfc2822(text))
}

fn whole(found: Option<(Timestamp, usize)>, text: &str) -> Option<Timestamp> {
    found
        .filter(|(_, length)| *length == text.len())
        .map(|(timestamp, _)| timestamp)
}

fn rfc2822(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    i64::try_from(zoned.timestamp().as_nanosecond())
        .ok()
        .map(Timestamp::from_nanos)
}

/// `1718000000`, `1718000000.25`, `1718000000123456789`, `1.718e9`
fn epoch(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return epoch_with_exponent(text);
    }
    let number: i128 = if whole.len() <= 20 {
        whole.parse().ok()?
    } else {
        return None;
    };
    let unit: i128 = match number {
        ..=99_999_999_999 => 1_000_000_000,
        100_000_000_000..=99_999_999_999_999 => 1_000_000,
        100_000_000_000_000..=99_999_999_999_999_999 => 1_000,
        _ => 1,
    };
    let nanos = number * unit + fraction_of(fraction.as_bytes(), unit);
    let signed = if text.starts_with('-') { -nanos } else { nanos };
    i64::try_from(signed).ok().map(Timestamp::from_nanos)
}

/// The part of `unit` that a decimal fraction stands for, rounded down.
fn fraction_of(digits: &[u8], unit: i128) -> i128 {
    let mut place = unit;
    let mut sum = 0;
    for digit in digits {
        place /= 10;
        if place == 0 {
            break;
        }
        sum += place * i128::from(digit - b'0');
    }
    sum
}

/// A number as some encoders write large ones. Only exact multiples survive; a double holds no
/// nanoseconds of today.
fn epoch_with_exponent(text: &str) -> Option<Timestamp> {
    let number: f64 = text.parse().ok()?;
    if !number.is_finite() || number.abs() >= 1e19 {
        return None;
    }
    epoch(&format!("{number:.6}"))
}

/// The time that a line starts with.
pub(crate) fn prefix(line: &str, received: Timestamp) -> Option<Timestamp> {
    let bytes = line.as_bytes();
    let bytes = after_priority(bytes);
    match bytes.first()? {
        b'0'..=b'9' => digits_first(bytes),
        b'[' => iso(&bytes[1..])
            .or_else(|| apache(&bytes[1..]))
            .map(|(timestamp, _)| timestamp),
        b'A'..=b'Z' => syslog(bytes, received).or_else(|| klog(bytes, received)),
        _ => None,
    }
    .or_else(|| common_log_in(bytes))
    .or_else(|| second_word(bytes))
}

/// Skips a syslog `<34>` and the version digit after it.
fn after_priority(bytes: &[u8]) -> &[u8] {
    let [b'<', rest @ ..] = bytes else {
        return bytes;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match &rest[digits..] {
        [b'>', b'1', b' ', rest @ ..] | [b'>', rest @ ..] if (1..=3).contains(&digits) => rest,
        _ => bytes,
    }
}

fn digits_first(bytes: &[u8]) -> Option<Timestamp> {
    if let Some((timestamp, _)) = iso(bytes) {
        return Some(timestamp);
    }
    short_year(bytes).or_else(|| hdfs(bytes))
}

/// A line whose first word is a file name or a process, as OpenStack's collected logs have.
fn second_word(bytes: &[u8]) -> Option<Timestamp> {
    let space = bytes.iter().take(64).position(|byte| *byte == b' ')?;
    iso(&bytes[space + 1..]).map(|(timestamp, _)| timestamp)
}

/// `17/06/09 20:10:40`, as Spark writes it.
fn short_year(bytes: &[u8]) -> Option<Timestamp> {
    let (year, month, day) = (two(bytes, 0)?, two(bytes, 3)?, two(bytes, 6)?);
    if bytes.get(2) != Some(&b'/') || bytes.get(5) != Some(&b'/') || bytes.get(8) != Some(&b' ') {
        return None;
    }
    let (seconds, _) = clock(&bytes[9..])?;
    at(2000 + year, month, day, seconds, 0)
}

/// `081109 203615`, as HDFS writes it.
fn hdfs(bytes: &[u8]) -> Option<Timestamp> {
    if bytes.get(6) != Some(&b' ') || bytes.get(13).is_some_and(|byte| *byte != b' ') {
        return None;
    }
    let (year, month, day) = (two(bytes, 0)?, two(bytes, 2)?, two(bytes, 4)?);
    let (hour, minute, second) = (two(bytes, 7)?, two(bytes, 9)?, two(bytes, 11)?);
    at(
        2000 + year,
        month,
        day,
        seconds_of(hour, minute, second)?,
        0,
    )
}

/// `Jun 14 15:16:01` or `Jun  9 06:06:20`
fn syslog(bytes: &[u8], received: Timestamp) -> Option<Timestamp> {
    let month = month(bytes)?;
    if bytes.get(3) != Some(&b' ') || bytes.get(6) != Some(&b' ') {
        return None;
    }
    let day = padded_day(bytes, 4)?;
    let (seconds, _) = clock(&bytes[7..])?;
    without_year(month, day, seconds, 0, received)
}

/// `E0102 15:04:05.678901`
fn klog(bytes: &[u8], received: Timestamp) -> Option<Timestamp> {
    if !matches!(bytes.first()?, b'D' | b'I' | b'W' | b'E' | b'F') || bytes.get(5) != Some(&b' ') {
        return None;
    }
    let (month, day) = (two(bytes, 1)?, two(bytes, 3)?);
    let (seconds, length) = clock(&bytes[6..])?;
    let (nanos, _) = fraction(&bytes[6 + length..]);
    without_year(month, day, seconds, nanos, received)
}

fn without_year(
    month: i64,
    day: i64,
    seconds: i64,
    nanos: i64,
    received: Timestamp,
) -> Option<Timestamp> {
    let year = year_of(received);
    let latest = received.saturating_add(AHEAD_MAX);
    // Down to four years back: 29 February may have been that long ago.
    (year - 4..=year + 1)
        .rev()
        .filter_map(|year| at(year, month, day, seconds, nanos))
        .find(|timestamp| *timestamp <= latest)
}

/// `Sun Dec 04 04:47:44 2005]`, with or without a fraction after the seconds.
fn apache(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    let month = month(bytes.get(4..)?)?;
    if bytes.get(3) != Some(&b' ') || bytes.get(7) != Some(&b' ') || bytes.get(10) != Some(&b' ') {
        return None;
    }
    let day = padded_day(bytes, 8)?;
    let (seconds, length) = clock(&bytes[11..])?;
    let mut end = 11 + length;
    let (nanos, length) = fraction(&bytes[end..]);
    end += length;
    if bytes.get(end) != Some(&b' ') {
        return None;
    }
    Some((
        at(four(bytes, end + 1)?, month, day, seconds, nanos)?,
        end + 5,
    ))
}

/// `10/Oct/2000:13:55:36 -0700`
fn common_log(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    if bytes.get(2) != Some(&b'/') || bytes.get(6) != Some(&b'/') || bytes.get(11) != Some(&b':') {
        return None;
    }
    let (day, month, year) = (two(bytes, 0)?, month(&bytes[3..])?, four(bytes, 7)?);
    let (seconds, length) = clock(&bytes[12..])?;
    let end = 12 + length;
    let (offset, length) = zone(&bytes[end..]);
    Some((at(year, month, day, seconds - offset, 0)?, end + length))
}

/// The bracketed time of an access log line.
fn common_log_in(bytes: &[u8]) -> Option<Timestamp> {
    let bracket = bytes.iter().take(128).position(|byte| *byte == b'[')?;
    common_log(&bytes[bracket + 1..]).map(|(timestamp, _)| timestamp)
}

/// `2015-10-18T18:01:47.978Z` and what loggers make of it: a space or `_` for the `T`, a comma for the
/// point, slashes for the hyphens, no zone. Gives the length it read.
fn iso(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    let hyphen = *bytes.get(4)?;
    if !matches!(hyphen, b'-' | b'/') || *bytes.get(7)? != hyphen {
        return None;
    }
    if !matches!(bytes.get(10)?, b'T' | b't' | b' ' | b'_') {
        return None;
    }
    let (year, month, day) = (four(bytes, 0)?, two(bytes, 5)?, two(bytes, 8)?);
    let (seconds, length) = clock(&bytes[11..])?;
    let mut end = 11 + length;
    let (nanos, length) = fraction(&bytes[end..]);
    end += length;
    let (offset, length) = zone(&bytes[end..]);
    Some((at(year, month, day, seconds - offset, nanos)?, end + length))
}

/// `HH:MM:SS` as seconds of the day, and its length.
fn clock(bytes: &[u8]) -> Option<(i64, usize)> {
    if *bytes.get(2)? != b':' || *bytes.get(5)? != b':' {
        return None;
    }
    let seconds = seconds_of(two(bytes, 0)?, two(bytes, 3)?, two(bytes, 6)?)?;
    Some((seconds, 8))
}

/// A leap second is counted as the second before it.
fn seconds_of(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then_some(hour * 3600 + minute * 60 + second.min(59))
}

/// `.978` or `,978` as nanoseconds, and its length; digits past the ninth are dropped.
fn fraction(bytes: &[u8]) -> (i64, usize) {
    let [b'.' | b',', rest @ ..] = bytes else {
        return (0, 0);
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return (0, 0);
    }
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10
            + rest[..digits]
                .get(place)
                .map_or(0, |digit| i64::from(digit - b'0'));
    }
    (nanos, digits + 1)
}

/// `Z`, ` UTC`, `+02:00`, `-0700`, ` +0000` as seconds east of UTC, and its length; nothing is UTC.
fn zone(bytes: &[u8]) -> (i64, usize) {
    let space = usize::from(bytes.first() == Some(&b' '));
    let rest = &bytes[space..];
    if space == 0 && matches!(rest.first(), Some(b'Z' | b'z')) {
        return (0, 1);
    }
    if rest.starts_with(b"UTC") || rest.starts_with(b"GMT") {
        return (0, space + 3);
    }
    offset(rest).map_or((0, 0), |(seconds, length)| (seconds, space + length))
}

fn offset(bytes: &[u8]) -> Option<(i64, usize)> {
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = two(bytes, 1)?;
    let colon = usize::from(bytes.get(3) == Some(&b':'));
    let minutes = two(bytes, 3 + colon)?;
    (hours < 24 && minutes < 60).then_some((sign * (hours * 3600 + minutes * 60), 5 + colon))
}

fn two(bytes: &[u8], at: usize) -> Option<i64> {
    match bytes.get(at..at + 2)? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => None,
    }
}

fn four(bytes: &[u8], at: usize) -> Option<i64> {
    Some(two(bytes, at)? * 100 + two(bytes, at + 2)?)
}

/// `14` or ` 9`
fn padded_day(bytes: &[u8], at: usize) -> Option<i64> {
    match bytes.get(at..at + 2)? {
        [b' ', digit @ b'0'..=b'9'] => Some(i64::from(digit - b'0')),
        _ => two(bytes, at),
    }
}

fn month(bytes: &[u8]) -> Option<i64> {
    const NAMES: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let name = bytes.get(..3)?;
    let place = NAMES.chunks(3).position(|known| known == name)?;
    i64::try_from(place + 1).ok()
}

/// The time of a civil date and a second of its day (which may lie outside of it by a zone).
fn at(year: i64, month: i64, day: i64, seconds: i64, nanos: i64) -> Option<Timestamp> {
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + seconds;
    let nanos = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
    i64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn year_of(timestamp: Timestamp) -> i64 {
    let days = timestamp.nanos().div_euclid(86_400 * NANOS_PER_SECOND);
    // A guess from the mean length of a year, and one step in either direction.
    let guess = 1970 + days * 400 / 146_097;
    if days < days_from_civil(guess, 1, 1) {
        guess - 1
    } else if days >= days_from_civil(guess + 1, 1, 1) {
        guess + 1
    } else {
        guess
    }
}
