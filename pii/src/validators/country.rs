//! Country calling codes and how many digits follow them.

/// Fewest digits of a number with its country code, after ITU-T E.164 in practice.
pub(crate) const DIGITS_MIN: usize = 8;
/// Most digits of a number with its country code (ITU-T E.164).
pub(crate) const DIGITS_MAX: usize = 15;

/// Code, fewest and most digits after it.
const CODES: [(&[u8], usize, usize); 55] = [
    (&[2, 0], 8, 10),
    (&[2, 7], 9, 9),
    (&[3, 0], 10, 10),
    (&[3, 1], 9, 9),
    (&[3, 2], 8, 9),
    (&[3, 3], 9, 9),
    (&[3, 4], 9, 9),
    (&[3, 6], 8, 9),
    (&[3, 9], 6, 11),
    (&[4, 0], 9, 9),
    (&[4, 1], 9, 9),
    (&[4, 3], 7, 12),
    (&[4, 4], 9, 10),
    (&[4, 5], 8, 8),
    (&[4, 6], 7, 10),
    (&[4, 7], 8, 8),
    (&[4, 8], 9, 9),
    (&[4, 9], 6, 12),
    (&[5, 1], 8, 9),
    (&[5, 2], 10, 10),
    (&[5, 3], 8, 8),
    (&[5, 4], 10, 11),
    (&[5, 5], 10, 11),
    (&[5, 6], 9, 9),
    (&[5, 7], 10, 10),
    (&[5, 8], 10, 10),
    (&[6, 0], 8, 10),
    (&[6, 1], 9, 9),
    (&[6, 2], 8, 12),
    (&[6, 3], 8, 10),
    (&[6, 4], 8, 10),
    (&[6, 5], 8, 8),
    (&[6, 6], 8, 9),
    (&[7], 10, 10),
    (&[8, 1], 9, 10),
    (&[8, 2], 8, 11),
    (&[8, 4], 9, 10),
    (&[8, 6], 10, 11),
    (&[9, 0], 10, 10),
    (&[9, 1], 10, 10),
    (&[9, 2], 9, 10),
    (&[9, 3], 9, 9),
    (&[9, 4], 9, 9),
    (&[9, 5], 7, 10),
    (&[9, 8], 10, 10),
    // Codes of three digits, by their first two.
    (&[2, 1], 7, 10),
    (&[2, 2], 7, 10),
    (&[2, 3], 7, 10),
    (&[2, 4], 6, 9),
    (&[2, 5], 7, 9),
    (&[2, 6], 7, 9),
    (&[3, 5], 5, 11),
    (&[3, 7], 6, 9),
    (&[3, 8], 7, 9),
    (&[4, 2], 7, 9),
];

/// More codes of three digits, by their first two; seven to nine digits follow.
const OTHERS: [[u8; 2]; 11] = [
    [2, 9],
    [5, 0],
    [5, 9],
    [6, 7],
    [6, 8],
    [6, 9],
    [8, 5],
    [8, 7],
    [8, 8],
    [9, 6],
    [9, 7],
];

/// For the first two digits, the place in [`CODES`] of what begins with them; its length where nothing does.
#[expect(
    clippy::indexing_slicing,
    reason = "worked out when it is compiled, where no panic passes"
)]
const PLACES: [u8; 100] = {
    let mut places = [0; 100];
    let mut first_two = 0u8;
    while first_two < 100 {
        let mut place = 0u8;
        while (place as usize) < CODES.len() {
            let is_this = match CODES[place as usize].0 {
                [a] => first_two / 10 == *a,
                [a, b] => first_two == *a * 10 + *b,
                _ => panic!("a code has one digit or two"),
            };
            if is_this {
                break;
            }
            place += 1;
        }
        places[first_two as usize] = place;
        first_two += 1;
    }
    places
};

fn listed(digits: &[u8]) -> Option<&'static (&'static [u8], usize, usize)> {
    let [a, b, ..] = digits else { return None };
    let place = PLACES.get(usize::from(a * 10 + b))?;
    CODES.get(usize::from(*place))
}

/// Whether digits (values 0 to 9) are a country code with a number of a length that exists there.
pub(crate) fn valid(digits: &[u8]) -> bool {
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) {
        return false;
    }
    if let [1, national @ ..] = digits {
        return super::nanp::valid(national);
    }
    if let Some((code, min, max)) = listed(digits) {
        let three = matches!(code, [2, 1..=6] | [3, 5 | 7 | 8] | [4, 2]);
        let rest = digits.len() - code.len() - usize::from(three);
        return (*min..=*max).contains(&rest);
    }
    let known = OTHERS.iter().any(|code| digits.starts_with(code)) || digits.starts_with(&[9, 9]);
    known && (10..=12).contains(&digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_places_says_what_a_search_would() {
        for a in 0..10 {
            for b in 0..10 {
                let searched = CODES.iter().find(|(code, ..)| [a, b].starts_with(code));
                assert_eq!(listed(&[a, b, 0]), searched, "{a}{b}");
            }
        }
    }
}
