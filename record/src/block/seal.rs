//! Sealing: records → the bytes of a block. The only place where a block is made.

use std::sync::Arc;

use bytes::Bytes;

use super::encode::{self, Raw};
use super::error::at_most;
use super::head::{HEAD_BYTES, Head, check_size};
use super::header::ROWS;
use super::{Block, Codec, Counts, Error, Header, Part, VERSION};
use crate::limits::BLOCK_ROWS_MAX;
use crate::{Masked, Record, ShardId, Timestamp};

/// Bytes of a header beyond its counts and parts, roughly.
const HEADER_BYTES_TYPICAL: usize = 512;

/// What goes into a block.
pub(super) struct Sealing<'a> {
    pub(super) shard: ShardId,
    pub(super) policy_epoch: u64,
    pub(super) admitted_at: Timestamp,
    pub(super) parts: Vec<Part>,
    pub(super) records: &'a [Masked<Record>],
}

/// Seals with this codec, or with none where that is no larger. Panics as [`Block::seal`] says.
///
/// Holds the rows against every limit that a reader holds the bytes against: what is sealed is read.
pub(super) fn seal(codec: Codec, sealing: Sealing<'_>) -> Result<Block, Error> {
    let records = sealing.records;
    check(&sealing)?;
    let raw = encode::columns(records)?;
    let digest = blake3::Hasher::new()
        .update(&raw.packed)
        .update(&raw.plain)
        .finalize();
    let header = header(sealing, *digest.as_bytes());
    header.counts.check()?;
    assemble(codec, header, &raw)
}

fn check(sealing: &Sealing<'_>) -> Result<(), Error> {
    let rows = sealing.records.len();
    assert!(rows > 0, "a block has rows");
    at_most(ROWS, rows, BLOCK_ROWS_MAX)?;
    let bucket = sealing.shard.bucket;
    assert!((1..1 << 48).contains(&bucket), "a shard has a bucket");
    let mut end = 0;
    for part in &sealing.parts {
        assert!(part.rows.start >= end, "parts lie one after the other");
        assert!(part.rows.start < part.rows.end, "parts have rows");
        assert!(
            part.content == 0 || part.key.is_some(),
            "only a keyed part has a content to compare"
        );
        end = part.rows.end;
    }
    assert!(end as usize <= rows, "parts lie in the rows");
    Ok(())
}

fn header(sealing: Sealing<'_>, digest: [u8; 32]) -> Header {
    let records = sealing.records;
    let times = || records.iter().map(|record| record.timestamp);
    Header {
        shard: sealing.shard,
        rows: u32::try_from(records.len()).expect("checked against the limit"),
        policy_epoch: sealing.policy_epoch,
        admitted_at: sealing.admitted_at,
        time_min: times().min().unwrap_or_default(),
        time_max: times().max().unwrap_or_default(),
        digest,
        parts: sealing.parts,
        counts: Counts::of(records.iter().map(|record| &**record)),
    }
}

fn assemble(codec: Codec, header: Header, raw: &Raw) -> Result<Block, Error> {
    check_size(HEAD_BYTES, raw.packed.len())?;
    let capacity = HEAD_BYTES + HEADER_BYTES_TYPICAL + raw.packed.len() + raw.plain.len();
    let mut bytes = Vec::with_capacity(capacity);
    bytes.resize(HEAD_BYTES, 0);
    header.encode(&mut bytes);
    let header_len = bytes.len() - HEAD_BYTES;
    let codec = if codec.compress(&raw.packed, &mut bytes) {
        codec
    } else {
        Codec::None
    };
    if codec == Codec::None {
        bytes.extend_from_slice(&raw.packed);
    }
    let stored_len = bytes.len() - HEAD_BYTES - header_len;
    bytes.extend_from_slice(&raw.plain);
    let (raw_len, plain_len) = (raw.packed.len(), raw.plain.len());
    let version = if raw.signed {
        VERSION
    } else {
        header.version()
    };
    let head = Head {
        version,
        codec,
        header_len,
        stored_len,
        raw_len,
        plain_len,
    };
    check_size(bytes.len(), raw_len)?;
    head.write(&mut bytes);
    bytes.shrink_to_fit();
    Ok(Block {
        bytes: Bytes::from(bytes),
        header: Arc::new(header),
        head,
    })
}
