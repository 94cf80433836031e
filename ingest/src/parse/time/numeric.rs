//! Times that are written with digits alone.

use hushlog_record::Timestamp;

use super::civil::{at, without_year};
use super::digits::{clock, four, fraction, seconds_of, two, zone};

/// `2015-10-18T18:01:47.978Z` and what loggers make of it: a space or `_` for the `T`, a comma for the
/// point, slashes or points for the hyphens, no zone. Gives the length it read.
pub(super) fn iso(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    let hyphen = *bytes.get(4)?;
    if !matches!(hyphen, b'-' | b'/' | b'.') || *bytes.get(7)? != hyphen {
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

/// `2015-10-18`, `2015-10-18 18:01`, with a zone or without: only as a whole value, a line may start
/// with a date for other reasons.
pub(super) fn iso_short(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let (year, month, day) = (four(bytes, 0)?, two(bytes, 5)?, two(bytes, 8)?);
    if bytes.len() == 10 {
        return Some((at(year, month, day, 0, 0)?, 10));
    }
    if !matches!(bytes.get(10)?, b'T' | b' ') || bytes.get(13) != Some(&b':') {
        return None;
    }
    let seconds = seconds_of(two(bytes, 11)?, two(bytes, 14)?, 0)?;
    let (offset, length) = zone(&bytes[16..]);
    Some((at(year, month, day, seconds - offset, 0)?, 16 + length))
}

/// `20151018T180147Z`, `20151018T180147.978+0200`, `20151018180147` (ISO 8601, basic format).
pub(super) fn iso_basic(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    let (year, month, day) = (four(bytes, 0)?, two(bytes, 4)?, two(bytes, 6)?);
    let start = match bytes.get(8)? {
        b'T' => 9,
        // Fourteen digits would be milliseconds of a year that no time here reaches.
        b'0'..=b'9' if bytes.len() == 14 => 8,
        _ => return None,
    };
    let seconds = seconds_of(
        two(bytes, start)?,
        two(bytes, start + 2)?,
        two(bytes, start + 4)?,
    )?;
    let mut end = start + 6;
    let (nanos, length) = fraction(&bytes[end..]);
    end += length;
    let (offset, length) = zone(&bytes[end..]);
    Some((at(year, month, day, seconds - offset, nanos)?, end + length))
}

/// `17/06/09 20:10:40`, as Spark writes it.
pub(super) fn short_year(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    if bytes.get(2) != Some(&b'/') || bytes.get(5) != Some(&b'/') || bytes.get(8) != Some(&b' ') {
        return None;
    }
    let (year, month, day) = (two(bytes, 0)?, two(bytes, 3)?, two(bytes, 6)?);
    let (seconds, length) = clock(&bytes[9..])?;
    Some((at(2000 + year, month, day, seconds, 0)?, 9 + length))
}

/// `081109 203615`, as HDFS writes it.
pub(super) fn hdfs(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    if bytes.get(6) != Some(&b' ') || bytes.get(13).is_some_and(|byte| *byte != b' ') {
        return None;
    }
    let (year, month, day) = (two(bytes, 0)?, two(bytes, 2)?, two(bytes, 4)?);
    let seconds = seconds_of(two(bytes, 7)?, two(bytes, 9)?, two(bytes, 11)?)?;
    Some((at(2000 + year, month, day, seconds, 0)?, 13))
}

/// `01/02/2026 03:04:05 PM`, `1/2/2026 3:04:05`: the month first, as Windows writes it by default,
/// unless the first number can only be a day; or `15.01.2026 03:04:05`, the day first.
pub(super) fn slashes(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    let (first, length) = one_or_two(bytes)?;
    let separator = *bytes.get(length)?;
    if !matches!(separator, b'/' | b'.') {
        return None;
    }
    let mut at_byte = length + 1;
    let (second, length) = one_or_two(&bytes[at_byte..])?;
    at_byte += length;
    if bytes.get(at_byte) != Some(&separator) {
        return None;
    }
    let year = four(bytes, at_byte + 1)?;
    at_byte += 5;
    let gap = match bytes.get(at_byte..)? {
        [b',', b' ', ..] => 2,
        [b' ', ..] => 1,
        _ => return None,
    };
    let (seconds, nanos, length) = loose_clock(&bytes[at_byte + gap..])?;
    let end = at_byte + gap + length;
    let (offset, length) = zone(&bytes[end..]);
    let (month, day) = if separator == b'.' || first > 12 {
        (second, first)
    } else {
        (first, second)
    };
    Some((at(year, month, day, seconds - offset, nanos)?, end + length))
}

/// `E0102 15:04:05.678901`, as glog and klog write it.
pub(super) fn klog(bytes: &[u8], received: Timestamp) -> Option<(Timestamp, usize)> {
    if !matches!(bytes.first()?, b'D' | b'I' | b'W' | b'E' | b'F') {
        return None;
    }
    let (date, (month, day)) = if bytes.get(5) == Some(&b' ') {
        (5, (two(bytes, 1)?, two(bytes, 3)?))
    } else {
        // glog since 0.6 writes the year too.
        (9, (two(bytes, 5)?, two(bytes, 7)?))
    };
    if bytes.get(date) != Some(&b' ') {
        return None;
    }
    let (seconds, length) = clock(&bytes[date + 1..])?;
    let mut end = date + 1 + length;
    let (nanos, length) = fraction(&bytes[end..]);
    end += length;
    let time = if date == 5 {
        without_year(month, day, seconds, nanos, received)?
    } else {
        at(four(bytes, 1)?, month, day, seconds, nanos)?
    };
    Some((time, end))
}

fn one_or_two(bytes: &[u8]) -> Option<(i64, usize)> {
    two(bytes, 0).map(|number| (number, 2)).or_else(|| {
        let digit = bytes.first().filter(|byte| byte.is_ascii_digit())?;
        Some((i64::from(digit - b'0'), 1))
    })
}

/// `3:04:05 PM`, `15:04:05.25`: seconds of the day, nanoseconds, length.
pub(super) fn loose_clock(bytes: &[u8]) -> Option<(i64, i64, usize)> {
    let (hour, length) = one_or_two(bytes)?;
    if bytes.get(length) != Some(&b':') || bytes.get(length + 3) != Some(&b':') {
        return None;
    }
    let (minute, second) = (two(bytes, length + 1)?, two(bytes, length + 4)?);
    let mut end = length + 6;
    let (nanos, length) = fraction(&bytes[end..]);
    end += length;
    let (hour, length) = half_day(&bytes[end..], hour)?;
    Some((seconds_of(hour, minute, second)?, nanos, end + length))
}

/// The hour of the whole day, if `AM` or `PM` follows, after a space or a narrow one (U+202F).
fn half_day(bytes: &[u8], hour: i64) -> Option<(i64, usize)> {
    let gap = match bytes {
        [b' ', ..] => 1,
        [0xe2, 0x80, 0xaf, ..] => 3,
        _ => 0,
    };
    let afternoon = match bytes.get(gap..gap + 2) {
        Some(b"AM" | b"am") => false,
        Some(b"PM" | b"pm") => true,
        _ => return Some((hour, 0)),
    };
    if !(1..=12).contains(&hour) {
        return None;
    }
    Some((hour % 12 + if afternoon { 12 } else { 0 }, gap + 2))
}
