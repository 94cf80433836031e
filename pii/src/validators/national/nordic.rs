//! Numbers of northern Europe and the Baltic states.

use super::digits_of;
use crate::validators::calendar::{is_ddmmyy, is_short_day, pairs};
use crate::validators::luhn;
use crate::validators::weighted::{sum, value};

/// Finland's identity code: day of birth, a sign for the century, a number, modulus 31. The sign is given
/// as it is written.
pub(crate) fn fi_hetu(number: &[u8]) -> bool {
    const CHECKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    // A sign that is no letter has been left out.
    let (date, rest) = number.split_at_checked(6).unwrap_or_default();
    let rest = match rest {
        [b'A'..=b'F' | b'U'..=b'Y', four @ ..] if four.len() == 4 => four,
        four => four,
    };
    let Some((serial, [check])) = rest.split_at_checked(3) else {
        return false;
    };
    let (Some(day), Some(n)) = (value(date), value(serial)) else {
        return false;
    };
    let expected = usize::try_from((day * 1000 + n) % 31).ok();
    is_ddmmyy(date) && n >= 2 && expected.and_then(|i| CHECKS.get(i)) == Some(check)
}

/// Sweden's personal number: day of birth (60 more for those who are not registered), Luhn. The century
/// may be written in front.
pub(crate) fn se_pin(number: &[u8]) -> bool {
    let short = match number.len() {
        12 if matches!(number.first_chunk(), Some(b"18" | b"19" | b"20")) => number.get(2..),
        10 => Some(number),
        _ => None,
    };
    let Some(d) = short.and_then(digits_of::<10>) else {
        return false;
    };
    let date = short.and_then(|short| pairs(short.get(..6)?));
    let is_date = date.is_some_and(|[year, month, day]| {
        is_short_day(year, month, if day > 60 { day - 60 } else { day })
    });
    is_date && luhn::passes(&d)
}

/// Norway's birth number: day of birth (40 more in some), two check digits.
pub(crate) fn no_fnr(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    let date = number.get(..6).and_then(pairs);
    let is_date = date.is_some_and(|[day, month, year]| {
        let day = if day > 40 { day - 40 } else { day };
        let month = if month > 40 { month - 40 } else { month };
        is_short_day(year, month, day)
    });
    is_date
        && sum(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && sum(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Denmark's personal number: a day of birth. Its check has not held since 2007.
pub(crate) fn dk_cpr(number: &[u8]) -> bool {
    number.len() == 10 && number.get(..6).is_some_and(is_ddmmyy)
}

/// Iceland's identity number: day (40 more for firms), check, century.
pub(crate) fn is_kennitala(number: &[u8]) -> bool {
    let Some(d) = digits_of::<10>(number) else {
        return false;
    };
    let date = number.get(..6).and_then(pairs);
    let is_date = date.is_some_and(|[day, month, year]| {
        is_short_day(year, month, if day > 40 { day - 40 } else { day })
    });
    let [.., century] = d;
    is_date
        && matches!(century, 0 | 8 | 9)
        && sum(&d, &[3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Estonia's and Lithuania's personal codes: century and day of birth, two rounds of modulus 11.
pub(crate) fn baltic(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    let [century, .., check] = d;
    let date = number.get(1..7).and_then(pairs);
    let is_date = date.is_some_and(|[year, month, day]| is_short_day(year, month, day));
    let rest = match sum(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11 {
        10 => sum(&d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10,
        rest => rest,
    };
    matches!(century, 1..=8) && is_date && rest == u32::from(check)
}

/// Latvia's personal code: day of birth with a check; those given since 2017 begin with 32 and have none.
pub(crate) fn lv_pk(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    if d.starts_with(&[3, 2]) {
        return true;
    }
    let [.., check] = d;
    let rest = (1 + sum(&d, &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9])) % 11 % 10;
    number.get(..6).is_some_and(is_ddmmyy) && rest == u32::from(check)
}
