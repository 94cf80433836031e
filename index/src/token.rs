//! What a token is: the only tokenizer, for the index and for the scanner.
//!
//! A token is a maximal run of Unicode letters, digits and `_`, case-folded. Never depends on a
//! locale, never splits or joins by meaning: `user_42` is one token, `us-east-1` are three.

use std::borrow::Cow;

/// Version of the rules by which tokens come of values. An index of an unknown version is built anew.
pub const VERSION: u8 = 2;
/// The same but for arrays: only the tokens of their text, as JSON writes it. Still read.
pub const VERSION_WITHOUT_ELEMENTS: u8 = 1;

/// Classes of bytes, as flags.
const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const UPPER: u8 = 4;
const HIGH: u8 = 8;

/// Tokens at least this long, in bytes, are fingerprinted if they hold an ASCII digit.
pub const MIXED_BYTES_MIN: usize = 8;
/// Tokens of ASCII digits alone are fingerprinted from this length.
pub const NUMERIC_BYTES_MIN: usize = 6;
/// Longer tokens are always fingerprinted.
pub const WORD_BYTES_MAX: usize = 64;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte {
            0x30..=0x39 => DIGIT,
            0x41..=0x5a => LETTER | UPPER,
            0x61..=0x7a | 0x5f => LETTER,
            0x80.. => HIGH,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Calls `f` with each token of `text`, in order, case-folded.
#[inline]
pub fn for_each(text: &str, mut f: impl FnMut(&str)) {
    scan(text, |token, _| f(token));
}

/// Whether a character belongs to a token.
pub fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The case-folded form of what may be a token or a part of one.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text
        .bytes()
        .all(|byte| CLASSES[usize::from(byte)] & (UPPER | HIGH) == 0)
    {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    text.chars().for_each(|c| push_folded(&mut folded, c));
    Cow::Owned(folded)
}

/// Whether the index keeps only a fingerprint of this (case-folded) token: ids, hashes and long
/// numbers, which are many and nearly all different. An exact look-up still finds them; a prefix
/// is only known by its first two characters.
pub fn is_fingerprinted(token: &str) -> bool {
    let flags = token
        .bytes()
        .fold(0, |flags, byte| flags | CLASSES[usize::from(byte)]);
    fingerprinted(token.len(), flags)
}

const fn fingerprinted(length: usize, flags: u8) -> bool {
    length > WORD_BYTES_MAX
        || (flags & DIGIT != 0
            && (length >= MIXED_BYTES_MIN || (flags == DIGIT && length >= NUMERIC_BYTES_MIN)))
}

/// The one text for all literals of one number: `12`, `12.0` and `1.2e1` are `12`. `None` if
/// `literal` is not a number. Numbers that are equal as 64-bit floating-point numbers have the same
/// text: coarser than needed, so it may be used to prune whichever way they are compared.
pub fn number(literal: &str) -> Option<String> {
    let starts_well = literal
        .bytes()
        .find(|byte| !matches!(byte, b'-' | b'+' | b'.'))
        .is_some_and(|b| b.is_ascii_digit());
    let value: f64 = if starts_well {
        literal.parse().ok()?
    } else {
        return None;
    };
    Some(number_of(value))
}

/// As [`number`], of a machine number.
pub fn number_of(value: f64) -> String {
    /// Integers below this are written with all their digits.
    const PLAIN_MAX: f64 = 1e15;
    if value == 0.0 {
        "0".to_owned()
    } else if value.fract() == 0.0 && value.abs() < PLAIN_MAX {
        format!("{value:.0}")
    } else {
        format!("{value:e}")
    }
}

/// As [`number`], of an integer.
pub fn number_of_int(value: i64) -> String {
    if is_plain(value) {
        value.to_string()
    } else {
        #[expect(
            clippy::cast_precision_loss,
            reason = "coarser on purpose, see `number`"
        )]
        number_of(value as f64)
    }
}

/// Whether an integer's canonical text is its digits: it is exact as a floating-point number.
pub(crate) const fn is_plain(value: i64) -> bool {
    value.unsigned_abs() < 1_000_000_000_000_000
}

/// Calls `f` with each token and the classes of the bytes that it was made of.
#[inline]
pub(crate) fn scan(text: &str, mut f: impl FnMut(&str, Flags)) {
    let bytes = text.as_bytes();
    let mut folded = String::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let mut flags = CLASSES[usize::from(*byte)];
        if flags == 0 {
            at += 1;
            continue;
        }
        let start = at;
        at += 1;
        while let Some(byte) = bytes.get(at) {
            let class = CLASSES[usize::from(*byte)];
            if class == 0 {
                break;
            }
            flags |= class;
            at += 1;
        }
        let run = &text[start..at];
        if flags & HIGH != 0 {
            scan_unicode(run, &mut folded, &mut f);
        } else if flags & UPPER != 0 {
            folded.clear();
            folded.push_str(run);
            folded.make_ascii_lowercase();
            f(&folded, Flags(flags));
        } else {
            f(run, Flags(flags));
        }
    }
}

/// Classes of the bytes of a token.
#[derive(Clone, Copy)]
pub(crate) struct Flags(u8);

impl Flags {
    /// As [`is_fingerprinted`].
    pub(crate) const fn is_fingerprinted(self, token: &str) -> bool {
        fingerprinted(token.len(), self.0 & !UPPER)
    }
}

/// A run without ASCII separators that holds other than ASCII characters, which may separate.
#[cold]
fn scan_unicode(run: &str, folded: &mut String, f: &mut impl FnMut(&str, Flags)) {
    for token in run.split(|c| !is_word(c)).filter(|token| !token.is_empty()) {
        folded.clear();
        token.chars().for_each(|c| push_folded(folded, c));
        let flags = folded
            .bytes()
            .fold(0, |flags, byte| flags | CLASSES[usize::from(byte)]);
        f(folded, Flags(flags));
    }
}

/// Upper and then lower case, which joins what either alone leaves apart: `ς` and `σ`, `ſ` and `s`.
fn push_folded(out: &mut String, c: char) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
    } else {
        out.extend(c.to_uppercase().flat_map(char::to_lowercase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        for_each(text, |token| tokens.push(token.to_owned()));
        tokens
    }

    /// The definition, word for word.
    fn plainly(text: &str) -> Vec<String> {
        text.split(|c| !is_word(c))
            .filter(|t| !t.is_empty())
            .map(|t| fold(t).into_owned())
            .collect()
    }

    #[test]
    fn tokens_are_runs_of_letters_digits_and_underscores_case_folded() {
        for (text, expected) in [
            (
                "GET /api/v1?user_id=User_42",
                &["get", "api", "v1", "user_id", "user_42"][..],
            ),
            ("", &[]),
            ("...", &[]),
            ("Straße–ÜBER", &["strasse", "über"]),
            ("ΟΔΟΣ οδος", &["οδοσ", "οδοσ"]),
            ("日本語 ٣٤", &["日本語", "٣٤"]),
            ("a\u{301}b", &["a", "b"]),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }

    #[test]
    fn ids_hashes_and_long_numbers_are_fingerprinted_and_words_are_not() {
        for (token, expected) in [
            ("payment", false),
            ("user_42", false),
            ("user_421", true),
            ("12345", false),
            ("123456", true),
            ("0af7651916cd43dd8448eb211c80319c", true),
            ("internationalization", false),
        ] {
            assert_eq!(is_fingerprinted(token), expected, "{token}");
        }
        assert!(is_fingerprinted(&"x".repeat(65)));
        assert!(!is_fingerprinted(&"x".repeat(64)));
    }

    #[test]
    fn literals_of_one_number_have_one_text() {
        for literals in [
            &["12", "12.0", "1.2e1", "+12"][..],
            &["-0.5", "-5e-1", "-.5"],
            &["0", "-0", "0.00", "0e9"],
        ] {
            let texts: Vec<_> = literals.iter().map(|l| number(l).unwrap()).collect();
            assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
        }
        assert_eq!(number("1e400"), number("2e999"));
        for text in ["", "abc", "-", "inf", "NaN", "12a", "1.2.3"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_path_agrees_with_the_definition(text in "(?s)([a-zA-Z0-9_]{1,9}|.|[-/=é–ß \u{130}]){0,40}") {
            prop_assert_eq!(tokens(&text), plainly(&text));
            let mut agree = true;
            scan(&text, |token, flags| agree &= flags.is_fingerprinted(token) == is_fingerprinted(token));
            prop_assert!(agree);
        }

        #[test]
        fn folding_twice_changes_nothing(text in "(?s).{0,20}") {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once).into_owned(), once);
        }

        #[test]
        fn integers_and_their_literals_agree(value: i64) {
            prop_assert_eq!(number(&value.to_string()), Some(number_of_int(value)));
        }
    }
}
