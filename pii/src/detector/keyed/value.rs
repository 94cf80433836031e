//! Where a value behind a name begins and ends, in text, URLs, code and JSON.

use crate::bytes::{at, before, is_word};

use super::place::PLACE_MAX;

/// Most spaces on either side of a sign: names and values are often aligned.
pub(super) const SPACES_MAX: usize = 32;

/// How a value stands behind its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// `name=value`, or in quotes.
    Plain,
    /// `name: value`, as prose has it too.
    Prose,
}

/// Start of the value, its quote (0 for none) and how it stands.
pub(super) fn value(text: &[u8], sign_at: usize, quoted_name: bool) -> (usize, u8, Sign) {
    let sign = at(text, sign_at);
    let mut pos = sign_at + 1;
    // `=>`, `==`, `===`, `=~`, `:=`.
    while pos < sign_at + 3 && matches!(at(text, pos), b'=' | b'>' | b'~') {
        pos += 1;
    }
    let spaced = skip_spaces(text, &mut pos);
    let quote = skip_quote(text, &mut pos);
    let prose = sign == b':' && spaced && quote == 0 && !quoted_name;
    (pos, quote, if prose { Sign::Prose } else { Sign::Plain })
}

fn skip_spaces(text: &[u8], pos: &mut usize) -> bool {
    let start = *pos;
    while matches!(at(text, *pos), b' ' | b'\t') && *pos < start + SPACES_MAX {
        *pos += 1;
    }
    *pos > start
}

/// Passes a quote, also one that is escaped; says which.
fn skip_quote(text: &[u8], pos: &mut usize) -> u8 {
    let escaped = usize::from(at(text, *pos) == b'\\');
    let quote = at(text, *pos + escaped);
    if matches!(quote, b'"' | b'\'' | b'`') {
        *pos += escaped + 1;
        quote
    } else {
        0
    }
}

/// End of a value: its quote, else the first byte that ends a word in text, URLs or code.
pub(super) fn end(text: &[u8], start: usize, quote: u8) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let length = if quote == 0 {
        unquoted(rest)
    } else {
        // A quote that was escaped itself ends at the next escaped one.
        quoted(rest, quote, before(text, start, 2) == b'\\')
    };
    char_boundary(text, start + length)
}

/// Length of a value without quotes.
pub(super) fn unquoted(rest: &[u8]) -> usize {
    let ends = |(i, b): (usize, &u8)| match b {
        b'&' | b',' | b';' | b'"' | b'\'' | b'`' | b')' | b'}' | b']' | b'<' | b'>' | b'|' => true,
        // An escaped end of the line or of a text in quotes.
        b'\\' => matches!(at(rest, i + 1), b'n' | b'r' | b't' | b'"' | b'\'' | 0),
        other => other.is_ascii_whitespace(),
    };
    let end = rest.iter().enumerate().position(ends);
    end.unwrap_or(rest.len())
}

fn quoted(rest: &[u8], quote: u8, escaped: bool) -> usize {
    let mut pos = 0;
    while pos < rest.len() {
        match at(rest, pos) {
            b'\n' => return pos,
            b'\\' if escaped && at(rest, pos + 1) == quote => return pos,
            b'\\' => pos += 2,
            byte if byte == quote => return pos,
            _ => pos += 1,
        }
    }
    rest.len()
}

/// End of a header in a text: of its line, or of the text in quotes that it stands in. A quote that opens
/// or closes the value of a cookie ends nothing.
pub(super) fn header_end(text: &[u8], start: usize) -> usize {
    let mut pos = start;
    while pos < text.len() {
        let escaped = usize::from(at(text, pos) == b'\\');
        let next = at(text, pos + 1 + escaped);
        let ends = match at(text, pos + escaped) {
            b'\n' | b'\r' if escaped == 0 => true,
            b'n' | b'r' => escaped == 1,
            b'"' => before(text, pos, 1) != b'=' && !matches!(next, b';'),
            _ => false,
        };
        if ends {
            break;
        }
        pos += 1 + escaped;
    }
    char_boundary(text, pos.min(text.len()))
}

/// Whether `name=` stands behind the word that ends here.
pub(super) fn has_parameters(text: &[u8], end: usize) -> bool {
    let name = end + 1..end + 1 + PLACE_MAX;
    let name = name.take_while(|i| is_word(at(text, *i)) || at(text, *i) == b'-');
    let length = name.count();
    at(text, end) == b' ' && length > 0 && at(text, end + 1 + length) == b'='
}

/// End of the line.
pub(super) fn line_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len())
}

/// The end of the character that `end` may cut.
fn char_boundary(text: &[u8], mut end: usize) -> usize {
    while at(text, end) & 0xc0 == 0x80 {
        end += 1;
    }
    end
}
