//! Messages of one connection that wait aside, since their service is over its rate limit: those that come
//! behind them need not wait with them.
//!
//! Few have room. When there is no more, the connection is not read until some have been stored, so that its
//! sender waits: nothing is dropped.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::messages::Messages;
use crate::gateway::Key;
use crate::limits::SYSLOG_ASIDE_BYTES_MAX;

/// Messages that are to be handed in again.
pub(super) struct Waiting {
    pub(super) messages: Messages,
    /// Under which they were refused: it names them until they are stored.
    pub(super) key: Key,
    /// Not before then.
    pub(super) until: Instant,
}

/// All that wait.
#[derive(Default)]
pub(super) struct Aside {
    waiting: VecDeque<Waiting>,
    memory: usize,
}

impl Aside {
    /// Memory that they take.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Whether no more messages have room.
    pub(super) const fn is_full(&self) -> bool {
        self.memory >= SYSLOG_ASIDE_BYTES_MAX
    }

    pub(super) fn add(&mut self, waiting: Waiting) {
        self.memory += waiting.messages.memory();
        self.waiting.push_back(waiting);
    }

    /// When the first of them is to be handed in again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    /// One that is due at this time, the one first that came first.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Waiting> {
        let mut all = self.waiting.iter();
        let place = all.position(|waiting| waiting.until <= now)?;
        self.take(place)
    }

    /// The one that came first, whether it is due or not.
    pub(super) fn take_first(&mut self) -> Option<Waiting> {
        self.take(0)
    }

    fn take(&mut self, place: usize) -> Option<Waiting> {
        let taken = self.waiting.remove(place)?;
        self.memory -= taken.messages.memory();
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_that_are_due_come_back_in_their_order_and_room_with_them() {
        let now = Instant::now();
        let mut aside = Aside::default();
        for (seconds, text) in [(9, "late"), (2, "first"), (1, "second")] {
            let mut messages = Messages::default();
            messages.add(text.as_bytes());
            aside.add(Waiting {
                messages,
                key: Key {
                    producer: 1,
                    sequence: seconds,
                },
                until: now + Duration::from_secs(seconds),
            });
        }
        assert_eq!(aside.due(), Some(now + Duration::from_secs(1)));
        assert!(aside.take_due(now).is_none());
        for text in ["first", "second"] {
            let due = aside.take_due(now + Duration::from_secs(3)).expect("due");
            assert!(due.messages.iter().eq([text.as_bytes()]));
        }
        assert!(aside.memory() > 0);
        assert!(aside.take_first().is_some() && aside.due().is_none());
        assert_eq!(aside.memory(), 0);
    }
}
