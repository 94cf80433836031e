//! The hash behind fingerprints. It is part of the format: it must never change.

const KEY_A: u64 = 0x9e37_79b9_7f4a_7c15;
const KEY_B: u64 = 0xd6e8_feb8_6659_fd93;

/// 64 well-mixed bits of these bytes, the same on every machine and in every release.
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut state = KEY_A ^ bytes.len() as u64;
    if let Some((before, last)) = bytes.split_last_chunk::<8>() {
        for word in before.as_chunks::<8>().0 {
            state = mix(state ^ u64::from_le_bytes(*word), KEY_B);
        }
        // The last words overlap: up to seven bytes before `last` are read twice, never missed.
        if let Some((word, _)) = bytes
            .get(before.len() / 8 * 8..)
            .and_then(<[u8]>::split_first_chunk)
        {
            state = mix(state ^ u64::from_le_bytes(*word), KEY_B);
        }
        return finish(state ^ u64::from_le_bytes(*last));
    }
    finish(state ^ short(bytes))
}

/// Up to eight bytes as a number, little-endian: different for different bytes without zeros.
#[inline]
pub(crate) fn short(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let shift = 8 * (bytes.len() - 4);
        return u64::from(u32::from_le_bytes(*first))
            | u64::from(u32::from_le_bytes(*last)) << shift;
    }
    let (half, end) = (bytes.len() / 2, bytes.len().saturating_sub(1));
    let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or(0)) << (8 * at);
    byte(0) | byte(half) | byte(end)
}

/// Spreads a short word over 64 bits.
#[inline]
pub(crate) fn finish(state: u64) -> u64 {
    mix(mix(state, KEY_A), KEY_B)
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
            (b"0af7651916cd43dd8448eb211c80319c", 0x976d00728255b6ab),
        ];
        for (bytes, expected) in known {
            assert_eq!(hash(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
