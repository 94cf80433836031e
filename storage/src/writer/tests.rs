//! The writer's promises, on the store in memory behind a gate that holds writes back.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

use super::*;
use crate::store::{Mem, Rocks, ScanLimit, Space};

/// A store whose writes wait until the gate opens, and which notes the size of each.
#[derive(Default)]
struct Gated {
    mem: Mem,
    state: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    open: bool,
    /// Writes that have arrived at the gate.
    arrived: Vec<(usize, Durability)>,
    /// Marks that were made.
    marks: usize,
    fail_mark: bool,
}

impl Gated {
    fn open(&self) {
        self.state.lock().open = true;
        self.changed.notify_all();
    }

    /// Waits until so many writes have arrived at the gate.
    fn wait_for(&self, writes: usize) {
        let mut state = self.state.lock();
        while state.arrived.len() < writes {
            self.changed.wait(&mut state);
        }
    }

    /// Waits until so many marks have been made.
    fn wait_for_marks(&self, marks: usize) {
        let mut state = self.state.lock();
        while state.marks < marks {
            self.changed.wait(&mut state);
        }
    }

    fn arrived(&self) -> Vec<(usize, Durability)> {
        self.state.lock().arrived.clone()
    }
}

impl Store for Gated {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.mem.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: ScanLimit,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        self.mem.scan(space, from, to, limit)
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<(Bytes, Bytes)>, Error> {
        self.mem.last(space, from, to)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), Error> {
        let mut state = self.state.lock();
        state.arrived.push((batch.bytes(), durability));
        self.changed.notify_all();
        while !state.open {
            self.changed.wait(&mut state);
        }
        drop(state);
        self.mem.write(batch, durability)
    }

    fn mark(&self) -> Result<(), Error> {
        let mut state = self.state.lock();
        state.marks += 1;
        self.changed.notify_all();
        if state.fail_mark {
            Err(Error::Write("no mark".into()))
        } else {
            Ok(())
        }
    }
}

fn put(key: &str, bytes: usize) -> Batch {
    let mut batch = Batch::new();
    batch.put(Space::Log, key.to_owned(), vec![1; bytes]);
    batch
}

/// Outcomes in the order in which they were reported.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<Vec<Outcome>>>);

type Outcome = (&'static str, Result<(), String>);

impl Outcomes {
    fn note(&self, name: &'static str) -> Done {
        let list = Arc::clone(&self.0);
        Box::new(move |outcome| list.lock().push((name, outcome.map_err(|e| e.to_string()))))
    }

    fn names(&self) -> Vec<&'static str> {
        self.0.lock().iter().map(|(name, _)| *name).collect()
    }
}

fn gated() -> (Arc<Gated>, Writer) {
    let store = Arc::new(Gated::default());
    let writer = Writer::spawn(Arc::<Gated>::clone(&store)).unwrap();
    (store, writer)
}

/// Holds the gate with a first write, queues what `submit` submits, opens, and ends the writer.
fn while_the_disk_is_busy(submit: impl FnOnce(&WriterHandle)) -> (Arc<Gated>, Stats) {
    let (store, writer) = gated();
    let handle = writer.handle();
    handle.submit(put("first", 1), Durability::Buffered, Box::new(|_| {}));
    store.wait_for(1);
    submit(&handle);
    store.open();
    writer.shutdown();
    let stats = handle.stats();
    (store, stats)
}

#[test]
fn acknowledges_only_after_the_sync() {
    let (store, writer) = gated();
    let outcomes = Outcomes::default();
    writer
        .handle()
        .submit(put("a", 1), Durability::Synced, outcomes.note("a"));
    store.wait_for(1);
    assert_eq!(outcomes.names(), Vec::<&str>::new());
    store.open();
    writer.shutdown();
    assert_eq!(*outcomes.0.lock(), [("a", Ok(()))]);
    store.mem.crash(crate::store::mem::Crash::DropUnsynced);
    assert!(store.get(Space::Log, b"a").unwrap().is_some());
}

#[test]
fn one_sync_serves_all_who_wait_and_answers_in_order() {
    let outcomes = Outcomes::default();
    let (store, stats) = while_the_disk_is_busy(|handle| {
        handle.submit(put("a", 10), Durability::Synced, outcomes.note("a"));
        handle.submit(put("b", 10), Durability::Buffered, outcomes.note("b"));
        handle.submit(put("c", 10), Durability::Synced, outcomes.note("c"));
    });
    assert_eq!(
        store.arrived(),
        [(6, Durability::Buffered), (33, Durability::Synced)]
    );
    assert_eq!(
        (stats.submissions, stats.writes, stats.syncs, stats.bytes),
        (4, 2, 1, 39)
    );
    assert_eq!(outcomes.names(), ["a", "b", "c"]);
    assert_eq!(store.mem.unsynced(), 0);
}

#[test]
fn buffered_submissions_alone_are_not_synced() {
    let (store, stats) = while_the_disk_is_busy(|handle| {
        handle.submit(put("a", 1), Durability::Buffered, Box::new(|_| {}));
        handle.submit(put("b", 1), Durability::Buffered, Box::new(|_| {}));
    });
    assert_eq!((stats.writes, stats.syncs, store.mem.unsynced()), (2, 0, 2));
}

#[test]
fn a_write_never_carries_more_than_its_limit_unless_one_submission_does() {
    let half = WRITE_BATCH_BYTES_MAX / 2;
    let sizes = [half, half, 1, WRITE_BATCH_BYTES_MAX + 9, 1];
    let (store, _) = while_the_disk_is_busy(|handle| {
        for size in sizes {
            // The key takes no byte, so that two halves fit exactly.
            handle.submit(put("", size), Durability::Synced, Box::new(|_| {}));
        }
    });
    let arrived: Vec<usize> = store
        .arrived()
        .into_iter()
        .skip(1)
        .map(|(bytes, _)| bytes)
        .collect();
    assert_eq!(arrived, [2 * half, 1, WRITE_BATCH_BYTES_MAX + 9, 1]);
}

#[test]
fn the_first_failure_disables_writes_for_good_and_reads_go_on() {
    for fail in [Mem::fail_next_sync, Mem::fail_next_write] {
        let outcomes = Outcomes::default();
        let (store, writer) = gated();
        store.open();
        let handle = writer.handle();
        let failed = handle.failed();
        wait(handle.write(put("good", 1), Durability::Synced)).unwrap();
        assert_eq!(*failed.borrow(), None);
        fail(&store.mem, "EIO");
        let error = wait(handle.write(put("bad", 1), Durability::Synced)).unwrap_err();
        assert!(matches!(error, Error::Write(reason) if reason == "EIO"));
        let writes = store.arrived().len();
        let error = wait(handle.write(put("later", 1), Durability::Buffered)).unwrap_err();
        assert!(
            matches!(&error, Error::Disabled(reason) if reason.contains("EIO")),
            "{error}"
        );
        handle.submit(put("later", 1), Durability::Synced, outcomes.note("later"));
        writer.shutdown();
        assert!(outcomes.0.lock()[0].1.as_ref().unwrap_err().contains("EIO"));
        assert_eq!(
            store.arrived().len(),
            writes,
            "a write was tried after the failure"
        );
        assert!(failed.borrow().as_ref().unwrap().reason.contains("EIO"));
        assert!(handle.store().get(Space::Log, b"good").unwrap().is_some());
    }
}

#[test]
fn everybody_in_a_failed_group_is_told() {
    let outcomes = Outcomes::default();
    let (store, writer) = gated();
    let handle = writer.handle();
    handle.submit(put("first", 1), Durability::Buffered, Box::new(|_| {}));
    store.wait_for(1);
    handle.submit(put("a", 1), Durability::Synced, outcomes.note("a"));
    handle.submit(put("b", 1), Durability::Buffered, outcomes.note("b"));
    // The write at the gate is buffered, so the sync that fails is the group's.
    store.mem.fail_next_sync("EIO");
    store.open();
    writer.shutdown();
    let stats = handle.stats();
    let outcomes = outcomes.0.lock();
    assert_eq!(outcomes.len(), 2);
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| outcome.as_ref().unwrap_err().contains("EIO"))
    );
    assert_eq!((stats.writes, stats.syncs), (1, 0));
}

#[test]
fn submitters_wait_for_room_in_a_full_inbox() {
    let (store, writer) = gated();
    let handle = writer.handle();
    handle.submit(put("first", 1), Durability::Buffered, Box::new(|_| {}));
    store.wait_for(1);
    handle.submit(
        put("a", INBOX_BYTES_MAX - 1),
        Durability::Buffered,
        Box::new(|_| {}),
    );
    let mut room = pin!(handle.room());
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(room.as_mut().poll(&mut context), Poll::Pending);
    store.open();
    wait(room);
    writer.shutdown();
}

#[test]
fn shutdown_finishes_what_was_submitted_and_refuses_the_rest() {
    let outcomes = Outcomes::default();
    let (store, writer) = gated();
    let handle = writer.handle();
    handle.submit(put("a", 1), Durability::Synced, outcomes.note("a"));
    store.open();
    writer.shutdown();
    assert_eq!(*outcomes.0.lock(), [("a", Ok(()))]);
    let error = wait(handle.write(put("b", 1), Durability::Synced)).unwrap_err();
    assert!(matches!(error, Error::Stopped));
    assert!(store.get(Space::Log, b"b").unwrap().is_none());
}

#[test]
fn a_panic_on_the_thread_disables_writes_and_leaves_nobody_waiting() {
    let (store, writer) = gated();
    let handle = writer.handle();
    handle.submit(
        put("a", 1),
        Durability::Synced,
        Box::new(|_| panic!("on purpose")),
    );
    store.wait_for(1);
    let outcomes = Outcomes::default();
    handle.submit(put("b", 1), Durability::Synced, outcomes.note("b"));
    store.open();
    writer.shutdown();
    assert!(
        outcomes.0.lock()[0]
            .1
            .as_ref()
            .unwrap_err()
            .contains("panicked")
    );
    let error = wait(handle.write(put("c", 1), Durability::Synced)).unwrap_err();
    assert!(matches!(error, Error::Disabled(_)), "{error}");
}

#[test]
fn a_sync_is_marked_soon_though_nothing_follows_it() {
    let (store, writer) = gated();
    store.open();
    wait(writer.handle().write(put("a", 1), Durability::Synced)).unwrap();
    store.wait_for_marks(1);
    writer.shutdown();
    assert_eq!(
        store.state.lock().marks,
        2,
        "once when due, once at the end"
    );
}

#[test]
fn a_full_device_is_told_from_other_failures() {
    for full in [true, false] {
        let (store, writer) = gated();
        store.open();
        if full {
            store.mem.set_space_left(Some(0));
        } else {
            store.mem.fail_next_write("EIO");
        }
        let handle = writer.handle();
        wait(handle.write(put("a", 1), Durability::Synced)).unwrap_err();
        let failed = handle.failed().borrow().clone();
        assert_eq!(failed.map(|failure| failure.full), Some(full));
    }
}

#[test]
fn a_failed_mark_disables_writes() {
    let (store, writer) = gated();
    store.open();
    store.state.lock().fail_mark = true;
    let handle = writer.handle();
    let mut failed = handle.failed();
    wait(handle.write(put("a", 1), Durability::Synced)).unwrap();
    wait(failed.wait_for(Option::is_some)).unwrap();
    let error = wait(handle.write(put("b", 1), Durability::Synced)).unwrap_err();
    assert!(matches!(error, Error::Disabled(reason) if reason.contains("no mark")));
}

#[test]
fn the_inline_writer_is_done_when_submit_returns() {
    let store = Arc::new(Mem::new());
    let writer = Writer::inline(Arc::<Mem>::clone(&store));
    let outcomes = Outcomes::default();
    let handle = writer.handle();
    handle.submit(put("a", 1), Durability::Synced, outcomes.note("a"));
    assert_eq!(outcomes.names(), ["a"]);
    assert_eq!((store.syncs(), handle.stats().sync_nanos), (1, 0));
    store.fail_next_sync("EIO");
    handle.submit(put("b", 1), Durability::Synced, outcomes.note("b"));
    handle.submit(put("c", 1), Durability::Synced, outcomes.note("c"));
    assert!(
        outcomes.0.lock()[2]
            .1
            .as_ref()
            .unwrap_err()
            .contains("disabled")
    );
    writer.shutdown();
    handle.submit(put("d", 1), Durability::Synced, outcomes.note("d"));
    assert!(outcomes.0.lock()[3].1.is_err());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "many submitters are what it is about"
)]
fn many_submitters_share_syncs_on_rocksdb() {
    let folder = TempDir::new().unwrap();
    let store: Arc<dyn Store> = Arc::new(Rocks::open(folder.path()).unwrap());
    let writer = Writer::spawn(Arc::clone(&store)).unwrap();
    let handle = writer.handle();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..16 {
            let handle = handle.clone();
            tasks.spawn(async move {
                for step in 0..20 {
                    let batch = put(&format!("{task:02} {step:02}"), 1_000);
                    handle.write(batch, Durability::Synced).await.unwrap();
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
    });
    let stats = handle.stats();
    assert_eq!(stats.submissions, 320);
    assert!(stats.syncs < stats.submissions, "{stats:?}");
    writer.shutdown();
    let rows = store.scan(Space::Log, b"", b"z", ScanLimit::NONE).unwrap();
    assert_eq!(rows.len(), 320);
}

/// Runs a future of the writer to its end: its wakers need no runtime.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
