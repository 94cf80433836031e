//! The block: a batch of masked records of one shard, encoded, compressed and checksummed once.
//!
//! The same bytes travel in the RPC and lie in every replica's log. A block never changes after it
//! was sealed; reading one never panics, whatever the bytes are. Integers of the head are
//! little-endian; the rest is drawn in `docs/formats.md`.
//!
//! ```text
//!  0  4  magic "HLBK"
//!  4  4  CRC32 of all bytes after it
//!  8  1  version, 1 to 3
//!  9  1  codec of the columns: 0 none, 1 LZ4 block, 2 Zstandard frame
//! 10  2  zero
//! 12  4  length of the header
//! 16  4  length of the packed columns as stored
//! 20  4  length of the packed columns after decompression
//! 24  4  length of the plain columns
//! 28     header, packed columns, plain columns
//! ```

mod codec;
mod columns;
mod counts;
mod decode;
mod encode;
mod error;
mod head;
mod header;
mod seal;
mod wire;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use codec::Codec;
pub use columns::{
    Columns, DictColumn, ExceptionColumn, FieldColumn, PiiColumn, StrColumn, StrColumnBuilder,
};
pub use counts::{Counts, ExceptionCount, LevelCount};
pub use error::Error;
pub use header::{Header, Part, PartKey};

use head::{HEAD_BYTES, Head};
use seal::Sealing;

use crate::{Masked, Record, ShardId, Timestamp};

/// First bytes of every block.
pub const MAGIC: [u8; 4] = *b"HLBK";
/// The newest version, and the one that this release writes where signatures of exceptions are known.
pub const VERSION: u8 = 3;
/// The version of blocks without signatures; it is still written where a keyed request's content is known and no
/// signature is.
const VERSION_WITH_CONTENT: u8 = 2;
/// The version of blocks that know no request's content; it is still written where none is known.
const VERSION_WITHOUT_CONTENT: u8 = 1;
/// Codec of the blocks that [`Block::seal`] makes; measured in `docs/formats.md`.
pub const CODEC: Codec = Codec::Zstd;

/// A sealed block; a clone shares the bytes.
#[derive(Clone)]
pub struct Block {
    bytes: Bytes,
    header: Arc<Header>,
    head: Head,
}

impl Block {
    /// Encodes, compresses and checksums these rows.
    ///
    /// `parts` name the requests that the rows came from: non-empty ranges in row order.
    ///
    /// # Errors
    /// [`Error::Limit`] when a reader would refuse the block. A batch ends at
    /// [`BLOCK_TEXT_BYTES_TARGET`](crate::limits::BLOCK_TEXT_BYTES_TARGET) of text and before the
    /// limits on rows and fields, far below the others.
    ///
    /// # Panics
    /// When the caller broke a promise: there is no row, the shard has no bucket, a part lies
    /// outside the rows, or the field names of a record are not unique.
    pub fn try_seal(
        shard: ShardId,
        policy_epoch: u64,
        admitted_at: Timestamp,
        parts: Vec<Part>,
        records: &[Masked<Record>],
    ) -> Result<Self, Error> {
        Self::try_seal_with(CODEC, shard, policy_epoch, admitted_at, parts, records)
    }

    /// As [`try_seal`](Self::try_seal), for rows that are known to be few and small.
    ///
    /// # Panics
    /// As [`try_seal`](Self::try_seal), and when the rows are over a limit.
    pub fn seal(
        shard: ShardId,
        policy_epoch: u64,
        admitted_at: Timestamp,
        parts: Vec<Part>,
        records: &[Masked<Record>],
    ) -> Self {
        Self::seal_with(CODEC, shard, policy_epoch, admitted_at, parts, records)
    }

    /// As [`try_seal`](Self::try_seal), with another codec: for measurements, and for readers' tests.
    ///
    /// # Errors
    /// As [`try_seal`](Self::try_seal).
    ///
    /// # Panics
    /// As [`try_seal`](Self::try_seal).
    pub fn try_seal_with(
        codec: Codec,
        shard: ShardId,
        policy_epoch: u64,
        admitted_at: Timestamp,
        parts: Vec<Part>,
        records: &[Masked<Record>],
    ) -> Result<Self, Error> {
        seal::seal(
            codec,
            Sealing {
                shard,
                policy_epoch,
                admitted_at,
                parts,
                records,
            },
        )
    }

    /// As [`seal`](Self::seal), with another codec.
    ///
    /// # Panics
    /// As [`seal`](Self::seal).
    pub fn seal_with(
        codec: Codec,
        shard: ShardId,
        policy_epoch: u64,
        admitted_at: Timestamp,
        parts: Vec<Part>,
        records: &[Masked<Record>],
    ) -> Self {
        Self::try_seal_with(codec, shard, policy_epoch, admitted_at, parts, records)
            .expect("the rows are within the limits of a block")
    }

    /// Checks magic, version, lengths, limits and checksum, and reads the header; not the rows.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn parse(bytes: Bytes) -> Result<Self, Error> {
        let head = Head::read(&bytes)?;
        let header_end = HEAD_BYTES + head.header_len;
        let header = bytes.get(HEAD_BYTES..header_end).ok_or(Error::Magic)?;
        let header = Header::decode(header, head.version)?;
        Ok(Self {
            bytes,
            header: Arc::new(header),
            head,
        })
    }

    /// The bytes that travel and are stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What is known without decompressing.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How its columns are compressed.
    pub fn codec(&self) -> Codec {
        self.head.codec
    }

    /// Decompresses and reads the rows.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Limit`].
    pub fn columns(&self) -> Result<Columns, Error> {
        let stored_from = HEAD_BYTES + self.head.header_len;
        let plain_from = stored_from + self.head.stored_len;
        let stored = self.bytes.slice(stored_from..plain_from);
        let packed = match self.head.codec {
            Codec::None => stored,
            codec => Bytes::from(codec.decompress(&stored, self.head.raw_len)?),
        };
        let signed = self.head.version == VERSION;
        let plain = self.bytes.slice(plain_from..);
        decode::columns(&packed, &plain, self.header.rows, signed)
    }
}

/// Prints ids and sizes, never text.
impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("shard", &self.header.shard)
            .field("rows", &self.header.rows)
            .field("parts", &self.header.parts.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
