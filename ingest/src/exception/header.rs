//! The line that reports an exception: `java.io.IOException: Connection reset`, perhaps after what a
//! logger puts before it.

use std::ops::Range;

/// Where type and message of a reported exception stand in the text.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) type_name: Range<usize>,
    pub(super) message: Range<usize>,
}

/// How much is asked of a name before it is taken for a type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The line right above the first frame: whatever stands before the name.
    AboveFrames,
    /// Stack frames follow: any name that ends in `Exception` or `Error`.
    Frames,
    /// A line by itself: a qualified name, or one of several words.
    Alone,
}

/// Finds the first exception that the line reports.
pub(super) fn find(text: &str, line: Range<usize>, trust: Trust) -> Option<Header> {
    let mut at = line.start;
    while at < line.end {
        let token = token(text, at, line.end);
        if token.is_empty() {
            at = next(text, at);
            continue;
        }
        at = token.end;
        let name = &text[token.clone()];
        if !has_suffix(name)
            || !(trust != Trust::Alone || is_telling(name))
            || !opens(&text[line.start..token.start], trust)
        {
            continue;
        }
        let Some(message) = message(text, token.end, line.end) else {
            continue;
        };
        let header = Header {
            type_name: token,
            message,
        };
        if is_bare(name)
            && let Some(inner) = inner(text, &header, trust)
        {
            return Some(inner);
        }
        return Some(header);
    }
    None
}

/// Whether the line starts with a reported exception, with nothing before it.
pub(crate) fn starts_line(line: &str) -> bool {
    let token = token(line, 0, line.len());
    has_suffix(&line[token.clone()]) && message(line, token.end, line.len()).is_some()
}

/// Whether the line reports an exception by itself.
pub(crate) fn reports(line: &str) -> bool {
    starts_line(line) || find(line, 0..line.len(), Trust::Alone).is_some()
}

/// A name at the start of the line that a message or nothing follows, whatever it looks like.
pub(super) fn any_name(text: &str, line: Range<usize>) -> Option<Header> {
    let type_name = token(text, line.start, line.end);
    let starts_well = text[type_name.clone()].starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !starts_well {
        return None;
    }
    let message = message(text, type_name.end, line.end)?;
    Some(Header { type_name, message })
}

/// `Error: java.net.ConnectException: refused`: the second names it better.
fn inner(text: &str, outer: &Header, trust: Trust) -> Option<Header> {
    let type_name = token(text, outer.message.start, outer.message.end);
    let name = &text[type_name.clone()];
    if !has_suffix(name) || !(trust != Trust::Alone || is_telling(name)) {
        return None;
    }
    let message = message(text, type_name.end, outer.message.end)?;
    Some(Header { type_name, message })
}

/// The run of characters of a qualified name at `at`; empty when there is none.
fn token(text: &str, at: usize, end: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let mut to = at;
    while to < end {
        match bytes[to] {
            b':' if bytes[..end].get(to + 1) == Some(&b':') && to > at => to += 2,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'$' | b'\\' | b'+' | b'`' => {
                to += 1;
            }
            0x80.. => to += 1,
            _ => break,
        }
    }
    at..to
}

/// The next position after `at`, a character border.
fn next(text: &str, at: usize) -> usize {
    text.ceil_char_boundary(at + 1)
}

fn has_suffix(name: &str) -> bool {
    let known = ["Exception", "Error", "Throwable"]
        .iter()
        .any(|suffix| name.ends_with(suffix));
    // The last part must be a class name: `onError` and `handle_Error` are not.
    known
        && last_part(name).starts_with(|c: char| c.is_uppercase() || c == '_')
        && !name.starts_with(['.', '\\', '+'])
}

fn last_part(name: &str) -> &str {
    let start = name
        .rfind(['.', '\\', '$', ':', '+'])
        .map_or(0, |at| at + 1);
    &name[start..]
}

/// `Error` and `Exception` say nothing by themselves.
fn is_bare(name: &str) -> bool {
    matches!(name, "Error" | "Exception" | "Throwable")
}

/// A name that can only be a type: qualified, or of several words.
fn is_telling(name: &str) -> bool {
    let part = last_part(name);
    let words = part.bytes().filter(u8::is_ascii_uppercase).count();
    !is_bare(name)
        && (part.len() < name.len() || (words > 1 && part.bytes().any(|b| b.is_ascii_lowercase())))
}

/// Whether a logger could have put `before` in front of an exception.
fn opens(before: &str, trust: Trust) -> bool {
    let trimmed = before.trim_end();
    if trimmed.is_empty() {
        return true;
    }
    if trimmed.len() == before.len() {
        return false;
    }
    if trust == Trust::AboveFrames {
        return true;
    }
    if trimmed.ends_with([':', ']', '|', '"', '\'', ')', '>'])
        || trimmed.ends_with(" -")
        || matches!(trimmed, "-" | "!")
    {
        return true;
    }
    let word = trimmed.rsplit(' ').next().unwrap_or_default();
    matches!(
        word,
        "ERROR" | "WARN" | "WARNING" | "FATAL" | "SEVERE" | "CRITICAL" | "Uncaught"
    ) || trimmed.ends_with("nhandled exception.")
}

/// Length of the code that Node.js writes behind a type: ` [ERR_HTTP_HEADERS_SENT]`.
fn code(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix(" [")?;
    let length = inner
        .bytes()
        .take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
        .count();
    inner[length..].starts_with("]:").then_some(length + 3)
}

/// The message after a type that ends at `at`; `None` when what follows is not that of a report.
fn message(text: &str, at: usize, end: usize) -> Option<Range<usize>> {
    let rest = &text[at..end];
    let (at, rest) = match code(rest) {
        Some(length) => (at + length, &rest[length..]),
        None => (at, rest),
    };
    // From the front: a long blank end must not be walked again for every name of the line.
    if rest.trim_start().is_empty() {
        return Some(end..end);
    }
    if rest.starts_with(" --->") {
        return Some(at..at);
    }
    let after = rest.strip_prefix(':')?;
    if !after.is_empty() && !after.starts_with([' ', '\t']) {
        return None;
    }
    let start = at + 1 + (after.len() - after.trim_start().len());
    let length = text[start..end]
        .find(" ---> ")
        .unwrap_or_else(|| text[start..end].trim_end().len());
    Some(start..start + length)
}
