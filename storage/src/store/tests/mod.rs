//! The two stores against the suite, against each other, and against the end of the machine.

mod crash;
mod crowded;
mod equal;
mod power;

use tempfile::TempDir;

use super::{Batch, Durability, Mem, Rocks, ScanLimit, Space, Store, suite};

#[test]
fn memory_passes_the_suite() {
    suite::run(&Mem::new());
}

#[test]
fn rocksdb_passes_the_suite() {
    let folder = TempDir::new().unwrap();
    suite::run(&Rocks::open(folder.path()).unwrap());
}

#[test]
fn debug_output_of_a_batch_shows_no_value() {
    let mut batch = Batch::new();
    batch.put(Space::Log, "key", "secret");
    assert_eq!(format!("{batch:?}"), "Batch(1 changes, 9 bytes)");
}

/// A batch that sets `key` in the log.
fn put(key: impl Into<bytes::Bytes>, value: impl Into<bytes::Bytes>) -> Batch {
    let mut batch = Batch::new();
    batch.put(Space::Log, key, value);
    batch
}

/// The key of the numbered row; ascending.
fn key(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// The numbers of the rows in the log.
fn numbers(store: &dyn Store) -> Vec<u32> {
    let rows = store
        .scan(Space::Log, &[], &[u8::MAX; 8], ScanLimit::NONE)
        .unwrap();
    rows.iter()
        .map(|(key, _)| u32::from_be_bytes(key.as_ref().try_into().unwrap()))
        .collect()
}

fn write(store: &dyn Store, batch: Batch, durability: Durability) {
    store.write(batch, durability).unwrap();
}
