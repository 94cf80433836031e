//! A set of ids that may say "perhaps" for an id it does not hold, and never "no" for one it does.
//!
//! A split-block Bloom filter: one cache line is touched per look-up. F. Putze, P. Sanders, J.
//! Singler: "Cache-, hash- and space-efficient Bloom filters", WEA 2007; J. Apple: "Split block Bloom
//! filters", arXiv 2101.01719 (2021). About 1 % of the ids it does not hold are "perhaps".

use std::fmt;

use crate::Error;
use crate::hash;
use crate::wire::{put_len, version};

const VERSION: u8 = 1;
/// Bits per id.
pub const BITS_PER_ID: usize = 10;
/// Words of 32 bits in a block, of which each id sets one bit each.
const WORDS: usize = LANES.len();
/// Bits in a block.
const BLOCK_BITS: usize = WORDS * 32;
/// Odd numbers that spread a hash over the words; fixed by the format (they are Parquet's).
const LANES: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// A filter over 16-byte ids.
#[derive(Clone, PartialEq, Eq)]
pub struct IdFilter {
    blocks: Vec<[u32; WORDS]>,
}

impl IdFilter {
    /// A filter over these ids, with [`BITS_PER_ID`] bits for each.
    pub fn build(ids: &[[u8; 16]]) -> Self {
        let blocks = ids
            .len()
            .saturating_mul(BITS_PER_ID)
            .div_ceil(BLOCK_BITS)
            .max(1);
        let mut filter = Self {
            blocks: vec![[0; WORDS]; blocks],
        };
        for id in ids {
            let hash = hash::of_id(id);
            let at = filter.block(hash);
            if let Some(block) = filter.blocks.get_mut(at) {
                block
                    .iter_mut()
                    .zip(mask(hash))
                    .for_each(|(word, bit)| *word |= bit);
            }
        }
        filter
    }

    /// `false` means that the id is not in the set.
    pub fn may_contain(&self, id: &[u8; 16]) -> bool {
        let hash = hash::of_id(id);
        let block = self.blocks.get(self.block(hash));
        block.is_some_and(|block| {
            block
                .iter()
                .zip(mask(hash))
                .all(|(word, bit)| word & bit != 0)
        })
    }

    /// Version, number of blocks, and the blocks as little-endian words.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.blocks.len() * WORDS * 4);
        out.push(VERSION);
        put_len(&mut out, self.blocks.len());
        out.extend(
            self.blocks
                .iter()
                .flatten()
                .flat_map(|word| word.to_le_bytes()),
        );
        out
    }

    /// Reads what [`encode`](Self::encode) wrote, to the last byte.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = version(bytes, "id filter", VERSION)?;
        let count = reader.count()?;
        if count == 0 {
            return Err(Error::Malformed("an id filter has no blocks"));
        }
        let len = count.checked_mul(WORDS * 4);
        let len = len.ok_or(Error::Malformed("an id filter is too long"))?;
        let (words, _) = reader.take(len)?.as_chunks::<4>();
        reader.end()?;
        let (blocks, _) = words.as_chunks::<WORDS>();
        Ok(Self {
            blocks: blocks
                .iter()
                .map(|block| block.map(u32::from_le_bytes))
                .collect(),
        })
    }

    /// The upper half of the hash chooses the block.
    fn block(&self, hash: u64) -> usize {
        let scaled = u128::from(hash >> 32) * self.blocks.len() as u128;
        usize::try_from(scaled >> 32).unwrap_or_default()
    }
}

/// The lower half of the hash chooses one bit in each word.
fn mask(hash: u64) -> [u32; WORDS] {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    let low = u32::from_le_bytes([a, b, c, d]);
    LANES.map(|lane| 1 << (low.wrapping_mul(lane) >> 27))
}

/// Prints its size only.
impl fmt::Debug for IdFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdFilter({} blocks)", self.blocks.len())
    }
}
