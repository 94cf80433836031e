//! How votes, log ids, memberships and entries look on disk and on the wire (`docs/formats.md`).
//!
//! Every stored value starts with its version and carries a CRC32. Numbers are big-endian. Decoding
//! never panics and allocates nothing that the input does not hold.

mod entry;
mod membership;
mod vote;

pub(crate) use entry::{
    decode_entry, decode_entry_parts, encode_entry, encode_entry_head, entry_bytes, is_membership,
};
pub(crate) use membership::{
    decode_stored_membership, encode_stored_membership, put_log_id, take_log_id,
};
pub(crate) use vote::{decode_log_id, decode_vote, encode_log_id, encode_vote};

use bytes::Bytes;

/// Why stored or received bytes are not what they should be. Never carries their content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end before what they announce.
    #[error("{0}: cut short")]
    Short(&'static str),
    /// There are bytes after the end.
    #[error("{0}: {1} bytes too many")]
    Long(&'static str, usize),
    /// Written by another version.
    #[error("{what}: version {found} is not known, this build reads {known}")]
    Version {
        /// What was read.
        what: &'static str,
        /// Version in the bytes.
        found: u8,
        /// Version that this build reads.
        known: u8,
    },
    /// The checksum does not match.
    #[error("{0}: checksum does not match")]
    Checksum(&'static str),
    /// A value is out of range.
    #[error("{0}: not valid: {1}")]
    Invalid(&'static str, String),
}

impl Error {
    /// Whether the bytes are damaged, and not of a release that this one does not know.
    pub const fn is_damage(&self) -> bool {
        !matches!(self, Self::Version { .. })
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// Appends big-endian numbers to a buffer.
#[derive(Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn versioned(version: u8) -> Self {
        Self {
            bytes: vec![version],
        }
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u128(&mut self, value: u128) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self
    }

    /// A count or a length.
    pub(crate) fn len(&mut self, value: usize) -> &mut Self {
        self.u32(u32::try_from(value).expect("lengths are bounded far below 4 GiB"))
    }

    /// A length and so many bytes.
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.len(value.len()).raw(value)
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Closes the value with the CRC32 of everything before.
    pub(crate) fn finish_with_crc(mut self) -> Vec<u8> {
        let crc = crc32fast::hash(&self.bytes);
        self.u32(crc);
        self.bytes
    }
}

/// Reads what [`Encoder`] wrote.
pub(crate) struct Decoder<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    /// Checks the CRC32 at the end and the version at the start.
    pub(crate) fn checked(what: &'static str, known: u8, bytes: &'a [u8]) -> Result<Self, Error> {
        let mut decoder = Self::whole(what, bytes)?;
        decoder.version(known)?;
        Ok(decoder)
    }

    /// Checks the CRC32 at the end, and leaves the version to the caller.
    pub(crate) fn whole(what: &'static str, bytes: &'a [u8]) -> Result<Self, Error> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Error::Short(what))?;
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return Err(Error::Checksum(what));
        }
        Ok(Self::new(what, body))
    }

    pub(crate) fn version(&mut self, known: u8) -> Result<(), Error> {
        let found = self.u8()?;
        if found != known {
            return Err(Error::Version {
                what: self.what,
                found,
                known,
            });
        }
        Ok(())
    }

    /// The version at the start, where this build reads all up to `known`.
    pub(crate) fn version_up_to(&mut self, known: u8) -> Result<u8, Error> {
        match self.u8()? {
            found if (1..=known).contains(&found) => Ok(found),
            found => Err(Error::Version {
                what: self.what,
                found,
                known,
            }),
        }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (chunk, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Error::Short(self.what))?;
        self.rest = rest;
        Ok(*chunk)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.chunk().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.chunk().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        self.chunk().map(i64::from_be_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Error> {
        self.chunk().map(u128::from_be_bytes)
    }

    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (raw, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Error::Short(self.what))?;
        self.rest = rest;
        Ok(raw)
    }

    /// A count of things that take at least `bytes_min` each, refused if the input cannot hold them.
    pub(crate) fn count(&mut self, bytes_min: usize) -> Result<usize, Error> {
        let count = self.u32()? as usize;
        if count.saturating_mul(bytes_min) > self.rest.len() {
            return Err(Error::Short(self.what));
        }
        Ok(count)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = self.count(1)?;
        self.raw(len)
    }

    pub(crate) fn text(&mut self) -> Result<String, Error> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.invalid("text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.invalid("flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn end(self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(Error::Long(self.what, more)),
        }
    }

    pub(crate) fn invalid(&self, why: impl Into<String>) -> Error {
        Error::Invalid(self.what, why.into())
    }
}

/// The part of `whole` that `part` points into, without copying.
pub(crate) fn slice_of(whole: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() {
        Bytes::new()
    } else {
        whole.slice_ref(part)
    }
}
