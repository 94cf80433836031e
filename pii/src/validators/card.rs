//! Which first digits issuers of payment cards use, and how long their numbers are.

/// Shortest card number without context, in digits.
pub(crate) const DIGITS_MIN: usize = 13;
/// Longest card number, in digits.
pub(crate) const DIGITS_MAX: usize = 19;

/// Digits of an issuer's range, from and to (as numbers of `width` digits), and its lengths.
struct Range {
    width: usize,
    from: u32,
    to: u32,
    lengths: &'static [usize],
}

const fn range(width: usize, from: u32, to: u32, lengths: &'static [usize]) -> Range {
    Range {
        width,
        from,
        to,
        lengths,
    }
}

const RANGES: [Range; 23] = [
    range(1, 4, 4, &[13, 16, 19]),                       // Visa
    range(2, 51, 55, &[16]),                             // Mastercard
    range(4, 2221, 2720, &[16]),                         // Mastercard
    range(2, 34, 34, &[15]),                             // American Express
    range(2, 37, 37, &[15]),                             // American Express
    range(3, 300, 305, &[14, 16, 17, 18, 19]),           // Diners Club
    range(4, 3095, 3095, &[14, 16, 17, 18, 19]),         // Diners Club
    range(2, 36, 36, &[14, 15, 16, 17, 18, 19]),         // Diners Club
    range(2, 38, 39, &[14, 16, 17, 18, 19]),             // Diners Club
    range(4, 6011, 6011, &[16, 17, 18, 19]),             // Discover
    range(3, 644, 649, &[16, 17, 18, 19]),               // Discover
    range(2, 65, 65, &[16, 17, 18, 19]),                 // Discover, RuPay, Elo
    range(4, 3528, 3589, &[16, 17, 18, 19]),             // JCB
    range(2, 62, 62, &[16, 17, 18, 19]),                 // UnionPay
    range(2, 81, 81, &[16, 17, 18, 19]),                 // UnionPay, RuPay
    range(2, 50, 50, &[13, 14, 15, 16, 17, 18, 19]),     // Maestro, Verve, Elo, Dankort
    range(2, 56, 58, &[13, 14, 15, 16, 17, 18, 19]),     // Maestro
    range(4, 6304, 6304, &[13, 14, 15, 16, 17, 18, 19]), // Maestro, Laser
    range(4, 6759, 6763, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    range(3, 637, 639, &[16]),                           // InstaPayment
    range(4, 2200, 2204, &[16, 17, 18, 19]),             // Mir
    range(4, 9792, 9792, &[16]),                         // Troy
    range(2, 60, 60, &[16]),                             // RuPay, Hipercard
];

/// Whether an issuer uses these first digits at this length.
pub(crate) fn issued(digits: &[u8]) -> bool {
    RANGES.iter().any(|range| {
        let head = digits
            .iter()
            .take(range.width)
            .fold(0, |n, d| n * 10 + u32::from(*d));
        (range.from..=range.to).contains(&head) && range.lengths.contains(&digits.len())
    })
}

#[cfg(test)]
mod tests {
    use super::issued;

    fn check(number: &str) -> bool {
        issued(&number.bytes().map(|b| b - b'0').collect::<Vec<_>>())
    }

    #[test]
    fn an_issuer_is_its_first_digits_and_its_length() {
        assert!(check("4000000000000002"));
        assert!(check("340000000000009"));
        assert!(!check("3400000000000009"), "Amex has 15 digits");
        assert!(!check("1453843029218310"), "a time in microseconds");
        assert!(!check("9000000000000000"));
    }
}
