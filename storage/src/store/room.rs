//! Whether the disk has room for what RocksDB does in the background, and how much it needs to be opened.
//!
//! A compaction that finds the disk full stops the flushes too, and with them all writes, until there is room for
//! all that it wants to write; nothing says so to whoever waits for the write. So a store whose disk has less room
//! than that is opened without compactions, which only give back space later, and makes up for them when there is.

use std::fs;
use std::path::Path;

use crate::files::free_bytes;

/// Most bytes that one compaction is taken to write: RocksDB ends it at 25 files of 64 MiB, as far as it can.
const COMPACTION_BYTES_MAX: u64 = 2 << 30;
/// What is to be left beside it, for flushes and the write-ahead log.
const LEFT_BYTES: u64 = 64 << 20;

/// Whether so many free bytes are enough beside tables of so many bytes.
pub(super) fn is_enough(free: u64, table_bytes: u64) -> bool {
    free >= table_bytes.min(COMPACTION_BYTES_MAX) + LEFT_BYTES
}

/// Whether there is enough for the store in this folder. What cannot be looked at is taken to be small: opening it
/// tells what is wrong.
pub(super) fn is_enough_in(folder: &Path) -> bool {
    let bytes = bytes_of(folder, "sst");
    free_bytes(folder).is_ok_and(|free| is_enough(free, bytes)) || bytes == 0
}

/// Most bytes that opening the store in `folder` writes before it can be used: what its write-ahead logs hold is
/// flushed then. 0 where nothing can be looked at: opening tells what is wrong.
pub fn unflushed_bytes(folder: &Path) -> u64 {
    bytes_of(folder, "log")
}

/// Bytes of the store's files of a kind.
fn bytes_of(folder: &Path, kind: &str) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = files.filter(|file| file.path().extension().is_some_and(|other| other == kind));
    files
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, Durability, Rocks, Space, Store as _};
    use super::*;

    #[test]
    fn all_tables_have_room_beside_themselves_up_to_what_one_compaction_writes() {
        assert!(is_enough(LEFT_BYTES + 5, 5) && !is_enough(LEFT_BYTES + 4, 5));
        assert!(is_enough(LEFT_BYTES + COMPACTION_BYTES_MAX, u64::MAX));
        let folder = tempfile::tempdir().expect("a folder");
        assert!(is_enough_in(folder.path()), "nothing is there");
        assert!(is_enough_in(&folder.path().join("absent")));
        // Of a terabyte there is no copy, so far as one compaction may go.
        let table = fs::File::create(folder.path().join("000007.sst")).expect("a file");
        table.set_len(1 << 40).expect("a hole");
        let free = free_bytes(folder.path()).expect("a disk");
        assert_eq!(
            is_enough_in(folder.path()),
            free >= LEFT_BYTES + COMPACTION_BYTES_MAX
        );
    }

    #[test]
    fn what_is_not_flushed_yet_is_what_the_logs_hold() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(unflushed_bytes(&folder.path().join("absent")), 0);
        let store = Rocks::open(folder.path()).expect("it is empty");
        let before = unflushed_bytes(folder.path());
        let mut batch = Batch::new();
        batch.put(Space::Log, vec![1], vec![7; 1 << 20]);
        store.write(batch, Durability::Synced).expect("written");
        assert!(unflushed_bytes(folder.path()) >= before + (1 << 20));
        drop(store);
    }
}
