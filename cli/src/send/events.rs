//! Input to events: a line of NDJSON each, or lines of text with their stack traces joined.

use std::collections::VecDeque;
use std::io::BufRead;

use anyhow::Result;

use super::joiner::Joiner;
use crate::args::Format;

/// Longest line that is sent whole; the rest of a longer one is an event of its own.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What an input is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Ndjson,
}

/// What the input is, as told or by its first bytes.
pub(super) fn kind(format: Format, start: &[u8]) -> Kind {
    match format {
        Format::Text => Kind::Text,
        Format::Ndjson => Kind::Ndjson,
        Format::Auto if start.trim_ascii_start().starts_with(b"{") => Kind::Ndjson,
        Format::Auto => Kind::Text,
    }
}

/// The events of one input, in order.
pub(super) struct Events<R> {
    input: R,
    kind: Kind,
    joiner: Joiner,
    ready: VecDeque<Vec<u8>>,
    ended: bool,
    bytes: u64,
}

impl<R: BufRead> Events<R> {
    pub(super) fn new(input: R, kind: Kind) -> Self {
        Self {
            input,
            kind,
            joiner: Joiner::default(),
            ready: VecDeque::new(),
            ended: false,
            bytes: 0,
        }
    }

    /// Bytes of input read since the last call.
    pub(super) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }

    /// The next event; blank lines are none.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.line()? {
                Some(line) if self.kind == Kind::Ndjson => {
                    if !line.trim_ascii().is_empty() {
                        self.ready.push_back(line);
                    }
                }
                Some(line) => self.ready.extend(self.joiner.push(line)),
                None => {
                    self.ended = true;
                    self.ready.extend(self.joiner.finish());
                }
            }
        }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut self.input, LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut line)?;
        self.bytes += read as u64;
        if read == 0 {
            return Ok(None);
        }
        while line
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            line.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(input: &str, format: Format) -> Vec<String> {
        let mut events = Events::new(input.as_bytes(), kind(format, input.as_bytes()));
        let mut found = Vec::new();
        while let Some(event) = events.next().expect("memory") {
            found.push(String::from_utf8(event).expect("text"));
        }
        assert_eq!(events.take_bytes(), input.len() as u64);
        found
    }

    #[test]
    fn objects_are_lines_and_blank_lines_are_nothing() {
        assert_eq!(
            events("{\"a\":1}\r\n\n{\"b\":2}", Format::Auto),
            ["{\"a\":1}", "{\"b\":2}"]
        );
    }

    #[test]
    fn a_stack_trace_stays_with_its_line() {
        let input = "ERROR one\njava.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\
                     Caused by: java.io.IOException: x\n\t... 3 more\nINFO two\n";
        let found = events(input, Format::Auto);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("... 3 more"));
        assert_eq!(found[1], "INFO two");
    }

    #[test]
    fn a_python_traceback_stays_with_its_line() {
        let input = "ERROR one\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    \
                     f()\nValueError: no\nINFO two\n";
        let found = events(input, Format::Text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("ValueError: no"));
    }
}
