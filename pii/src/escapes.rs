//! What stands between words in a log without being a word: the codes of terminals, and characters that somebody has
//! written out (`\n`, `\u0022`, `#012`). Their letters and digits would join what they separate.
//!
//! Only for finding: the view has the length of the text, so a place in one is the same place in the other.

/// Longest code of a terminal, in bytes.
const CODE_MAX: usize = 32;
/// Most backslashes before an escape: each layer of JSON doubles them.
const BACKSLASHES_MAX: usize = 16;

/// The text with blanks where such characters and codes stand, and with `%40` for an `@` that is written out; `None` where there
/// are none.
#[inline]
pub(crate) fn blanked(text: &str) -> Option<String> {
    memchr::memchr3(ESC, b'\\', b'#', text.as_bytes())?;
    blanked_from(text)
}

#[cold]
fn blanked_from(text: &str) -> Option<String> {
    let mut view = text.as_bytes().to_vec();
    let mut is_changed = false;
    let mut from = 0;
    while let Some(rest) = text.as_bytes().get(from..)
        && let Some(at) = memchr::memchr3(ESC, b'\\', b'#', rest)
    {
        from += at;
        let rest = text.as_bytes().get(from..).unwrap_or_default();
        let Some((length, stand_in)) = escape(rest) else {
            from += 1;
            continue;
        };
        if let Some(place) = view.get_mut(from..from + length) {
            let (filler, end) = match stand_in {
                StandIn::Blank => (b' ', &b""[..]),
                StandIn::At => (b'_', &b"%40"[..]),
            };
            place.fill(filler);
            if let Some(tail) = place.len().checked_sub(end.len()) {
                place.split_at_mut(tail).1.copy_from_slice(end);
            }
            is_changed = true;
        }
        from += length;
    }
    // Only ASCII was taken for ASCII.
    is_changed.then(|| String::from_utf8(view).ok()).flatten()
}

const ESC: u8 = 0x1b;

/// What is read instead.
enum StandIn {
    Blank,
    /// An `@`, with more of the name before it.
    At,
}

/// Length of the escape that `rest` begins with, and what is read instead.
fn escape(rest: &[u8]) -> Option<(usize, StandIn)> {
    let blank = |length| Some((length, StandIn::Blank));
    match rest {
        [ESC, b'[', ..] => blank(2 + code(rest.get(2..)?)?),
        [b'#', b'0', b'3', b'3', b'[', ..] => blank(5 + code(rest.get(5..)?)?),
        [b'#', b'0', b'0'..=b'3', b'0'..=b'7', ..] => blank(4),
        [b'\\', ..] => {
            let slashes = rest.iter().take_while(|b| **b == b'\\').count();
            if slashes > BACKSLASHES_MAX {
                return None;
            }
            let (length, stand_in) = written(rest.get(slashes..)?)?;
            Some((slashes + length, stand_in))
        }
        _ => None,
    }
}

/// The same of what stands behind the backslashes.
fn written(rest: &[u8]) -> Option<(usize, StandIn)> {
    let (length, c) = match rest {
        [b'n' | b'r' | b't', ..] => return Some((1, StandIn::Blank)),
        [b'e', b'[', ..] => (1, u32::from(ESC)),
        [b'0', b'3', b'3', ..] => (3, u32::from(ESC)),
        [b'x', hex @ ..] => (3, number(hex.get(..2)?)?),
        [b'u', hex @ ..] => (5, number(hex.get(..4)?)?),
        _ => return None,
    };
    if c == u32::from(ESC) {
        let code = rest.get(length..)?.strip_prefix(b"[").and_then(code);
        return Some((length + code.map_or(0, |code| 1 + code), StandIn::Blank));
    }
    match char::from_u32(c)? {
        '@' => Some((length, StandIn::At)),
        // These join: what they are part of is not read.
        '.' | '-' | '_' | '+' | '%' => None,
        c if c.is_ascii_alphanumeric() || !c.is_ascii() => None,
        _ => Some((length, StandIn::Blank)),
    }
}

/// The number of hexadecimal digits.
fn number(hex: &[u8]) -> Option<u32> {
    hex.iter().try_fold(0, |number, digit| {
        Some(number << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// Length of the parameters and the final byte of a control sequence (ECMA-48, section 5.4).
fn code(rest: &[u8]) -> Option<usize> {
    let is_parameter = |b: &u8| matches!(b, 0x20..=0x3f);
    let parameters = rest
        .iter()
        .take(CODE_MAX)
        .take_while(|b| is_parameter(b))
        .count();
    let last = rest.get(parameters)?;
    matches!(last, 0x40..=0x7e).then_some(parameters + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_and_written_characters_are_blanks_in_their_length() {
        for (text, view) in [
            ("\u{1b}[31ma\u{1b}[0m", "     a    "),
            (
                "\\u001b[1;31ma\\x1b[0mb\\033[0mc\\e[Kd#033[0me",
                "            a       b       c    d       e",
            ),
            ("a\\nb\\\\tc\\\\\\\\rd", "a  b   c     d"),
            ("\\u0022a\\u003c", "      a      "),
            ("jane\\u0040example.com", "jane___%40example.com"),
            ("a#012b#011c", "a    b    c"),
        ] {
            assert_eq!(blanked(text).as_deref(), Some(view), "{text}");
        }
        for text in [
            "plain",
            "C:\\Users",
            "#9 #12 #999",
            "\\u00e9",
            "\\d",
            "\\",
            "\u{1b}[",
            "\\u002e",
            "#",
        ] {
            assert_eq!(blanked(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_view_is_as_long_as_its_text(text in "(\\\\|#|\u{1b}|\\[|[nrtu0-9a-f@é ;m]){0,24}") {
            if let Some(view) = blanked(&text) {
                prop_assert_eq!(view.len(), text.len());
                // Whatever is not blanked stands where it stood.
                for (was, is) in text.bytes().zip(view.bytes()) {
                    prop_assert!(was == is || b" _%40".contains(&is));
                }
            }
        }
    }
}
