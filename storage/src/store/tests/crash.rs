//! What a simulated crash and the simulated faults of the store in memory leave behind.

use super::super::mem::Crash;
use super::*;
use crate::Error;

#[test]
fn a_crash_drops_what_was_not_synced() {
    let store = Mem::new();
    write(&store, put(key(1), "v"), Durability::Buffered);
    write(&store, put(key(2), "v"), Durability::Synced);
    write(&store, put(key(3), "v"), Durability::Buffered);
    assert_eq!((numbers(&store), store.unsynced()), (vec![1, 2, 3], 1));
    store.crash(Crash::DropUnsynced);
    assert_eq!((numbers(&store), store.unsynced()), (vec![1, 2], 0));
}

#[test]
fn a_torn_crash_keeps_a_prefix_of_whole_batches() {
    for (kept, expected) in [
        (0, vec![1]),
        (1, vec![1, 2]),
        (2, vec![1, 2, 3]),
        (9, vec![1, 2, 3]),
    ] {
        let store = Mem::new();
        write(&store, put(key(1), "v"), Durability::Synced);
        write(&store, put(key(2), "v"), Durability::Buffered);
        write(&store, put(key(3), "v"), Durability::Buffered);
        store.crash(Crash::TornAfter(kept));
        assert_eq!(numbers(&store), expected);
    }
}

#[test]
fn a_failed_write_changes_nothing() {
    let store = Mem::new();
    store.fail_next_write("EIO");
    let error = store
        .write(put(key(1), "v"), Durability::Synced)
        .unwrap_err();
    assert!(matches!(error, Error::Write(reason) if reason == "EIO"));
    assert_eq!((numbers(&store), store.writes()), (vec![], 0));
}

#[test]
fn a_failed_sync_leaves_the_batch_readable_but_not_durable() {
    let store = Mem::new();
    store.fail_next_sync("EIO");
    store
        .write(put(key(1), "v"), Durability::Synced)
        .unwrap_err();
    assert_eq!((numbers(&store), store.syncs()), (vec![1], 0));
    store.crash(Crash::DropUnsynced);
    assert_eq!(numbers(&store), Vec::<u32>::new());
}

#[test]
fn a_failed_sync_may_have_reached_the_disk_all_the_same() {
    let store = Mem::new();
    store.fail_next_sync("EIO");
    store
        .write(put(key(1), "v"), Durability::Synced)
        .unwrap_err();
    store.crash(Crash::TornAfter(1));
    assert_eq!(numbers(&store), vec![1]);
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_takes_what_does() {
    let store = Mem::new();
    store.set_space_left(Some(6));
    write(&store, put(key(1), "v"), Durability::Synced);
    let error = store
        .write(put(key(2), "v"), Durability::Synced)
        .unwrap_err();
    assert!(matches!(error, Error::Full(_)));
    assert_eq!(numbers(&store), vec![1]);
    store.set_space_left(None);
    write(&store, put(key(2), "v"), Durability::Synced);
    assert_eq!(numbers(&store), vec![1, 2]);
}

#[test]
fn a_flipped_bit_is_there_for_every_reader_and_after_a_crash() {
    let store = Mem::new();
    write(&store, put(key(1), vec![0, 0]), Durability::Synced);
    assert!(store.flip_bit(Space::Log, &key(1), 9));
    assert!(!store.flip_bit(Space::Log, &key(2), 9));
    for _ in 0..2 {
        assert_eq!(store.get(Space::Log, &key(1)).unwrap().unwrap(), [0, 2][..]);
        assert_eq!(store.durable(Space::Log, &key(1)).unwrap(), [0, 2][..]);
        store.crash(Crash::DropUnsynced);
    }
    store.wipe();
    assert_eq!(numbers(&store), Vec::<u32>::new());
}

#[test]
fn what_is_not_synced_is_read_and_not_durable() {
    let store = Mem::new();
    write(&store, put(key(1), "v"), Durability::Buffered);
    assert!(store.durable(Space::Log, &key(1)).is_none());
    write(&store, Batch::new(), Durability::Synced);
    assert_eq!(store.durable(Space::Log, &key(1)).unwrap(), "v");
}
