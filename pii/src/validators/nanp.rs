//! The North American numbering plan.

/// Whether ten digits (values 0 to 9) can be a subscriber's number: area and exchange begin with 2 to
/// 9 and are no service code like 411, and the area is not one of those kept for later.
pub(crate) fn valid(digits: &[u8]) -> bool {
    let &[a, b, c, d, e, f, _, _, _, _] = digits else {
        return false;
    };
    // x9x, 37x and 96x are kept for longer numbers; 2yy, 3yy and 4yy are not given to areas.
    let kept = b == 9 || a == 3 && b == 7 || a == 9 && b == 6 || b == c && a <= 4;
    let area = a >= 2 && !kept && !(b == 1 && c == 1);
    let exchange = d >= 2 && !(e == 1 && f == 1);
    area && exchange
}

#[cfg(test)]
mod tests {
    use super::valid;

    #[test]
    fn areas_and_exchanges_that_do_not_exist_are_refused() {
        let check = |n: &str| valid(&n.bytes().map(|b| b - b'0').collect::<Vec<_>>());
        assert!(check("4155550132") && check("8002345678"));
        for number in [
            "1155550132",
            "4151550132",
            "4155110132",
            "9115550132",
            "4555550132",
            "2985550132",
        ] {
            assert!(!check(number), "{number}");
        }
    }
}
