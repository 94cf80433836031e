//! Fingerprints: which granules hold a token, of which only a few bits of its hash are kept.
//!
//! Ids and hashes are most of the distinct tokens of a log, and each is in one or two granules. As
//! terms of a dictionary they cost 10 to 20 bytes each; here about 2.6: pairs (fingerprint, granule),
//! sorted, in buckets by the fingerprint's first bits, the rest of a pair in as few bits as it needs.
//! A look-up finds every granule that holds the token, and now and then one that does not.
//!
//! ```text
//! count u32 · fingerprint_bits u8 · bucket_bits u8 · granule_bits u8 · 0 u8
//! (2^bucket_bits + 1) × u32: pairs before each bucket
//! pairs, packed from the lowest bit: granule, then the fingerprint's other bits; 8 zero bytes
//! ```

use std::io;

/// Pairs of a bucket, at the mean.
const BUCKET_PAIRS: u32 = 16;
/// Bits of a fingerprint beyond those that number the pairs: one look-up in 2^this finds a granule
/// too many.
const SPARE_BITS: u32 = 5;
/// Most bits of a fingerprint.
const FINGERPRINT_BITS_MAX: u32 = 32;
const HEAD_BYTES: usize = 8;
/// Zero bytes at the end, so that eight bytes can be read at any pair.
const PADDING: usize = 8;

/// Where the section's bytes are read from.
pub(crate) trait ReadAt {
    fn read_at(&self, start: u64, length: usize) -> io::Result<bytes::Bytes>;
}

/// Packs pairs (hash, granule); their order and repetitions do not matter. The upper half of a pair
/// is the hash's first 32 bits.
pub(crate) fn encode(mut pairs: Vec<u64>, granules: u32) -> Vec<u8> {
    let shape = Shape::of(u32::try_from(pairs.len()).unwrap_or(u32::MAX), granules);
    let cut = 32 - shape.fingerprint_bits;
    for pair in &mut pairs {
        *pair = (*pair >> (32 + cut)) << 32 | (*pair & u64::from(u32::MAX));
    }
    pairs.sort_unstable();
    pairs.dedup();
    let count = u32::try_from(pairs.len()).expect("fewer than 2^32 tokens in a segment");

    let mut out = Vec::with_capacity(HEAD_BYTES + pairs.len() * 4);
    out.extend_from_slice(&count.to_le_bytes());
    let bits = [
        shape.fingerprint_bits,
        shape.bucket_bits,
        shape.granule_bits,
        0,
    ];
    out.extend(bits.map(|bits| u8::try_from(bits).expect("at most 32")));
    let mut before = 0u32;
    let mut rest = pairs.iter().peekable();
    for bucket in 0..1u64 << shape.bucket_bits {
        out.extend_from_slice(&before.to_le_bytes());
        while rest
            .next_if(|pair| shape.bucket(**pair >> 32) == bucket)
            .is_some()
        {
            before += 1;
        }
    }
    out.extend_from_slice(&before.to_le_bytes());
    pack(&mut out, &pairs, &shape);
    out.extend_from_slice(&[0; PADDING]);
    out
}

fn pack(out: &mut Vec<u8>, pairs: &[u64], shape: &Shape) {
    let (mut word, mut used) = (0u128, 0);
    for pair in pairs {
        let rest = (pair >> 32) & shape.rest_mask();
        let value = rest << shape.granule_bits | (pair & u64::from(u32::MAX));
        word |= u128::from(value) << used;
        used += shape.pair_bits();
        while used >= 8 {
            out.push((word & 0xff) as u8);
            word >>= 8;
            used -= 8;
        }
    }
    if used > 0 {
        out.push((word & 0xff) as u8);
    }
}

/// Widths of the parts of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    fingerprint_bits: u32,
    bucket_bits: u32,
    granule_bits: u32,
}

impl Shape {
    fn of(pairs: u32, granules: u32) -> Self {
        let number_bits = 32 - pairs.leading_zeros();
        let fingerprint_bits = (number_bits + SPARE_BITS).min(FINGERPRINT_BITS_MAX);
        Self {
            fingerprint_bits,
            bucket_bits: 32 - (pairs / BUCKET_PAIRS).leading_zeros(),
            granule_bits: 32 - granules.saturating_sub(1).leading_zeros(),
        }
    }

    fn bucket(&self, fingerprint: u64) -> u64 {
        fingerprint >> (self.fingerprint_bits - self.bucket_bits)
    }

    fn rest_mask(&self) -> u64 {
        (1 << (self.fingerprint_bits - self.bucket_bits)) - 1
    }

    fn pair_bits(&self) -> u32 {
        self.fingerprint_bits - self.bucket_bits + self.granule_bits
    }
}

/// The section, open.
#[derive(Debug)]
pub(crate) struct Fingerprints {
    shape: Shape,
    pairs_at: u64,
}

impl Fingerprints {
    /// Reads the head of a section of `length` bytes; `None` if they do not fit together.
    pub(crate) fn open(section: &impl ReadAt, length: u64) -> io::Result<Option<Self>> {
        if length < HEAD_BYTES as u64 {
            return Ok(None);
        }
        let head = section.read_at(0, HEAD_BYTES)?;
        let [c0, c1, c2, c3, fingerprint, bucket, granule, zero] = head[..] else {
            return Ok(None);
        };
        let count = u32::from_le_bytes([c0, c1, c2, c3]);
        let shape = Shape {
            fingerprint_bits: fingerprint.into(),
            bucket_bits: bucket.into(),
            granule_bits: granule.into(),
        };
        let fits = zero == 0
            && shape.fingerprint_bits <= FINGERPRINT_BITS_MAX
            && shape.bucket_bits <= shape.fingerprint_bits
            && shape.granule_bits <= 32
            && shape.pair_bits() <= 56;
        if !fits {
            return Ok(None);
        }
        let pairs_at = HEAD_BYTES as u64 + 4 * ((1 << shape.bucket_bits) + 1);
        let pair_bytes = (u64::from(count) * u64::from(shape.pair_bits())).div_ceil(8);
        let whole = pairs_at + pair_bytes + PADDING as u64 == length;
        Ok(whole.then_some(Self { shape, pairs_at }))
    }

    /// Calls `found` with every granule that holds a token of this hash, and perhaps others.
    pub(crate) fn look_up(
        &self,
        section: &impl ReadAt,
        hash: u32,
        mut found: impl FnMut(u32),
    ) -> io::Result<()> {
        let shape = &self.shape;
        let fingerprint = u64::from(hash) >> (32 - shape.fingerprint_bits);
        let bounds = section.read_at(HEAD_BYTES as u64 + 4 * shape.bucket(fingerprint), 8)?;
        let bound = |at: usize| {
            bounds[at..]
                .first_chunk::<4>()
                .map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
        };
        let (first, end) = (bound(0), bound(4));
        if first >= end {
            return Ok(());
        }
        let width = u64::from(shape.pair_bits());
        let from = first * width / 8;
        let to = (end * width).div_ceil(8) + PADDING as u64;
        let length = usize::try_from(to - from).map_err(io::Error::other)?;
        let bytes = section.read_at(self.pairs_at + from, length)?;
        let wanted = fingerprint & shape.rest_mask();
        for pair in first..end {
            let bit = pair * width - from * 8;
            let at = usize::try_from(bit / 8).map_err(io::Error::other)?;
            let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let value = (u64::from_le_bytes(*word) >> (bit % 8)) & ((1 << width) - 1);
            if value >> shape.granule_bits == wanted {
                let granule = value & ((1 << shape.granule_bits) - 1);
                found(u32::try_from(granule).expect("at most 32 bits"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Memory(bytes::Bytes);

    impl ReadAt for Memory {
        fn read_at(&self, start: u64, length: usize) -> io::Result<bytes::Bytes> {
            let start = usize::try_from(start).map_err(io::Error::other)?;
            Ok(self.0.slice(start..start + length))
        }
    }

    fn look_up(pairs: &[(u32, u32)], granules: u32, hash: u32) -> Vec<u32> {
        let pairs = pairs
            .iter()
            .map(|(h, g)| u64::from(*h) << 32 | u64::from(*g))
            .collect();
        let section = Memory(encode(pairs, granules).into());
        let opened = Fingerprints::open(&section, section.0.len() as u64)
            .unwrap()
            .unwrap();
        let mut found = Vec::new();
        opened
            .look_up(&section, hash, |granule| found.push(granule))
            .unwrap();
        found
    }

    #[test]
    fn an_empty_section_finds_nothing() {
        assert!(look_up(&[], 0, 7).is_empty());
        assert!(look_up(&[], 1, u32::MAX).is_empty());
    }

    #[test]
    fn few_look_ups_of_absent_tokens_find_a_granule() {
        let hash = |i: u32| (crate::hash::hash(&i.to_le_bytes()) >> 32) as u32;
        let pairs: Vec<_> = (0..20_000).map(|i| (hash(i), i % 50)).collect();
        let found = (0..200)
            .filter(|i| !look_up(&pairs, 50, hash(1_000_000 + i)).is_empty())
            .count();
        assert!(found < 30, "{found} of 200");
    }

    proptest! {
        #[test]
        fn what_was_put_in_is_found(
            pairs in proptest::collection::vec((any::<u32>(), 0u32..700), 0..300),
            granules in 700u32..5_000,
        ) {
            for (hash, granule) in pairs.iter().take(20) {
                prop_assert!(look_up(&pairs, granules, *hash).contains(granule));
            }
        }
    }
}
