//! What RocksDB makes of a write-ahead log after power loss, rot and deletion.
//!
//! The page cache outlives a test, so power loss is played on a copy: the log is cut where the last
//! sync left it, or anywhere behind. Each promise of `TolerateCorruptedTailRecords` and of the
//! tracked logs is one test, since they differ between versions of RocksDB.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::watermark;
use super::*;
use crate::Error;

/// A copy of `store`'s folder as a crash would leave it; the engine is still running on the other.
fn copy(store: &Rocks) -> TempDir {
    let target = TempDir::new().unwrap();
    for entry in fs::read_dir(store.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), target.path().join(entry.file_name())).unwrap();
    }
    target
}

/// The write-ahead logs in `folder`, oldest first.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    logs.sort();
    logs
}

/// The newest write-ahead log in `folder` and its length.
fn newest_log(folder: &Path) -> (PathBuf, u64) {
    let log = logs(folder).pop().unwrap();
    let length = fs::metadata(&log).unwrap().len();
    (log, length)
}

fn cut(log: &Path, length: u64) {
    fs::OpenOptions::new()
        .write(true)
        .open(log)
        .unwrap()
        .set_len(length)
        .unwrap();
}

fn flip(log: &Path, at: usize) {
    let mut bytes = fs::read(log).unwrap();
    bytes[at] ^= 0x10;
    fs::write(log, bytes).unwrap();
}

fn filled(folder: &Path, rows: std::ops::Range<u32>) -> Rocks {
    let store = Rocks::open(folder).unwrap();
    for number in rows {
        write(&store, put(key(number), vec![7; 900]), Durability::Synced);
    }
    store
}

#[test]
fn everything_synced_and_nothing_torn_survives_power_loss() {
    let folder = TempDir::new().unwrap();
    let store = filled(folder.path(), 0..5);
    let (_, synced) = newest_log(folder.path());
    for number in 5..8 {
        write(&store, put(key(number), vec![7; 50]), Durability::Buffered);
    }
    let (_, end) = newest_log(folder.path());
    assert!(synced < end);
    for length in (synced..=end).step_by(7) {
        let lost = copy(&store);
        cut(&newest_log(lost.path()).0, length);
        let found = numbers(&Rocks::open(lost.path()).unwrap());
        assert!(found.len() >= 5, "a synced row is missing: {found:?}");
        assert!(
            found.iter().copied().eq((0..8).take(found.len())),
            "not a prefix: {found:?}"
        );
    }
}

#[test]
fn a_flipped_bit_in_the_middle_of_the_log_refuses_to_open() {
    let folder = TempDir::new().unwrap();
    // More than one 32 KiB page of the log, since the last page has rules of its own.
    let store = filled(folder.path(), 0..80);
    for at in [3, 4, 6, 20, 700, 1_500, 20_000, 32_000] {
        let rotten = copy(&store);
        flip(&newest_log(rotten.path()).0, at);
        let error = Rocks::open(rotten.path()).err();
        assert!(
            matches!(error, Some(Error::Corrupt(_))),
            "byte {at}: {error:?}"
        );
    }
}

#[test]
fn a_flipped_bit_in_the_last_synced_record_refuses_to_open() {
    let folder = TempDir::new().unwrap();
    let store = filled(folder.path(), 0..5);
    let rotten = copy(&store);
    let (log, length) = newest_log(rotten.path());
    flip(&log, usize::try_from(length).unwrap() - 100);
    assert!(matches!(
        Rocks::open(rotten.path()).err(),
        Some(Error::Corrupt(_))
    ));
}

#[test]
fn a_deleted_older_log_refuses_to_open() {
    let folder = TempDir::new().unwrap();
    let store = filled(folder.path(), 0..3);
    // Flushing one family starts a new log and keeps the old one for the others.
    let mut batch = Batch::new();
    batch.put(Space::State, "vote", "1");
    write(&store, batch, Durability::Synced);
    store.flush(Space::Log).unwrap();
    write(&store, put(key(3), "v"), Durability::Synced);
    let lost = copy(&store);
    let logs = logs(lost.path());
    assert!(logs.len() >= 2, "{logs:?}");
    fs::remove_file(&logs[0]).unwrap();
    let error = Rocks::open(lost.path()).err();
    assert!(
        matches!(error, Some(Error::Corrupt(_) | Error::Open { .. })),
        "{error:?}"
    );
}

#[test]
fn what_rocksdb_does_not_notice_the_watermark_does() {
    let folder = TempDir::new().unwrap();
    let store = filled(folder.path(), 0..5);
    store.mark().unwrap();
    let intact = copy(&store);
    assert_eq!(
        numbers(&Rocks::open(intact.path()).unwrap()),
        [0, 1, 2, 3, 4]
    );

    let without_log = copy(&store);
    fs::remove_file(newest_log(without_log.path()).0).unwrap();
    // The high byte of the first record's length: the record now seems torn at the end of the log.
    let short = copy(&store);
    flip(&newest_log(short.path()).0, 5);
    for damaged in [without_log, short] {
        let error = Rocks::open(damaged.path()).err();
        assert!(
            matches!(
                error,
                Some(Error::Lost {
                    marked: 5,
                    found: 0,
                    ..
                })
            ),
            "not noticed: {error:?}"
        );
        fs::remove_file(damaged.path().join(watermark::FILE_NAME)).unwrap();
        assert_eq!(numbers(&Rocks::open(damaged.path()).unwrap()), [0u32; 0]);
    }
}

#[test]
fn the_watermark_counts_every_kind_of_change_and_only_synced_ones() {
    let folder = TempDir::new().unwrap();
    let store = filled(folder.path(), 0..2);
    let mut batch = put(key(2), "v");
    batch.delete(Space::Log, key(0));
    batch.delete_range(Space::Log, key(1), key(2));
    batch.put(Space::State, "vote", "1");
    write(&store, batch, Durability::Synced);
    store.mark().unwrap();
    let (_, synced) = newest_log(folder.path());
    write(&store, put(key(3), "v"), Durability::Buffered);
    store.mark().unwrap();
    let lost = copy(&store);
    cut(&newest_log(lost.path()).0, synced);
    assert_eq!(numbers(&Rocks::open(lost.path()).unwrap()), [2]);
    let less = copy(&store);
    cut(&newest_log(less.path()).0, synced - 1);
    assert!(matches!(
        Rocks::open(less.path()).err(),
        Some(Error::Lost { marked: 6, .. })
    ));
}

#[test]
fn a_second_opener_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let _store = filled(folder.path(), 0..1);
    assert!(matches!(
        Rocks::open(folder.path()).err(),
        Some(Error::Locked { .. })
    ));
}

#[test]
fn trimmed_blocks_give_their_space_back() {
    let folder = TempDir::new().unwrap();
    let store = Rocks::open(folder.path()).unwrap();
    for number in 0..64 {
        write(
            &store,
            put(key(number), vec![7; 1 << 20]),
            Durability::Buffered,
        );
    }
    store.flush(Space::Log).unwrap();
    let before = size(folder.path(), "blob");
    assert!(before >= 64 << 20, "{before}");
    let mut batch = Batch::new();
    batch.delete_range(Space::Log, key(0), key(60));
    write(&store, batch, Durability::Synced);
    store.reclaim(Space::Log, &key(0), &key(60));
    assert_eq!(numbers(&store), [60, 61, 62, 63]);
    let after = size(folder.path(), "blob");
    assert!(after <= before / 2, "{before} bytes before, {after} after");
}

fn size(folder: &Path, extension: &str) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.path().extension().is_some_and(|e| e == extension))
        .map(|entry| entry.metadata().unwrap().len())
        .sum()
}

#[test]
fn a_process_knows_when_its_stores_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Rocks::open(folder.path()).unwrap();
    assert!(!crate::store::all_closed(std::time::Duration::from_millis(
        1
    )));
    assert!(!crate::store::closed(
        folder.path(),
        std::time::Duration::from_millis(1)
    ));
    drop(store);
    assert!(crate::store::closed(
        folder.path(),
        std::time::Duration::from_secs(60)
    ));
    assert!(crate::store::all_closed(std::time::Duration::from_secs(60)));
    // A folder that is no store leaves nothing open.
    fs::write(folder.path().join("CURRENT"), "nothing").unwrap();
    assert!(Rocks::open(folder.path()).is_err());
    assert!(crate::store::all_closed(std::time::Duration::from_secs(60)));
}

/// The file system had noted the new length of the log, and not yet written a page of it.
fn lose_a_page(log: &Path, from: u64) {
    const PAGE: u64 = 4096;
    let mut bytes = fs::read(log).unwrap();
    let page = from.next_multiple_of(PAGE);
    let range = usize::try_from(page).unwrap()..usize::try_from(page + PAGE).unwrap();
    bytes[range].fill(0);
    fs::write(log, bytes).unwrap();
}

#[test]
fn a_record_that_power_loss_has_torn_is_dropped() {
    for value in [9_000, 100_000] {
        let folder = TempDir::new().unwrap();
        let store = filled(folder.path(), 0..5);
        let (_, synced) = newest_log(folder.path());
        write(&store, put(key(5), vec![7; value]), Durability::Buffered);
        let lost = copy(&store);
        lose_a_page(&newest_log(lost.path()).0, synced);
        let found = numbers(&Rocks::open(lost.path()).unwrap());
        assert!(found.iter().copied().eq(0..5), "{found:?}");
    }
}

#[test]
fn a_torn_record_before_a_whole_one_refuses_to_open() {
    let folder = TempDir::new().unwrap();
    let store = filled(folder.path(), 0..5);
    let (_, synced) = newest_log(folder.path());
    write(&store, put(key(5), vec![7; 9_000]), Durability::Synced);
    write(&store, put(key(6), "v"), Durability::Synced);
    let rotten = copy(&store);
    lose_a_page(&newest_log(rotten.path()).0, synced);
    assert!(matches!(
        Rocks::open(rotten.path()).err(),
        Some(Error::Corrupt(_))
    ));
}
