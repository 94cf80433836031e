//! Civil dates as points in time, in the proleptic Gregorian calendar.

use hushlog_record::Timestamp;
use hushlog_record::time::NANOS_PER_SECOND;

/// A time without a year may be this far ahead of the receive time before it is taken for last
/// year's, in nanoseconds: clocks go wrong, and zones are not always written.
const AHEAD_MAX: i64 = 24 * 3600 * NANOS_PER_SECOND;

/// The time of a civil date and a second of its day (which may lie outside of it by a zone).
pub(super) fn at(year: i64, month: i64, day: i64, seconds: i64, nanos: i64) -> Option<Timestamp> {
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + seconds;
    let nanos = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
    i64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

/// The same, in the year that puts it closest before the receive time.
pub(super) fn without_year(
    month: i64,
    day: i64,
    seconds: i64,
    nanos: i64,
    received: Timestamp,
) -> Option<Timestamp> {
    let year = year_of(received);
    let latest = received.saturating_add(AHEAD_MAX);
    // Down to eight years back: 29 February may have been that long ago, around 1900 and 2100.
    (year - 8..=year + 1)
        .rev()
        .filter_map(|year| at(year, month, day, seconds, nanos))
        .find(|timestamp| *timestamp <= latest)
}

/// Years of two digits: 69 to 99 are of the last century, as POSIX has it (`strptime`, `%y`).
pub(super) fn century(short: i64) -> i64 {
    if short < 69 {
        2000 + short
    } else {
        1900 + short
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
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
