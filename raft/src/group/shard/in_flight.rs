//! The request keys that are on their way through a leader.
//!
//! A repeat waits for its original here, and is never proposed beside it.

use std::collections::BTreeSet;

use hushlog_record::block::{Block, PartKey};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::group::Attempt;

/// The request keys that this leader has proposed and not seen applied.
#[derive(Default)]
pub(super) struct InFlight {
    keys: Mutex<BTreeSet<PartKey>>,
    released: Notify,
}

/// Holds its keys in flight until it is dropped.
pub(super) struct Claim<'a> {
    flight: &'a InFlight,
    keys: Vec<PartKey>,
}

impl InFlight {
    /// Waits until no part of the block is in flight, then takes its keys. A repeat so finds what its
    /// original came to.
    pub(super) async fn claim(
        &self,
        block: &Block,
        deadline: Instant,
    ) -> Result<Claim<'_>, Attempt> {
        let keys: Vec<PartKey> = block
            .header()
            .parts
            .iter()
            .filter_map(|part| part.key)
            .collect();
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            // Registered before the look, so that a release in between is not missed.
            released.as_mut().enable();
            if self.try_claim(&keys) {
                return Ok(Claim { flight: self, keys });
            }
            if timeout_at(deadline, released).await.is_err() {
                return Err(Attempt::Unknown("the original is still on its way".into()));
            }
        }
    }

    fn try_claim(&self, keys: &[PartKey]) -> bool {
        let mut taken = self.keys.lock();
        let free = keys.iter().all(|key| !taken.contains(key));
        if free {
            taken.extend(keys);
        }
        free
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let mut taken = self.flight.keys.lock();
        for key in &self.keys {
            taken.remove(key);
        }
        drop(taken);
        self.flight.released.notify_waiters();
    }
}
