//! The store in memory, for simulation and tests: live and durable state kept apart.
//!
//! Never touches a file, a clock or randomness: every fault is asked for by name.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Batch, Change, Durability, ScanLimit, Space, Store};
use crate::Error;

type Rows = BTreeMap<(Space, Bytes), Bytes>;

/// A store that forgets on [`crash`](Mem::crash) whatever was not synced.
#[derive(Default)]
pub struct Mem {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Rows,
    durable: Rows,
    /// Written and not yet synced, in order.
    pending: Vec<Batch>,
    /// What a sync failed for, in order: readable still, and no later sync makes it durable.
    failed: Vec<Batch>,
    faults: Faults,
    refusals: u64,
    syncs: u64,
    writes: u64,
}

#[derive(Default)]
struct Faults {
    fail_next_write: Option<String>,
    fail_next_sync: Option<String>,
    /// Bytes of keys and values that still fit.
    space_left: Option<usize>,
}

/// How a crash treats what was written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// All of it is gone.
    DropUnsynced,
    /// The first so many unsynced batches reached the disk by themselves; the next one was torn
    /// and is dropped, as are those behind it.
    TornAfter(usize),
}

impl Mem {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Power loss: what was not synced is lost as `crash` says, pending faults are cleared (the
    /// machine comes back), and the store goes on with what is durable.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.state.lock();
        let mut pending = std::mem::take(&mut state.failed);
        pending.append(&mut state.pending);
        pending.truncate(match crash {
            Crash::DropUnsynced => 0,
            Crash::TornAfter(batches) => batches,
        });
        for batch in &pending {
            apply(&mut state.durable, batch);
        }
        state.live = state.durable.clone();
        state.faults = Faults::default();
    }

    /// The next write fails before it changes anything, with this reason.
    pub fn fail_next_write(&self, reason: &str) {
        self.state.lock().faults.fail_next_write = Some(reason.to_owned());
    }

    /// The next sync fails, as `fdatasync` does: what it was for is readable, yet not durable, and the
    /// next sync that succeeds says nothing about it.
    pub fn fail_next_sync(&self, reason: &str) {
        self.state.lock().faults.fail_next_sync = Some(reason.to_owned());
    }

    /// From now on only so many more bytes fit (`None`: the disk is never full).
    pub fn set_space_left(&self, bytes: Option<usize>) {
        self.state.lock().faults.space_left = bytes;
    }

    /// Flips one bit of a stored value, as it lies on the disk and as it is read from now on; `false`
    /// if there is no such row. The store itself notices nothing: the readers' checksums must.
    pub fn flip_bit(&self, space: Space, key: &[u8], bit: usize) -> bool {
        let mut state = self.state.lock();
        let State { live, durable, .. } = &mut *state;
        let key = (space, Bytes::copy_from_slice(key));
        let flipped = [live, durable].map(|rows| {
            let Some(value) = rows.get_mut(&key).filter(|value| !value.is_empty()) else {
                return false;
            };
            let mut bytes = value.to_vec();
            let at = bit / 8 % bytes.len();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
            *value = bytes.into();
            true
        });
        flipped.contains(&true)
    }

    /// Forgets everything: a new, empty disk in the place of the old one.
    pub fn wipe(&self) {
        *self.state.lock() = State::default();
    }

    /// The value of `key` that a power loss would leave.
    pub fn durable(&self, space: Space, key: &[u8]) -> Option<Bytes> {
        let key = (space, Bytes::copy_from_slice(key));
        self.state.lock().durable.get(&key).cloned()
    }

    /// Number of writes and syncs that an injected fault has failed.
    pub fn refusals(&self) -> u64 {
        self.state.lock().refusals
    }

    /// Number of syncs that succeeded.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Number of batches that were written.
    pub fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    /// Number of batches that a crash would drop now.
    pub fn unsynced(&self) -> usize {
        let state = self.state.lock();
        state.failed.len() + state.pending.len()
    }
}

impl State {
    fn write(&mut self, batch: Batch, durability: Durability) -> Result<(), Error> {
        if let Some(reason) = self.faults.fail_next_write.take() {
            self.refusals += 1;
            return Err(Error::Write(reason));
        }
        if let Some(left) = &mut self.faults.space_left {
            let Some(rest) = left.checked_sub(batch.bytes()) else {
                self.refusals += 1;
                return Err(Error::Full(format!("{} bytes do not fit", batch.bytes())));
            };
            *left = rest;
        }
        apply(&mut self.live, &batch);
        self.pending.push(batch);
        self.writes += 1;
        match durability {
            Durability::Buffered => Ok(()),
            Durability::Synced => self.sync(),
        }
    }

    fn sync(&mut self) -> Result<(), Error> {
        if let Some(reason) = self.faults.fail_next_sync.take() {
            self.refusals += 1;
            self.failed.append(&mut self.pending);
            return Err(Error::Write(reason));
        }
        for batch in std::mem::take(&mut self.pending) {
            apply(&mut self.durable, &batch);
        }
        self.syncs += 1;
        Ok(())
    }
}

fn apply(rows: &mut Rows, batch: &Batch) {
    for change in batch.changes() {
        match change {
            Change::Put { space, key, value } => {
                rows.insert((*space, key.clone()), value.clone());
            }
            Change::Delete { space, key } => {
                rows.remove(&(*space, key.clone()));
            }
            Change::DeleteRange { space, from, to } => {
                let doomed: Vec<_> = range(rows, *space, from, to)
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in doomed {
                    rows.remove(&key);
                }
            }
        }
    }
}

fn range<'a>(
    rows: &'a Rows,
    space: Space,
    from: &[u8],
    to: &[u8],
) -> impl DoubleEndedIterator<Item = (&'a (Space, Bytes), &'a Bytes)> + use<'a> {
    let from = (space, Bytes::copy_from_slice(from));
    // BTreeMap::range panics on a reversed range; such a range is empty here.
    let to = (space, Bytes::copy_from_slice(to)).max(from.clone());
    rows.range((Bound::Included(from), Bound::Excluded(to)))
}

impl Store for Mem {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self
            .state
            .lock()
            .live
            .get(&(space, Bytes::copy_from_slice(key)))
            .cloned())
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: ScanLimit,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let state = self.state.lock();
        let mut budget = super::Budget::new(limit);
        Ok(range(&state.live, space, from, to)
            .take_while(|((_, key), value)| budget.admits(key.len() + value.len()))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<(Bytes, Bytes)>, Error> {
        let state = self.state.lock();
        let row = range(&state.live, space, from, to)
            .next_back()
            .map(|((_, key), value)| (key.clone(), value.clone()));
        Ok(row)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), Error> {
        self.state.lock().write(batch, durability)
    }
}
