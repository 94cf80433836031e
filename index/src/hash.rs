//! The hash behind fingerprints. It is part of the format: it must never change.

const KEY_A: u64 = 0x9e37_79b9_7f4a_7c15;
const KEY_B: u64 = 0xd6e8_feb8_6659_fd93;

/// 64 well-mixed bits of these bytes, the same on every machine and in every release.
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut state = KEY_A ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word), KEY_B);
    }
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    mix(mix(state ^ u64::from_le_bytes(tail), KEY_A), KEY_B)
}

/// Both halves of the product, folded together.
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the halves are what is wanted"
    )]
    let folded = product as u64 ^ (product >> 64) as u64;
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_it_always_was() {
        let known = [
            (&b""[..], 0xae0d744568e8e175),
            (b"a", 0xb06251f1e77161e1),
            (b"0af7651916cd43dd8448eb211c80319c", 0xe01a15f975c132eb),
        ];
        for (bytes, expected) in known {
            assert_eq!(hash(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
