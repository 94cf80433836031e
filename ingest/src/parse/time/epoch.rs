//! Numbers since the epoch: the unit is told by the magnitude.
//!
//! Below 10^11 seconds (the year 5138), below 10^14 milliseconds, below 10^17 microseconds, from there
//! on nanoseconds.

use hushlog_record::Timestamp;

/// `1718000000`, `1718000000.25`, `1718000000123456789`, `1.718e9`
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return with_exponent(text);
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
fn with_exponent(text: &str) -> Option<Timestamp> {
    let number: f64 = text.parse().ok()?;
    if !number.is_finite() || number.abs() >= 1e19 {
        return None;
    }
    read(&format!("{number:.6}"))
}
