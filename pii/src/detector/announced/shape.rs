//! How a number is written: a small language for shapes.
//!
//! `9` is a digit, `A` a letter, `X` either, `~` a space, hyphen, dot, slash or nothing; every other
//! character is itself.

use crate::bytes::at;

/// End of what has this shape at `start`.
pub(super) fn end(shape: &str, text: &[u8], start: usize) -> Option<usize> {
    let mut pos = start;
    for wanted in shape.bytes() {
        let byte = at(text, pos);
        let fits = match wanted {
            b'9' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_alphabetic(),
            b'X' => byte.is_ascii_alphanumeric(),
            b'~' => {
                pos += usize::from(matches!(byte, b' ' | b'-' | b'.' | b'/'));
                continue;
            }
            mark => byte == mark,
        };
        if !fits {
            return None;
        }
        pos += 1;
    }
    Some(pos)
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn a_shape_is_matched_from_its_start() {
        for (shape, text, expected) in [
            ("99-A", "12-b", Some(4)),
            ("99-A", "12b", None),
            ("9~9~9", "1 2-3x", Some(5)),
            ("9~9~9", "123", Some(3)),
            ("XX", "a1", Some(2)),
            ("A9", "é1", None),
            ("9", "", None),
        ] {
            assert_eq!(
                end(shape, text.as_bytes(), 0),
                expected,
                "{shape} in {text}"
            );
        }
    }
}
