//! The fixed first bytes of a block: what it is, how long its parts are, and their checksum.

use super::error::at_most;
use super::wire::Reader;
use super::{Codec, Error, MAGIC, VERSION, VERSION_WITHOUT_CONTENT};
use crate::limits::{BLOCK_BYTES_MAX, BLOCK_RAW_BYTES_MAX};
use crate::museum::{Bug, planted};

/// Length of the head.
pub(super) const HEAD_BYTES: usize = 28;
/// The checksum covers everything from here on.
const CHECKED_FROM: usize = 8;
/// An LZ4 block never grows by more than this factor.
const LZ4_RATIO_MAX: usize = 255;

/// The head after its lengths were held against the bytes and the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: u8,
    pub(super) codec: Codec,
    /// Bytes of the header.
    pub(super) header_len: usize,
    /// Bytes of the packed columns as stored.
    pub(super) stored_len: usize,
    /// Bytes of the packed columns after decompression.
    pub(super) raw_len: usize,
    /// Bytes of the plain columns.
    pub(super) plain_len: usize,
}

impl Head {
    /// Reads the head of a whole block and checks the block's length and checksum.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        if reader.array() != Ok(MAGIC) {
            return Err(Error::Magic);
        }
        let short = |_| length(bytes.len(), HEAD_BYTES);
        let crc = u32::from_le_bytes(reader.array().map_err(short)?);
        let [version, codec, zero @ ..] = reader.array::<4>().map_err(short)?;
        if !(VERSION_WITHOUT_CONTENT..=VERSION).contains(&version) {
            return Err(Error::Version {
                found: version,
                known: VERSION,
            });
        }
        let head = Self {
            version,
            codec: Codec::from_code(codec)?,
            header_len: read_len(&mut reader).map_err(short)?,
            stored_len: read_len(&mut reader).map_err(short)?,
            raw_len: read_len(&mut reader).map_err(short)?,
            plain_len: read_len(&mut reader).map_err(short)?,
        };
        head.check_lengths(bytes.len())?;
        check_sum(crc, bytes.get(CHECKED_FROM..).unwrap_or_default())?;
        if zero != [0, 0] {
            return Err(Error::Malformed("its reserved bytes are not zero"));
        }
        Ok(head)
    }

    fn check_lengths(&self, given: usize) -> Result<(), Error> {
        check_size(given, self.raw_len)?;
        let expected = [self.header_len, self.stored_len, self.plain_len]
            .into_iter()
            .fold(HEAD_BYTES, usize::saturating_add);
        if expected != given {
            return Err(length(given, expected));
        }
        let possible = match self.codec {
            Codec::None => self.raw_len == self.stored_len,
            Codec::Lz4 => self.raw_len <= self.stored_len.saturating_mul(LZ4_RATIO_MAX),
            Codec::Zstd => true,
        };
        if possible {
            Ok(())
        } else {
            Err(Error::Malformed("its lengths contradict its codec"))
        }
    }

    /// Fills in the first bytes of `block`, whose other bytes are in place.
    pub(super) fn write(&self, block: &mut [u8]) {
        let mut head = Vec::with_capacity(HEAD_BYTES - CHECKED_FROM);
        head.extend_from_slice(&[self.version, self.codec as u8, 0, 0]);
        for len in [
            self.header_len,
            self.stored_len,
            self.raw_len,
            self.plain_len,
        ] {
            let len = u32::try_from(len).expect("the limits on blocks are below 4 GiB");
            head.extend_from_slice(&len.to_le_bytes());
        }
        let (fixed, checked) = block.split_at_mut(CHECKED_FROM);
        let (rest, _) = checked.split_at_mut(head.len());
        rest.copy_from_slice(&head);
        let (magic, crc) = fixed.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        crc.copy_from_slice(&crc32fast::hash(checked).to_le_bytes());
    }
}

/// Holds a block's length, and that of its packed columns after decompression, against the limits.
pub(super) fn check_size(bytes: usize, raw_len: usize) -> Result<(), Error> {
    at_most("bytes of a block", bytes, BLOCK_BYTES_MAX)?;
    at_most(
        "decompressed bytes of a block",
        raw_len,
        BLOCK_RAW_BYTES_MAX,
    )
}

fn read_len(reader: &mut Reader<'_>) -> Result<usize, Error> {
    let len = u32::from_le_bytes(reader.array()?);
    usize::try_from(len).map_err(|_| Error::Malformed("a length is too large"))
}

fn length(found: usize, expected: usize) -> Error {
    Error::Length {
        found: found as u64,
        expected: expected as u64,
    }
}

fn check_sum(found: u32, checked: &[u8]) -> Result<(), Error> {
    let computed = crc32fast::hash(checked);
    if found == computed || planted(Bug::SkippedChecksum) {
        Ok(())
    } else {
        Err(Error::Checksum { found, computed })
    }
}
