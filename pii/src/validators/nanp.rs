//! The North American numbering plan.

/// Whether ten digits (values 0 to 9) can be a subscriber's number: area and exchange begin with 2 to
/// 9, the area's second digit is not 9 (kept for expansion), and neither is a service code like 411.
pub(crate) fn valid(digits: &[u8]) -> bool {
    let &[a, b, c, d, e, f, _, _, _, _] = digits else {
        return false;
    };
    let area = a >= 2 && b != 9 && !(b == 1 && c == 1);
    let exchange = d >= 2 && !(e == 1 && f == 1);
    area && exchange
}
