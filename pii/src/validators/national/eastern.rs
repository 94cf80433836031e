//! Numbers of eastern Europe and Turkey.

use super::digits_of;
use crate::validators::calendar::{is_day, is_short_day, pairs};
use crate::validators::iso7064;
use crate::validators::weighted::{sum, value};

/// Poland's population register: day of birth with the century in the month.
pub(crate) fn pl_pesel(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    let date = number.get(..6).and_then(pairs);
    let is_date = date.is_some_and(|[year, month, day]| {
        let century = [1900, 2000, 2100, 2200, 1800];
        let century = usize::try_from(month / 20)
            .ok()
            .and_then(|i| century.get(i));
        century.is_some_and(|century| is_day(century + year, month % 20, day))
    });
    is_date && sum(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Poland's taxpayers.
pub(crate) fn pl_nip(number: &[u8]) -> bool {
    let Some(d) = digits_of::<10>(number) else {
        return false;
    };
    let [.., check] = d;
    d != [0; 10] && sum(&d, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == u32::from(check)
}

/// The Czech and Slovak birth number: months of women have 50 more; divisible by eleven since 1954.
pub(crate) fn cz_rc(number: &[u8]) -> bool {
    let date = number.get(..6).and_then(pairs);
    let is_date = date.is_some_and(|[year, month, day]| {
        let month = if month > 50 { month - 50 } else { month };
        let month = if month > 20 { month - 20 } else { month };
        is_short_day(year, month, day)
    });
    let (Some(n), Some(head)) = (value(number), number.get(..9).and_then(value)) else {
        return false;
    };
    let is_checked = n.is_multiple_of(11) || head % 11 == 10 && n.is_multiple_of(10);
    number.len() == 10 && is_date && is_checked
}

/// Romania's personal code.
pub(crate) fn ro_cnp(number: &[u8]) -> bool {
    let Some(d) = digits_of::<13>(number) else {
        return false;
    };
    let [sex, .., check] = d;
    let date = number.get(1..7).and_then(pairs);
    let is_date = date.is_some_and(|[year, month, day]| is_short_day(year, month, day));
    let rest = match sum(&d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11 {
        10 => 1,
        rest => rest,
    };
    sex > 0 && is_date && rest == u32::from(check)
}

/// Bulgaria's citizens: months have 20 or 40 more in other centuries.
pub(crate) fn bg_egn(number: &[u8]) -> bool {
    let Some(d) = digits_of::<10>(number) else {
        return false;
    };
    let [.., check] = d;
    let date = number.get(..6).and_then(pairs);
    let is_date =
        date.is_some_and(|[year, month, day]| is_short_day(year, month % 20, day) && month < 60);
    let rest = sum(&d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
    is_date && rest == u32::from(check)
}

/// Croatia's OIB: ISO 7064.
pub(crate) fn hr_oib(number: &[u8]) -> bool {
    digits_of::<11>(number).is_some_and(|d| iso7064::mod_11_10(&d))
}

/// The citizens' number of the states that were Yugoslavia.
pub(crate) fn jmbg(number: &[u8]) -> bool {
    let Some(d) = digits_of::<13>(number) else {
        return false;
    };
    let [.., check] = d;
    let (day, month, year) = (number.get(..2), number.get(2..4), number.get(4..7));
    let is_date = [day, month, year]
        .map(|part| part.and_then(value))
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .is_some_and(|parts| match parts.as_slice() {
            [day, month, year] => {
                let century = if *year >= 800 { 1000 } else { 2000 };
                is_day(century + year, *month, *day)
            }
            _ => false,
        });
    let rest = (11 - sum(&d, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    is_date && rest == u32::from(check)
}

/// Hungary's taxpayers: an 8, the day of birth as a count of days, modulus 11.
pub(crate) fn hu_tax(number: &[u8]) -> bool {
    let Some(d) = digits_of::<10>(number) else {
        return false;
    };
    let [first, .., check] = d;
    first == 8 && sum(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9]) % 11 == u32::from(check)
}

/// Russia's pension insurance (SNILS).
pub(crate) fn ru_snils(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    let [.., tens, ones] = d;
    let rest = sum(&d, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100;
    d.iter().any(|digit| *digit > 0) && rest == u32::from(tens * 10 + ones)
}

/// Russia's taxpayers who are people: twelve digits, the last two checks.
pub(crate) fn ru_inn(number: &[u8]) -> bool {
    let Some(d) = digits_of::<12>(number) else {
        return false;
    };
    let [.., first, second] = d;
    let rest = |weights: &[u32]| sum(&d, weights) % 11 % 10;
    d.iter().any(|digit| *digit > 0)
        && rest(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == u32::from(first)
        && rest(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == u32::from(second)
}

/// Ukraine's taxpayers: the first weight is minus one.
pub(crate) fn ua_rnokpp(number: &[u8]) -> bool {
    let Some(d) = digits_of::<10>(number) else {
        return false;
    };
    let [.., check] = d;
    d != [0; 10] && sum(&d, &[10, 5, 7, 9, 4, 6, 10, 5, 7]) % 11 % 10 == u32::from(check)
}

/// Turkey's citizens: two check digits.
pub(crate) fn tr_tckn(number: &[u8]) -> bool {
    let Some(d) = digits_of::<11>(number) else {
        return false;
    };
    let [first, .., tenth, last] = d;
    let odd_and_even = sum(&d, &[7, 9, 7, 9, 7, 9, 7, 9, 7]) % 10;
    first != 0 && odd_and_even == u32::from(tenth) && sum(&d, &[1; 10]) % 10 == u32::from(last)
}
