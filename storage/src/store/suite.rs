//! The conformance suite of [`Store`]: ordinary functions that every implementation must pass.
//!
//! Each check empties the store it is given, so all can run on one. Never opens or crashes a store:
//! what survives a crash is tested beside each implementation.

use bytes::Bytes;

use super::{Batch, Durability, ScanLimit, Space, Store};

/// One check: panics with the broken promise.
pub type Check = fn(&dyn Store);

/// Every check, by name.
pub const CHECKS: [(&str, Check); 10] = [
    ("reads back what was written", reads_back_what_was_written),
    ("keeps spaces apart", keeps_spaces_apart),
    ("applies a batch in order", applies_a_batch_in_order),
    ("deletes half-open ranges", deletes_half_open_ranges),
    (
        "ignores empty and reversed ranges",
        ignores_empty_and_reversed_ranges,
    ),
    ("scans in ascending order", scans_in_ascending_order),
    ("scans within limits, one row at least", scans_within_limits),
    ("finds the last row of a range", finds_the_last_row),
    ("keeps empty and large values", keeps_empty_and_large_values),
    (
        "keeps its own copy of an overwritten value",
        keeps_the_newest_value,
    ),
];

/// Runs every check on `store`, which loses all it holds.
pub fn run(store: &dyn Store) {
    for (name, check) in CHECKS {
        clear(store);
        tracing::info!(name, "store check");
        check(store);
    }
    clear(store);
}

/// Removes every key of up to 64 bytes.
pub fn clear(store: &dyn Store) {
    let mut batch = Batch::new();
    for space in Space::ALL {
        batch.delete(space, "");
        batch.delete_range(space, [0].as_slice().to_vec(), vec![u8::MAX; 64]);
        batch.delete_range(space, "", [0].as_slice().to_vec());
    }
    write(store, batch);
}

fn reads_back_what_was_written(store: &dyn Store) {
    for (durability, key) in [(Durability::Synced, "a"), (Durability::Buffered, "b")] {
        let mut batch = Batch::new();
        batch.put(Space::Log, key, "value");
        store.write(batch, durability).expect("writes");
        assert_eq!(
            get(store, Space::Log, key).as_deref(),
            Some(b"value".as_slice())
        );
    }
    assert_eq!(get(store, Space::Log, "absent"), None);
}

fn keeps_spaces_apart(store: &dyn Store) {
    let mut batch = Batch::new();
    for space in Space::ALL {
        batch.put(space, "k", space.name());
    }
    batch.delete(Space::State, "k");
    write(store, batch);
    assert_eq!(
        get(store, Space::Log, "k").as_deref(),
        Some(b"log".as_slice())
    );
    assert_eq!(get(store, Space::State, "k"), None);
    assert_eq!(keys(store, Space::Meta, "", "z"), ["k"]);
}

fn applies_a_batch_in_order(store: &dyn Store) {
    let mut batch = Batch::new();
    batch.put(Space::State, "a", "1");
    batch.delete(Space::State, "a");
    batch.put(Space::State, "a", "2");
    batch.put(Space::State, "b", "1");
    batch.delete_range(Space::State, "b", "d");
    batch.put(Space::State, "c", "1");
    let mut rest = Batch::new();
    rest.put(Space::State, "a", "3");
    batch.append(rest);
    assert_eq!((batch.len(), batch.bytes()), (7, 13));
    write(store, batch);
    assert_eq!(
        get(store, Space::State, "a").as_deref(),
        Some(b"3".as_slice())
    );
    assert_eq!(keys(store, Space::State, "", "z"), ["a", "c"]);
}

fn deletes_half_open_ranges(store: &dyn Store) {
    fill(store, &["a", "b", "c", "d"]);
    let mut batch = Batch::new();
    batch.delete_range(Space::Log, "b", "d");
    write(store, batch);
    assert_eq!(keys(store, Space::Log, "", "z"), ["a", "d"]);
}

fn ignores_empty_and_reversed_ranges(store: &dyn Store) {
    fill(store, &["a", "b", "c"]);
    let mut batch = Batch::new();
    batch.delete_range(Space::Log, "b", "b");
    batch.delete_range(Space::Log, "c", "a");
    assert!(batch.is_empty());
    write(store, batch);
    assert_eq!(keys(store, Space::Log, "", "z"), ["a", "b", "c"]);
    for (from, to) in [("b", "b"), ("c", "a")] {
        assert!(keys(store, Space::Log, from, to).is_empty());
        let last = store
            .last(Space::Log, from.as_bytes(), to.as_bytes())
            .expect("reads");
        assert_eq!(last, None);
    }
}

fn scans_in_ascending_order(store: &dyn Store) {
    fill(store, &["b", "a", "\u{7f}", "aa", "c"]);
    assert_eq!(keys(store, Space::Log, "a", "c"), ["a", "aa", "b"]);
    assert_eq!(
        keys(store, Space::Log, "", "\u{7f}\u{7f}"),
        ["a", "aa", "b", "c", "\u{7f}"]
    );
}

fn scans_within_limits(store: &dyn Store) {
    fill(store, &["a", "b", "c"]); // two bytes each, key and value
    let count = |limit| {
        store
            .scan(Space::Log, b"a", b"z", limit)
            .expect("scans")
            .len()
    };
    assert_eq!(count(ScanLimit::rows(2)), 2);
    assert_eq!(count(ScanLimit::rows(0)), 1);
    assert_eq!(count(ScanLimit::bytes(0)), 1);
    assert_eq!(count(ScanLimit::bytes(3)), 1);
    assert_eq!(count(ScanLimit::bytes(4)), 2);
    assert_eq!(
        count(ScanLimit {
            bytes_max: 4,
            rows_max: 9
        }),
        2
    );
    assert_eq!(count(ScanLimit::NONE), 3);
}

fn finds_the_last_row(store: &dyn Store) {
    let last = |from: &str, to: &str| {
        let row = store
            .last(Space::Log, from.as_bytes(), to.as_bytes())
            .expect("reads");
        row.map(|(key, _)| text(&key))
    };
    assert_eq!(last("", "z"), None);
    fill(store, &["a", "b", "d"]);
    assert_eq!(last("", "z").as_deref(), Some("d"));
    assert_eq!(last("", "d").as_deref(), Some("b"));
    assert_eq!(last("c", "d"), None);
    let mut batch = Batch::new();
    batch.delete_range(Space::Log, "b", "z");
    write(store, batch);
    assert_eq!(last("", "z").as_deref(), Some("a"));
}

fn keeps_empty_and_large_values(store: &dyn Store) {
    let sizes = [0, 1, 8 << 10, (8 << 10) + 1, 1 << 20];
    let mut batch = Batch::new();
    for (space, size) in Space::ALL
        .into_iter()
        .flat_map(|s| sizes.map(|size| (s, size)))
    {
        batch.put(space, format!("{size:09}"), vec![7; size]);
    }
    write(store, batch);
    for space in Space::ALL {
        let rows = store
            .scan(space, b"", b"z", ScanLimit::NONE)
            .expect("scans");
        let lengths: Vec<usize> = rows.iter().map(|(_, value)| value.len()).collect();
        assert_eq!(lengths, sizes);
    }
}

fn keeps_the_newest_value(store: &dyn Store) {
    for value in ["1", "2", ""] {
        let mut batch = Batch::new();
        batch.put(Space::Meta, "k", value);
        write(store, batch);
        assert_eq!(
            get(store, Space::Meta, "k").as_deref(),
            Some(value.as_bytes())
        );
    }
}

fn fill(store: &dyn Store, keys: &[&str]) {
    let mut batch = Batch::new();
    for key in keys {
        batch.put(Space::Log, key.to_string(), "v");
    }
    write(store, batch);
}

fn write(store: &dyn Store, batch: Batch) {
    store.write(batch, Durability::Synced).expect("writes");
}

fn get(store: &dyn Store, space: Space, key: &str) -> Option<Bytes> {
    store.get(space, key.as_bytes()).expect("reads")
}

fn keys(store: &dyn Store, space: Space, from: &str, to: &str) -> Vec<String> {
    let rows = store
        .scan(space, from.as_bytes(), to.as_bytes(), ScanLimit::NONE)
        .expect("scans");
    rows.iter().map(|(key, _)| text(key)).collect()
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
