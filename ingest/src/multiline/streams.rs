//! The streams of one source, each with a joiner of its own.

use std::collections::BTreeMap;

use hushlog_record::Timestamp;

use super::envelope::{Envelope, split};
use super::escaped;
use super::joiner::Joiner;
use super::shape;
use crate::limits::{JOIN_BYTES_MAX, JOIN_HELD_BYTES_MAX, JOIN_STREAMS_MAX};

/// Joins the lines of one source: a file, a connection, a container's log.
pub struct Streams {
    streams: BTreeMap<Vec<u8>, Stream>,
    held_bytes: usize,
    held_bytes_max: usize,
}

/// Holds [`JOIN_HELD_BYTES_MAX`] at most.
impl Default for Streams {
    fn default() -> Self {
        Self::holding_at_most(JOIN_HELD_BYTES_MAX)
    }
}

#[derive(Default)]
struct Stream {
    joiner: Joiner,
    /// The parts of a line that is not complete, as container runtimes split long ones.
    partial: Option<(Envelope, Vec<u8>)>,
}

impl Stream {
    fn held_bytes(&self) -> usize {
        let partial = self.partial.as_ref();
        let partial = partial.map_or(0, |(envelope, part)| envelope.len() + part.len());
        self.joiner.held_bytes() + partial
    }

    fn end(&mut self, now: Timestamp, out: &mut dyn FnMut(Vec<u8>)) {
        if let Some((envelope, line)) = self.partial.take() {
            self.joiner.take(envelope, line, now, out);
        }
        self.joiner.end(out);
    }
}

impl Streams {
    /// Streams that hold so many bytes of text at most; beyond, those that were silent longest are ended.
    pub const fn holding_at_most(held_bytes_max: usize) -> Self {
        Self {
            streams: BTreeMap::new(),
            held_bytes: 0,
            held_bytes_max,
        }
    }

    /// Takes a line without its end, at the time given; hands over the events that it ended.
    pub fn push(&mut self, line: Vec<u8>, now: Timestamp, out: &mut dyn FnMut(Vec<u8>)) {
        let mut parts = split(line, now);
        if parts.envelope.is_event()
            && let Some(content) = escaped::restored(&parts.content)
        {
            parts.content = content;
        }
        if self.streams.len() >= JOIN_STREAMS_MAX && !self.streams.contains_key(&parts.stream) {
            self.end_oldest(now, out);
        }
        let stream = self.streams.entry(parts.stream).or_default();
        let before = stream.held_bytes();
        let (envelope, content) = match stream.partial.take() {
            Some((envelope, mut line)) => {
                line.extend_from_slice(&parts.content);
                (envelope, line)
            }
            None => (parts.envelope, parts.content),
        };
        if parts.partial && content.len() < JOIN_BYTES_MAX {
            stream.partial = Some((envelope, content));
            stream.joiner.wait_on(now);
        } else if parts.alone || content.contains(&b'\n') {
            // Its sender has joined it, or it has no text: nothing belongs to it that comes by itself.
            stream.joiner.end(out);
            out(envelope.around(content));
        } else {
            // A message of syslog may begin with spaces, for whatever reason.
            let is_indented = envelope.is_event() && shape::is_indented(&content);
            if is_indented && stream.joiner.is_plain() && !shape::is_of_trace(&content) {
                stream.joiner.end(out);
            }
            stream.joiner.take(envelope, content, now, out);
        }
        self.held_bytes = self.held_bytes - before + stream.held_bytes();
        while self.held_bytes > self.held_bytes_max {
            self.end_oldest(now, out);
        }
    }

    /// Hands over the events of streams in which no line has come for `wait` nanoseconds, and those
    /// that are as old as an event may become.
    pub fn expire(&mut self, now: Timestamp, wait: i64, out: &mut dyn FnMut(Vec<u8>)) {
        self.streams.retain(|_, stream| {
            let expired = stream.joiner.end_if_expired(now, wait, out);
            if expired {
                stream.end(now, out);
            }
            !expired
        });
        self.held_bytes = self.streams.values().map(Stream::held_bytes).sum();
    }

    /// Hands over everything that is held.
    pub fn finish(&mut self, now: Timestamp, out: &mut dyn FnMut(Vec<u8>)) {
        for stream in self.streams.values_mut() {
            stream.end(now, out);
        }
        self.streams.clear();
        self.held_bytes = 0;
    }

    /// Whether no stream has lines that others may still follow.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Streams that have lines.
    pub fn count(&self) -> usize {
        self.streams.len()
    }

    /// Bytes of text that it holds.
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn end_oldest(&mut self, now: Timestamp, out: &mut dyn FnMut(Vec<u8>)) {
        let oldest = self
            .streams
            .iter()
            .min_by_key(|(_, stream)| stream.joiner.last())
            .map(|(name, _)| name.clone());
        let Some(mut stream) = oldest.and_then(|name| self.streams.remove(&name)) else {
            return;
        };
        self.held_bytes -= stream.held_bytes();
        stream.end(now, out);
    }
}

/// Prints no text: it is not masked.
impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams")
            .field("streams", &self.streams.len())
            .field("held_bytes", &self.held_bytes)
            .finish()
    }
}
