//! The log store against the library's own suite, and against what the suite does not check: syncs,
//! crashes, limits and damage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hushlog_record::ShardId;
use hushlog_storage::store::{Batch, Durability, Mem, Rocks, Space, Store, mem::Crash};
use hushlog_storage::writer::{Writer, WriterHandle};
use openraft::StorageError;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;

use super::{LogStore, keys};
use crate::codec::{decode_entry, encode_entry};
use crate::command::{Command, Data};
use crate::limits::{APPEND_BYTES_MAX, CACHE_BYTES_MAX};
use crate::machine::Machine;
use crate::shard::Shared;
use crate::testing::{Held, SHARD, large_block, plain_block};
use crate::types::{Entry, Payload, TypeConfig, Vote, log_id};

const GROUP: u64 = 1 << 16;

/// Hands out one group after the other in one database.
struct Builder {
    writer: WriterHandle,
    next: AtomicU64,
}

impl StoreBuilder<TypeConfig, LogStore, Machine> for Builder {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<TypeConfig>> {
        let bucket = self.next.fetch_add(1, Ordering::Relaxed);
        let shard = ShardId { bucket, slot: 0 };
        let store = LogStore::open(shard.group(), self.writer.clone()).unwrap();
        let shared = Shared::open(shard, 0, self.writer.clone()).await.unwrap();
        Ok(((), store, Machine::Shard(Arc::new(shared))))
    }
}

async fn conforms(store: Arc<dyn Store>) {
    let writer = Writer::spawn(store).unwrap();
    let builder = Builder {
        writer: writer.handle(),
        next: AtomicU64::new(1),
    };
    Suite::test_all(builder).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_mem_with_many_groups_in_one_store() {
    conforms(Arc::new(Mem::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_rocks_with_many_groups_in_one_store() {
    let folder = tempfile::tempdir().unwrap();
    conforms(Arc::new(Rocks::open(folder.path()).unwrap())).await;
}

fn entry(index: u64) -> Entry {
    let payload = match index % 3 {
        0 => Payload::Blank,
        _ => Payload::Normal(Command::Data(Data::whole(plain_block(SHARD, index)))),
    };
    Entry {
        log_id: log_id(1, index),
        payload,
    }
}

fn large(index: u64, bytes: usize) -> Entry {
    let block = large_block(SHARD, index, bytes);
    Entry {
        log_id: log_id(1, index),
        payload: Payload::Normal(Command::Data(Data::whole(block))),
    }
}

async fn append(store: &mut LogStore, entries: Vec<Entry>) -> std::io::Result<()> {
    let (flushed, done) = TypeConfig::oneshot();
    store.append(entries, IOFlushed::signal(flushed)).await?;
    done.await.expect("the completion is called once")
}

async fn stored(store: &mut LogStore) -> Vec<Bytes> {
    let entries = store.try_get_log_entries(..).await.unwrap();
    entries.iter().map(encode_entry).collect()
}

#[tokio::test]
async fn what_was_synced_is_there_after_a_crash_and_what_was_not_may_be_gone() {
    let mem = Arc::new(Mem::new());
    let writer = Writer::spawn(mem.clone()).unwrap();
    let mut store = LogStore::open(GROUP, writer.handle()).unwrap();
    store.save_vote(&Vote::new_committed(3, 1)).await.unwrap();
    append(&mut store, (0..10).map(entry).collect())
        .await
        .unwrap();
    let before = stored(&mut store).await;
    store.save_committed(Some(log_id(1, 9))).await.unwrap();
    writer.shutdown();
    mem.crash(Crash::DropUnsynced);

    let writer = Writer::spawn(mem).unwrap();
    let mut store = LogStore::open(GROUP, writer.handle()).unwrap();
    assert_eq!(
        store.read_vote().await.unwrap(),
        Some(Vote::new_committed(3, 1))
    );
    assert_eq!(stored(&mut store).await, before);
    assert_eq!(store.read_committed().await.unwrap(), None);
    assert!(!store.is_pristine());
}

#[tokio::test]
async fn an_append_is_readable_at_once_and_flushed_only_after_its_sync() {
    let held = Held::new(Mem::new());
    let writer = Writer::spawn(held.clone()).unwrap();
    let mut store = LogStore::open(GROUP, writer.handle()).unwrap();
    held.hold(true);
    let (flushed, mut done) = TypeConfig::oneshot();
    store
        .append([entry(0), entry(1)], IOFlushed::signal(flushed))
        .await
        .unwrap();
    assert_eq!(store.try_get_log_entries(0..9).await.unwrap().len(), 2);
    held.waiting
        .subscribe()
        .wait_for(|waiting| *waiting > 0)
        .await
        .unwrap();
    assert!(futures_util::poll!(&mut done).is_pending());
    assert!(
        held.store
            .get(Space::Log, &keys::entry(GROUP, 0))
            .unwrap()
            .is_none()
    );
    held.hold(false);
    done.await.unwrap().unwrap();
    assert_eq!(held.store.unsynced(), 0);
}

#[tokio::test]
async fn after_the_first_failed_sync_nothing_is_acknowledged_any_more() {
    let mem = Arc::new(Mem::new());
    let writer = Writer::spawn(mem.clone()).unwrap();
    let mut store = LogStore::open(GROUP, writer.handle()).unwrap();
    append(&mut store, vec![entry(0)]).await.unwrap();
    mem.fail_next_sync("no more");
    assert!(append(&mut store, vec![entry(1)]).await.is_err());
    assert!(append(&mut store, vec![entry(2)]).await.is_err());
    assert!(store.save_vote(&Vote::new(9, 1)).await.is_err());
    assert_eq!(store.read_vote().await.unwrap(), None);
    assert_eq!(
        writer
            .handle()
            .failed()
            .borrow()
            .as_ref()
            .map(|failure| failure.reason.contains("no more")),
        Some(true)
    );
}

#[tokio::test]
async fn reads_are_limited_by_bytes_from_memory_and_from_disk() {
    let writer = Writer::spawn(Arc::new(Mem::new())).unwrap();
    for cache in [0, CACHE_BYTES_MAX] {
        let group = GROUP + cache as u64;
        let mut store = LogStore::open_with(group, writer.handle(), cache).unwrap();
        let bytes = APPEND_BYTES_MAX / 3;
        append(&mut store, (0..8).map(|i| large(i, bytes)).collect())
            .await
            .unwrap();
        append(&mut store, vec![large(8, 2 * APPEND_BYTES_MAX), entry(9)])
            .await
            .unwrap();
        let read = store.limited_get_log_entries(0, 10).await.unwrap();
        assert!((1..8).contains(&read.len()), "{} entries", read.len());
        assert_eq!(read[0].log_id.index, 0);
        // One entry comes, however large it is.
        let read = store.limited_get_log_entries(8, 10).await.unwrap();
        assert_eq!(read.iter().map(|e| e.log_id.index).collect::<Vec<_>>(), [8]);
        // Without a limit everything comes, in order.
        let all = store.try_get_log_entries(0..10).await.unwrap();
        assert_eq!(
            all.iter().map(|e| e.log_id.index).collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_rewritten_end_is_read_as_rewritten() {
    let writer = Writer::spawn(Arc::new(Mem::new())).unwrap();
    let mut store = LogStore::open_with(GROUP, writer.handle(), 0).unwrap();
    append(&mut store, (0..10).map(entry).collect())
        .await
        .unwrap();
    store.truncate_after(Some(log_id(1, 4))).await.unwrap();
    let mut rewritten = entry(5);
    rewritten.log_id = log_id(2, 5);
    append(&mut store, vec![rewritten]).await.unwrap();
    let read = store.try_get_log_entries(4..9).await.unwrap();
    assert_eq!(
        read.iter().map(|e| e.log_id).collect::<Vec<_>>(),
        [log_id(1, 4), log_id(2, 5)]
    );
    let mut store = LogStore::open(GROUP, writer.handle()).unwrap();
    let state = store.get_log_state().await.unwrap();
    assert_eq!(state.last_log_id, Some(log_id(2, 5)));
}

#[tokio::test]
async fn purging_leaves_other_groups_alone() {
    let writer = Writer::spawn(Arc::new(Mem::new())).unwrap();
    let mut stores: Vec<LogStore> = (0..3)
        .map(|n| LogStore::open(GROUP + n, writer.handle()).unwrap())
        .collect();
    for store in &mut stores {
        append(store, (0..10).map(entry).collect()).await.unwrap();
    }
    stores[1].purge(log_id(1, 9)).await.unwrap();
    stores[1].truncate_after(Some(log_id(1, 9))).await.unwrap();
    // Nobody waits for a purge; what is written behind it is written after it.
    let handle = writer.handle();
    handle
        .write(Batch::new(), Durability::Synced)
        .await
        .unwrap();
    for (n, count) in [(0, 10), (1, 0), (2, 10)] {
        let mut store = LogStore::open(GROUP + n, writer.handle()).unwrap();
        assert_eq!(store.try_get_log_entries(..).await.unwrap().len(), count);
        assert_eq!(
            store.get_log_state().await.unwrap().last_log_id,
            Some(log_id(1, 9))
        );
    }
}

#[test]
fn every_flipped_byte_of_a_stored_entry_is_noticed() {
    for index in 0..3 {
        let good = encode_entry(&entry(index));
        assert_eq!(encode_entry(&decode_entry(&good).unwrap()), good);
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0x10;
            assert!(
                decode_entry(&bad.into()).is_err(),
                "byte {at} of entry {index}"
            );
        }
        for len in 0..good.len() {
            assert!(
                decode_entry(&good.slice(..len)).is_err(),
                "cut at {len} of entry {index}"
            );
        }
        let mut long = good.to_vec();
        long.push(0);
        assert!(decode_entry(&long.into()).is_err());
    }
}

#[tokio::test]
async fn a_damaged_entry_is_an_error_and_never_a_hole() {
    let writer = Writer::spawn(Arc::new(Mem::new())).unwrap();
    let mut store = LogStore::open_with(GROUP, writer.handle(), 0).unwrap();
    append(&mut store, (0..4).map(entry).collect())
        .await
        .unwrap();
    let mut batch = Batch::new();
    batch.delete(Space::Log, keys::entry(GROUP, 2));
    writer
        .handle()
        .write(batch, Durability::Synced)
        .await
        .unwrap();
    assert!(store.try_get_log_entries(0..4).await.is_err());
    let mut batch = Batch::new();
    batch.put(Space::Log, keys::entry(GROUP, 2), encode_entry(&entry(3)));
    writer
        .handle()
        .write(batch, Durability::Synced)
        .await
        .unwrap();
    assert!(store.try_get_log_entries(0..4).await.is_err());
}

#[tokio::test]
async fn a_late_reader_gets_nothing_rather_than_what_follows_a_hole() {
    let writer = Writer::spawn(Arc::new(Mem::new())).unwrap();
    for cache in [0, CACHE_BYTES_MAX] {
        let group = GROUP + 10 + cache as u64;
        let mut store = LogStore::open_with(group, writer.handle(), cache).unwrap();
        append(&mut store, (0..10).map(entry).collect())
            .await
            .unwrap();
        store.purge(log_id(1, 4)).await.unwrap();
        assert!(
            store
                .limited_get_log_entries(3, 10)
                .await
                .unwrap()
                .is_empty()
        );
        let read = store.limited_get_log_entries(5, 10).await.unwrap();
        assert_eq!(read[0].log_id.index, 5);
    }
}
