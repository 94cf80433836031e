//! Whether the disk has room for what RocksDB does in the background.
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
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let tables = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "sst"));
    let bytes = tables.filter_map(|file| file.metadata().ok());
    let bytes = bytes.map(|table| table.len()).sum();
    free_bytes(folder).is_ok_and(|free| is_enough(free, bytes)) || bytes == 0
}

#[cfg(test)]
mod tests {
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
}
