//! Lengths of bank account numbers by country (ISO 13616, registry of SWIFT), and their check digits.

/// Longest number in any country.
pub(crate) const LENGTH_MAX: usize = 33;

/// Countries in order, with the length of their numbers.
const LENGTHS: [(&[u8; 2], usize); 86] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"XK", 20),
];

/// Those that came last: small, and rarely seen.
const MORE: [(&[u8; 2], usize); 3] = [(b"VA", 22), (b"VG", 24), (b"YE", 30)];

/// How long the numbers of a country are, `None` where there are none.
pub(crate) fn length(country: [u8; 2]) -> Option<usize> {
    let listed = LENGTHS.binary_search_by(|(known, _)| (*known).cmp(&country));
    match listed {
        Ok(at) => LENGTHS.get(at).map(|(_, length)| *length),
        Err(_) => MORE
            .iter()
            .find(|(known, _)| **known == country)
            .map(|(_, length)| *length),
    }
}

/// Whether the check digits are right (ISO 7064, mod 97-10): the first four characters moved behind
/// the others, letters as 10 to 35, leave 1. Takes upper-case letters and digits.
pub(crate) fn passes(number: &[u8]) -> bool {
    let (head, tail) = number.split_at(number.len().min(4));
    let rest = tail.iter().chain(head).fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.wrapping_sub(b'A')) + 10) % 97,
    });
    rest == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_in_order_and_their_lengths_known() {
        assert!(LENGTHS.is_sorted_by(|(a, _), (b, _)| a < b));
        assert_eq!(length(*b"NO"), Some(15));
        assert_eq!(length(*b"VG"), Some(24));
        assert_eq!(length(*b"ZZ"), None);
        let longest = LENGTHS.iter().chain(&MORE).map(|(_, length)| *length).max();
        assert_eq!(longest, Some(LENGTH_MAX));
    }

    #[test]
    fn every_changed_digit_is_noticed() {
        let good = *b"DE75512108001245126199";
        assert!(passes(&good));
        for at in 2..good.len() {
            let mut bad = good;
            bad[at] = if bad[at] == b'9' { b'0' } else { bad[at] + 1 };
            assert!(!passes(&bad), "{at}");
        }
    }
}
