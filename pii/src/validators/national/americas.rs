//! Numbers of Latin America.

use super::digits_of;
use crate::validators::calendar::{is_short_day, pairs};
use crate::validators::weighted::{is_one_digit, sum, value};

/// What a sum's rest of division by eleven makes of a check digit: two and less give 0.
fn eleven_less(total: u32) -> u32 {
    match total % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}

/// Brazil's people: two check digits.
pub(crate) fn br_cpf(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    let [.., first, second] = d;
    !is_one_digit(&d)
        && eleven_less(sum(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2])) == u32::from(first)
        && eleven_less(sum(&d, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])) == u32::from(second)
}

/// Brazil's firms: two check digits; letters, which are given since 2026, count as what they are in ASCII
/// less 48.
pub(crate) fn br_cnpj(number: &[u8]) -> bool {
    let values: Option<Vec<u8>> = number.iter().map(|b| b.checked_sub(b'0')).collect();
    let Some(values) = values.filter(|values| values.len() == 14) else {
        return false;
    };
    let (&[.., first, second], weights) =
        (values.as_slice(), [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
    else {
        return false;
    };
    let (_, shorter) = weights.split_at(1);
    !is_one_digit(&values)
        && eleven_less(sum(&values, shorter)) == u32::from(first)
        && eleven_less(sum(&values, &weights)) == u32::from(second)
}

/// Mexico's population register: letters of the name, day of birth, sex, state, modulus 10.
pub(crate) fn mx_curp(number: &[u8]) -> bool {
    // Between N and O stands a letter that ASCII does not have.
    let value = |b: &u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        b'A'..=b'N' => u32::from(b - b'A') + 10,
        _ => u32::from(b.wrapping_sub(b'A')) + 11,
    };
    let Some((check, head)) = number.split_last().filter(|_| number.len() == 18) else {
        return false;
    };
    let total: u32 = head
        .iter()
        .zip((2..=18).rev())
        .map(|(b, weight)| value(b) * weight)
        .sum();
    let date = number.get(4..10).and_then(pairs);
    let is_date = date.is_some_and(|[year, month, day]| is_short_day(year, month, day));
    let is_sex = number.get(10).is_some_and(|b| b"HMX".contains(b));
    is_date && is_sex && check.is_ascii_digit() && (10 - total % 10) % 10 == u32::from(check - b'0')
}

/// Argentina's taxpayers.
pub(crate) fn ar_cuit(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    let [a, b, .., check] = d;
    let rest = (11 - sum(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    matches!(a * 10 + b, 20 | 23..=27 | 30 | 33 | 34) && rest == u32::from(check)
}

/// Chile's people and firms: weights 2 to 7 from the right, `K` for ten.
pub(crate) fn cl_rut(number: &[u8]) -> bool {
    let Some((check, head)) = number.split_last() else {
        return false;
    };
    let reversed: Vec<u8> = head.iter().rev().map(|b| b.wrapping_sub(b'0')).collect();
    let rest = (11 - sum(&reversed, &[2, 3, 4, 5, 6, 7, 2, 3]) % 11) % 11;
    let written = match check {
        b'K' => 10,
        b'0'..=b'9' => u32::from(check - b'0'),
        _ => return false,
    };
    (7..=8).contains(&head.len()) && reversed.iter().all(|d| *d < 10) && rest == written
}

/// Colombia's taxpayers: prime weights from the right.
pub(crate) fn co_nit(number: &[u8]) -> bool {
    let Some((check, head)) = number.split_last() else {
        return false;
    };
    let reversed: Vec<u8> = head.iter().rev().map(|b| b.wrapping_sub(b'0')).collect();
    let total = sum(&reversed, &[3, 7, 13, 17, 19, 23, 29, 37, 41, 43]);
    let expected = match total % 11 {
        rest @ (0 | 1) => rest,
        rest => 11 - rest,
    };
    (8..=10).contains(&head.len()) && u32::from(check.wrapping_sub(b'0')) == expected
}

/// Ecuador's people: province, then every other digit doubled.
pub(crate) fn ec_cedula(number: &[u8]) -> bool {
    let Some(d) = digits_of::<10>(number) else {
        return false;
    };
    let [a, b, third, ..] = d;
    let doubled = d
        .iter()
        .enumerate()
        .map(|(i, digit)| match (i % 2, u32::from(*digit)) {
            (0, value) if value > 4 => 2 * value - 9,
            (0, value) => 2 * value,
            (_, value) => value,
        });
    matches!(a * 10 + b, 1..=24 | 30) && third < 6 && doubled.sum::<u32>().is_multiple_of(10)
}

/// Uruguay's identity cards.
pub(crate) fn uy_ci(number: &[u8]) -> bool {
    let known = value(number).is_some_and(|n| n >= 1_000_000);
    let d = digits_of::<8>(number);
    known && d.is_some_and(|d| sum(&d, &[2, 9, 8, 7, 6, 3, 4, 1]).is_multiple_of(10))
}
