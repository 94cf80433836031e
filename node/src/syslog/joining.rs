//! The lines of stack traces that come as messages of their own, joined before they are handed in.
//!
//! A message is held until the next one of its program shows that it is complete, or until none has come for a
//! moment (`listen.syslog_join`). Time is that of the node's clock at the start and of a timer from then on, so
//! that a clock which jumps neither cuts a trace nor holds one.

use std::time::Duration;

use hushlog_ingest::multiline::Streams;
use hushlog_record::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::limits::{SYSLOG_JOIN_BYTES_MAX, SYSLOG_STREAM_MEMORY_BYTES};

/// Longest time between two looks: an event may only become so old.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Joins the messages of one connection, or of one socket.
pub(super) struct Joining {
    streams: Streams,
    /// How long a further line is waited for; zero: nothing is joined.
    wait: Duration,
    began: (Timestamp, Instant),
    /// When streams are next looked at that may have waited long enough.
    due: Option<Instant>,
}

impl Joining {
    pub(super) fn new(wait: Duration, clock: &dyn Clock) -> Self {
        Self {
            streams: Streams::holding_at_most(SYSLOG_JOIN_BYTES_MAX),
            wait,
            began: (clock.now(), Instant::now()),
            due: None,
        }
    }

    /// Takes a message; hands over those that are complete by it.
    pub(super) fn push(&mut self, message: &[u8], out: &mut dyn FnMut(&[u8])) {
        if self.wait.is_zero() {
            return out(message);
        }
        let now = self.now();
        self.streams
            .push(message.to_vec(), now, &mut |event| out(&event));
        self.look_later();
    }

    /// When [`expire`](Self::expire) is to be called; `None` where nothing is held.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what has waited long enough.
    pub(super) fn expire(&mut self, out: &mut dyn FnMut(&[u8])) {
        let wait = i64::try_from(self.wait.as_nanos()).unwrap_or(i64::MAX);
        let now = self.now();
        self.streams.expire(now, wait, &mut |event| out(&event));
        self.due = None;
        self.look_later();
    }

    /// Hands over everything.
    pub(super) fn finish(&mut self, out: &mut dyn FnMut(&[u8])) {
        let now = self.now();
        self.streams.finish(now, &mut |event| out(&event));
        self.due = None;
    }

    /// Nothing was read for so long: no line could have come.
    pub(super) fn pause(&mut self, pause: Duration) {
        self.began.1 += pause;
        self.due = self.due.map(|due| due + pause);
    }

    /// Memory that is held beside the messages themselves, and their text.
    pub(super) fn held_bytes(&self) -> usize {
        self.streams.held_bytes() + self.streams.count() * SYSLOG_STREAM_MEMORY_BYTES
    }

    /// A stream waits for this long at least, and for half as long again at most.
    fn look_later(&mut self) {
        if self.streams.is_empty() {
            self.due = None;
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + (self.wait / 2).min(LOOK_MAX));
        }
    }

    fn now(&self) -> Timestamp {
        let (wall, began) = self.began;
        let since = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        wall.saturating_add(since)
    }
}
