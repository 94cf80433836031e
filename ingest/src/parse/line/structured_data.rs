//! The structured data of an RFC 5424 line (section 6.3): `[id name="value" name="value"][id2 …]`.

use hushlog_record::Value;

use crate::raw::RawRecord;

/// What the names of its fields start with.
const PREFIX: &str = "log.syslog.structured_data";

/// Reads the structured data that `text` starts with into fields and gives its length; `None` when it
/// is malformed. The fields that were read until then stay: they were in the line.
pub(super) fn read(text: &str, raw: &mut RawRecord) -> Option<usize> {
    if text.starts_with('-') {
        return Some(1);
    }
    let mut at = 0;
    while text[at..].starts_with('[') {
        at = element(text, at + 1, raw)?;
    }
    (at > 0).then_some(at)
}

/// Reads an element after its opening bracket; gives where it ends.
fn element(text: &str, start: usize, raw: &mut RawRecord) -> Option<usize> {
    let mut at = start + name(&text[start..])?;
    let id = &text[start..at];
    loop {
        match text.as_bytes().get(at)? {
            b']' => return Some(at + 1),
            b' ' => at += 1,
            _ => {
                let length = name(&text[at..])?;
                let key = &text[at..at + length];
                let rest = text[at + length..].strip_prefix("=\"")?;
                let (value, length) = value(rest)?;
                at = text.len() - rest.len() + length;
                raw.field(format!("{PREFIX}.{id}.{key}"), Value::string(value));
            }
        }
    }
}

/// Length of an SD-NAME: printable ASCII except `=`, space, `]` and `"`.
fn name(text: &str) -> Option<usize> {
    let length = text
        .bytes()
        .take_while(|byte| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"'))
        .count();
    (length > 0).then_some(length)
}

/// A value after its opening quote, and its length with the closing one; `\"`, `\\` and `\]` are
/// escapes, another backslash is itself (section 6.3.3).
fn value(text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut from = 0;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at] == b'"' {
            out.push_str(&text[from..at]);
            return Some((out, at + 1));
        }
        if matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b']')) {
            out.push_str(&text[from..at]);
            from = at + 1;
            at += 1;
        }
        at += 1;
    }
}
