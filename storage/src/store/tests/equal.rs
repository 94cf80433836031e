//! Differential test: whatever is done to both stores, both answer the same.

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::super::mem::Crash;
use super::super::suite::clear;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(Space, u8, usize),
    Delete(Space, u8),
    DeleteRange(Space, u8, u8),
    Commit(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let space = || prop::sample::select(Space::ALL.to_vec());
    // Few keys, so that changes meet; sizes on both sides of the blob limit.
    let name = || 0..24u8;
    let step = prop_oneof![
        4 => (space(), name(), prop_oneof![0..40usize, 8_000..9_000usize])
            .prop_map(|(s, k, n)| Step::Put(s, k, n)),
        1 => (space(), name()).prop_map(|(s, k)| Step::Delete(s, k)),
        1 => (space(), name(), name()).prop_map(|(s, a, b)| Step::DeleteRange(s, a, b)),
        2 => any::<bool>().prop_map(Step::Commit),
    ];
    prop::collection::vec(step, 1..60)
}

#[test]
fn both_stores_answer_the_same() {
    let folder = TempDir::new().unwrap();
    let rocks = Rocks::open(folder.path()).unwrap();
    proptest!(ProptestConfig::with_cases(96), |(steps in steps(), bounds in any::<[u8; 2]>(),
                                                rows_max in 0..6usize, bytes_max in 0..20_000usize)| {
        clear(&rocks);
        let mem = Mem::new();
        play(&steps, &mem, &rocks);
        let (from, to) = (vec![bounds[0] % 26], vec![bounds[1] % 26]);
        for space in Space::ALL {
            for limit in [ScanLimit::NONE, ScanLimit { bytes_max, rows_max }] {
                prop_assert_eq!(
                    mem.scan(space, &from, &to, limit).unwrap(),
                    rocks.scan(space, &from, &to, limit).unwrap()
                );
            }
            prop_assert_eq!(
                mem.last(space, &from, &to).unwrap(),
                rocks.last(space, &from, &to).unwrap()
            );
            prop_assert_eq!(mem.get(space, &from).unwrap(), rocks.get(space, &from).unwrap());
        }
    });
}

/// Plays `steps` on both stores, with a commit at the end.
fn play(steps: &[Step], mem: &Mem, rocks: &Rocks) {
    let mut batch = Batch::new();
    for step in steps.iter().chain([&Step::Commit(true)]) {
        let Step::Commit(synced) = step else {
            add(&mut batch, step);
            continue;
        };
        let durability = if *synced {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        let batch = std::mem::take(&mut batch);
        write(mem, batch.clone(), durability);
        write(rocks, batch, durability);
    }
}

fn add(batch: &mut Batch, step: &Step) {
    match step.clone() {
        Step::Put(space, name, size) => batch.put(space, vec![name], vec![name; size]),
        Step::Delete(space, name) => batch.delete(space, vec![name]),
        Step::DeleteRange(space, a, b) => batch.delete_range(space, vec![a], vec![b]),
        Step::Commit(_) => {}
    }
}

/// What a crash may leave: the state after the last synced batch, or after any batch behind it.
#[test]
fn a_crash_of_either_store_leaves_a_prefix_with_all_that_was_synced() {
    proptest!(ProptestConfig::with_cases(24), |(steps in steps(), torn in 0..8usize)| {
        let mem = Mem::new();
        let folder = TempDir::new().unwrap();
        let rocks = Rocks::open(folder.path()).unwrap();
        let mut prefixes = vec![all(&mem)];
        let mut synced = 0;
        let mut batch = Batch::new();
        for step in &steps {
            let Step::Commit(sync) = step else {
                add(&mut batch, step);
                continue;
            };
            let durability = if *sync { Durability::Synced } else { Durability::Buffered };
            let batch = std::mem::take(&mut batch);
            write(&mem, batch.clone(), durability);
            write(&rocks, batch, durability);
            prefixes.push(all(&mem));
            if *sync {
                synced = prefixes.len() - 1;
            }
        }
        mem.crash(Crash::TornAfter(torn));
        prop_assert!(prefixes[synced..].contains(&all(&mem)));

        // The end of the process alone: everything written is still there.
        drop(rocks);
        let rocks = Rocks::open(folder.path()).unwrap();
        prop_assert_eq!(&all(&rocks), prefixes.last().unwrap());
    });
}

fn all(store: &dyn Store) -> Vec<(Space, Bytes, Bytes)> {
    let rows = Space::ALL.map(|space| {
        let rows = store
            .scan(space, &[], &[u8::MAX; 8], ScanLimit::NONE)
            .unwrap();
        rows.into_iter()
            .map(move |(key, value)| (space, key, value))
    });
    rows.into_iter().flatten().collect()
}
