//! What one query may use on this node, and whether anybody still waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Error;

/// Why a query must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its time is over.
    Timeout,
    /// The caller went away.
    Cancelled,
}

/// Memory and time of one query, shared by all its shards on this node. Clones share it.
#[derive(Clone)]
pub struct Budget {
    memory_bytes_max: usize,
    memory_bytes: Arc<AtomicUsize>,
    stop: Arc<dyn Fn() -> Option<Stop> + Send + Sync>,
    /// Whether the index may leave out granules. Answers are the same without.
    pub use_index: bool,
    /// Whether counts may come from summaries. Answers are the same without, unless records are
    /// hidden from queries, which summaries do not know.
    pub use_summaries: bool,
}

impl Budget {
    /// A budget of this much memory. `stop` is asked before each granule whether to go on.
    pub fn new(
        memory_bytes_max: usize,
        stop: impl Fn() -> Option<Stop> + Send + Sync + 'static,
    ) -> Self {
        Self {
            memory_bytes_max,
            memory_bytes: Arc::default(),
            stop: Arc::new(stop),
            use_index: true,
            use_summaries: true,
        }
    }

    /// Goes on only while somebody waits and there is time.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match (self.stop)() {
            None => Ok(()),
            Some(Stop::Timeout) => Err(Error::Timeout),
            Some(Stop::Cancelled) => Err(Error::Cancelled),
        }
    }

    /// Takes memory until the lease is dropped.
    pub(crate) fn lease(&self, bytes: usize) -> Result<Lease, Error> {
        let mut lease = Lease {
            memory_bytes: self.memory_bytes.clone(),
            bytes: 0,
        };
        self.extend(&mut lease, bytes)?;
        Ok(lease)
    }

    /// Lets a lease grow.
    pub(crate) fn extend(&self, lease: &mut Lease, bytes: usize) -> Result<(), Error> {
        lease.bytes += bytes;
        let before = self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.memory_bytes_max {
            return Err(Error::Memory(self.memory_bytes_max));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget")
            .field("memory_bytes_max", &self.memory_bytes_max)
            .field("memory_bytes", &self.memory_bytes)
            .finish_non_exhaustive()
    }
}

/// Memory taken from a budget, given back on drop.
pub(crate) struct Lease {
    memory_bytes: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_over_all_leases_and_comes_back() {
        let budget = Budget::new(100, || None);
        let first = budget.lease(60).unwrap();
        assert!(matches!(budget.lease(60), Err(Error::Memory(100))));
        drop(first);
        assert!(budget.lease(100).is_ok());
    }

    #[test]
    fn a_query_that_must_stop_says_why() {
        let check = |stop| Budget::new(1, move || stop).check();
        assert!(check(None).is_ok());
        assert!(matches!(check(Some(Stop::Timeout)), Err(Error::Timeout)));
        assert!(matches!(
            check(Some(Stop::Cancelled)),
            Err(Error::Cancelled)
        ));
    }
}
