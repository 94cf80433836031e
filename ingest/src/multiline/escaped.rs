//! Traces as rsyslog passes them on: a control character has become `#` and its number in octal, `#012` for a newline
//! and `#011` for a tab, unless its `parser.escapeControlCharactersOnReceive` is off.
//!
//! Only what is of a trace once its lines are apart is changed: `#012` may be anything else.

use memchr::memmem;

use super::shape::is_of_trace;

const NEWLINE: &[u8] = b"#012";
const TAB: &[u8] = b"#011";

/// The text as it was written; `None` where it is of no trace.
pub(super) fn restored(text: &[u8]) -> Option<Vec<u8>> {
    frame(text).or_else(|| lines(text))
}

/// A frame that came by itself.
fn frame(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    let mut line = Vec::new();
    while let Some(behind) = rest.strip_prefix(TAB) {
        line.push(b'\t');
        rest = behind;
    }
    if line.is_empty() || memmem::find(rest, NEWLINE).is_some() {
        return None;
    }
    line.extend_from_slice(rest);
    is_of_trace(&line).then_some(line)
}

/// The lines of a trace that came in one.
fn lines(text: &[u8]) -> Option<Vec<u8>> {
    memmem::find(text, NEWLINE)?;
    let mut lines = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in memmem::find_iter(text, b"#01") {
        let byte = match text.get(at + 3) {
            Some(b'1') => b'\t',
            Some(b'2') => b'\n',
            Some(b'5') => b'\r',
            _ => continue,
        };
        lines.extend_from_slice(&text[from..at]);
        lines.push(byte);
        from = at + NEWLINE.len();
    }
    lines.extend_from_slice(&text[from..]);
    let mut others = lines.split(|byte| *byte == b'\n').skip(1);
    others.any(belongs).then_some(lines)
}

/// Whether a line behind the first one is of a trace. One space is no indentation: in a sentence it stands behind every
/// word.
fn belongs(line: &[u8]) -> bool {
    match line {
        [b'\t', ..] | [b' ', b' ', ..] => is_of_trace(line),
        _ => [&b"Caused by: "[..], b"goroutine ", b"stack backtrace:"]
            .iter()
            .any(|start| line.starts_with(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_traces_come_apart() {
        let trace =
            b"java.lang.IllegalStateException: no#012#011at a.B.c(B.java:1)#012Caused by: x#012";
        assert_eq!(
            restored(trace).as_deref(),
            Some(&b"java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\nCaused by: x\n"[..])
        );
        let python =
            b"Traceback (most recent call last):#012  File \"a.py\", line 1, in f#012E: #01";
        assert!(restored(python).is_some_and(|lines| lines.ends_with(b"in f\nE: #01")));
        let frame = restored(b"#011at a.B.c(B.java:1)");
        assert_eq!(frame.as_deref(), Some(&b"\tat a.B.c(B.java:1)"[..]));
        for text in [
            "ticket #012 is closed",
            "ticket #012  closed, color #011e2f",
            "ticket #012 at noon, #012at night",
            "#011e2f is a color",
            "#012",
            "a#012b",
            "#011",
            "",
        ] {
            assert_eq!(restored(text.as_bytes()), None, "{text}");
        }
    }
}
