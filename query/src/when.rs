//! Times in requests: RFC 3339, dates, epoch numbers, and times relative to now.
//!
//! Never reads a clock: the caller says what now is.

use hushlog_record::Timestamp;
use hushlog_record::time::{NANOS_PER_MINUTE, NANOS_PER_SECOND};

/// Nanoseconds in an hour.
pub const NANOS_PER_HOUR: i64 = 60 * NANOS_PER_MINUTE;
/// Nanoseconds in a day.
pub const NANOS_PER_DAY: i64 = 24 * NANOS_PER_HOUR;

/// What a time in a request may look like; for messages.
pub const EXPECTED: &str = "an RFC 3339 time, a date, an epoch number (s, ms, us or ns) or now-15m";

/// The first and the last nanosecond that a time in a request stands for: one instant, or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First nanosecond.
    pub first: i64,
    /// Last nanosecond.
    pub last: i64,
}

impl Span {
    const fn instant(at: i64) -> Self {
        Self {
            first: at,
            last: at,
        }
    }
}

/// Reads a time as [`EXPECTED`] says.
pub fn parse(text: &str, now: Timestamp) -> Option<Span> {
    let text = text.trim();
    if let Some(offset) = text.strip_prefix("now") {
        return relative(offset, now).map(Span::instant);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return epoch(text.parse().ok()?).map(Span::instant);
    }
    if text.len() == "2026-01-02".len() {
        let start: Timestamp = format!("{text}T00:00:00Z").parse().ok()?;
        let first = start.nanos();
        return Some(Span {
            first,
            last: first.saturating_add(NANOS_PER_DAY - 1),
        });
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(Span::instant(time.nanos()));
    }
    // A time without an offset is taken as UTC, as Elasticsearch does.
    format!("{text}Z")
        .parse::<Timestamp>()
        .ok()
        .map(|time| Span::instant(time.nanos()))
}

/// `""`, `-15m`, `+1h`.
fn relative(offset: &str, now: Timestamp) -> Option<i64> {
    if offset.is_empty() {
        return Some(now.nanos());
    }
    let (sign, rest) = match offset.as_bytes().first()? {
        b'-' => (-1, offset.get(1..)?),
        b'+' => (1, offset.get(1..)?),
        _ => return None,
    };
    now.nanos().checked_add(sign * duration(rest)?)
}

/// The unit of an epoch number is told by its size, as at ingest.
fn epoch(number: i64) -> Option<i64> {
    let scale = match number {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(scale)
}

/// Nanoseconds of `100ms`, `30s`, `5m`, `1h`, `7d`, `2w`; `None` when it is none, 0, or too long.
pub fn duration(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: i64 = number.parse().ok()?;
    let unit = match unit {
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => NANOS_PER_MINUTE,
        "h" => NANOS_PER_HOUR,
        "d" => NANOS_PER_DAY,
        "w" => 7 * NANOS_PER_DAY,
        _ => return None,
    };
    number.checked_mul(unit).filter(|&nanos| nanos > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_time_is_read() {
        let now = Timestamp::from_nanos(1_767_323_045_000_000_000); // 2026-01-02T03:04:05Z
        let instant = |nanos| Some(Span::instant(nanos));
        for (text, span) in [
            ("2026-01-02T03:04:05.000000001Z", instant(now.nanos() + 1)),
            ("2026-01-02T04:04:05+01:00", instant(now.nanos())),
            ("2026-01-02T03:04:05", instant(now.nanos())),
            ("1767323045", instant(now.nanos())),
            ("1767323045000", instant(now.nanos())),
            ("1767323045000000", instant(now.nanos())),
            ("1767323045000000000", instant(now.nanos())),
            ("now", instant(now.nanos())),
            ("now-5s", instant(now.nanos() - 5 * NANOS_PER_SECOND)),
            ("now+1h", instant(now.nanos() + NANOS_PER_HOUR)),
            ("yesterday", None),
            ("2026-13-02", None),
            ("now-5", None),
            ("", None),
        ] {
            assert_eq!(parse(text, now), span, "{text}");
        }
        let day = parse("2026-01-02", now).unwrap();
        assert_eq!(day.last - day.first, NANOS_PER_DAY - 1);
        assert!(day.first < now.nanos() && now.nanos() < day.last);
    }

    #[test]
    fn durations_have_a_unit_and_are_not_zero() {
        assert_eq!(duration("100ms"), Some(100_000_000));
        assert_eq!(duration("7d"), Some(7 * NANOS_PER_DAY));
        for text in ["", "5", "m", "0s", "-1h", "1y", "99999999999999d", "1.5h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
