//! Numbers of the United States, and those that devices and vehicles carry everywhere.

use super::digits_of;
use crate::validators::calendar::is_day;
use crate::validators::luhn;
use crate::validators::weighted::{is_one_digit, sum, value};

/// Passports: nine digits, or a letter and eight.
pub(crate) fn passport(number: &[u8]) -> bool {
    let digits = number.iter().filter(|b| b.is_ascii_digit()).count();
    digits >= 8 && !is_one_digit(number)
}

/// Licences to drive: every state has a form of its own, none a check digit.
pub(crate) fn driver_license(number: &[u8]) -> bool {
    let letters = number
        .iter()
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    let digits = number.len() - letters;
    digits >= if letters == 0 { 7 } else { 5 } && !is_one_digit(number)
}

/// Accounts of banks: 6 to 17 digits, not all the same.
pub(crate) fn bank_account(number: &[u8]) -> bool {
    (6..=17).contains(&number.len()) && !is_one_digit(number)
}

/// Routing numbers of banks (American Bankers Association).
pub(crate) fn aba_routing(number: &[u8]) -> bool {
    let Some(d) = digits_of::<9>(number) else {
        return false;
    };
    let [a, b, ..] = d;
    let district = a * 10 + b;
    let issued = matches!(district, 1..=12 | 21..=32 | 61..=72 | 80);
    issued && sum(&d, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// Employer numbers: by the prefixes that campuses of the IRS have given out.
pub(crate) fn ein(number: &[u8]) -> bool {
    let Some([a, b, rest @ ..]) = digits_of::<9>(number) else {
        return false;
    };
    let prefix = a * 10 + b;
    let unused =
        matches!(prefix, 0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97);
    !unused && rest != [0; 7]
}

/// Providers of health care: ten digits behind which stands 80840 for Luhn's check.
pub(crate) fn npi(number: &[u8]) -> bool {
    let Some(d) = digits_of::<10>(number) else {
        return false;
    };
    let [first, ..] = d;
    let mut whole = vec![8, 0, 8, 4, 0];
    whole.extend(d);
    matches!(first, 1 | 2) && luhn::passes(&whole)
}

/// Medicare's beneficiaries: letters, but for those that look like digits, and digits in their places.
pub(crate) fn mbi(number: &[u8]) -> bool {
    let letter =
        |b: u8| b.is_ascii_uppercase() && !matches!(b, b'S' | b'L' | b'O' | b'I' | b'B' | b'Z');
    let digit = |b: u8| b.is_ascii_digit();
    let &[c1, a2, an3, n4, a5, an6, n7, a8, a9, n10, n11] = number else {
        return false;
    };
    matches!(c1, b'1'..=b'9')
        && [a2, a5, a8, a9].into_iter().all(letter)
        && [n4, n7, n10, n11].into_iter().all(digit)
        && [an3, an6].into_iter().all(|b| letter(b) || digit(b))
}

/// Prescribers: two letters, six digits and their check.
pub(crate) fn dea(number: &[u8]) -> bool {
    let Some((&[kind, name], rest)) = number.split_first_chunk() else {
        return false;
    };
    let Some([a, b, c, d, e, f, check]) = digits_of::<7>(rest) else {
        return false;
    };
    let kinds = b"ABCDEFGHJKLMPRSTUX";
    kinds.contains(&kind)
        && (name.is_ascii_uppercase() || name == b'9')
        && (a + c + e + 2 * (b + d + f)) % 10 == check
}

/// Days on which people that live can have been born: year, month and day, or day and month in any order
/// before the year.
pub(crate) fn date_of_birth(number: &[u8]) -> bool {
    let &[a, b, c, d, e, f, g, h] = number else {
        return false;
    };
    let is_birth = |year: [u8; 4], month: [u8; 2], day: [u8; 2]| {
        let (Some(year), Some(month), Some(day)) = (value(&year), value(&month), value(&day))
        else {
            return false;
        };
        (1900..2030).contains(&year) && is_day(year, month, day)
    };
    let year = [e, f, g, h];
    is_birth([a, b, c, d], [e, f], [g, h])
        || is_birth(year, [a, b], [c, d])
        || is_birth(year, [c, d], [a, b])
}

/// Mobile devices: fifteen digits, the last one Luhn's.
pub(crate) fn imei(number: &[u8]) -> bool {
    digits_of::<15>(number).is_some_and(|d| !is_one_digit(&d) && luhn::passes(&d))
}

/// Vehicles (ISO 3779), with the check digit of North America.
pub(crate) fn vin(number: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let value = |b: &u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'A'..=b'H' => Some(b - b'A' + 1),
        b'J'..=b'N' => Some(b - b'J' + 1),
        b'P' => Some(7),
        b'R' => Some(9),
        b'S'..=b'Z' => Some(b - b'S' + 2),
        _ => None,
    };
    let mut values = [0; 17];
    if number.len() != values.len() {
        return false;
    }
    for (place, byte) in values.iter_mut().zip(number) {
        let Some(value) = value(byte) else {
            return false;
        };
        *place = value;
    }
    let written = match number.get(8) {
        Some(b'X') => 10,
        Some(digit @ b'0'..=b'9') => u32::from(digit - b'0'),
        _ => return false,
    };
    sum(&values, &WEIGHTS) % 11 == written && !is_one_digit(&values)
}
