//! Which of sixteen bytes are of which class, all at once.

use wide::u8x16;

use super::maps::{Maps, PIECE};

/// The bitmaps of these bytes, the first byte lowest.
#[inline(always)]
pub(super) fn classify(bytes: [u8; PIECE]) -> Maps {
    let bytes = u8x16::new(bytes);
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let at_most = |lanes: u8x16, limit: u8| lanes.min(u8x16::splat(limit)).simd_eq(lanes);
    let map = |lanes: u8x16| u64::from(lanes.to_bitmask());
    let digit = at_most(bytes - u8x16::splat(b'0'), 9);
    let letter = at_most((bytes | u8x16::splat(0x20)) - u8x16::splat(b'a'), 25);
    Maps {
        digit: map(digit),
        letter: map(letter),
        word: map(letter | digit | is(b'_') | is(b'-')),
        dot: map(is(b'.')),
        colon: map(is(b':')),
        mark: map(is(b'@') | is(b'=')),
        aside: map(at_most(bytes - u8x16::splat(b'%'), b'+' - b'%')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_of_its_classes() {
        for byte in 0..=u8::MAX {
            let one = Maps {
                digit: byte.is_ascii_digit().into(),
                letter: byte.is_ascii_alphabetic().into(),
                word: (byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).into(),
                dot: (byte == b'.').into(),
                colon: (byte == b':').into(),
                mark: b"@=".contains(&byte).into(),
                aside: b"%&'()*+".contains(&byte).into(),
            };
            for place in 0..PIECE {
                let mut bytes = [0; PIECE];
                bytes[place] = byte;
                let expected = Maps::default().or(one, place);
                assert_eq!(classify(bytes), expected, "{byte:#x} at {place}");
            }
        }
    }
}
