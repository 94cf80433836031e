//! The lines of one stream, gathered into events.
//!
//! It knows a line's place by its shape and by what came before it, and holds at most one event and,
//! where a message may go on below its report, a few lines of which the next ones tell whether they
//! belong to it.

use hushlog_record::Timestamp;

use super::envelope::Envelope;
use super::shape::{self, State, begins};
use crate::limits::{JOIN_AGE_NANOS_MAX, JOIN_AHEAD_LINES_MAX, JOIN_BYTES_MAX, JOIN_LINES_MAX};

/// Gathers the lines of one event.
#[derive(Default)]
pub struct Joiner {
    /// The envelope of the first line, and the contents of all.
    envelope: Envelope,
    event: Vec<u8>,
    lines: usize,
    first: Timestamp,
    last: Timestamp,
    state: State,
    /// Lines after a report, of which a frame will tell that they are its message.
    ahead: Vec<(Envelope, Vec<u8>)>,
    ahead_bytes: usize,
}

impl Joiner {
    /// Takes a line without its end, at the time given; gives the events that it ended, in order.
    pub fn push(&mut self, line: Vec<u8>, now: Timestamp) -> Vec<Vec<u8>> {
        let mut ended = Vec::new();
        self.take(Envelope::default(), line, now, &mut |event| {
            ended.push(event)
        });
        ended
    }

    /// The held events, if no line has come for `wait` nanoseconds, or the event is as old as one may
    /// become ([`JOIN_AGE_NANOS_MAX`]).
    pub fn expire(&mut self, now: Timestamp, wait: i64) -> Vec<Vec<u8>> {
        let mut ended = Vec::new();
        self.end_if_expired(now, wait, &mut |event| ended.push(event));
        ended
    }

    /// The events that are still held.
    pub fn finish(&mut self) -> Vec<Vec<u8>> {
        let mut ended = Vec::new();
        self.end(&mut |event| ended.push(event));
        ended
    }

    /// Bytes of text that it holds, envelopes included.
    pub fn held_bytes(&self) -> usize {
        self.envelope.len() + self.event.len() + self.ahead_bytes
    }

    /// When the last line, or a part of one, came.
    pub(super) const fn last(&self) -> Timestamp {
        self.last
    }

    /// Notes that a part of a line has come, which is held elsewhere until its end comes.
    pub(super) const fn wait_on(&mut self, now: Timestamp) {
        self.last = now;
    }

    /// Whether nothing has begun that is known by more than its indentation.
    pub(super) fn is_plain(&self) -> bool {
        self.state == State::Plain
    }

    pub(super) fn end_if_expired(
        &mut self,
        now: Timestamp,
        wait: i64,
        out: &mut dyn FnMut(Vec<u8>),
    ) -> bool {
        let waited = self.last.saturating_add(wait) <= now;
        if waited || self.is_old(now) {
            self.end(out);
        }
        waited
    }

    /// Takes the content of a line, and the envelope that the event gets should the line begin one.
    pub(super) fn take(
        &mut self,
        envelope: Envelope,
        line: Vec<u8>,
        now: Timestamp,
        out: &mut dyn FnMut(Vec<u8>),
    ) {
        self.last = now;
        let begun = begins(&line);
        if self.lines == 0 {
            return self.start(envelope, line, (begun, now), out);
        }
        if let Some(state) = self.continued(&line, begun) {
            self.adopt();
            if self.has_room(&line, now) {
                self.append(&line);
                self.state = state;
                return;
            }
            // Cut by a limit: the rest of the trace goes on as an event of its own.
            self.end(out);
            self.start(envelope, line, (begun, now), out);
            self.state = state;
            return;
        }
        if self.may_belong(&line, begun) {
            self.ahead_bytes += envelope.len() + line.len() + 1;
            self.ahead.push((envelope, line));
            return;
        }
        self.end(out);
        self.start(envelope, line, (begun, now), out);
    }

    /// Ends the held event, and the lines ahead as events of their own.
    pub(super) fn end(&mut self, out: &mut dyn FnMut(Vec<u8>)) {
        self.state = State::Plain;
        let ahead = std::mem::take(&mut self.ahead);
        self.ahead_bytes = 0;
        if std::mem::take(&mut self.lines) > 0 {
            let mut event = std::mem::take(&mut self.event);
            // Blank lines inside of a trace are kept, those after it are nothing.
            event.truncate(event.trim_ascii_end().len());
            out(std::mem::take(&mut self.envelope).around(event));
        }
        for (envelope, line) in ahead {
            if envelope.is_event() || !line.trim_ascii().is_empty() {
                out(envelope.around(line));
            }
        }
    }

    /// A blank line starts nothing; with an envelope that says something it is an event by itself.
    fn start(
        &mut self,
        envelope: Envelope,
        line: Vec<u8>,
        (begun, now): (State, Timestamp),
        out: &mut dyn FnMut(Vec<u8>),
    ) {
        if line.trim_ascii().is_empty() {
            if envelope.is_event() {
                out(envelope.around(line));
            }
            return;
        }
        self.state = begun;
        self.envelope = envelope;
        self.event = line;
        self.lines = 1;
        self.first = now;
    }

    fn append(&mut self, line: &[u8]) {
        self.event.push(b'\n');
        self.event.extend_from_slice(line);
        self.lines += 1;
    }

    /// The lines ahead turned out to belong to the event.
    fn adopt(&mut self) {
        for (_, line) in std::mem::take(&mut self.ahead) {
            self.append(&line);
        }
        self.ahead_bytes = 0;
    }

    fn has_room(&self, line: &[u8], now: Timestamp) -> bool {
        self.lines < JOIN_LINES_MAX
            && self.envelope.len() + self.event.len() + line.len() < JOIN_BYTES_MAX
            && !self.is_old(now)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        self.lines > 0 && self.first.saturating_add(JOIN_AGE_NANOS_MAX) <= now
    }

    /// Whether the line may be a part of the message of the report above it, or the blank line before
    /// a report.
    fn may_belong(&self, line: &[u8], begun: State) -> bool {
        let blank = self.ahead.is_empty() && line.trim_ascii().is_empty();
        (self.state == State::Report || blank)
            && self.ahead.len() < JOIN_AHEAD_LINES_MAX
            && self.lines + self.ahead.len() < JOIN_LINES_MAX
            && self.held_bytes() + line.len() < JOIN_BYTES_MAX
            && !shape::starts_record(line)
            && begun == State::Plain
    }

    /// The state after the line, if it shows that the lines ahead and itself belong to the event.
    fn continued_after_ahead(&self, line: &[u8], begun: State) -> Option<State> {
        if self.state == State::Report && shape::proves(line) {
            return Some(State::Plain);
        }
        let blank = self
            .ahead
            .iter()
            .all(|(_, line)| line.trim_ascii().is_empty());
        (blank && shape::continues_after_blank(line)).then_some(begun)
    }

    /// The state after the line, if it belongs to the held event.
    fn continued(&self, line: &[u8], begun: State) -> Option<State> {
        if line.trim_ascii().is_empty() {
            let open = matches!(
                self.state,
                State::Go | State::Chain | State::Panic | State::Source
            );
            return open.then_some(self.state);
        }
        if !self.ahead.is_empty() {
            return self.continued_after_ahead(line, begun);
        }
        if self.state == State::Panic {
            return (!shape::is_record(line)).then_some(State::Report);
        }
        if self.state == State::Go && shape::is_go(line) {
            return Some(State::Go);
        }
        if self.state == State::Jul && shape::is_jul_message(line) {
            return Some(begun);
        }
        if self.state == State::Source && !shape::is_record(line) {
            // The line of the source, whatever it is; the marks below it; after a blank line the report.
            if self.event.ends_with(b"\n") {
                return Some(State::Report);
            }
            let belongs = self.lines == 1 || shape::is_indented(line) || shape::is_mark(line);
            return belongs.then_some(State::Source);
        }
        let ordinary = matches!(begun, State::Plain | State::Report);
        if self.state == State::Frames && ordinary && !shape::is_record(line) {
            return Some(if shape::is_indented(line) {
                State::Frames
            } else {
                State::Chain
            });
        }
        if !shape::continues(line, self.state) {
            return None;
        }
        Some(match begun {
            State::Plain if shape::is_frame(line) && self.state == State::Report => State::Plain,
            State::Plain => self.state,
            begun => begun,
        })
    }
}

/// Prints no text: it is not masked.
impl std::fmt::Debug for Joiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joiner")
            .field("lines", &self.lines)
            .field("ahead", &self.ahead.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
