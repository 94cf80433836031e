//! A simulated disk that tells the [`Ledger`] what is written to it, and where asked for looks for planted
//! addresses in all of it (C9): logs are trimmed long before a run ends.

use std::sync::Arc;

use bytes::Bytes;
use hushlog_storage::Error;
use hushlog_storage::store::mem::Crash;
use hushlog_storage::store::{Batch, Change, Durability, Mem, ScanLimit, Space, Store};
use parking_lot::Mutex;

use super::ledger::Ledger;
use super::marks;

/// One node's disk: outlives the node's crashes.
pub struct Disk {
    node: u64,
    mem: Mem,
    ledger: Arc<Mutex<Ledger>>,
    /// Whether planted addresses are looked for.
    watched: bool,
}

impl Disk {
    /// An empty disk; whether planted addresses are looked for in what is written.
    pub fn new(node: u64, ledger: Arc<Mutex<Ledger>>, watched: bool) -> Self {
        Self {
            node,
            mem: Mem::new(),
            ledger,
            watched,
        }
    }

    /// The store with its faults.
    pub fn mem(&self) -> &Mem {
        &self.mem
    }

    /// Power loss, the first `kept` unsynced writes having reached the disk by themselves.
    pub fn crash(&self, kept: usize) {
        self.ledger.lock().forget(self.node, &self.mem);
        self.mem.crash(Crash::TornAfter(kept));
        self.reload();
    }

    /// Shows the ledger what lies on the disk now.
    pub fn reload(&self) {
        let mut ledger = self.ledger.lock();
        for space in [Space::State, Space::Log] {
            let rows = self.mem.scan(space, &[], &[u8::MAX; 24], ScanLimit::NONE);
            for (key, value) in rows.unwrap_or_default() {
                ledger.on_found(self.node, space, &key, &value);
            }
        }
    }
}

impl Store for Disk {
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
        let changes = batch.changes().to_vec();
        let before = self.mem.writes();
        let outcome = self.mem.write(batch, durability);
        // A failed sync leaves the batch readable all the same.
        if self.mem.writes() > before {
            let mut ledger = self.ledger.lock();
            ledger.on_write(self.node, &changes);
            if self.watched {
                let leaks = changes.iter().filter_map(leak);
                leaks.for_each(|space| ledger.on_leak(self.node, space));
            }
        }
        outcome
    }
}

/// Where an address is written to, if one is.
fn leak(change: &Change) -> Option<Space> {
    match change {
        Change::Put { space, value, .. } => marks::in_row(value).then_some(*space),
        Change::Delete { .. } | Change::DeleteRange { .. } => None,
    }
}
