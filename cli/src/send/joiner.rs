//! Lines to events: a stack trace belongs to the line before it.
//!
//! Decides by the shape of single lines, Java's and Python's; what an exception is, the server finds
//! out. Holds at most one event, and no more of it than its limits.

/// Most lines of one event.
const LINES_MAX: usize = 1_024;
/// Most bytes of one event; a longer trace is cut into events, not dropped.
const BYTES_MAX: usize = 256 << 10;

/// Gathers the lines of one event.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    event: Vec<u8>,
    lines: usize,
    python: Python,
}

/// Where in a Python traceback the last line was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Python {
    #[default]
    Outside,
    Frames,
}

impl Joiner {
    /// Takes a line without its end; gives the event that it ended.
    pub(super) fn push(&mut self, line: Vec<u8>) -> Option<Vec<u8>> {
        let belongs = self.belongs(&line);
        self.python = self.python.after(&line);
        if self.lines > 0 && belongs && self.has_room(&line) {
            self.event.push(b'\n');
            self.event.extend_from_slice(&line);
            self.lines += 1;
            return None;
        }
        let ended = self.finish();
        if !line.trim_ascii().is_empty() {
            self.event = line;
            self.lines = 1;
        }
        ended
    }

    /// The event that is still held.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        let held = std::mem::take(&mut self.lines) > 0;
        let event = std::mem::take(&mut self.event);
        held.then_some(event)
    }

    fn has_room(&self, line: &[u8]) -> bool {
        self.lines < LINES_MAX && self.event.len() + line.len() < BYTES_MAX
    }

    fn belongs(&self, line: &[u8]) -> bool {
        if line.trim_ascii().is_empty() {
            return false;
        }
        line.starts_with(b" ")
            || line.starts_with(b"\t")
            || line.starts_with(b"Caused by: ")
            || line.starts_with(b"Traceback (most recent call last):")
            || is_chain(line)
            || self.python == Python::Frames
            || is_exception_head(line)
    }
}

impl Python {
    /// After the frames comes the line with the exception, which ends the traceback.
    fn after(self, line: &[u8]) -> Self {
        let indented = line.starts_with(b" ") || line.starts_with(b"\t");
        match self {
            Self::Outside if line.starts_with(b"Traceback (most recent call last):") => {
                Self::Frames
            }
            Self::Frames if indented => Self::Frames,
            _ => Self::Outside,
        }
    }
}

/// The sentences between the parts of a chained Python traceback.
fn is_chain(line: &[u8]) -> bool {
    line.starts_with(b"During handling of the above exception")
        || line.starts_with(b"The above exception was the direct cause")
}

/// `java.lang.IllegalStateException: no`: one dotted name that ends in a telling word.
fn is_exception_head(line: &[u8]) -> bool {
    let end = line
        .iter()
        .position(|byte| *byte == b':')
        .unwrap_or(line.len());
    let name = line.get(..end).unwrap_or_default();
    let named = name.contains(&b'.')
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._$".contains(byte));
    named
        && [b"Exception".as_slice(), b"Error", b"Throwable"]
            .iter()
            .any(|word| name.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(lines: &[&str]) -> Vec<String> {
        let mut joiner = Joiner::default();
        let mut events: Vec<_> = lines
            .iter()
            .filter_map(|line| joiner.push(line.as_bytes().to_vec()))
            .collect();
        events.extend(joiner.finish());
        events
            .into_iter()
            .map(|event| String::from_utf8(event).expect("text"))
            .collect()
    }

    #[test]
    fn ordinary_lines_are_events() {
        assert_eq!(
            joined(&["one", "", "two", "a.b: c"]),
            ["one", "two", "a.b: c"]
        );
    }

    #[test]
    fn a_chained_traceback_is_one_event() {
        let lines = [
            "ERROR x",
            "Traceback (most recent call last):",
            "  File \"a.py\", line 1, in f",
            "KeyError: 'a'",
            "During handling of the above exception, another exception occurred:",
            "Traceback (most recent call last):",
            "  File \"b.py\", line 2, in g",
            "ValueError: b",
            "INFO y",
        ];
        let events = joined(&lines);
        assert_eq!(events, [lines[..8].join("\n"), "INFO y".to_owned()]);
    }

    #[test]
    fn an_endless_trace_is_cut_and_not_lost() {
        let lines: Vec<&str> = std::iter::once("ERROR x")
            .chain([" at a"; 2 * LINES_MAX])
            .collect();
        let events = joined(&lines);
        let count: usize = events.iter().map(|event| event.lines().count()).sum();
        assert_eq!((events.len(), count), (3, 2 * LINES_MAX + 1));
    }
}
