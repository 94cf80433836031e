//! The check digit of payment cards (ISO/IEC 7812).

/// Whether the digits (values 0 to 9) pass; the last one is the check digit.
pub(crate) fn passes(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| match (i % 2, u32::from(*digit)) {
            (0, value) => value,
            (_, value) if value > 4 => 2 * value - 9,
            (_, value) => 2 * value,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn one_changed_digit_is_noticed() {
        let good = [4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2];
        assert!(passes(&good));
        for i in 0..good.len() {
            for other in (0..10).filter(|d| *d != good[i]) {
                let mut bad = good;
                bad[i] = other;
                assert!(!passes(&bad), "position {i} with {other}");
            }
        }
    }
}
