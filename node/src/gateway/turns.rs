//! Turns at the processor: few more requests are handed to the threads that decode, parse and mask than
//! there are of them, and who comes next is fair between senders.
//!
//! Before a request is read its services are not known. It goes by the service that its sender named for
//! the whole request, else by protocol and size: so a few records do not wait behind somebody's batches.

use std::sync::Arc;

use hushlog_record::id::stable_hash;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Way;
use super::fair::Fair;

/// All turns of a node.
#[derive(Clone)]
pub(super) struct Turns {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    free: usize,
    waiting: Fair<oneshot::Sender<Turn>>,
}

/// A turn, passed on when dropped.
pub(super) struct Turn {
    of: Option<Turns>,
}

/// By what the turn of a request of so many bytes comes.
pub(super) fn class(service: &str, way: Way, bytes: u64) -> u64 {
    if service.is_empty() {
        let size = bytes.max(1).ilog2().to_be_bytes();
        stable_hash(&[b"way", way.name().as_bytes(), &size])
    } else {
        stable_hash(&[b"service", service.as_bytes()])
    }
}

impl Turns {
    /// So many at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                free: at_once.max(1),
                waiting: Fair::default(),
            })),
        }
    }

    /// Waits for a turn. Whoever waits holds the room of its request, which bounds how many do.
    pub(super) async fn take(&self, class: u64, cost: u64) -> Turn {
        let next = {
            let mut inner = self.inner.lock();
            if inner.free > 0 {
                inner.free -= 1;
                return self.turn();
            }
            let (sender, next) = oneshot::channel();
            inner.waiting.push(class, cost, sender);
            next
        };
        // Turns are passed on, never lost; without one there is nobody to wait for.
        next.await.unwrap_or(Turn { of: None })
    }

    fn turn(&self) -> Turn {
        Turn {
            of: Some(self.clone()),
        }
    }

    fn pass_on(&self) {
        let mut inner = self.inner.lock();
        while let Some(next) = inner.waiting.pop() {
            match next.send(self.turn()) {
                Ok(()) => return,
                // It went away: the turn is still here, and must not be passed on under the lock.
                Err(mut turn) => turn.of = None,
            }
        }
        inner.free += 1;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.of.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn senders_are_told_apart_by_service_else_by_protocol_and_size() {
        let named = |service, bytes| class(service, Way::Http, bytes);
        assert_eq!(named("a", 1), named("a", 1 << 20));
        assert_ne!(named("a", 1), named("b", 1));
        assert_ne!(named("", 1_000), named("", 100_000));
        assert_eq!(named("", 0), named("", 1));
        assert_ne!(class("", Way::Http, 1), class("", Way::Loki, 1));
    }

    #[tokio::test]
    async fn turns_are_fair_and_none_is_lost_with_who_goes_away() {
        let turns = Turns::new(1);
        let first = turns.take(1, 10).await;
        let mut flood: Vec<_> = (0..3).map(|_| Box::pin(turns.take(1, 10))).collect();
        for waiting in &mut flood {
            assert!(waiting.now_or_never().is_none());
        }
        let mut other = Box::pin(turns.take(2, 10));
        assert!((&mut other).now_or_never().is_none());
        drop(first);
        // The one in front of the flood comes first, then the other, then the rest.
        let second = (&mut flood[0]).now_or_never().expect("its turn");
        assert!((&mut other).now_or_never().is_none());
        drop(second);
        let third = (&mut other).now_or_never().expect("its turn");
        // Who is next goes away: before it is told, and after.
        drop(flood.remove(1));
        drop(third);
        drop(flood.remove(1));
        drop(flood);
        turns.take(3, 1).now_or_never().expect("it is free again");
    }
}
