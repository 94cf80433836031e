//! Stack traces that arrive line by line, joined with the line that they belong to.
//!
//! One joiner serves one stream. It knows a line's place by its shape and by what came before it, and
//! holds at most one event, within limits: a longer trace is cut into events, never dropped. It reads
//! no clock; whoever feeds it says when a held event has waited long enough.

use hushlog_record::Timestamp;

use crate::exception::header_starts_line;
use crate::limits::{JOIN_BYTES_MAX, JOIN_LINES_MAX};

/// Gathers the lines of one event.
#[derive(Default)]
pub struct Joiner {
    event: Vec<u8>,
    lines: usize,
    last: Timestamp,
    state: State,
}

/// What the lines so far have begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// An ordinary line, or a trace of the Java and .NET kind: what belongs to it is indented or
    /// starts with a known word.
    #[default]
    Plain,
    /// Frames of a Python traceback: the first line that is not indented ends them.
    Frames,
    /// After a traceback's last line: another of its chain may follow, after a blank line.
    Chain,
    /// Stacks of Go, separated by blank lines; a function's name is not indented.
    Go,
    /// A Rust panic: the message stands on the next line.
    Panic,
}

/// Starts of lines that continue a trace without being indented.
const CONTINUING: [&str; 17] = [
    "Caused by:",
    "Suppressed:",
    "... ",
    "--- End of ",
    "Stack trace:",
    "stack backtrace:",
    "stack traceback:",
    "Traceback (most recent call last):",
    "During handling of the above exception",
    "The above exception was the direct cause",
    "<asynchronous suspension>",
    "note: ",
    "goroutine ",
    "created by ",
    "[signal ",
    "from /",
    "Next ",
];

impl Joiner {
    /// Takes a line without its end, at the time given; gives the event that it ended.
    pub fn push(&mut self, line: Vec<u8>, now: Timestamp) -> Option<Vec<u8>> {
        self.last = now;
        if self.lines == 0 {
            self.start(line);
            return None;
        }
        let next = self.continued(&line);
        if let Some(state) = next
            && self.has_room(&line)
        {
            self.event.push(b'\n');
            self.event.extend_from_slice(&line);
            self.lines += 1;
            self.state = state;
            return None;
        }
        let ended = self.finish();
        self.start(line);
        if let Some(state) = next {
            // Cut by a limit: the rest of the trace goes on as an event of its own.
            self.state = state;
        }
        ended
    }

    /// The held event, if no line has come for `wait` nanoseconds.
    pub fn expire(&mut self, now: Timestamp, wait: i64) -> Option<Vec<u8>> {
        if self.last.saturating_add(wait) > now {
            None
        } else {
            self.finish()
        }
    }

    /// The event that is still held.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        self.state = State::Plain;
        let held = std::mem::take(&mut self.lines) > 0;
        let mut event = std::mem::take(&mut self.event);
        // Blank lines inside of a trace are kept, those after it are nothing.
        event.truncate(event.trim_ascii_end().len());
        held.then_some(event)
    }

    /// A blank line starts nothing.
    fn start(&mut self, line: Vec<u8>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        self.state = begins(&line);
        self.event = line;
        self.lines = 1;
    }

    fn has_room(&self, line: &[u8]) -> bool {
        self.lines < JOIN_LINES_MAX && self.event.len() + line.len() < JOIN_BYTES_MAX
    }

    /// The state after the line, if it belongs to the held event.
    fn continued(&self, line: &[u8]) -> Option<State> {
        if line.trim_ascii().is_empty() {
            let open = matches!(self.state, State::Go | State::Chain | State::Panic);
            return open.then_some(self.state);
        }
        let begun = begins(line);
        if self.state == State::Panic {
            return Some(State::Plain);
        }
        if self.state == State::Go && is_go(line) {
            return Some(State::Go);
        }
        let indented = line.starts_with(b" ") || line.starts_with(b"\t");
        if self.state == State::Frames && begun == State::Plain {
            return Some(if indented {
                State::Frames
            } else {
                State::Chain
            });
        }
        let continues = indented
            || CONTINUING
                .iter()
                .any(|start| line.starts_with(start.as_bytes()))
            || is_php_frame(line)
            || is_header(line);
        continues.then_some(if begun == State::Plain {
            self.state
        } else {
            begun
        })
    }
}

/// What a line begins.
fn begins(line: &[u8]) -> State {
    let line = line.trim_ascii_start();
    let contains = |word: &str| memchr::memmem::find(line, word.as_bytes()).is_some();
    if line.starts_with(b"Traceback (most recent call last):") {
        State::Frames
    } else if line.starts_with(b"panic: ")
        || line.starts_with(b"fatal error: ")
        || line.starts_with(b"goroutine ")
        || contains("http: panic serving")
    {
        State::Go
    } else if contains("' panicked at ") || (contains("thread '") && contains(" panicked at ")) {
        State::Panic
    } else {
        State::Plain
    }
}

/// A line of a goroutine's stack that is not indented.
fn is_go(line: &[u8]) -> bool {
    line.starts_with(b"\t")
        || line.starts_with(b" ")
        || line.ends_with(b")")
        || [
            "goroutine ",
            "created by ",
            "[signal ",
            "exit status ",
            "runtime stack:",
        ]
        .iter()
        .any(|start| line.starts_with(start.as_bytes()))
}

/// `#0 /srv/app.php(5): f()`
fn is_php_frame(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"#") else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits) == Some(&b' ')
}

/// `java.lang.IllegalStateException: no` at the start of a line: what the line before it was about.
fn is_header(line: &[u8]) -> bool {
    let end = line
        .iter()
        .position(|byte| *byte == b':')
        .unwrap_or(line.len());
    line[..end].contains(&b'.')
        && std::str::from_utf8(&line[..line.len().min(end + 2)]).is_ok_and(header_starts_line)
}

/// Prints no text: it is not masked.
impl std::fmt::Debug for Joiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joiner")
            .field("lines", &self.lines)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
