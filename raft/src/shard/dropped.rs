//! Removes what this node's store has of a shard that the cluster has dropped, and finds such shards.
//!
//! It knows nothing of files, and not which shards are dropped: the caller asks the cluster's facts, as
//! far as they are durable here.

use hushlog_record::ShardId;
use hushlog_storage::store::{Durability, ScanLimit, Space};
use hushlog_storage::writer::WriterHandle;

use super::sealed::without;
use crate::Error;
use crate::log_store::keys;

/// Removes all that the store has of a shard, whether it is sealed or its group has stopped.
///
/// # Errors
/// [`Error::Storage`].
pub async fn drop_shard(writer: &WriterHandle, shard: ShardId) -> Result<(), Error> {
    let group = shard.group();
    let mut batch = without(shard);
    batch.delete(Space::State, keys::sealed(group));
    batch.delete(Space::State, keys::sealed_keys(group));
    Ok(writer.write(batch, Durability::Synced).await?)
}

/// The shards that the store has anything of, ascending. One small read for each. Blocks on the disk.
///
/// # Errors
/// [`Error::Storage`].
pub fn stored_shards(writer: &WriterHandle) -> Result<Vec<ShardId>, Error> {
    let store = writer.store();
    let end = keys::entries_end(u64::MAX);
    let mut shards = Vec::new();
    let mut next = 0u64;
    loop {
        let from = next.to_be_bytes();
        let rows = store.scan(Space::State, &from, &end, ScanLimit::rows(1))?;
        let group = rows.first().and_then(|(key, _)| key.first_chunk::<8>());
        let Some(group) = group.map(|group| u64::from_be_bytes(*group)) else {
            return Ok(shards);
        };
        shards.extend(ShardId::from_group(group));
        match group.checked_add(1) {
            Some(after) => next = after,
            None => return Ok(shards),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use hushlog_record::id::META_GROUP;
    use hushlog_storage::store::{Batch, Mem, Store};
    use hushlog_storage::writer::Writer;

    use super::*;
    use crate::shard::{Sealed, Table, has_group};

    #[tokio::test]
    async fn a_dropped_shard_leaves_nothing_and_the_others_stay() {
        let store: Arc<dyn Store> = Arc::new(Mem::new());
        let owner = Writer::inline(Arc::clone(&store));
        let writer = owner.handle();
        let shard = |bucket, slot| ShardId { bucket, slot };
        let (sealed, running, stays) = (shard(1, 0), shard(1, 1), shard(2, 0));
        let mut batch = Batch::new();
        batch.put(Space::State, keys::vote(META_GROUP), "vote");
        for shard in [running, stays] {
            batch.put(Space::State, keys::vote(shard.group()), "vote");
            batch.put(Space::State, keys::request_keys(shard.group(), 4), "keys");
            batch.put(Space::Log, keys::entry(shard.group(), 7), "entry");
        }
        writer.write(batch, Durability::Synced).await.unwrap();
        let stored = Sealed {
            segmented_to: 9,
            manifest: Bytes::from_static(b"manifest"),
        };
        let table = Table::default();
        stored.install(&writer, sealed, &table).await.unwrap();
        assert_eq!(stored_shards(&writer).unwrap(), [sealed, running, stays]);

        drop_shard(&writer, sealed).await.unwrap();
        drop_shard(&writer, running).await.unwrap();

        assert_eq!(stored_shards(&writer).unwrap(), [stays]);
        assert!(has_group(&writer, stays).unwrap());
        let all = |space| {
            let end = keys::entries_end(u64::MAX);
            store.scan(space, &[], &end, ScanLimit::NONE).unwrap()
        };
        assert_eq!(all(Space::State).len(), 3, "of the meta group and of b2-s0");
        assert_eq!(all(Space::Log).len(), 1);
    }
}
