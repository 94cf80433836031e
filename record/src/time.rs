//! Points in time: nanoseconds since the Unix epoch.

use std::fmt;
use std::str::FromStr;

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a minute: the width of a pane.
pub const NANOS_PER_MINUTE: i64 = 60 * NANOS_PER_SECOND;

/// A UTC point in time with nanosecond precision, 1677-09-21 to 2262-04-11.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 time in the range of [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time between 1677-09-21 and 2262-04-11")]
pub struct ParseError;

impl Timestamp {
    /// The earliest time.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the Unix epoch; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Number of the minute it falls in, counted from the Unix epoch.
    pub const fn minute(self) -> i64 {
        self.0.div_euclid(NANOS_PER_MINUTE)
    }

    /// Start of that minute.
    pub const fn from_minute(minute: i64) -> Self {
        Self(minute.saturating_mul(NANOS_PER_MINUTE))
    }

    /// This time plus a signed number of nanoseconds; saturates.
    pub const fn saturating_add(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// RFC 3339 in UTC with as many fraction digits as needed: `2026-01-02T03:04:05.000000001Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| ParseError)?;
        i64::try_from(parsed.as_nanosecond())
            .map(Self)
            .map_err(|_| ParseError)
    }
}
