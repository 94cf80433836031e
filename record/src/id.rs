//! Names of things: records, nodes, Raft groups, shards, exceptions.

use std::fmt;
use std::str::FromStr;

use crate::Timestamp;

/// A node's number in its cluster, never 0, never reused.
pub type NodeId = u64;

/// A Raft group's number: 0 is the meta group, every other number is a [`ShardId`].
pub type GroupId = u64;

/// The meta group.
pub const META_GROUP: GroupId = 0;

/// The text is not an id of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct ParseError;

/// Identity of a record: a UUID, version 7 unless the client chose it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

impl LogId {
    /// A version 7 UUID (RFC 9562) of this time, filled from 74 of the 80 random bits given.
    pub fn v7(time: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(time.millis()).unwrap_or(0).to_be_bytes();
        let [_, _, m0, m1, m2, m3, m4, m5] = millis;
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
        Self([
            m0,
            m1,
            m2,
            m3,
            m4,
            m5,
            0x70 | (r0 & 0x0f),
            r1,
            0x80 | (r2 & 0x3f),
            r3,
            r4,
            r5,
            r6,
            r7,
            r8,
            r9,
        ])
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Accepts the hyphenated form and 32 hex digits.
impl FromStr for LogId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let hyphenated = text.len() == 36;
        if !hyphenated && text.len() != 32 {
            return Err(ParseError);
        }
        let mut digits = 0usize;
        let mut bytes = [0u8; 16];
        for (i, c) in text.bytes().enumerate() {
            if hyphenated && matches!(i, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return Err(ParseError);
                }
                continue;
            }
            let digit = match c {
                b'0'..=b'9' => c - b'0',
                b'a'..=b'f' => c - b'a' + 10,
                b'A'..=b'F' => c - b'A' + 10,
                _ => return Err(ParseError),
            };
            let byte = bytes.get_mut(digits / 2).ok_or(ParseError)?;
            *byte = (*byte << 4) | digit;
            digits += 1;
        }
        Ok(Self(bytes))
    }
}

/// One bucket × one slot. Its number is also its Raft group's: `bucket << 16 | slot`, buckets from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId {
    /// Number of the bucket, from 1.
    pub bucket: u64,
    /// Number of the slot in its bucket, from 0.
    pub slot: u16,
}

impl ShardId {
    /// The shard's Raft group.
    pub const fn group(self) -> GroupId {
        self.bucket << 16 | self.slot as u64
    }

    /// The shard of a Raft group; `None` for the meta group.
    pub const fn from_group(group: GroupId) -> Option<Self> {
        let bucket = group >> 16;
        if bucket == 0 {
            return None;
        }
        Some(Self {
            bucket,
            slot: (group & 0xffff) as u16,
        })
    }
}

/// `b12-s3`
impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}-s{}", self.bucket, self.slot)
    }
}

impl FromStr for ShardId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (bucket, slot) = text
            .strip_prefix('b')
            .and_then(|t| t.split_once("-s"))
            .ok_or(ParseError)?;
        let bucket = bucket.parse().map_err(|_| ParseError)?;
        let slot = slot.parse().map_err(|_| ParseError)?;
        if bucket == 0 || bucket >= 1 << 48 {
            return Err(ParseError);
        }
        Ok(Self { bucket, slot })
    }
}

/// Identity of an exception: a 64-bit hash of (exception type, service name), shown as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExceptionId(pub u64);

impl ExceptionId {
    /// The first eight bytes of BLAKE3 over `type`, a zero byte, `service`.
    pub fn of(type_name: &str, service_name: &str) -> Self {
        Self(stable_hash(&[
            type_name.as_bytes(),
            b"\0",
            service_name.as_bytes(),
        ]))
    }
}

impl fmt::Display for ExceptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ExceptionId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParseError);
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ParseError)
    }
}

/// A 64-bit hash that is the same on every node and in every release: the first eight bytes
/// (big-endian) of BLAKE3 over the parts, one after the other.
pub fn stable_hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut first = [0u8; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_be_bytes(first)
}
