//! Full-width letters, digits and marks, as East Asian keyboards write them, read as those of ASCII.
//!
//! Only for finding: a text keeps its bytes, and positions are given in them. Punctuation is left as
//! it is, since it stands between words and numbers there.

use std::borrow::Cow;

/// First byte of every full-width character in UTF-8; few other characters share it.
const LEAD: u8 = 0xef;
/// Bytes that a full-width character is longer than what it stands for.
const LONGER: usize = 2;

/// Length of the texts in which nothing is searched for by vectors, in bytes.
const SHORT: usize = 32;

/// A text with its full-width characters replaced.
pub(crate) struct Folded {
    pub(crate) text: String,
    /// Where in it the replaced characters are.
    at: Vec<usize>,
}

impl Folded {
    /// `None` when the text has none of them, as nearly always.
    #[inline]
    pub(crate) fn of(text: &str) -> Option<Self> {
        if text.len() < SHORT && text.is_ascii() {
            return None;
        }
        memchr::memchr(LEAD, text.as_bytes())?;
        Self::of_unicode(text)
    }

    #[cold]
    fn of_unicode(text: &str) -> Option<Self> {
        let mut folded = Self {
            text: String::with_capacity(text.len()),
            at: Vec::new(),
        };
        for c in text.chars() {
            let narrow = narrow(c);
            if narrow.is_some() {
                folded.at.push(folded.text.len());
            }
            folded.text.push(narrow.unwrap_or(c));
        }
        (!folded.at.is_empty()).then_some(folded)
    }

    /// The position in the text as it was.
    pub(crate) fn original(&self, pos: usize) -> usize {
        pos + LONGER * self.at.partition_point(|at| *at < pos)
    }
}

/// The text with its full-width characters replaced.
pub(crate) fn folded(text: &str) -> Cow<'_, str> {
    Folded::of(text).map_or(Cow::Borrowed(text), |folded| Cow::Owned(folded.text))
}

fn narrow(c: char) -> Option<char> {
    let code = u32::from(c)
        .checked_sub(0xff00)
        .filter(|code| *code < 0x5f)?
        + 0x20;
    let narrow = char::from(u8::try_from(code).ok()?);
    (narrow.is_ascii_alphanumeric() || matches!(narrow, '@' | '+' | '-' | '.' | '_' | '%'))
        .then_some(narrow)
}
