//! Numbers of western and southern Europe.

use super::digits_of;
use crate::validators::calendar::{is_ddmmyy, is_short_day, pairs};
use crate::validators::weighted::{is_one_digit, sum, value};
use crate::validators::{iso7064, luhn};

/// Germany's tax identification: one digit twice or three times among the first ten, ISO 7064.
pub(crate) fn de_tax_id(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    let [head @ .., _] = d;
    let count = |digit: u8| head.iter().filter(|d| **d == digit).count();
    let repeated: Vec<_> = (0..10).map(count).filter(|count| *count > 1).collect();
    let [first, ..] = d;
    first != 0 && matches!(repeated.as_slice(), [2 | 3]) && iso7064::mod_11_10(&d)
}

/// Germany's pension insurance: area, day of birth, the letter of a name as two digits, serial, check.
pub(crate) fn de_social_security(number: &[u8]) -> bool {
    let Some((head, [letter @ b'A'..=b'Z', tail @ ..])) = number.split_at_checked(8) else {
        return false;
    };
    let (Some(head), Some([s1, s2, check])) = (digits_of::<8>(head), digits_of::<3>(tail)) else {
        return false;
    };
    let letter = letter - b'A' + 1;
    let mut all = head.to_vec();
    all.extend([letter / 10, letter % 10, s1, s2]);
    let weights = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let digit_sum = |n: u32| n / 10 + n % 10;
    let products = all
        .iter()
        .zip(weights)
        .map(|(d, w)| digit_sum(u32::from(*d) * w));
    // The day may have 50 added where numbers ran out.
    let [_, _, d1, d2, m1, m2, ..] = head;
    let (day, month) = (d1 * 10 + d2, m1 * 10 + m2);
    let is_date = matches!(day % 50, 1..=31) && matches!(month, 1..=12);
    is_date && products.sum::<u32>() % 10 == u32::from(check)
}

/// France's NIR: sex, year, month, department (with the two of Corsica), and 97 less the rest.
pub(crate) fn fr_nir(number: &[u8]) -> bool {
    if number.len() != 15 {
        return false;
    }
    let mut plain = number.to_vec();
    if let Some(letter) = plain.get_mut(6) {
        let department = match letter {
            b'A' => Some((b'1', b'9')),
            b'B' => Some((b'1', b'8')),
            _ => None,
        };
        if let Some((tens, ones)) = department {
            *letter = ones;
            if let Some(first) = plain.get_mut(5) {
                if *first != b'2' {
                    return false;
                }
                *first = tens;
            }
        }
    }
    let (head, key) = plain.split_at(13);
    let (Some(head), Some(key)) = (value(head), value(key)) else {
        return false;
    };
    let month = head / 100_000_000 % 100;
    let sex = head / 1_000_000_000_000;
    matches!(sex, 1..=4 | 7 | 8)
        && matches!(month, 1..=12 | 20 | 30..=42 | 50..=99)
        && 97 - head % 97 == key
}

/// Letters that check Spain's identity cards, by the rest of division by 23.
const ES_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// Spain's citizens (DNI) and foreigners (NIE).
pub(crate) fn es_nif(number: &[u8]) -> bool {
    let Some((letter, head)) = number.split_last() else {
        return false;
    };
    let mut digits = head.to_vec();
    if let Some(first) = digits.first_mut()
        && let b'X'..=b'Z' = first
    {
        *first = *first - b'X' + b'0';
    }
    let expected = value(&digits).and_then(|n| ES_LETTERS.get(usize::try_from(n % 23).ok()?));
    digits.len() == 8 && expected == Some(letter)
}

/// Spain's social security: the rest of division by 97.
pub(crate) fn es_nuss(number: &[u8]) -> bool {
    let Some((head, check)) = number.split_at_checked(10) else {
        return false;
    };
    let (province, person) = head.split_at(2);
    let (Some(province), Some(person), Some(check)) =
        (value(province), value(person), value(check))
    else {
        return false;
    };
    // Seven digits behind the province where the eighth is none.
    let shift = if person < 10_000_000 {
        10_000_000
    } else {
        100_000_000
    };
    matches!(province, 1..=53 | 66) && (province * shift + person) % 97 == check
}

/// What digits and letters count at odd places of Italy's fiscal code.
const IT_ODD: [u32; 26] = [
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
];

/// Italy's fiscal code. Letters may stand for digits where two people would have the same.
pub(crate) fn it_fiscal_code(number: &[u8]) -> bool {
    let Some((check, head)) = number.split_last().filter(|_| number.len() == 16) else {
        return false;
    };
    let is_numeric = |b: u8| b.is_ascii_digit() || b"LMNPQRSTUV".contains(&b);
    let digits = [6, 7, 9, 10, 12, 13, 14];
    let has_digits = digits
        .iter()
        .all(|i| head.get(*i).copied().is_some_and(is_numeric));
    let has_letters = head
        .iter()
        .enumerate()
        .all(|(i, b)| digits.contains(&i) || b.is_ascii_uppercase());
    let is_month = head.get(8).is_some_and(|b| b"ABCDEHLMPRST".contains(b));
    let total: u32 = head
        .iter()
        .enumerate()
        .map(|(i, b)| {
            let value = if b.is_ascii_digit() {
                b - b'0'
            } else {
                b.wrapping_sub(b'A')
            };
            if i % 2 == 0 {
                IT_ODD.get(usize::from(value)).copied().unwrap_or(0)
            } else {
                u32::from(value)
            }
        })
        .sum();
    has_digits && has_letters && is_month && u32::from(check.wrapping_sub(b'A')) == total % 26
}

/// Italy's firms: Luhn.
pub(crate) fn it_vat(number: &[u8]) -> bool {
    digits_of::<11>(number).is_some_and(|d| luhn::passes(&d) && !is_one_digit(&d))
}

/// The Netherlands' citizens: the test of eleven.
pub(crate) fn nl_bsn(number: &[u8]) -> bool {
    let Some(d) = digits_of::<9>(number) else {
        return false;
    };
    let [head @ .., last] = d;
    let rest = sum(&head, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    rest == u32::from(last) && !is_one_digit(&d)
}

/// Belgium's national register: 97 less the rest, with a 2 in front for those born since 2000.
pub(crate) fn be_nrn(number: &[u8]) -> bool {
    let Some((head, check)) = number.split_at_checked(9) else {
        return false;
    };
    let (Some(n), Some(check)) = (value(head), value(check)) else {
        return false;
    };
    let date = head.get(..6).and_then(pairs);
    // Months have 20 or 40 added for people who are not registered; unknown days are zero.
    let is_date =
        date.is_some_and(|[_, month, day]| matches!(month % 20, 0..=12) && month < 60 && day < 32);
    is_date && (97 - n % 97 == check || 97 - (2_000_000_000 + n) % 97 == check)
}

/// Portugal's taxpayers.
pub(crate) fn pt_nif(number: &[u8]) -> bool {
    let Some(d) = digits_of::<9>(number) else {
        return false;
    };
    let [first, ..] = d;
    let [head @ .., check] = d;
    let rest = match 11 - sum(&head, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 {
        10 | 11 => 0,
        rest => rest,
    };
    matches!(first, 1 | 2 | 3 | 5 | 6 | 8 | 9) && rest == u32::from(check)
}

/// Austria's social insurance: the fourth digit checks serial and day of birth.
pub(crate) fn at_svnr(number: &[u8]) -> bool {
    let Some([a, b, c, check, rest @ ..]) = digits_of::<10>(number) else {
        return false;
    };
    let [d1, d2, m1, m2, ..] = rest;
    // Months past twelve are given where a day has run out of serials.
    let is_date = is_short_day(
        0,
        u64::from(m1 * 10 + m2).clamp(1, 12),
        u64::from(d1 * 10 + d2),
    ) && matches!(m1 * 10 + m2, 1..=15);
    let total = sum(&[a, b, c], &[3, 7, 9]) + sum(&rest, &[5, 8, 4, 2, 1, 6]);
    a != 0 && is_date && total % 11 == u32::from(check)
}

/// Switzerland's old-age insurance: an EAN of the country 756.
pub(crate) fn ch_ahv(number: &[u8]) -> bool {
    digits_of::<13>(number).is_some_and(|d| {
        d.starts_with(&[7, 5, 6])
            && sum(&d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
    })
}

/// Greece's social security: day of birth and Luhn.
pub(crate) fn gr_amka(number: &[u8]) -> bool {
    let is_date = number.get(..6).is_some_and(is_ddmmyy);
    is_date && digits_of::<11>(number).is_some_and(|d| luhn::passes(&d))
}
