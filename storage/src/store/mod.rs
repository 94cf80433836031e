//! The disk seam: an ordered key-value store with atomic batches and an explicit sync.
//!
//! Two implementations live in the tree: [`Rocks`], the real one, and [`Mem`], which keeps live and
//! durable state apart so that a simulated crash drops what was not synced. [`suite`] holds them
//! equal.
//!
//! Never retries, never caches on its own, never interprets a key.

pub mod mem;
pub mod rocks;
mod room;
pub mod suite;
#[cfg(test)]
mod tests;
mod torn;
pub mod watermark;

use bytes::Bytes;

use crate::Error;

pub use mem::Mem;
pub use rocks::{Rocks, all_closed, closed};
pub use room::unflushed_bytes;

/// A family of keys. Few and fixed: shards share them and are told apart by key prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Raft log entries: large values, appended, read back soon, dropped in ranges.
    Log,
    /// Small per-group facts: vote, committed position, producers, manifest.
    State,
    /// Small facts of the node itself.
    Meta,
}

impl Space {
    /// Every space, in a fixed order.
    pub const ALL: [Self; 3] = [Self::Log, Self::State, Self::Meta];

    /// The stored name of the space; part of the on-disk format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::State => "state",
            Self::Meta => "meta",
        }
    }
}

/// How much a write promises when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It, and everything written before it, survives power loss.
    Synced,
    /// It can be read, and survives the end of the process; a power loss may drop it, always
    /// together with everything written after it and not synced.
    Buffered,
}

/// How much one [`Store::scan`] returns at most. The first row is returned whatever its size.
#[derive(Clone, Copy, Debug)]
pub struct ScanLimit {
    /// Sum of key and value lengths, in bytes.
    pub bytes_max: usize,
    /// Number of rows.
    pub rows_max: usize,
}

impl ScanLimit {
    /// No limit: only for ranges whose size is known to be small.
    pub const NONE: Self = Self {
        bytes_max: usize::MAX,
        rows_max: usize::MAX,
    };

    /// At most this many rows, of any size.
    pub fn rows(rows_max: usize) -> Self {
        Self {
            rows_max,
            ..Self::NONE
        }
    }

    /// At most this many bytes, and at least one row.
    pub fn bytes(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            ..Self::NONE
        }
    }
}

/// One change of a [`Batch`].
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Put {
        /// Where.
        space: Space,
        /// The key.
        key: Bytes,
        /// What it is set to.
        value: Bytes,
    },
    /// Removes a key.
    Delete {
        /// Where.
        space: Space,
        /// The key.
        key: Bytes,
    },
    /// Removes every key of a range; never an empty or reversed one.
    DeleteRange {
        /// Where.
        space: Space,
        /// The first key that goes.
        from: Bytes,
        /// The first key after it that stays.
        to: Bytes,
    },
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key, .. } => key.len(),
            Self::DeleteRange { from, to, .. } => from.len() + to.len(),
        }
    }
}

/// Changes that happen together or not at all, in the order in which they were added.
#[derive(Clone, Default)]
pub struct Batch {
    changes: Vec<Change>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.add(Change::Put {
            space,
            key: key.into(),
            value: value.into(),
        });
    }

    /// Removes `key`; no error if it is absent.
    pub fn delete(&mut self, space: Space, key: impl Into<Bytes>) {
        self.add(Change::Delete {
            space,
            key: key.into(),
        });
    }

    /// Removes every key in `[from, to)`; nothing if the range is empty or reversed.
    pub fn delete_range(&mut self, space: Space, from: impl Into<Bytes>, to: impl Into<Bytes>) {
        let (from, to) = (from.into(), to.into());
        if from < to {
            self.add(Change::DeleteRange { space, from, to });
        }
    }

    /// Appends the changes of `other` after those of this batch.
    pub fn append(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.changes.extend(other.changes);
    }

    /// Sum of the lengths of all keys and values, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What it does, in order: what an implementation of [`Store`] needs to know.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    fn add(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.changes.push(change);
    }
}

impl std::fmt::Debug for Batch {
    /// Sizes only: values hold records.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Batch({} changes, {} bytes)",
            self.changes.len(),
            self.bytes
        )
    }
}

/// An ordered key-value store with three [`Space`]s.
///
/// - Keys are compared as bytes. Ranges are half-open: `from` is in, `to` is not.
/// - A batch is atomic for readers and across a crash.
/// - Writes are durable in the order in which they were written: a crash leaves a prefix of them
///   that holds at least everything up to the last `Synced` one.
/// - After a failed write or sync the outcome of that batch is **unknown**; the caller must not
///   write again (the [`Writer`](crate::writer) sees to that). Reads go on.
/// - Methods block on the disk; call them from threads that may.
pub trait Store: Send + Sync + 'static {
    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Corrupt`].
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// The rows of `[from, to)` in ascending order, from one consistent view, up to `limit`; at
    /// least one row if the range holds any. More may follow after the last returned key.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Corrupt`].
    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: ScanLimit,
    ) -> Result<Vec<(Bytes, Bytes)>, Error>;

    /// The row with the greatest key in `[from, to)`, if there is one.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Corrupt`].
    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<(Bytes, Bytes)>, Error>;

    /// Applies `batch`; readable on return, durable as [`Durability`] says.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Write`].
    fn write(&self, batch: Batch, durability: Durability) -> Result<(), Error>;

    /// Notes durably how far the store is synced, so that a later opening notices if less is there.
    /// Costs a sync of its own: the writer calls it now and then. Nothing to do for a store that
    /// cannot lose what it synced.
    ///
    /// # Errors
    /// [`Error::File`]; to be treated like a failed write.
    fn mark(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Ends a write that waits for room on the disk, which has so many bytes free, and may wait for ever: it fails with
    /// [`Error::Full`], as all that follow. Whether one waited so; nothing to do for a store whose writes fail at once.
    fn give_up_stalled(&self, _free: u64) -> bool {
        false
    }

    /// Told now and then how many bytes are free on the disk: what was left undone for want of room is taken up.
    fn has_room(&self, _free: u64) {}
}

/// What is left of a [`ScanLimit`] while rows are collected.
pub(crate) struct Budget {
    rows: usize,
    bytes: usize,
    first: bool,
}

impl Budget {
    pub(crate) fn new(limit: ScanLimit) -> Self {
        // A limit of zero rows still yields one: a caller in a loop must make progress.
        Self {
            rows: limit.rows_max.max(1),
            bytes: limit.bytes_max,
            first: true,
        }
    }

    /// Whether a row of so many bytes still fits; if so, it is counted.
    pub(crate) fn admits(&mut self, bytes: usize) -> bool {
        let fits = self.rows > 0 && (self.first || bytes <= self.bytes);
        if fits {
            self.first = false;
            self.rows -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        fits
    }
}
