//! Traces that rsyslog has put into one line: on its way a control character became `#` and its number in octal,
//! `#012` for a newline, unless its `parser.escapeControlCharactersOnReceive` is off.
//!
//! Only text that is a trace once its lines are apart is changed: `#012` may be anything else.

use memchr::memmem;

use super::shape::{State, continues};

/// How a newline is written.
const NEWLINE: &[u8] = b"#012";

/// The lines of a trace that came in one; `None` where the text is none.
pub(super) fn lines(text: &[u8]) -> Option<Vec<u8>> {
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

/// Whether the line belongs to a trace. One space is no indentation: in a sentence it stands behind every word.
fn belongs(line: &[u8]) -> bool {
    match line {
        [b' ', b' ', ..] => true,
        [b' ', ..] => false,
        _ => continues(line, State::Plain),
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
            lines(trace).as_deref(),
            Some(&b"java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\nCaused by: x\n"[..])
        );
        let python =
            b"Traceback (most recent call last):#012  File \"a.py\", line 1, in f#012E: #01";
        assert!(lines(python).is_some_and(|lines| lines.ends_with(b"in f\nE: #01")));
        for text in [
            "ticket #012 is closed",
            "#012",
            "a#012b",
            "#011at a.B.c(B.java:1)",
            "",
        ] {
            assert_eq!(lines(text.as_bytes()), None, "{text}");
        }
    }
}
