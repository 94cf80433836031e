//! Numbers of Asia.

use super::digits_of;
use crate::validators::calendar::{is_day, is_yymmdd};
use crate::validators::weighted::{digits, sum, value};
use crate::validators::{iso7064, luhn, verhoeff};

/// India's residents: Verhoeff's check; nothing begins with 0 or 1 or reads the same backwards.
pub(crate) fn in_aadhaar(number: &[u8]) -> bool {
    let Some(d) = digits_of::<12>(number) else {
        return false;
    };
    let [first, ..] = d;
    first > 1 && !d.iter().eq(d.iter().rev()) && verhoeff::passes(&d)
}

/// India's taxpayers: the fourth letter says what they are.
pub(crate) fn in_pan(number: &[u8]) -> bool {
    let Some((head, tail)) = number.split_at_checked(5) else {
        return false;
    };
    let Some((serial, [last])) = tail.split_at_checked(4) else {
        return false;
    };
    head.iter().all(u8::is_ascii_uppercase)
        && head
            .get(3)
            .is_some_and(|kind| b"ABCEFGHJKLPT".contains(kind))
        && serial.iter().all(u8::is_ascii_digit)
        && serial != b"0000"
        && last.is_ascii_uppercase()
}

/// India's goods and services tax: state, the taxpayer's PAN, a number, `Z`, modulus 36.
pub(crate) fn in_gstin(number: &[u8]) -> bool {
    let (Some(state), Some(pan)) = (number.get(..2).and_then(value), number.get(2..12)) else {
        return false;
    };
    let digit = |b: &u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        _ => u32::from(b.wrapping_sub(b'A')) + 10,
    };
    let Some((check, head)) = number.split_last() else {
        return false;
    };
    let total: u32 = head
        .iter()
        .enumerate()
        .map(|(i, b)| digit(b) * if i % 2 == 0 { 1 } else { 2 })
        .map(|product| product / 36 + product % 36)
        .sum();
    number.len() == 15
        && matches!(state, 1..=38 | 97 | 99)
        && in_pan(pan)
        && number.get(13) == Some(&b'Z')
        && (36 - total % 36) % 36 == digit(check)
}

/// South Korea's residents and foreigners: day of birth and a digit for sex and century. Numbers given
/// since October 2020 have no check digit.
pub(crate) fn kr_rrn(number: &[u8]) -> bool {
    let is_sex = matches!(number.get(6), Some(b'1'..=b'8'));
    number.len() == 13 && is_sex && number.get(..6).is_some_and(is_yymmdd)
}

/// Singapore's citizens and foreigners: a letter for the register, seven digits, a letter to check them.
pub(crate) fn sg_nric(number: &[u8]) -> bool {
    let [register, middle @ .., check] = number else {
        return false;
    };
    let Some(d) = digits_of::<7>(middle) else {
        return false;
    };
    let (more, letters): (u32, &[u8; 11]) = match register {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return false,
    };
    let rest = (sum(&d, &[2, 7, 6, 5, 4, 3, 2]) + more) % 11;
    letters.get(rest as usize) == Some(check)
}

/// China's residents: region, day of birth, ISO 7064.
pub(crate) fn cn_id(number: &[u8]) -> bool {
    let date = (number.get(6..10), number.get(10..12), number.get(12..14));
    let (Some(year), Some(month), Some(day)) = date else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (value(year), value(month), value(day)) else {
        return false;
    };
    let is_region = matches!(number.first(), Some(b'1'..=b'6' | b'8'));
    number.len() == 18
        && is_region
        && (1850..2100).contains(&year)
        && is_day(year, month, day)
        && iso7064::mod_11_2(number)
}

/// Japan's individual number.
pub(crate) fn jp_my_number(number: &[u8]) -> bool {
    let Some(d) = digits_of::<12>(number) else {
        return false;
    };
    let [.., check] = d;
    let rest = match sum(&d, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    d != [0; 12] && rest == u32::from(check)
}

/// Taiwan's citizens and foreigners: a letter that counts as two digits.
pub(crate) fn tw_id(number: &[u8]) -> bool {
    let Some((letter @ b'A'..=b'Z', rest)) = number.split_first() else {
        return false;
    };
    let Some(d) = digits_of::<9>(rest) else {
        return false;
    };
    // In the order in which they were given to cities and counties.
    let order = b"ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let Some(code) = order.iter().position(|known| known == letter) else {
        return false;
    };
    let Ok(code) = u32::try_from(code + 10) else {
        return false;
    };
    let [sex, ..] = d;
    let total = code / 10 + code % 10 * 9 + sum(&d, &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    matches!(sex, 1 | 2 | 8 | 9) && total.is_multiple_of(10)
}

/// Hong Kong's identity cards: one or two letters, six digits, `A` for ten.
pub(crate) fn hk_id(number: &[u8]) -> bool {
    let letters = number.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let Some((head, [middle @ .., check])) = number.split_at_checked(letters) else {
        return false;
    };
    let value = |b: &u8| u32::from(b - b'A') + 10;
    let (first, second) = match head {
        [one] => (36, value(one)),
        [one, two] => (value(one), value(two)),
        _ => return false,
    };
    let check = match check {
        b'A' => 10,
        b'0'..=b'9' => u32::from(check - b'0'),
        _ => return false,
    };
    digits_of::<6>(middle).is_some_and(|d| {
        (first * 9 + second * 8 + sum(&d, &[7, 6, 5, 4, 3, 2]) + check).is_multiple_of(11)
    })
}

/// Thailand's citizens.
pub(crate) fn th_id(number: &[u8]) -> bool {
    let Some(d) = digits_of::<13>(number) else {
        return false;
    };
    let [first, .., check] = d;
    let rest = (11 - sum(&d, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    matches!(first, 1..=8) && rest == u32::from(check)
}

/// Israel's citizens: Luhn.
pub(crate) fn il_id(number: &[u8]) -> bool {
    digits_of::<9>(number).is_some_and(|d| d != [0; 9] && luhn::passes(&d))
}

/// Malaysia's citizens: day of birth and a place; no check digit.
pub(crate) fn my_nric(number: &[u8]) -> bool {
    let place = number.get(6..8).and_then(digits);
    let is_place = place.is_some_and(|place| match place.as_slice() {
        [tens, ones] => {
            let place = tens * 10 + ones;
            matches!(place, 1..=16 | 21..=68 | 71 | 72 | 74..=79 | 82..=93 | 98 | 99)
        }
        _ => false,
    });
    number.len() == 12 && is_place && number.get(..6).is_some_and(is_yymmdd)
}
