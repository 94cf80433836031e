//! The structured data of an RFC 5424 line (section 6.3): `[id name="value" name="value"][id2 …]`.

use hushlog_record::Value;
use hushlog_record::names::STRUCTURED_DATA;

/// Takes the name of a field and its value; each is made only if it is asked for.
type Take<'a> = &'a mut dyn FnMut(&dyn Fn() -> String, &dyn Fn() -> Value);

/// Reads the structured data that `text` starts with and gives its length; `None` when it is malformed.
pub(super) fn read(text: &str, take: Take<'_>) -> Option<usize> {
    if text.starts_with('-') {
        return Some(1);
    }
    let mut at = 0;
    while text[at..].starts_with('[') {
        at = element(text, at + 1, take)?;
    }
    (at > 0).then_some(at)
}

/// Reads an element after its opening bracket; gives where it ends.
fn element(text: &str, start: usize, take: Take<'_>) -> Option<usize> {
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
                let length = value_end(rest)?;
                take(&|| format!("{STRUCTURED_DATA}.{id}.{key}"), &|| {
                    Value::string(unescaped(&rest[..length]))
                });
                at = text.len() - rest.len() + length + 1;
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

/// Where the closing quote of a value stands. `\"`, `\\` and `\]` are escapes, another backslash is
/// itself (section 6.3.3).
fn value_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 1 + usize::from(is_escaped(bytes.get(at + 1)));
    }
}

fn is_escaped(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b'"' | b'\\' | b']'))
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let escaped = is_escaped(rest.as_bytes().first());
        out.push(match rest.chars().next() {
            Some(c) if escaped => c,
            _ => '\\',
        });
        rest = &rest[usize::from(escaped)..];
    }
    out.push_str(rest);
    out
}
