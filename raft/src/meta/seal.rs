//! What a shard holds for ever, as the cluster agreed on it before any replica stopped its group.

use hushlog_record::Timestamp;

use crate::codec::{Decoder, Encoder, Error};

/// A finished shard. Every replica of it has exactly these segments, or is about to take them instead of the
/// smaller ones that they were merged of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// BLAKE3 of the segments as the manifest lists them.
    pub digest: [u8; 32],
    /// End of the last segment.
    pub segmented_to: u64,
    /// Rows of all segments.
    pub rows: u64,
    /// Bytes of all files of one replica.
    pub bytes: u64,
    /// First event time; of no meaning without rows.
    pub time_min: Timestamp,
    /// Last event time; of no meaning without rows.
    pub time_max: Timestamp,
}

impl Seal {
    /// Bytes that it takes, encoded.
    pub(super) const BYTES: usize = 32 + 5 * 8;

    /// Whether both hold the same rows, as far as can be told from here.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        let what = |seal: &Self| (seal.rows, seal.segmented_to, seal.time_bounds());
        what(self) == what(other)
    }

    /// First and last event time; `None` when there are no rows.
    pub fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        (self.rows > 0).then_some((self.time_min, self.time_max))
    }
}

pub(super) fn put_seal(out: &mut Encoder, seal: &Seal) {
    out.raw(&seal.digest)
        .u64(seal.segmented_to)
        .u64(seal.rows)
        .u64(seal.bytes)
        .i64(seal.time_min.nanos())
        .i64(seal.time_max.nanos());
}

pub(super) fn take_seal(input: &mut Decoder<'_>) -> Result<Seal, Error> {
    Ok(Seal {
        digest: take_digest(input)?,
        segmented_to: input.u64()?,
        rows: input.u64()?,
        bytes: input.u64()?,
        time_min: Timestamp::from_nanos(input.i64()?),
        time_max: Timestamp::from_nanos(input.i64()?),
    })
}

pub(super) fn take_digest(input: &mut Decoder<'_>) -> Result<[u8; 32], Error> {
    let digest = input.raw(32)?;
    digest
        .try_into()
        .map_err(|_| input.invalid("a digest has 32 bytes"))
}
