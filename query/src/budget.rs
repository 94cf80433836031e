//! What one question may use on this node, and whether anybody still waits for it.

use std::fmt;
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

/// Bytes that can be taken up to a limit and are never overdrawn.
#[derive(Debug)]
struct Purse {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Purse {
    fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = |used: usize| used.checked_add(bytes).filter(|all| *all <= self.bytes_max);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory of a node for all questions. Clones share it.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Purse>);

impl Pool {
    /// A pool of so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Purse::new(bytes_max))
    }

    /// Bytes that are taken now.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// The memory of one more question: at most so many bytes of the pool.
    pub fn question(&self, bytes_max: usize) -> Memory {
        Memory {
            pool: self.clone(),
            own: Purse::new(bytes_max),
        }
    }
}

/// The memory of a node for the columns of its tails, which are kept from one question to the next. Clones share it.
#[derive(Clone, Debug)]
pub struct TailMemory(Arc<Purse>);

impl TailMemory {
    /// So many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Purse::new(bytes_max))
    }

    /// Bytes that are taken now.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Takes so many bytes until what is given is dropped; `None` where there are not so many.
    pub(crate) fn take(&self, bytes: usize) -> Option<Kept> {
        // What is not taken must not be given back: nothing is made before.
        self.0.take(bytes).then(|| Kept {
            purse: Arc::clone(&self.0),
            bytes,
        })
    }
}

/// Memory of a tail that is in use, given back on drop.
#[derive(Debug)]
pub(crate) struct Kept {
    purse: Arc<Purse>,
    bytes: usize,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.purse.give_back(self.bytes);
    }
}

/// The memory of one question on this node, for all its shards and threads. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    pool: Pool,
    own: Arc<Purse>,
}

impl Memory {
    /// The memory of a question that is alone on its node: so many bytes.
    pub fn alone(bytes_max: usize) -> Self {
        Pool::new(bytes_max).question(bytes_max)
    }

    /// Takes memory until the lease is dropped.
    ///
    /// # Errors
    /// [`Error::Memory`] when the question may not have so much, [`Error::Busy`] when others have it.
    pub fn lease(&self, bytes: usize) -> Result<Lease, Error> {
        let mut lease = Lease {
            memory: self.clone(),
            bytes: 0,
        };
        lease.extend(bytes)?;
        Ok(lease)
    }

    /// Takes from the question's own first: what it may not have in any case is its fault.
    fn take(&self, bytes: usize) -> Result<(), Error> {
        if !self.own.take(bytes) {
            return Err(Error::Memory(self.own.bytes_max));
        }
        if !self.pool.0.take(bytes) {
            self.own.give_back(bytes);
            return Err(Error::Busy);
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.own.give_back(bytes);
        self.pool.0.give_back(bytes);
    }
}

/// Memory and time of one question, shared by all its shards on this node. Clones share it.
#[derive(Clone)]
pub struct Budget {
    memory: Memory,
    stop: Arc<dyn Fn() -> Option<Stop> + Send + Sync>,
    /// Whether the index may leave out granules. Answers are the same without.
    pub use_index: bool,
    /// Whether counts may come from summaries. Answers are the same without.
    pub use_summaries: bool,
}

impl Budget {
    /// A budget of this memory. `stop` is asked before each granule whether to go on.
    pub fn new(memory: Memory, stop: impl Fn() -> Option<Stop> + Send + Sync + 'static) -> Self {
        Self {
            memory,
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
        self.memory.lease(bytes)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// Memory of a question that is in use, given back on drop.
#[derive(Debug)]
pub struct Lease {
    memory: Memory,
    bytes: usize,
}

impl Lease {
    /// Bytes that it is of.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    /// As [`Memory::lease`]; the lease is then what it was.
    pub fn extend(&mut self, bytes: usize) -> Result<(), Error> {
        self.memory.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes over another lease of the same memory.
    pub fn join(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.memory.own, &other.memory.own));
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is beyond so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.memory.give_back(surplus);
        self.bytes -= surplus;
    }

    /// Makes it so many bytes in all.
    ///
    /// # Errors
    /// As [`Memory::lease`]; the lease is then what it was.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.bytes {
            return self.extend(bytes - self.bytes);
        }
        self.shrink(bytes);
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(memory: &Memory) -> Budget {
        Budget::new(memory.clone(), || None)
    }

    #[test]
    fn memory_is_bounded_over_all_leases_and_comes_back() {
        let budget = budget(&Memory::alone(100));
        let mut first = budget.lease(60).unwrap();
        assert!(matches!(budget.lease(60), Err(Error::Memory(100))));
        first.resize(30).unwrap();
        let second = budget.lease(60).unwrap();
        assert!(matches!(first.resize(41), Err(Error::Memory(100))));
        drop((first, second));
        let mut first = budget.lease(50).unwrap();
        first.join(budget.lease(30).unwrap());
        assert_eq!(first.bytes(), 80);
        assert!(budget.lease(21).is_err());
        first.shrink(90);
        first.shrink(10);
        assert!(budget.lease(90).is_ok());
        drop(first);
        assert!(budget.lease(100).is_ok());
    }

    #[test]
    fn all_shards_of_a_question_share_its_memory_and_all_questions_the_pool() {
        let pool = Pool::new(150);
        let (one, other) = (pool.question(100), pool.question(100));
        let first = budget(&one).lease(70).unwrap();
        assert!(matches!(budget(&one).lease(31), Err(Error::Memory(100))));
        assert!(matches!(budget(&other).lease(90), Err(Error::Busy)));
        // What was refused is not held, by the question or the pool.
        let second = budget(&other).lease(80).unwrap();
        assert_eq!(pool.bytes(), 150);
        drop((first, second));
        assert_eq!(pool.bytes(), 0);
        assert!(budget(&other).lease(100).is_ok());
    }

    #[test]
    fn a_query_that_must_stop_says_why() {
        let check = |stop| Budget::new(Memory::alone(1), move || stop).check();
        assert!(check(None).is_ok());
        assert!(matches!(check(Some(Stop::Timeout)), Err(Error::Timeout)));
        assert!(matches!(
            check(Some(Stop::Cancelled)),
            Err(Error::Cancelled)
        ));
    }
}
