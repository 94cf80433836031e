//! Input to events: a line of NDJSON each, or lines of text with their stack traces joined, by the same machine
//! that joins what comes by syslog: one for each stream in the input, such as standard output and error of a
//! container.
//!
//! A line that no server takes is counted and passed over, never cut: two halves would be two records
//! that nobody wrote.

use std::collections::VecDeque;
use std::io::BufRead;

use anyhow::Result;
use hushlog_node::Timestamp;
use hushlog_node::multiline::Streams;

use crate::args::Format;

/// Largest text of a record, for every server.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// JSON may spell each byte of it in six; whether the record is too large the server finds out.
const NDJSON_BYTES_MAX: usize = 6 * TEXT_BYTES_MAX;

/// What an input is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Ndjson,
}

impl Kind {
    fn line_bytes_max(self) -> usize {
        match self {
            Self::Text => TEXT_BYTES_MAX,
            Self::Ndjson => NDJSON_BYTES_MAX,
        }
    }
}

/// Lines that were passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) lines: u64,
    /// Which one was the first, and what was wrong with it.
    pub(super) first: Option<String>,
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
    streams: Streams,
    ready: VecDeque<Vec<u8>>,
    ended: bool,
    bytes: u64,
    lines: u64,
    refused: Refused,
}

impl<R: BufRead> Events<R> {
    pub(super) fn new(input: R, kind: Kind) -> Self {
        Self {
            input,
            kind,
            streams: Streams::default(),
            ready: VecDeque::new(),
            ended: false,
            bytes: 0,
            lines: 0,
            refused: Refused::default(),
        }
    }

    /// Bytes of input read since the last call.
    pub(super) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }

    /// What was passed over until now.
    pub(super) fn refused(self) -> Refused {
        self.refused
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
                Some(line) => {
                    let now = self.now();
                    let ready = &mut self.ready;
                    self.streams
                        .push(line, now, &mut |event| ready.push_back(event));
                }
                None => {
                    self.ended = true;
                    self.end_events();
                }
            }
        }
    }

    /// Lines that have been read stand for the time: in a file nothing else passes, and what has to give way is
    /// the stream whose last line is farthest back.
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(i64::try_from(self.lines).unwrap_or(i64::MAX))
    }

    fn end_events(&mut self) {
        let now = self.now();
        let ready = &mut self.ready;
        self.streams
            .finish(now, &mut |event| ready.push_back(event));
    }

    /// The next line that is not too long, without its end.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let max = self.kind.line_bytes_max();
        loop {
            let mut line = Vec::new();
            let mut limited = std::io::Read::take(&mut self.input, max as u64 + 2);
            let read = limited.read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            self.bytes += read as u64;
            self.lines += 1;
            let ended = line.last() == Some(&b'\n');
            while matches!(line.last(), Some(b'\n' | b'\r')) {
                line.pop();
            }
            if line.len() <= max {
                return Ok(Some(line));
            }
            if !ended {
                self.bytes += self.input.skip_until(b'\n')? as u64;
            }
            self.refuse(max);
        }
    }

    fn refuse(&mut self, max: usize) {
        self.refused.lines += 1;
        let (line, limit) = (self.lines, max >> 20);
        self.refused
            .first
            .get_or_insert_with(|| format!("line {line} is longer than {limit} MiB"));
        self.end_events();
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

    #[test]
    fn traces_of_other_languages_and_of_containers_are_joined() {
        let go = "panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/a/main.go:5 +0x1d\nexit status 2";
        let ruby = "app.rb:3:in `f': no (RuntimeError)\n\tfrom app.rb:7:in `<main>'";
        for trace in [go, ruby] {
            let found = events(&format!("INFO one\n{trace}\nINFO two\n"), Format::Text);
            let whole = trace.trim_end_matches("\nexit status 2");
            assert!(found.iter().any(|event| event.contains(whole)), "{found:?}");
        }
        let line = |stream: &str, content: &str| {
            format!("2026-01-02T03:04:05.000000001Z {stream} F {content}\n")
        };
        let input = [
            line("stderr", "java.lang.IllegalStateException: no"),
            line("stdout", "INFO beside"),
            line("stderr", "\tat a.B.c(B.java:1)"),
        ];
        let found = events(&input.concat(), Format::Text);
        assert_eq!(found.len(), 2, "{found:?}");
        let trace = found.iter().find(|event| event.contains("stderr"));
        assert!(
            trace.is_some_and(|event| event.ends_with("no\n\tat a.B.c(B.java:1)")),
            "{found:?}"
        );
    }

    #[test]
    fn an_endless_trace_is_cut_and_not_lost() {
        let lines = 10_000;
        let input = format!("ERROR x\n{}", " at a\n".repeat(lines));
        let found = events(&input, Format::Text);
        let count: usize = found.iter().map(|event| event.lines().count()).sum();
        assert!(found.len() > 1);
        assert_eq!(count, lines + 1);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_not_cut() {
        let fits = "x".repeat(TEXT_BYTES_MAX);
        let input = format!("{fits}\r\n one\n{fits}yy\r\n{fits}{fits}\n two\n{fits}y");
        let mut events = Events::new(input.as_bytes(), Kind::Text);
        let mut lengths = Vec::new();
        while let Some(event) = events.next().expect("memory") {
            lengths.push(event.len());
        }
        assert_eq!(lengths, [TEXT_BYTES_MAX, 4, 4]);
        assert_eq!(events.take_bytes(), input.len() as u64);
        let refused = events.refused();
        assert_eq!(
            (refused.lines, refused.first.as_deref()),
            (3, Some("line 3 is longer than 1 MiB"))
        );
    }

    #[test]
    fn an_object_may_be_longer_than_its_texts() {
        let object = format!("{{\"a\":\"{}\"}}", "\\u0061".repeat(TEXT_BYTES_MAX / 2));
        assert_eq!(events(&object, Format::Auto), [object]);
    }
}
