//! What the tests of this crate build on: blocks of made-up records, and stores that misbehave.

use std::sync::Arc;

use hushlog_record::block::{Block, Part, PartKey};
use hushlog_record::{LogId, Masked, Record, ShardId, Timestamp};
use hushlog_storage::Error;
use hushlog_storage::store::{Batch, Durability, ScanLimit, Space, Store};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// The shard that tests use when any will do.
pub(crate) const SHARD: ShardId = ShardId { bucket: 1, slot: 0 };

/// A key of producer 7.
pub(crate) fn key(sequence: u64) -> PartKey {
    PartKey {
        producer: 7,
        sequence,
        chunk: 0,
    }
}

/// A block of `rows` records per key, each naming its key; admitted at this hour.
pub(crate) fn keyed_block(shard: ShardId, keys: &[u64], rows: u32, hour: i64) -> Block {
    let parts: Vec<_> = keys.iter().map(|sequence| (key(*sequence), 0)).collect();
    block_of(shard, &parts, rows, hour)
}

/// A block of `rows` records per part: its key, and the digest of its request's content.
pub(crate) fn block_of(shard: ShardId, keys: &[(PartKey, u64)], rows: u32, hour: i64) -> Block {
    block_under(1, shard, keys, rows, hour)
}

/// As [`block_of`], masked under this policy.
pub(crate) fn block_under(
    policy_epoch: u64,
    shard: ShardId,
    keys: &[(PartKey, u64)],
    rows: u32,
    hour: i64,
) -> Block {
    let at = Timestamp::from_nanos(hour * 3_600 * 1_000_000_000);
    let mut records = Vec::new();
    let mut parts = Vec::new();
    for (key, content) in keys {
        let from = u32::try_from(records.len()).unwrap();
        for row in 0..rows {
            records.push(record(key.sequence, row, at));
        }
        parts.push(Part {
            key: Some(*key),
            content: *content,
            rows: from..from + rows,
        });
    }
    Block::seal(shard, policy_epoch, at, parts, &records)
}

/// A block of one record without a key.
pub(crate) fn plain_block(shard: ShardId, number: u64) -> Block {
    let at = Timestamp::from_nanos(1);
    Block::seal(shard, 1, at, Vec::new(), &[record(number, 0, at)])
}

/// A block of one record under a key and one without.
pub(crate) fn mixed_block(shard: ShardId, sequence: u64) -> Block {
    let at = Timestamp::from_nanos(1);
    let parts = vec![
        Part {
            key: Some(key(sequence)),
            content: 0,
            rows: 0..1,
        },
        Part {
            key: None,
            content: 0,
            rows: 1..2,
        },
    ];
    let records = [record(sequence, 0, at), record(sequence, 1, at)];
    Block::seal(shard, 1, at, parts, &records)
}

/// A block of about so many bytes that compression cannot shrink much.
pub(crate) fn large_block(shard: ShardId, number: u64, bytes: usize) -> Block {
    let at = Timestamp::from_nanos(1);
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    });
    let text: String = noise.take(bytes / 8).collect();
    let record = Record::new(log_id(number, 0), at, text);
    Block::seal(shard, 1, at, Vec::new(), &[Masked::vouch(record)])
}

fn log_id(number: u64, row: u32) -> LogId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[12..].copy_from_slice(&row.to_be_bytes());
    LogId(id)
}

fn record(number: u64, row: u32, at: Timestamp) -> Masked<Record> {
    let text = format!("request {number} row {row}");
    // Made up here: there is nothing to mask.
    Masked::vouch(Record::new(log_id(number, row), at, text))
}

/// A store whose synced writes wait while they are held.
pub(crate) struct Held<S> {
    pub(crate) store: S,
    held: Mutex<bool>,
    released: Condvar,
    /// How many synced writes have come to wait.
    pub(crate) waiting: watch::Sender<u32>,
}

impl<S: Store> Held<S> {
    pub(crate) fn new(store: S) -> Arc<Self> {
        Arc::new(Self {
            store,
            held: Mutex::new(false),
            released: Condvar::new(),
            waiting: watch::Sender::new(0),
        })
    }

    pub(crate) fn hold(&self, held: bool) {
        *self.held.lock() = held;
        self.released.notify_all();
    }
}

impl<S: Store> Store for Held<S> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<bytes::Bytes>, Error> {
        self.store.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: ScanLimit,
    ) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, Error> {
        self.store.scan(space, from, to, limit)
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(bytes::Bytes, bytes::Bytes)>, Error> {
        self.store.last(space, from, to)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), Error> {
        if durability == Durability::Synced {
            let mut held = self.held.lock();
            if *held {
                self.waiting.send_modify(|waiting| *waiting += 1);
            }
            while *held {
                self.released.wait(&mut held);
            }
        }
        self.store.write(batch, durability)
    }
}
