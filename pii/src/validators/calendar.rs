//! Days that exist. Knows no clock: a day may be in the future.

use super::weighted::value;

/// Whether year, month and day are a day of the Gregorian calendar.
pub(crate) fn is_day(year: u64, month: u64, day: u64) -> bool {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return false,
    };
    (1..=last).contains(&day)
}

/// Whether the two digits of a year, a month and a day are a day of the last or of this century.
pub(crate) fn is_short_day(year: u64, month: u64, day: u64) -> bool {
    is_day(1900 + year, month, day) || is_day(2000 + year, month, day)
}

/// Whether six ASCII digits are `yymmdd`.
pub(crate) fn is_yymmdd(digits: &[u8]) -> bool {
    pairs(digits).is_some_and(|[a, b, c]| is_short_day(a, b, c))
}

/// Whether six ASCII digits are `ddmmyy`.
pub(crate) fn is_ddmmyy(digits: &[u8]) -> bool {
    pairs(digits).is_some_and(|[a, b, c]| is_short_day(c, b, a))
}

/// Three numbers of two digits.
pub(crate) fn pairs(digits: &[u8]) -> Option<[u64; 3]> {
    let [a, b, c, d, e, f] = digits else {
        return None;
    };
    let pair = |tens: &u8, ones: &u8| value(&[*tens, *ones]);
    Some([pair(a, b)?, pair(c, d)?, pair(e, f)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_exist_or_do_not() {
        assert!(is_day(2024, 2, 29) && !is_day(2023, 2, 29) && !is_day(1900, 2, 29));
        assert!(is_day(2000, 2, 29) && is_day(1972, 12, 31) && !is_day(1972, 13, 1));
        assert!(!is_day(1972, 4, 31) && !is_day(1972, 1, 0));
        assert!(is_yymmdd(b"000229") && is_ddmmyy(b"311299") && !is_ddmmyy(b"991231"));
        assert!(!is_yymmdd(b"12345"));
    }
}
