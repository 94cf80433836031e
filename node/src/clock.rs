//! The wall clock, and its scripted twin.
//!
//! The only place of the project that reads the system's time. Pure crates get `now` as an argument;
//! timers and deadlines are tokio's, which a simulation drives itself.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hushlog_record::Timestamp;

/// Tells the time of day.
///
/// May jump in either direction; nothing that must be ordered may depend on it.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others ask"
    )]
    fn now(&self) -> Timestamp {
        let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        };
        Timestamp::from_nanos(nanos)
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct Scripted(AtomicI64);

impl Scripted {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.nanos()))
    }

    /// Shows this time from now on.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.nanos(), Ordering::SeqCst);
    }

    /// Moves on by a signed number of nanoseconds.
    pub fn advance(&self, nanos: i64) {
        self.0.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for Scripted {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripted_time_moves_only_when_told() {
        let clock = Scripted::new(Timestamp::from_millis(5));
        assert_eq!(clock.now().millis(), 5);
        clock.advance(-2_000_000);
        assert_eq!(clock.now().millis(), 3);
        clock.set(Timestamp::from_millis(9));
        assert_eq!(clock.now().millis(), 9);
    }

    #[test]
    fn the_system_clock_is_after_this_line_was_written() {
        assert!(System.now() > "2026-01-01T00:00:00Z".parse().expect("a valid time"));
    }
}
