//! Check characters after ISO/IEC 7064.

/// Whether digits (values 0 to 9) pass MOD 11,10; the last one is the check digit.
pub(crate) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, number)) = digits.split_last() else {
        return false;
    };
    let rest = number.iter().fold(10u32, |product, digit| {
        let sum = (product + u32::from(*digit)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - rest) % 10 == u32::from(*check)
}

/// Whether a number passes MOD 11-2: ASCII digits, the last one `X` for ten.
pub(crate) fn mod_11_2(number: &[u8]) -> bool {
    let Some((last, head)) = number.split_last() else {
        return false;
    };
    if !head.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let check = match last {
        b'0'..=b'9' => u32::from(last - b'0'),
        b'X' => 10,
        _ => return false,
    };
    let sum = head
        .iter()
        .fold(0, |sum, b| (sum + u32::from(b - b'0')) * 2 % 11);
    (sum + check) % 11 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_pass_and_changed_ones_do_not() {
        let good = [3, 3, 3, 9, 2, 0, 0, 5, 9, 6, 1];
        assert!(mod_11_10(&good));
        let identity = *b"11010519491231002X";
        assert!(mod_11_2(&identity));
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] = (bad[at] + 1) % 10;
            assert!(!mod_11_10(&bad), "{at}");
        }
        for at in 0..identity.len() - 1 {
            let mut bad = identity;
            bad[at] = if bad[at] == b'9' { b'0' } else { bad[at] + 1 };
            assert!(!mod_11_2(&bad), "{at}");
        }
    }
}
