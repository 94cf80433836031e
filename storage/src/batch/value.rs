//! How a field's value, kind and all, is written as one string of the `fields` map.
//!
//! Bare text unless that would be read as another kind: the number `12` is `12`, the string `12` is
//! `"12"` with its quotes, `true` and `[1,2]` are themselves. So a reader such as DuckDB sees plain
//! text nearly always, and nothing is lost on the way back.
//!
//! Never fails: every (kind, text) has an encoding, every string has a decoding.

use std::borrow::Cow;

use hushlog_record::{Kind, json};

/// First byte of the encoding of what has no bare form: then one digit, the kind, then the text.
const ESCAPE: char = '\u{1}';

/// The kind that `text` has when it stands bare in a map.
fn bare_kind(text: &str) -> Kind {
    match text.as_bytes() {
        [b'[' | b'{', ..] | b"null" => Kind::Json,
        b"true" | b"false" => Kind::Bool,
        [b'-' | b'0'..=b'9', ..] if is_number(text) => Kind::Number,
        _ => Kind::String,
    }
}

/// Whether `text` is a number by JSON's grammar.
pub fn is_number(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits(rest);
    if whole == 0 || (whole > 1 && text.trim_start_matches('-').starts_with('0')) {
        return false;
    }
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => match digits(fraction) {
            (0, _) => return false,
            (_, rest) => rest,
        },
    };
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(exponent) => {
            let (count, rest) = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
            count > 0 && rest.is_empty()
        }
    }
}

/// Number of leading digits, and what follows them.
fn digits(text: &str) -> (usize, &str) {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    (count, text.get(count..).unwrap_or_default())
}

/// The string that stands for (kind, text).
pub fn encode(kind: Kind, text: &str) -> Cow<'_, str> {
    let escaped = text.starts_with(['"', ESCAPE]);
    if !escaped && bare_kind(text) == kind {
        return Cow::Borrowed(text);
    }
    match kind {
        Kind::String => Cow::Owned(quote(text)),
        Kind::Number | Kind::Bool | Kind::Json => {
            Cow::Owned(format!("{ESCAPE}{}{text}", kind as u8))
        }
    }
}

/// The (kind, text) that `encoded` stands for.
pub fn decode(encoded: &str) -> (Kind, Cow<'_, str>) {
    if encoded.starts_with('"') {
        return (Kind::String, json::decoded(encoded));
    }
    if let Some(rest) = encoded.strip_prefix(ESCAPE) {
        let kind = rest
            .bytes()
            .next()
            .and_then(|c| Kind::from_code(c.wrapping_sub(b'0')));
        if let (Some(kind), Some(text)) = (kind, rest.get(1..)) {
            return (kind, Cow::Borrowed(text));
        }
    }
    (bare_kind(encoded), Cow::Borrowed(encoded))
}

/// A JSON string literal. Part of the format: its bytes never change.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_and_literals_stand_bare_and_ambiguous_text_is_quoted() {
        for (kind, text, encoded) in [
            (Kind::String, "user_123", "user_123"),
            (Kind::Number, "12", "12"),
            (Kind::String, "12", "\"12\""),
            (Kind::Number, "-1.50e+3", "-1.50e+3"),
            (Kind::String, "01", "01"),
            (Kind::String, "", ""),
            (Kind::Bool, "true", "true"),
            (Kind::String, "true", "\"true\""),
            (Kind::Json, "[1,\"a\"]", "[1,\"a\"]"),
            (Kind::String, "[a]", "\"[a]\""),
            (Kind::String, "\"\n", "\"\\\"\\u000a\""),
            (Kind::Json, "\"x\"", "\u{1}3\"x\""),
        ] {
            assert_eq!(encode(kind, text), encoded);
            assert_eq!(decode(encoded), (kind, Cow::Borrowed(text)));
        }
    }

    proptest! {
        #[test]
        fn every_value_comes_back(code in 0u8..4, text in "(?s)[\"\\\\\u{1}0-9tfn\\[{.e-]?.{0,12}|true|null|-?[0-9.e+]{1,6}") {
            let kind = Kind::from_code(code).unwrap();
            let encoded = encode(kind, &text).into_owned();
            prop_assert_eq!(decode(&encoded), (kind, Cow::Borrowed(text.as_str())));
        }
    }
}
