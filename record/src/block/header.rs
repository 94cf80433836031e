//! What a replica may know of a block without decompressing it.

use std::ops::Range;

use super::wire::{Reader, put_bytes, put_len, put_signed, put_varint};
use super::{Counts, Error, VERSION_WITH_CONTENT, VERSION_WITHOUT_CONTENT};
use crate::limits::BLOCK_ROWS_MAX;
use crate::{LogId, ShardId, Timestamp};

/// What [`BLOCK_ROWS_MAX`] limits.
pub(super) const ROWS: &str = "rows of a block";

/// Names one request of one producer, in the chunk that went to this shard, or one record that its client
/// has named: repeats are recognised by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    /// The producer, as it named itself.
    pub producer: u128,
    /// Its number for the request.
    pub sequence: u64,
    /// The request's piece, where one request fills several blocks; [`PartKey::RECORD`] for a record.
    pub chunk: u32,
}

impl PartKey {
    /// The `chunk` of a record's key. A request has fewer pieces.
    pub const RECORD: u32 = u32::MAX;

    /// The key of a record that its client has named.
    pub const fn of_record(id: LogId) -> Self {
        Self {
            producer: u128::from_be_bytes(id.0),
            sequence: 0,
            chunk: Self::RECORD,
        }
    }

    /// Whether it names a record, and no request.
    pub const fn is_of_record(&self) -> bool {
        self.chunk == Self::RECORD
    }
}

/// The rows of a block that came from one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The request; `None` when the client gave no key.
    pub key: Option<PartKey>,
    /// Digest of the whole request under the key, so that the same key with other content is noticed;
    /// 0 when it is not known, and always without a key.
    pub content: u64,
    /// Its rows, half-open.
    pub rows: Range<u32>,
}

/// The facts about a block that are read without its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The shard it was sealed for.
    pub shard: ShardId,
    /// Number of rows, 1 to [`BLOCK_ROWS_MAX`].
    pub rows: u32,
    /// Version of the masking patterns that its rows were masked under.
    pub policy_epoch: u64,
    /// When the gateway sealed it.
    pub admitted_at: Timestamp,
    /// Earliest event time of its rows.
    pub time_min: Timestamp,
    /// Latest event time of its rows.
    pub time_max: Timestamp,
    /// BLAKE3 of the columns before compression.
    pub digest: [u8; 32],
    /// The requests in it, in row order.
    pub parts: Vec<Part>,
    /// Its rows by minute, service, level and exception.
    pub counts: Counts,
}

impl Header {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.shard.bucket);
        put_varint(out, u64::from(self.shard.slot));
        put_varint(out, u64::from(self.rows));
        put_varint(out, self.policy_epoch);
        put_signed(out, self.admitted_at.nanos());
        put_signed(out, self.time_min.nanos());
        put_signed(out, self.time_max.nanos());
        out.extend_from_slice(&self.digest);
        put_len(out, self.parts.len());
        for part in &self.parts {
            encode_part(part, out);
        }
        put_bytes(out, &self.counts.encode());
    }

    /// The version that this header needs: contents of keyed requests came with the second.
    pub(super) fn version(&self) -> u8 {
        if self.parts.iter().any(|part| part.content != 0) {
            VERSION_WITH_CONTENT
        } else {
            VERSION_WITHOUT_CONTENT
        }
    }

    pub(super) fn decode(bytes: &[u8], version: u8) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let shard = decode_shard(&mut reader)?;
        let rows = decode_rows(&mut reader)?;
        let policy_epoch = reader.varint()?;
        let admitted_at = Timestamp::from_nanos(reader.signed()?);
        let time_min = Timestamp::from_nanos(reader.signed()?);
        let time_max = Timestamp::from_nanos(reader.signed()?);
        if time_min > time_max {
            return Err(Error::Malformed("its earliest time is after its latest"));
        }
        let digest = reader.array()?;
        let parts = decode_parts(&mut reader, rows)?;
        let digested = parts.iter().any(|part: &Part| part.content != 0);
        let fits = match version {
            VERSION_WITHOUT_CONTENT => !digested,
            VERSION_WITH_CONTENT => digested,
            _ => true,
        };
        if !fits {
            return Err(Error::Malformed("its parts are of another version"));
        }
        let counts = Counts::decode(reader.bytes()?)?;
        reader.end()?;
        Ok(Self {
            shard,
            rows,
            policy_epoch,
            admitted_at,
            time_min,
            time_max,
            digest,
            parts,
            counts,
        })
    }
}

fn encode_part(part: &Part, out: &mut Vec<u8>) {
    match part.key {
        None => out.push(0),
        Some(key) => {
            out.push(if part.content == 0 { 1 } else { 2 });
            out.extend_from_slice(&key.producer.to_be_bytes());
            put_varint(out, key.sequence);
            put_varint(out, u64::from(key.chunk));
            if part.content != 0 {
                out.extend_from_slice(&part.content.to_be_bytes());
            }
        }
    }
    put_varint(out, u64::from(part.rows.start));
    put_varint(out, u64::from(part.rows.end - part.rows.start));
}

fn decode_shard(reader: &mut Reader<'_>) -> Result<ShardId, Error> {
    let bucket = reader.varint()?;
    let slot =
        u16::try_from(reader.varint()?).map_err(|_| Error::Malformed("its slot is too large"))?;
    if bucket == 0 || bucket >= 1 << 48 {
        return Err(Error::Malformed("its bucket does not exist"));
    }
    Ok(ShardId { bucket, slot })
}

fn decode_parts(reader: &mut Reader<'_>, rows: u32) -> Result<Vec<Part>, Error> {
    let count = reader.count(rows as usize, "parts of a block")?;
    let mut parts = Vec::with_capacity(count);
    let mut end = 0;
    for _ in 0..count {
        let part = decode_part(reader)?;
        if part.rows.start < end || part.rows.end <= part.rows.start || part.rows.end > rows {
            return Err(Error::Malformed(
                "its parts do not lie in its rows one after the other",
            ));
        }
        end = part.rows.end;
        parts.push(part);
    }
    Ok(parts)
}

fn decode_part(reader: &mut Reader<'_>) -> Result<Part, Error> {
    let form = reader.byte()?;
    let key = match form {
        0 => None,
        1 | 2 => Some(PartKey {
            producer: u128::from_be_bytes(reader.array()?),
            sequence: reader.varint()?,
            chunk: decode_u32(reader)?,
        }),
        _ => return Err(Error::Malformed("a part's key has an unknown form")),
    };
    let content = match form {
        2 => u64::from_be_bytes(reader.array()?),
        _ => 0,
    };
    if form == 2 && content == 0 {
        return Err(Error::Malformed("a part's content has no digest"));
    }
    let start = decode_u32(reader)?;
    let len = decode_u32(reader)?;
    let end = start
        .checked_add(len)
        .ok_or(Error::Malformed("a part is too long"))?;
    Ok(Part {
        key,
        content,
        rows: start..end,
    })
}

fn decode_u32(reader: &mut Reader<'_>) -> Result<u32, Error> {
    u32::try_from(reader.varint()?).map_err(|_| Error::Malformed("a number is too large"))
}

fn decode_rows(reader: &mut Reader<'_>) -> Result<u32, Error> {
    match reader.at_most(BLOCK_ROWS_MAX, ROWS)? {
        0 => Err(Error::Malformed("it has no rows")),
        rows => u32::try_from(rows).map_err(|_| Error::Malformed("a number is too large")),
    }
}
