//! What is left of a finished shard in this node's store: its manifest, and for a while its request keys.
//!
//! ```text
//! sealed   version u8 = 1 · segmented_to u64 · manifest length u32, bytes · CRC32 u32
//! keys     version u8 = 2 · request keys · CRC32 u32
//! ```
//!
//! Request keys of version 1 are without policies.
//!
//! Written in one synced batch with the removal of the group's log, vote and snapshot: a crash leaves
//! the group or the sealed shard, never both and never neither.

use bytes::Bytes;
use hushlog_record::ShardId;
use hushlog_storage::store::{Batch, Durability, Space};
use hushlog_storage::writer::WriterHandle;

use super::{Form, Table};
use crate::Error;
use crate::codec::{self, Decoder, Encoder, slice_of};
use crate::log_store::keys;

const VERSION: u8 = 1;
const VERSION_KEYS_WITHOUT_POLICIES: u8 = 1;
const VERSION_KEYS: u8 = 2;
const WHAT: &str = "sealed shard";
const WHAT_KEYS: &str = "request keys of a sealed shard";

/// A finished shard as its replica keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// End of the last segment.
    pub segmented_to: u64,
    /// The manifest as the node encoded it.
    pub manifest: Bytes,
}

impl Sealed {
    /// The sealed shard, if it is one on this node. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Storage`] and [`Error::Codec`].
    pub fn load(writer: &WriterHandle, shard: ShardId) -> Result<Option<Self>, Error> {
        let stored = writer
            .store()
            .get(Space::State, &keys::sealed(shard.group()))?;
        Ok(stored.as_ref().map(Self::decode).transpose()?)
    }

    /// Puts this in the place of all that the store has of the shard's group, which must not run.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn install(
        &self,
        writer: &WriterHandle,
        shard: ShardId,
        table: &Table,
    ) -> Result<(), Error> {
        let mut batch = without(shard);
        batch.put(
            Space::State,
            keys::sealed(shard.group()),
            self.encode().finish_with_crc(),
        );
        let mut encoded = Encoder::versioned(VERSION_KEYS);
        table.encode(&mut encoded);
        batch.put(
            Space::State,
            keys::sealed_keys(shard.group()),
            encoded.finish_with_crc(),
        );
        Ok(writer.write(batch, Durability::Synced).await?)
    }

    /// Puts this in the place of other segments of the same rows; the shard's request keys stay.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn update(&self, writer: &WriterHandle, shard: ShardId) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.put(
            Space::State,
            keys::sealed(shard.group()),
            self.encode().finish_with_crc(),
        );
        Ok(writer.write(batch, Durability::Synced).await?)
    }

    fn encode(&self) -> Encoder {
        let mut out = Encoder::versioned(VERSION);
        out.u64(self.segmented_to).bytes(&self.manifest);
        out
    }

    fn decode(stored: &Bytes) -> Result<Self, codec::Error> {
        let mut input = Decoder::checked(WHAT, VERSION, stored)?;
        let sealed = Self {
            segmented_to: input.u64()?,
            manifest: slice_of(stored, input.bytes()?),
        };
        input.end()?;
        Ok(sealed)
    }
}

/// The request keys that a sealed shard hands on; `None` when they were forgotten, or it is not sealed
/// here. Blocks on the disk.
///
/// # Errors
/// [`Error::Storage`] and [`Error::Codec`].
pub fn sealed_keys(writer: &WriterHandle, shard: ShardId) -> Result<Option<Table>, Error> {
    let key = keys::sealed_keys(shard.group());
    let Some(stored) = writer.store().get(Space::State, &key)? else {
        return Ok(None);
    };
    let mut input = Decoder::whole(WHAT_KEYS, &stored)?;
    let form = match input.version_up_to(VERSION_KEYS)? {
        VERSION_KEYS_WITHOUT_POLICIES => Form::V2,
        _ => Form::V3,
    };
    let table = Table::decode(&mut input, form)?;
    input.end()?;
    Ok(Some(table))
}

/// Forgets the request keys of a sealed shard: those that took them over remember them.
///
/// # Errors
/// [`Error::Storage`].
pub async fn forget_sealed_keys(writer: &WriterHandle, shard: ShardId) -> Result<(), Error> {
    let mut batch = Batch::new();
    batch.delete(Space::State, keys::sealed_keys(shard.group()));
    Ok(writer.write(batch, Durability::Buffered).await?)
}

/// Whether the store has a vote, a snapshot or entries of the shard's group. Blocks on the disk.
///
/// # Errors
/// [`Error::Storage`].
pub fn has_group(writer: &WriterHandle, shard: ShardId) -> Result<bool, Error> {
    let group = shard.group();
    for key in [
        keys::vote(group),
        keys::snapshot(group),
        keys::purged(group),
    ] {
        if writer.store().get(Space::State, &key)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The removal of all that the store has of a shard's group.
pub(super) fn without(shard: ShardId) -> Batch {
    let group = shard.group();
    let mut batch = Batch::new();
    for key in [
        keys::vote(group),
        keys::committed(group),
        keys::purged(group),
        keys::snapshot(group),
    ] {
        batch.delete(Space::State, key);
    }
    batch.delete_range(Space::Log, keys::entry(group, 0), keys::entries_end(group));
    super::keys::remove_all(&mut batch, group);
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hushlog_storage::store::{Mem, Store};
    use hushlog_storage::writer::Writer;

    use super::*;

    const SHARD: ShardId = ShardId { bucket: 3, slot: 1 };

    #[tokio::test]
    async fn a_sealed_shard_takes_the_place_of_its_group_alone() {
        let store: Arc<dyn Store> = Arc::new(Mem::new());
        let owner = Writer::inline(Arc::clone(&store));
        let writer = owner.handle();
        let other = ShardId { bucket: 3, slot: 2 };
        let mut batch = Batch::new();
        for shard in [SHARD, other] {
            batch.put(Space::State, keys::vote(shard.group()), "vote");
            batch.put(Space::Log, keys::entry(shard.group(), 7), "entry");
            batch.put(Space::Log, keys::entry(shard.group(), u64::MAX), "entry");
        }
        writer.write(batch, Durability::Synced).await.unwrap();
        assert!(has_group(&writer, SHARD).unwrap());
        assert_eq!(Sealed::load(&writer, SHARD).unwrap(), None);

        let sealed = Sealed {
            segmented_to: 9,
            manifest: Bytes::from_static(b"manifest"),
        };
        let table = Table::default();
        sealed.install(&writer, SHARD, &table).await.unwrap();

        assert_eq!(Sealed::load(&writer, SHARD).unwrap(), Some(sealed));
        assert_eq!(sealed_keys(&writer, SHARD).unwrap(), Some(table));
        assert!(!has_group(&writer, SHARD).unwrap());
        for index in [7, u64::MAX] {
            let entry = |shard: ShardId| store.get(Space::Log, &keys::entry(shard.group(), index));
            assert_eq!(entry(SHARD).unwrap(), None);
            assert!(entry(other).unwrap().is_some());
        }
        forget_sealed_keys(&writer, SHARD).await.unwrap();
        assert_eq!(sealed_keys(&writer, SHARD).unwrap(), None);
        assert!(has_group(&writer, other).unwrap());
    }
}
