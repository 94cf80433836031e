//! Hashes that are part of the stored formats: they must never change.

/// Mixes all bits of a number into all bits (the finaliser of splitmix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a over both texts with a zero byte between them, mixed.
pub(crate) fn of_pair(a: &str, b: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in a.bytes().chain([0]).chain(b.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(hash)
}

/// Both halves of an id, mixed: version 7 ids differ in few bits.
pub(crate) fn of_id(id: &[u8; 16]) -> u64 {
    let [
        a0,
        a1,
        a2,
        a3,
        a4,
        a5,
        a6,
        a7,
        b0,
        b1,
        b2,
        b3,
        b4,
        b5,
        b6,
        b7,
    ] = *id;
    let low = u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]);
    let high = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
    mix(mix(low) ^ high)
}
