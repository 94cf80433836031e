//! A disk that has room for what is written and none for tidying it up: a file system in memory of its own, which only
//! root may mount. Where that is not allowed the test says so and checks nothing, but for CI, where it fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::{Batch, Durability, Rocks, Space, Store, key};
use crate::Error;
use crate::files::free_bytes;

/// Rows that are written again and again: a compaction writes all of them anew.
const ROWS: u32 = 84;
const ROW_BYTES: usize = 1 << 20;
/// Room for them and for what is written since, and not for them twice.
const SIZE: &str = "size=160m";
/// Rows that are written at most: by then it is full many times over.
const WRITES_MAX: u32 = 20 * ROWS;

/// Pause between two looks at what is under way.
const PAUSE: Duration = Duration::from_millis(5);
/// Most pauses until something is over.
const PAUSES: u32 = 20;

/// A small disk.
struct Disk(TempDir);

impl Disk {
    #[expect(
        clippy::print_stderr,
        reason = "who runs the tests is to know that one checked nothing"
    )]
    fn mount() -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "hushlog-test"]);
        let mounted = mount.arg(folder.path()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "a file system cannot be mounted here"
        );
        eprintln!("not checked: only root may mount a file system");
        None
    }

    fn grow(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,size=1g"]).arg(self.0.path());
        assert!(mount.status().is_ok_and(|status| status.success()));
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        // A test that fails says why by itself.
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

fn write(store: &Rocks, row: u32) -> Result<(), Error> {
    let mut batch = Batch::new();
    // Here and there, so that what is flushed together lies across all that is there.
    batch.put(Space::State, key(row * 37 % ROWS), vec![7; ROW_BYTES]);
    store.write(batch, Durability::Buffered)
}

/// Writes until that fails, as the disk is looked at meanwhile. Whether RocksDB refuses a write or has it wait depends
/// on whether it is about to try again.
#[expect(
    clippy::disallowed_methods,
    reason = "the write blocks its thread, and who looks at it meanwhile is another one"
)]
fn crowd(path: &Path) -> Option<Error> {
    let store = Arc::new(Rocks::open(path).expect("it is empty"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Ok(free) = free_bytes(path) {
                    store.give_up_stalled(free);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let failed = (0..WRITES_MAX).find_map(|row| {
            let failed = write(&store, row).err();
            // One thing after the other, so that it is the compaction that finds no room. Afterwards it is tried
            // again and again.
            for _ in 0..PAUSES {
                std::thread::sleep(PAUSE);
                if store.background_jobs() == 0 {
                    break;
                }
            }
            failed
        });
        done.store(true, Ordering::Relaxed);
        failed
    })
}

#[test]
fn no_write_waits_for_room_for_ever_and_the_store_goes_on_without_compactions() {
    let Some(disk) = Disk::mount() else {
        return;
    };
    let failed = crowd(&disk.store());
    assert!(matches!(failed, Some(Error::Full(_))), "{failed:?}");

    let store = Rocks::open(&disk.store()).expect("it opens as it is");
    assert!(store.compacts_later());
    store.has_room(0);
    assert!(store.compacts_later());
    disk.grow();
    store.has_room(free_bytes(disk.0.path()).expect("it is there"));
    assert!(!store.compacts_later());
    write(&store, 0).expect("there is room");
    let rows = (0..ROWS).filter(|row| {
        let value = store.get(Space::State, &key(*row)).expect("it can be read");
        value.is_some_and(|value| value.len() == ROW_BYTES)
    });
    assert_eq!(rows.count(), ROWS as usize);
}
