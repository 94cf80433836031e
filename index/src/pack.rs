//! Several files as one, under names of our own, each with its checksum.
//!
//! tantivy names its files after random numbers; here they are called by what they are, so that two
//! builds of one index are equal. Integers are little-endian:
//!
//! ```text
//! magic "HLIX" · version u8 = 1 · token version u8 · count u16 · entries · CRC32 of all before · files
//! entry: name length u8 · name · start u64 (in the packed file) · length u64 · CRC32 u32
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hushlog_storage::segment::checked::CheckedFile;

use crate::fingerprint::ReadAt;
use crate::{Error, token};

const MAGIC: &[u8; 4] = b"HLIX";
/// The version of the packing that this release writes.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 8;
/// Longest table of contents that is read.
const TABLE_BYTES_MAX: usize = 4_096;
/// Bytes checked at a time.
const CHECK_BYTES: usize = 256 << 10;

/// Packs files, sorted by name; `tokens` is the version of the token rules by which they were built.
pub(crate) fn pack(files: &BTreeMap<&str, Vec<u8>>, tokens: u8) -> Vec<u8> {
    let entry_bytes: usize = files.keys().map(|name| 1 + name.len() + 8 + 8 + 4).sum();
    let table_bytes = HEAD_BYTES + entry_bytes + 4;
    let total = table_bytes + files.values().map(Vec::len).sum::<usize>();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, tokens]);
    let count = u16::try_from(files.len()).expect("a handful");
    out.extend_from_slice(&count.to_le_bytes());
    let mut start = table_bytes as u64;
    for (name, content) in files {
        out.push(u8::try_from(name.len()).expect("names are short"));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&start.to_le_bytes());
        out.extend_from_slice(&(content.len() as u64).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
        start += content.len() as u64;
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    files
        .values()
        .for_each(|content| out.extend_from_slice(content));
    out
}

/// Where packed bytes lie.
#[derive(Clone, Debug)]
pub enum Source {
    /// In a file.
    File(CheckedFile),
    /// In memory.
    Memory(Bytes),
}

impl From<CheckedFile> for Source {
    fn from(file: CheckedFile) -> Self {
        Self::File(file)
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self::Memory(bytes)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes.into())
    }
}

impl Source {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.bytes(),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        match self {
            Self::File(file) => file.read(start, length),
            Self::Memory(bytes) => {
                let start = usize::try_from(start).map_err(io::Error::other)?;
                let end = start.checked_add(length).filter(|end| *end <= bytes.len());
                Ok(bytes.slice(start..end.ok_or(io::ErrorKind::UnexpectedEof)?))
            }
        }
    }
}

/// One file inside the packed one.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    source: Source,
    start: u64,
    length: u64,
}

impl Part {
    pub(crate) fn len(&self) -> u64 {
        self.length
    }
}

impl ReadAt for Part {
    fn read_at(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start
            .checked_add(length as u64)
            .filter(|end| *end <= self.length);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.source.read(self.start + start, length)
    }
}

/// The files inside a packed one, every one of them checked.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    parts: Arc<BTreeMap<String, Part>>,
    /// Version of the token rules that it was built by.
    tokens: u8,
}

impl Packed {
    /// Reads the table of contents and checks every byte once.
    pub(crate) fn open(source: Source) -> Result<Self, Error> {
        let head_bytes = usize::try_from(source.len())
            .unwrap_or(usize::MAX)
            .min(TABLE_BYTES_MAX);
        let head = source.read(0, head_bytes)?;
        let mut parts = BTreeMap::new();
        let mut end = 0;
        let Table { tokens, entries } = table(&head)?;
        for (name, start, length, crc) in entries {
            let part = Part {
                source: source.clone(),
                start,
                length,
            };
            let stop = start
                .checked_add(length)
                .filter(|stop| *stop <= source.len());
            end = stop
                .ok_or(Error::Damaged("a part lies beyond the end"))?
                .max(end);
            check(&part, crc)?;
            parts.insert(name, part);
        }
        if end != source.len() {
            return Err(Error::Damaged("bytes that belong to no part"));
        }
        let parts = Arc::new(parts);
        Ok(Self { parts, tokens })
    }

    /// Whether it was built of the values of arrays, too, and not of their text alone.
    pub(crate) const fn knows_elements(&self) -> bool {
        self.tokens != token::VERSION_WITHOUT_ELEMENTS
    }

    pub(crate) fn part(&self, name: &str) -> Option<&Part> {
        self.parts.get(name)
    }
}

/// Names and lengths of the parts of a packed index, for reports.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::Version`].
pub fn parts(packed: &[u8]) -> Result<Vec<(String, u64)>, Error> {
    let head = &packed[..packed.len().min(TABLE_BYTES_MAX)];
    Ok(table(head)?
        .entries
        .into_iter()
        .map(|(name, _, length, _)| (name, length))
        .collect())
}

type Entry = (String, u64, u64, u32);

struct Table {
    tokens: u8,
    entries: Vec<Entry>,
}

fn table(head: &[u8]) -> Result<Table, Error> {
    const SHORT: Error = Error::Damaged("its table of contents is cut off");
    let rest = head
        .strip_prefix(MAGIC)
        .ok_or(Error::Damaged("it is not an index"))?;
    let ([version, tokens, c0, c1], mut rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let knows = [token::VERSION, token::VERSION_WITHOUT_ELEMENTS];
    if *version != VERSION || !knows.contains(tokens) {
        return Err(Error::Version {
            packing: *version,
            tokens: *tokens,
        });
    }
    let mut entries = Vec::new();
    for _ in 0..u16::from_le_bytes([*c0, *c1]) {
        let (length, after) = rest.split_first().ok_or(SHORT)?;
        let (name, after) = after.split_at_checked(usize::from(*length)).ok_or(SHORT)?;
        let (start, after) = after.split_first_chunk::<8>().ok_or(SHORT)?;
        let (length, after) = after.split_first_chunk::<8>().ok_or(SHORT)?;
        let (crc, after) = after.split_first_chunk::<4>().ok_or(SHORT)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let (start, length) = (u64::from_le_bytes(*start), u64::from_le_bytes(*length));
        entries.push((name, start, length, u32::from_le_bytes(*crc)));
        rest = after;
    }
    let (crc, _) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let table = &head[..head.len() - rest.len()];
    if crc32fast::hash(table) != u32::from_le_bytes(*crc) {
        return Err(Error::Damaged(
            "the checksum of its table of contents is wrong",
        ));
    }
    let tokens = *tokens;
    Ok(Table { tokens, entries })
}

fn check(part: &Part, expected: u32) -> Result<(), Error> {
    let mut crc = crc32fast::Hasher::new();
    let mut at = 0;
    while at < part.length {
        let length = usize::try_from(part.length - at)
            .unwrap_or(usize::MAX)
            .min(CHECK_BYTES);
        crc.update(&part.read_at(at, length)?);
        at += length as u64;
    }
    if crc.finalize() == expected {
        Ok(())
    } else {
        Err(Error::Damaged("a checksum is wrong"))
    }
}
