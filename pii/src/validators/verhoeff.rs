//! The check digit of J. Verhoeff (1969), which notices every changed digit and every swapped pair.

/// The group of the symmetries of a pentagon.
const PRODUCT: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];

/// What a digit counts by its place from the right.
const PLACES: [[u8; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
    [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
    [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];

/// Whether the digits (values 0 to 9) pass; the last one is the check digit.
pub(crate) fn passes(digits: &[u8]) -> bool {
    let entry = |table: &[[u8; 10]], row: usize, column: u8| {
        let row = table.get(row)?;
        row.get(usize::from(column)).copied()
    };
    let rest = digits
        .iter()
        .rev()
        .enumerate()
        .try_fold(0u8, |rest, (i, d)| {
            entry(&PRODUCT, rest.into(), entry(&PLACES, i % 8, *d)?)
        });
    rest == Some(0)
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn changed_and_swapped_digits_are_noticed() {
        assert!(passes(&[2, 3, 6, 3]));
        let good = [3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 9];
        assert!(passes(&good));
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] = (bad[at] + 1) % 10;
            assert!(!passes(&bad), "{at}");
            if at > 0 && good[at] != good[at - 1] {
                let mut bad = good;
                bad.swap(at, at - 1);
                assert!(!passes(&bad), "{at}");
            }
        }
    }
}
