//! The text of a string literal of JSON (RFC 8259, section 7).
//!
//! For JSON that was taken long ago and is looked through as text: it never fails, and what is malformed is
//! read as far as it goes. It is not the decoder of what comes in, which refuses what is no JSON.

use std::borrow::Cow;
use std::str::Chars;

/// The text of `literal`, with or without its quotes; borrowed where nothing in it is escaped.
///
/// An escape that there is not stands for the character behind it, half a surrogate pair and `\u` without its
/// four digits for U+FFFD; digits that are fewer than four stay, so that nothing can be hidden behind one.
pub fn decoded(literal: &str) -> Cow<'_, str> {
    let inner = literal.strip_prefix('"').unwrap_or(literal);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(character(&mut chars)),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

/// The character of what follows `\u`, or of a pair of surrogates.
fn character(chars: &mut Chars<'_>) -> char {
    let Some(high) = unit(chars) else {
        return char::REPLACEMENT_CHARACTER;
    };
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let mut ahead = chars.clone();
    if (ahead.next(), ahead.next()) != (Some('\\'), Some('u')) {
        return char::REPLACEMENT_CHARACTER;
    }
    match unit(&mut ahead) {
        Some(low) if (0xdc00..0xe000).contains(&low) => {
            *chars = ahead;
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// The number of the four hexadecimal digits that come next; without four, none of them is taken.
fn unit(chars: &mut Chars<'_>) -> Option<u32> {
    let mut ahead = chars.clone();
    let mut number = 0;
    for _ in 0..4 {
        number = number << 4 | ahead.next()?.to_digit(16)?;
    }
    *chars = ahead;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_stand_for_their_characters_and_malformed_ones_hide_nothing() {
        for (literal, text) in [
            (r#""plain""#, "plain"),
            ("bare", "bare"),
            (r#""""#, ""),
            (r#""a\n\t\r\b\f\"\\\/z""#, "a\n\t\r\u{8}\u{c}\"\\/z"),
            (r#""\u00e9\u4e2D\ud83d\ude00""#, "é中😀"),
            (r#""\q""#, "q"),
            (r#""\ud83d!""#, "\u{fffd}!"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ude00""#, "\u{fffd}"),
            (r#""\u555-55""#, "\u{fffd}555-55"),
            (r#""\ud83d\u12""#, "\u{fffd}\u{fffd}12"),
            ("\"cut\\", "cut\\"),
            ("\"cut\\u", "cut\u{fffd}"),
        ] {
            assert_eq!(decoded(literal), text, "{literal}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(literal in r#""?(\\[u"ntx\\]?|[0-9a-fA-Fd8é]){0,24}"?"#) {
            let text = decoded(&literal);
            // `\u` alone becomes the three bytes of U+FFFD.
            prop_assert!(text.len() * 2 <= literal.len() * 3, "{text:?}");
        }
    }
}
