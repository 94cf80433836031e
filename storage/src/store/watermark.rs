//! How far the store was synced, noted beside it.
//!
//! RocksDB opens without complaint behind what it had synced if its newest write-ahead log is gone,
//! or if one bit flips in the length of a record on that log's last page (both tested in
//! `tests/power.rs`). So the sequence number up to which everything is synced is kept in a file of
//! our own, and a store that opens behind it has lost acknowledged writes.
//!
//! Two slots, written in turn, so that a torn write leaves the other one:
//!
//! ```text
//! 4096·slot    version  u32 LE   1
//!          +4  count    u64 LE   of marks so far; slot = count mod 2
//!         +12  sequence u64 LE
//!         +20  crc32    u32 LE   over the 20 bytes before
//! ```
//!
//! Never holds a vote or a term. Never moves back.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::{Error, files};

/// Name of the file in the store's folder.
pub const FILE_NAME: &str = "WATERMARK";
const VERSION: u32 = 1;
/// A slot lies on a page of its own, so that one torn write cannot touch both, in bytes.
const SLOT_BYTES: u64 = 4096;
const MARK_BYTES: usize = 24;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    count: u64,
    sequence: u64,
}

/// The file of one open store.
pub(super) struct Watermark {
    folder: PathBuf,
    path: PathBuf,
    /// Opened by the first mark.
    file: Option<File>,
    last: Mark,
}

impl Watermark {
    /// Reads the watermark of the store in `folder`; zero if it was never marked.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        let last = match std::fs::read(&path) {
            Ok(bytes) => newest(&path, &bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Mark::default(),
            Err(error) => return Err(Error::file("reading", &path, error)),
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            path,
            file: None,
            last,
        })
    }

    /// The sequence number up to which the store was synced.
    pub(super) fn sequence(&self) -> u64 {
        self.last.sequence
    }

    /// Notes that everything up to `sequence` is synced; durable on return.
    pub(super) fn mark(&mut self, sequence: u64) -> Result<(), Error> {
        if sequence <= self.last.sequence {
            return Ok(());
        }
        let mark = Mark {
            count: self.last.count + 1,
            sequence,
        };
        let offset = mark.count % 2 * SLOT_BYTES;
        let file = self.file()?;
        let written = file
            .write_all_at(&mark.encode(), offset)
            .and_then(|()| file.sync_data());
        written.map_err(|error| Error::file("marking", &self.path, error))?;
        self.last = mark;
        Ok(())
    }

    fn file(&mut self) -> Result<&File, Error> {
        if self.file.is_none() {
            let opened = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&self.path);
            let file = opened.map_err(|error| Error::file("opening", &self.path, error))?;
            files::sync_folder(&self.folder)?;
            self.file = Some(file);
        }
        Ok(self.file.as_ref().expect("opened just above"))
    }
}

impl Mark {
    fn encode(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..4].copy_from_slice(&VERSION.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.sequence.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The mark in a slot; nothing if it was never written, torn or damaged.
    fn decode(slot: &[u8]) -> Option<(u32, Self)> {
        let (version, rest) = slot.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (crc, _) = rest.split_first_chunk::<4>()?;
        let intact = crc32fast::hash(slot.get(..20)?) == u32::from_le_bytes(*crc);
        let mark = Self {
            count: u64::from_le_bytes(*count),
            sequence: u64::from_le_bytes(*sequence),
        };
        intact.then_some((u32::from_le_bytes(*version), mark))
    }
}

fn newest(path: &Path, bytes: &[u8]) -> Result<Mark, Error> {
    let slots = [0, usize::try_from(SLOT_BYTES).expect("a page fits")];
    let marks = slots.map(|offset| bytes.get(offset..).and_then(Mark::decode));
    if let Some((version, _)) = marks
        .iter()
        .flatten()
        .find(|(version, _)| *version != VERSION)
    {
        let path = path.to_path_buf();
        return Err(Error::Newer {
            path,
            found: *version,
            supported: VERSION,
        });
    }
    let newest = marks
        .into_iter()
        .flatten()
        .map(|(_, mark)| mark)
        .max_by_key(|mark| mark.count);
    // The first mark goes to slot 1, the second to slot 0: bytes at the start that are not zero mean
    // that two were written, and a crash tears only one.
    let never_marked = bytes.iter().take(MARK_BYTES).all(|byte| *byte == 0);
    newest
        .or_else(|| never_marked.then_some(Mark::default()))
        .ok_or_else(|| Error::Corrupt(format!("both slots of {} are damaged", path.display())))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const SLOT: usize = 4096;

    fn reopened(folder: &TempDir) -> Result<u64, Error> {
        Watermark::open(folder.path()).map(|watermark| watermark.sequence())
    }

    #[test]
    fn keeps_the_newest_mark_over_restarts_and_never_moves_back() {
        let folder = TempDir::new().unwrap();
        assert_eq!(reopened(&folder).unwrap(), 0);
        for (sequence, expected) in [(7, 7), (9, 9), (8, 9), (10, 10), (11, 11)] {
            let mut watermark = Watermark::open(folder.path()).unwrap();
            watermark.mark(sequence).unwrap();
            assert_eq!(reopened(&folder).unwrap(), expected);
        }
    }

    #[test]
    fn a_torn_or_rotten_newest_slot_falls_back_to_the_one_before() {
        for marks in 1..5 {
            for at in 0..MARK_BYTES {
                let folder = TempDir::new().unwrap();
                let mut watermark = Watermark::open(folder.path()).unwrap();
                (1..=marks).for_each(|sequence| watermark.mark(sequence).unwrap());
                let path = folder.path().join(FILE_NAME);
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[usize::try_from(marks % 2).unwrap() * SLOT + at] ^= 1;
                std::fs::write(&path, bytes).unwrap();
                assert_eq!(reopened(&folder).unwrap(), marks - 1, "byte {at}");
            }
        }
    }

    #[test]
    fn two_damaged_slots_are_not_taken_for_none() {
        let folder = TempDir::new().unwrap();
        let mut watermark = Watermark::open(folder.path()).unwrap();
        (1..=2).for_each(|sequence| watermark.mark(sequence).unwrap());
        let path = folder.path().join(FILE_NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[5] ^= 1;
        bytes[SLOT + 5] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(reopened(&folder), Err(Error::Corrupt(_))));
    }

    #[test]
    fn the_layout_is_fixed() {
        let bytes = Mark {
            count: 3,
            sequence: 0x0102,
        }
        .encode();
        assert_eq!(
            bytes[..20],
            [1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            Mark::decode(&bytes),
            Some((
                1,
                Mark {
                    count: 3,
                    sequence: 0x0102
                }
            ))
        );
    }
}
