//! JSON text written back: strings with their escapes, values without needless ones.
//!
//! A masker reads the text of an array as it stands, so no character may hide behind an escape that
//! JSON does not require.

use std::borrow::Cow;

use hushlog_record::{Kind, Value};

use super::scan::{Cursor, Scalar};

/// Appends a string literal.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        from = at + 1;
        if escape.is_empty() {
            out.push_str("\\u00");
            out.push(char::from_digit(u32::from(byte) >> 4, 16).unwrap_or('0'));
            out.push(char::from_digit(u32::from(byte) & 15, 16).unwrap_or('0'));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Appends `"name":value`, after a comma unless it is the first.
pub(crate) fn push_member(out: &mut String, name: &str, value: &Value) {
    if !out.is_empty() {
        out.push(',');
    }
    push_string(out, name);
    out.push(':');
    if value.kind == Kind::String {
        push_string(out, &value.text);
    } else {
        out.push_str(&value.text);
    }
}

/// One valid JSON value that the cursor accepted, without white space and needless escapes.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let clean = |byte: u8| byte >= b' ' && !matches!(byte, b'\\' | b'N' | b'I');
    if text.bytes().all(clean) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut cursor = Cursor::new(text);
    while let Some(byte) = cursor.peek() {
        if matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':') {
            out.push(char::from(byte));
            cursor.bump();
            continue;
        }
        match cursor.scalar() {
            Ok(Scalar::Text(text)) => push_string(&mut out, &text),
            Ok(Scalar::Number(literal)) => out.push_str(literal),
            Ok(Scalar::Bool(value)) => out.push_str(if value { "true" } else { "false" }),
            Ok(Scalar::Null) => out.push_str("null"),
            // Cannot be: the same cursor accepted the text. Keeping it as it is loses nothing.
            Err(_) => return Cow::Borrowed(text),
        }
    }
    Cow::Owned(out)
}
