//! The end of a write-ahead log after power loss: whether its last record is torn, and nothing else is wrong.
//!
//! A file system may have noted a log's new length and not yet written all of its pages: the record that
//! was being written has zeros where a page is missing. It was not synced, so it may be let go. RocksDB does that
//! with a record that is too short, and refuses one whose checksum is wrong, which is right for a flipped bit.
//!
//! The log's form is RocksDB's (`db/log_format.h`): blocks of 32 KiB; in them fragments of a checksum (CRC-32C of
//! type and content, rotated and offset), a length, a type and the content.
//!
//! Never lets go of a record behind which another one is whole, nor of one that has no page of zeros: what cannot
//! be a torn write is damage.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a block of the log.
const BLOCK: usize = 32 << 10;
/// Bytes before the content of a fragment.
const HEAD: usize = 7;
/// Bytes that a file system writes at once.
const PAGE: usize = 4 << 10;
/// Types of fragments.
const FULL: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;

/// Cuts the newest log of the store in `folder` where its torn last record begins; how many bytes that were.
/// `None`, and nothing is changed, if there is no log or something else is wrong with it.
pub(super) fn drop_last_record(folder: &Path) -> io::Result<Option<u64>> {
    let Some(log) = newest_log(folder)? else {
        return Ok(None);
    };
    let bytes = std::fs::read(&log)?;
    let Some(at) = torn_at(&bytes) else {
        return Ok(None);
    };
    let file = OpenOptions::new().write(true).open(&log)?;
    file.set_len(at as u64)?;
    file.sync_all()?;
    Ok(Some((bytes.len() - at) as u64))
}

fn newest_log(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        let number: Option<u64> = number.filter(|_| path.extension().is_some_and(|e| e == "log"));
        if let Some(number) = number {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// One fragment, as its head says.
struct Fragment {
    kind: u8,
    end: usize,
    whole: bool,
}

impl Fragment {
    /// The fragment at `at`; `None` if no head can be there.
    fn at(log: &[u8], at: usize) -> Option<Self> {
        let head: &[u8; HEAD] = log.get(at..)?.first_chunk()?;
        let [c0, c1, c2, c3, l0, l1, kind] = *head;
        let end = at + HEAD + usize::from(u16::from_le_bytes([l0, l1]));
        if !(FULL..=LAST).contains(&kind) || end > log.len() || end > block_end(at) {
            return None;
        }
        let sum = crc32c::crc32c(log.get(at + HEAD - 1..end)?);
        let masked = sum.rotate_right(15).wrapping_add(0xa282_ead8);
        Some(Self {
            kind,
            end,
            whole: masked == u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }
}

const fn block_end(at: usize) -> usize {
    (at / BLOCK + 1) * BLOCK
}

/// Where the last record begins, if it is torn and everything before it is whole.
fn torn_at(log: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut record = 0;
    let mut torn = None;
    while at < log.len() {
        if block_end(at) - at < HEAD {
            at = block_end(at);
            continue;
        }
        let fragment = Fragment::at(log, at);
        let end = fragment.as_ref().map_or_else(|| block_end(at), |f| f.end);
        match fragment {
            Some(Fragment { kind, whole, .. }) if whole => {
                if kind == FULL || kind == FIRST {
                    if torn.is_some() {
                        return None;
                    }
                    record = at;
                }
                if torn.is_none() && (kind == FULL || kind == LAST) {
                    record = end;
                }
            }
            _ => {
                if torn.is_none() && !lacks_a_page(log, at, end) {
                    return None;
                }
                torn = torn.or_else(|| Some(record.min(at)));
            }
        }
        at = end;
    }
    torn
}

/// Whether all bytes that a page has of this stretch are zeros.
fn lacks_a_page(log: &[u8], from: usize, to: usize) -> bool {
    let to = to.min(log.len());
    let pages = from / PAGE..to.div_ceil(PAGE);
    pages.into_iter().any(|page| {
        let part = log.get(from.max(page * PAGE)..to.min((page + 1) * PAGE));
        part.is_some_and(|part| !part.is_empty() && part.iter().all(|byte| *byte == 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(log: &mut Vec<u8>, content: &[u8]) {
        let mut rest = content;
        let mut first = true;
        loop {
            let left = BLOCK - log.len() % BLOCK;
            if left < HEAD {
                log.resize(log.len() + left, 0);
                continue;
            }
            let (part, behind) = rest.split_at(rest.len().min(left - HEAD));
            rest = behind;
            let kind = match (first, rest.is_empty()) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => 3,
                (false, true) => LAST,
            };
            first = false;
            let sum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), part);
            log.extend(sum.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes());
            log.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
            log.push(kind);
            log.extend(part);
            if rest.is_empty() {
                return;
            }
        }
    }

    /// A log of records of these lengths, and where the last one begins.
    fn log(lengths: &[usize]) -> (Vec<u8>, usize) {
        let mut log = Vec::new();
        let mut last = 0;
        for length in lengths {
            last = log.len();
            push(&mut log, &vec![7; *length]);
        }
        (log, last)
    }

    #[test]
    fn any_page_that_the_last_record_lacks_makes_it_torn() {
        for lengths in [&[100, 9_000][..], &[30_000, 2_000, 100_000], &[5_000]] {
            let (whole, last) = log(lengths);
            assert_eq!(torn_at(&whole), None);
            for page in last / PAGE..whole.len().div_ceil(PAGE) {
                let (from, to) = (last.max(page * PAGE), whole.len().min((page + 1) * PAGE));
                let mut torn = whole.clone();
                torn[from..to].fill(0);
                assert_eq!(torn_at(&torn), Some(last), "{lengths:?}, page {page}");
            }
        }
    }

    #[test]
    fn what_cannot_be_a_torn_write_is_damage() {
        let (whole, last) = log(&[100, 9_000, 9_000]);
        for at in [3, 90, 200, 9_000, last + 2, last + 20, whole.len() - 1] {
            let mut rotten = whole.clone();
            rotten[at] ^= 0x10;
            assert_eq!(torn_at(&rotten), None, "byte {at}");
        }
        // A record before the last.
        let mut torn = whole;
        torn[PAGE..2 * PAGE].fill(0);
        assert_eq!(torn_at(&torn), None);
        assert_eq!(torn_at(&[]), None);
    }
}
