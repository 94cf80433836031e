//! The silence of a leader that gives up its lead: it sends nothing that its followers would take for a
//! sign of life, neither heartbeats nor appends, so that their election timeouts run out.
//!
//! Appends must stop too: where large messages are lost, the small ones with which the library begins
//! again after each failure would keep the followers waiting.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Shared by a group and the clients of its replica here.
#[derive(Clone, Default)]
pub(crate) struct Silence(Arc<Mutex<Option<(u64, Instant)>>>);

impl Silence {
    /// Says nothing as the leader of `term` for so long.
    pub(crate) fn keep(&self, term: u64, length: Duration) {
        *self.0.lock() = Some((term, Instant::now() + length));
    }

    /// Whether the leader of `term` says nothing now.
    pub(crate) fn holds(&self, term: u64) -> bool {
        let silent = *self.0.lock();
        silent.is_some_and(|(silent, until)| silent == term && Instant::now() < until)
    }
}
