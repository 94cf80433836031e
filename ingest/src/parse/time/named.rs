//! Times with the name of a month: syslog, access logs, `ctime`, RFC 2822 and their relatives.

use hushlog_record::Timestamp;

use super::civil::{at, century, without_year};
use super::digits::{clock, four, fraction, month, padded_day, two, zone};
use super::numeric::loose_clock;

/// Longest time of this kind, in bytes: `Wednesday, 30 September 2026 12:34:56.123456789 PM +0000`.
const LENGTH_MAX: usize = 64;

/// `Jun 14 15:16:01` or `Jun  9 06:06:20` (RFC 3164, section 4.1.2), and with a year, as some relays
/// write it: `Jun 14 2026 15:16:01`.
pub(super) fn syslog(bytes: &[u8], received: Timestamp) -> Option<(Timestamp, usize)> {
    let month = month(bytes)?;
    if bytes.get(3) != Some(&b' ') || bytes.get(6) != Some(&b' ') {
        return None;
    }
    let day = padded_day(bytes, 4)?;
    let (year, start) = match four(bytes, 7) {
        Some(year) if bytes.get(11) == Some(&b' ') => (Some(year), 12),
        _ => (None, 7),
    };
    let (seconds, length) = clock(&bytes[start..])?;
    let mut end = start + length;
    let (nanos, length) = fraction(&bytes[end..]);
    end += length;
    let time = match year {
        Some(year) => at(year, month, day, seconds, nanos)?,
        None => without_year(month, day, seconds, nanos, received)?,
    };
    Some((time, end))
}

/// `Sun Dec 04 04:47:44 2005`, with or without a fraction after the seconds.
pub(super) fn apache(bytes: &[u8]) -> Option<(Timestamp, usize)> {
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
    let time = at(four(bytes, end + 1)?, month, day, seconds, nanos)?;
    Some((time, end + 5))
}

/// `10/Oct/2000:13:55:36 -0700`
pub(super) fn common_log(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    if bytes.get(2) != Some(&b'/') || bytes.get(6) != Some(&b'/') {
        return None;
    }
    // Python's servers write a space for the colon.
    if !matches!(bytes.get(11)?, b':' | b' ') {
        return None;
    }
    let (day, month, year) = (two(bytes, 0)?, month(&bytes[3..])?, four(bytes, 7)?);
    let (seconds, length) = clock(&bytes[12..])?;
    let end = 12 + length;
    let (offset, length) = zone(&bytes[end..]);
    Some((at(year, month, day, seconds - offset, 0)?, end + length))
}

/// What has been read of a time in any order.
#[derive(Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    clock: Option<(i64, i64)>,
    offset: Option<i64>,
}

/// A date with the name of a month and a clock, in any of the orders in use: `Jan 2, 2026 3:04:05 PM`,
/// `Fri, 02 Jan 2026 03:04:05 +0100`, `Friday, 02-Jan-26 03:04:05 GMT`, `02 Jan 2026 03:04:05.678`,
/// `Fri Jan  2 03:04:05 UTC 2026`. Gives the length up to the last part it understood.
pub(super) fn loose(bytes: &[u8], received: Timestamp) -> Option<(Timestamp, usize)> {
    let bytes = &bytes[..bytes.len().min(LENGTH_MAX)];
    let mut parts = Parts::default();
    let (mut at_byte, mut end) = (0, 0);
    while let Some(byte) = bytes.get(at_byte) {
        if matches!(byte, b' ' | b',') || (parts.clock.is_none() && matches!(byte, b'-' | b'/')) {
            at_byte += 1;
            continue;
        }
        let Some(length) = parts.take(&bytes[at_byte..]) else {
            break;
        };
        at_byte += length;
        end = at_byte;
    }
    let (seconds, nanos) = parts.clock?;
    let (month, day) = (parts.month?, parts.day?);
    let offset = parts.offset.unwrap_or(0);
    let time = match parts.year {
        Some(year) => at(year, month, day, seconds - offset, nanos)?,
        None => without_year(month, day, seconds - offset, nanos, received)?,
    };
    Some((time, end))
}

impl Parts {
    /// Takes the part that stands at the front and gives its length; `None` ends the time.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first()?;
        if first.is_ascii_digit() {
            return self.number(bytes);
        }
        if self.clock.is_some() {
            let (offset, length) = zone(bytes);
            if length == 0 {
                return None;
            }
            // `+0100 CET`: the second only names the first.
            self.offset.get_or_insert(offset);
            return Some(length);
        }
        let length = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let word = &bytes[..length];
        if self.month.is_none() && is_name(word, &MONTHS) {
            self.month = Some(month(word)?);
            return Some(length);
        }
        is_name(word, &DAYS).then_some(length)
    }

    fn number(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.clock.is_none()
            && let Some((seconds, nanos, length)) = loose_clock(bytes)
        {
            self.clock = Some((seconds, nanos));
            return Some(length);
        }
        let length = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        match length {
            4 if self.year.is_none() => self.year = Some(four(bytes, 0)?),
            1 if self.day.is_none() => self.day = Some(i64::from(bytes.first()? - b'0')),
            2 if self.day.is_none() => self.day = Some(two(bytes, 0)?),
            2 if self.year.is_none() && self.clock.is_none() => {
                self.year = Some(century(two(bytes, 0)?));
            }
            _ => return None,
        }
        Some(length)
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// Whether the word is one of these, whole or its first three letters.
fn is_name(word: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| word == name.as_bytes() || word == &name.as_bytes()[..3])
}
