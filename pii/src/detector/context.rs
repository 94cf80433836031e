//! Numbers that only the words before them give away.
//!
//! `033316005` is a counter until somebody writes `phone:` in front of it. The words are searched first,
//! all at once, and only the first number behind one is looked at.

use std::ops::Range;

use aho_corasick::packed::{Config, MatchKind, Searcher};

use super::{Detector, Found, VECTORS, phone, ssn};
use crate::bytes::{at, before, char_before, digits, slice};

/// How far behind its word a number may begin, in bytes.
const REACH: usize = 30;
/// Most letters that may follow a word that can only mean a phone.
const LETTERS_MAX: usize = 6;
/// Most numbers that one word announces (`call 1… or 2…`).
const LIST_MAX: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Can mean nothing but a phone.
    Phone,
    /// Often means a phone.
    Call,
    /// Social security number.
    Ssn,
}

/// Words as they are often written, and what they announce. No more than 32, which the searcher
/// finds in one step; longer words that begin with one (`telephone`) count as it.
const WORDS: [(&str, Meaning); 31] = [
    ("phone", Meaning::Phone),
    ("Phone", Meaning::Phone),
    ("PHONE", Meaning::Phone),
    ("tel", Meaning::Phone),
    ("Tel", Meaning::Phone),
    ("TEL", Meaning::Phone),
    ("mobile", Meaning::Phone),
    ("Mobile", Meaning::Phone),
    ("MOBILE", Meaning::Phone),
    ("Handy", Meaning::Phone),
    ("Rufnummer", Meaning::Phone),
    ("tf.", Meaning::Phone),
    ("Tf.", Meaning::Phone),
    ("msisdn", Meaning::Phone),
    ("MSISDN", Meaning::Phone),
    ("whatsapp", Meaning::Phone),
    ("WhatsApp", Meaning::Phone),
    ("fax", Meaning::Phone),
    ("Fax", Meaning::Phone),
    ("cell", Meaning::Call),
    ("Cell", Meaning::Call),
    ("Cep", Meaning::Call),
    ("call", Meaning::Call),
    ("Call", Meaning::Call),
    ("ssn", Meaning::Ssn),
    ("SSN", Meaning::Ssn),
    // Without their first letter, which is written both ways.
    ("éléphone", Meaning::Phone),
    ("óvil", Meaning::Phone),
    ("lamé al", Meaning::Call),
    ("ocial security", Meaning::Ssn),
    ("ocial Security", Meaning::Ssn),
];

/// The first of the words without their first letter.
const TAILS: usize = 26;

/// The words, ready to be searched for.
pub(crate) struct Keywords {
    searcher: Searcher,
}

impl Keywords {
    pub(crate) fn new() -> Self {
        let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
        builder.extend(WORDS.iter().map(|(word, _)| word));
        Self {
            searcher: builder.build().expect(VECTORS),
        }
    }

    /// Calls `visit` for what words announce; no number begins behind `dense_to`.
    #[inline]
    pub(crate) fn find(&self, text: &[u8], dense_to: usize, visit: impl FnMut(Found)) {
        if dense_to > 0 {
            self.search(text, slice(text, 0, dense_to.min(text.len())), visit);
        }
    }

    fn search(&self, text: &[u8], head: &[u8], mut visit: impl FnMut(Found)) {
        let mut done = 0;
        for hit in self.searcher.find_iter(head) {
            let word = hit.pattern().as_usize();
            let Some((_, meaning)) = WORDS.get(word) else {
                continue;
            };
            let begins = word >= TAILS || begins_word(text, hit.start());
            if hit.start() >= done && begins && ends_word(text, hit.end(), *meaning) {
                done = announced(text, hit.end(), *meaning, &mut visit);
            }
        }
    }
}

/// Whether a word begins here, on its own or inside a name (`userPhone`).
fn begins_word(text: &[u8], start: usize) -> bool {
    let prev = before(text, start, 1);
    !prev.is_ascii_alphanumeric() && char_before(text, start).is_none_or(|c| !c.is_alphabetic())
        || at(text, start).is_ascii_uppercase() && prev.is_ascii_lowercase()
}

/// Whether the word ends here, or soon: `phones`, `telephone`.
fn ends_word(text: &[u8], end: usize, meaning: Meaning) -> bool {
    let rest = text.get(end..).unwrap_or_default().iter();
    let letters = rest
        .take(LETTERS_MAX + 1)
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    letters <= 1 || meaning == Meaning::Phone && letters <= LETTERS_MAX
}

/// Visits the numbers that start within reach behind a word; returns how far they go.
fn announced(
    text: &[u8],
    word_end: usize,
    meaning: Meaning,
    visit: &mut impl FnMut(Found),
) -> usize {
    let mut from = word_end;
    for _ in 0..LIST_MAX {
        let Some(found) = first_number(text, from).and_then(|start| take(text, start, meaning))
        else {
            break;
        };
        from = found.end;
        visit(found);
    }
    from
}

/// Start of the first number behind `from`, if only plain text stands between. Stops at what a mask
/// or another finding is made of, so that masking twice sees the same.
fn first_number(text: &[u8], from: usize) -> Option<usize> {
    for pos in from..from + REACH {
        match at(text, pos) {
            b'0'..=b'9' => {
                let bracket = usize::from(before(text, pos, 1) == b'(');
                return Some(pos - bracket);
            }
            b'+' => return Some(pos),
            0 | b'@' | b'*' | b'[' | b']' | b'\n' | b'%' | b'\\' => return None,
            _ => {}
        }
    }
    None
}

fn take(text: &[u8], start: usize, meaning: Meaning) -> Option<Found> {
    let found = |detector| move |range: Range<usize>| Found::new(detector, range);
    match meaning {
        Meaning::Phone => phone::announced(text, start, true).map(found(Detector::Phone)),
        Meaning::Call => phone::announced(text, start, false).map(found(Detector::Phone)),
        Meaning::Ssn => ssn::find_in_context(text, start).map(found(Detector::Ssn)),
    }
}

/// What the name of a field makes of the number that is its whole value.
pub(crate) fn hinted(name: &str, text: &[u8]) -> Option<Found> {
    let start = text.iter().take_while(|b| **b == b' ').count();
    if !matches!(at(text, start), b'0'..=b'9' | b'(' | b'+') || digits(text, start) > 15 {
        return None;
    }
    let has = |words: &[&str]| {
        words.iter().any(|word| {
            name.as_bytes()
                .windows(word.len())
                .any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    if has(&["phone", "mobile", "msisdn", "telefon", "fax_", "whatsapp"])
        && !has(&["_id", "count", "model", "size"])
    {
        return phone::announced(text, start, true).map(|range| Found::new(Detector::Phone, range));
    }
    if has(&["ssn", "social_security", "socialsecurity"]) {
        return ssn::find_in_context(text, start).map(|range| Found::new(Detector::Ssn, range));
    }
    None
}
