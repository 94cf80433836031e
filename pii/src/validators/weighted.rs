//! Sums of digits times weights, which most check digits are made of. Digits are values 0 to 9.

/// The sum of digits times weights, as far as there are both.
pub(crate) fn sum(digits: &[u8], weights: &[u32]) -> u32 {
    let products = digits.iter().zip(weights).map(|(d, w)| u32::from(*d) * w);
    products.sum()
}

/// The digits of a number written in ASCII; `None` when anything else is in it.
pub(crate) fn digits(number: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: &u8| b.is_ascii_digit().then(|| b - b'0');
    number.iter().map(digit).collect()
}

/// The digits of a number of this length.
pub(crate) fn digits_of<const N: usize>(number: &[u8]) -> Option<[u8; N]> {
    digits(number)?.try_into().ok()
}

/// The value of a number written in ASCII digits, which must be few enough for it.
pub(crate) fn value(number: &[u8]) -> Option<u64> {
    number.iter().try_fold(0u64, |value, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether all digits are the same one.
pub(crate) fn is_one_digit(digits: &[u8]) -> bool {
    digits.iter().all(|d| Some(d) == digits.first())
}
