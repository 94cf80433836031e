//! Numbers that only the words before them give away.
//!
//! `033316005` is a counter until somebody writes `phone:` in front of it. The words are searched first,
//! all at once, and only the first number behind one is looked at.

use std::ops::Range;

use aho_corasick::packed::{Config, MatchKind, Searcher};

use super::{Detector, Found, phone, ssn};
use crate::bytes::{at, before, char_before, digits, slice};

/// How far behind its word a number may begin, in bytes.
const REACH: usize = 30;
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

/// Word (as often written), and what it announces.
const WORDS: [(&str, Meaning); 38] = [
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
    ("telefon", Meaning::Phone),
    ("Telefon", Meaning::Phone),
    ("teléfono", Meaning::Phone),
    ("Teléfono", Meaning::Phone),
    ("téléphone", Meaning::Phone),
    ("Téléphone", Meaning::Phone),
    ("móvil", Meaning::Phone),
    ("Móvil", Meaning::Phone),
    ("tf.", Meaning::Phone),
    ("Tf.", Meaning::Phone),
    ("TF.", Meaning::Phone),
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
    ("lamé al", Meaning::Call),
    ("ssn", Meaning::Ssn),
    ("SSN", Meaning::Ssn),
    ("ocial security", Meaning::Ssn),
    ("ocial Security", Meaning::Ssn),
];

/// The words, ready to be searched for.
pub(crate) struct Keywords {
    searcher: Option<Searcher>,
}

impl Keywords {
    pub(crate) fn new() -> Self {
        let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
        builder.extend(WORDS.iter().map(|(word, _)| word));
        Self {
            searcher: builder.build(),
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
        let Some(searcher) = &self.searcher else {
            return;
        };
        let mut done = 0;
        for hit in searcher.find_iter(head) {
            let Some((_, meaning)) = WORDS.get(hit.pattern().as_usize()) else {
                continue;
            };
            if hit.start() >= done && is_whole(text, hit.start(), hit.end(), *meaning) {
                done = announced(text, hit.end(), *meaning, &mut visit);
            }
        }
    }
}

/// Whether the hit is a word, in the plural or with `ed` at most, or the end of a name (`userPhone`).
fn is_whole(text: &[u8], start: usize, end: usize, meaning: Meaning) -> bool {
    let prev = before(text, start, 1);
    let begins = !prev.is_ascii_alphanumeric()
        && char_before(text, start).is_none_or(|c| !c.is_alphabetic())
        || at(text, start).is_ascii_uppercase() && prev.is_ascii_lowercase()
        || meaning == Meaning::Ssn && prev.eq_ignore_ascii_case(&b's')
        || before(text, start, 1).eq_ignore_ascii_case(&b'l') && at(text, start) == b'l';
    let rest = text
        .get(end..)
        .unwrap_or_default()
        .iter()
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    begins && (rest <= 1 || meaning == Meaning::Phone && rest <= 6)
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
