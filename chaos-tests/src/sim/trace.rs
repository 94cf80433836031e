//! What a run did, line by line, in simulated time.

use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

/// A trace that many write to; a cheap clone.
#[derive(Clone, Default)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    millis: u64,
    text: String,
    lines: u64,
}

impl Trace {
    /// Says what time it is from now on.
    pub fn set_time(&self, millis: u64) {
        self.inner.lock().millis = millis;
    }

    /// Simulated milliseconds since the start.
    pub fn millis(&self) -> u64 {
        self.inner.lock().millis
    }

    /// Adds a line.
    pub fn line(&self, what: impl std::fmt::Display) {
        let mut inner = self.inner.lock();
        let millis = inner.millis;
        inner.lines += 1;
        // Writing to a string never fails.
        let _ = writeln!(inner.text, "{millis:>6} {what}");
    }

    /// Number of lines so far.
    pub fn lines(&self) -> u64 {
        self.inner.lock().lines
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.inner.lock().text.clone()
    }

    /// The last lines, for a report.
    pub fn tail(&self, lines: usize) -> String {
        let inner = self.inner.lock();
        let all: Vec<&str> = inner.text.lines().collect();
        let from = all.len().saturating_sub(lines);
        all.get(from..).unwrap_or_default().join("\n")
    }

    /// BLAKE3 of the text.
    pub fn digest(&self) -> String {
        blake3::hash(self.inner.lock().text.as_bytes())
            .to_hex()
            .to_string()
    }
}
