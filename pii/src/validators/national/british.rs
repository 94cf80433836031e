//! Numbers of Great Britain, Ireland, Canada, Australia, New Zealand and South Africa.

use super::digits_of;
use crate::validators::calendar::is_yymmdd;
use crate::validators::luhn;
use crate::validators::weighted::{is_one_digit, sum};

/// National insurance: prefixes that have been given out, six digits, a letter up to D.
pub(crate) fn gb_nino(number: &[u8]) -> bool {
    let &[a, b, .., last] = number else {
        return false;
    };
    let unused: [&[u8; 2]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    !b"DFIQUV".contains(&a)
        && !b"DFIOQUV".contains(&b)
        && !unused.contains(&&[a, b])
        && matches!(last, b'A'..=b'D')
}

/// The health service: modulus 11.
pub(crate) fn gb_nhs(number: &[u8]) -> bool {
    let Some(d) = digits_of::<10>(number) else {
        return false;
    };
    let rest = sum(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) % 11;
    rest == 0 && !is_one_digit(&d)
}

/// Taxpayers (UTR): the first digit checks the others.
pub(crate) fn gb_utr(number: &[u8]) -> bool {
    let Some([check, rest @ ..]) = digits_of::<10>(number) else {
        return false;
    };
    let remainder = sum(&rest, &[6, 7, 8, 9, 10, 5, 4, 3, 2]) % 11;
    let checks = [2, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    checks.get(remainder as usize) == Some(&check)
}

/// Ireland's personal public service number: modulus 23, with a second letter since 2013.
pub(crate) fn ie_pps(number: &[u8]) -> bool {
    let Some((head, letters)) = number.split_at_checked(7) else {
        return false;
    };
    let (Some(d), [check, second @ ..]) = (digits_of::<7>(head), letters) else {
        return false;
    };
    let second = match second {
        [] | [b'W'] => 0,
        [letter @ b'A'..=b'I'] => u32::from(letter - b'A') + 1,
        _ => return false,
    };
    let rest = (sum(&d, &[8, 7, 6, 5, 4, 3, 2]) + 9 * second) % 23;
    b"WABCDEFGHIJKLMNOPQRSTUV".get(rest as usize) == Some(check)
}

/// Canada's social insurance: Luhn; nothing begins with 0 or 8.
pub(crate) fn ca_sin(number: &[u8]) -> bool {
    let Some(d) = digits_of::<9>(number) else {
        return false;
    };
    let [first, ..] = d;
    !matches!(first, 0 | 8) && luhn::passes(&d)
}

/// Australia's tax file numbers.
pub(crate) fn au_tfn(number: &[u8]) -> bool {
    digits_of::<9>(number)
        .is_some_and(|d| sum(&d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11) && d != [0; 9])
}

/// Australia's businesses: one less in the first place, then modulus 89.
pub(crate) fn au_abn(number: &[u8]) -> bool {
    let Some(mut d) = digits_of::<11>(number) else {
        return false;
    };
    let Some(first) = d.first_mut().filter(|first| **first > 0) else {
        return false;
    };
    *first -= 1;
    sum(&d, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]).is_multiple_of(89)
}

/// Australia's companies.
pub(crate) fn au_acn(number: &[u8]) -> bool {
    digits_of::<9>(number)
        .is_some_and(|d| sum(&d, &[8, 7, 6, 5, 4, 3, 2, 1, 1]).is_multiple_of(10) && d != [0; 9])
}

/// Australia's Medicare: the ninth digit checks the first eight; behind it the number of the card, and of
/// the person on it.
pub(crate) fn au_medicare(number: &[u8]) -> bool {
    let head = number.get(..10).and_then(digits_of::<10>);
    let Some([a, b, c, d, e, f, g, h, check, issue]) = head else {
        return false;
    };
    let rest = sum(&[a, b, c, d, e, f, g, h], &[1, 3, 7, 9, 1, 3, 7, 9]) % 10;
    matches!(a, 2..=6) && issue > 0 && rest == u32::from(check)
}

/// New Zealand's taxpayers: modulus 11, with other weights where the first ones give ten.
pub(crate) fn nz_ird(number: &[u8]) -> bool {
    let mut padded = vec![b'0'; 9_usize.saturating_sub(number.len())];
    padded.extend(number);
    let Some([a, b, c, d, e, f, g, h, check]) = digits_of::<9>(&padded) else {
        return false;
    };
    let digits = [a, b, c, d, e, f, g, h];
    // From ten to a hundred and fifty millions.
    let given = ([0, 1, 0, 0, 0, 0, 0, 0]..[1, 5, 0, 0, 0, 0, 0, 0]).contains(&digits);
    let check_of = |weights: &[u32]| (11 - sum(&digits, weights) % 11) % 11;
    let first = check_of(&[3, 2, 7, 6, 5, 4, 3, 2]);
    let rest = match first {
        10 => check_of(&[7, 4, 3, 2, 5, 2, 7, 6]),
        rest => rest,
    };
    given && rest == u32::from(check)
}

/// South Africa: day of birth, citizen or not, Luhn.
pub(crate) fn za_id(number: &[u8]) -> bool {
    let Some(d) = digits_of::<13>(number) else {
        return false;
    };
    let [.., citizen, _, _] = d;
    citizen <= 2 && number.get(..6).is_some_and(is_yymmdd) && luhn::passes(&d)
}
