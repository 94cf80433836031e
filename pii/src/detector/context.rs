//! Numbers that only the words before them give away.
//!
//! `033316005` is a counter until somebody writes `phone:` in front of it. The words are searched first,
//! all at once, and only what stands behind one is looked at.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use aho_corasick::packed::{Config, MatchKind, Searcher};

use super::announced::{self, Row, announced as numbers_of, rows};
use super::{Detector, Found, VECTORS, phone, ssn};
use crate::bytes::{
    at, before, char_at, char_before, digits, ends_with, is_unspaced, is_word, joins, slice,
    starts_with,
};
use crate::scan::{AHEAD, Event, together};

/// How far behind its word a number may begin, in bytes.
const REACH: usize = 30;
/// Shortest text with a word and what it announces, in bytes (`ABA021000021`, `acct 123456`).
const TEXT_BYTES_MIN: usize = 11;
/// Longest word, in bytes, with what may stand beside it.
const WORD_BYTES_MAX: usize = 34;
/// Most letters that may follow a word that can only mean a phone.
const LETTERS_MAX: usize = 6;
/// Most numbers that one word announces (`call 1… or 2…`).
const LIST_MAX: usize = 8;

#[derive(Clone, Copy)]
enum Meaning {
    /// Can mean nothing but a phone.
    Phone,
    /// Often means a phone.
    Call,
    /// Social security number.
    Ssn,
    /// A number of this row; in the text the word has this letter before it, in lower case.
    Row(&'static Row, u8),
}

/// Words as they are often written, and what they announce. With [`ROW_WORDS`] no more than 64, which the
/// searcher finds in one step; longer words that begin with one (`telephone`) count as it.
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

/// Words of the rows that are on unless a policy says otherwise, in the same way. Those with a letter are
/// without it, since it is written both ways.
const ROW_WORDS: [(&str, u8, Detector); 31] = [
    ("assport", b'p', Detector::UsPassport),
    ("ASSPORT", b'p', Detector::UsPassport),
    ("icense", b'l', Detector::UsDriverLicense),
    ("icence", b'l', Detector::UsDriverLicense),
    ("ICENSE", b'l', Detector::UsDriverLicense),
    ("ccount", b'a', Detector::BankAccount),
    ("CCOUNT", b'a', Detector::BankAccount),
    ("cct", b'a', Detector::BankAccount),
    ("outing", b'r', Detector::AbaRouting),
    ("OUTING", b'r', Detector::AbaRouting),
    ("ABA", 0, Detector::AbaRouting),
    ("EIN", 0, Detector::UsEin),
    ("mployer", b'e', Detector::UsEin),
    ("NPI", 0, Detector::UsNpi),
    ("npi", 0, Detector::UsNpi),
    ("rovider id", b'p', Detector::UsNpi),
    ("MBI", 0, Detector::UsMbi),
    ("mbi", 0, Detector::UsMbi),
    ("edicare", b'm', Detector::UsMbi),
    ("DEA", 0, Detector::UsDea),
    ("dea ", 0, Detector::UsDea),
    ("DOB", 0, Detector::DateOfBirth),
    ("dob", 0, Detector::DateOfBirth),
    ("Dob", 0, Detector::DateOfBirth),
    ("irth", b'b', Detector::DateOfBirth),
    ("IRTH", b'b', Detector::DateOfBirth),
    ("IMEI", 0, Detector::Imei),
    ("imei", 0, Detector::Imei),
    ("VIN", 0, Detector::Vin),
    ("vin", 0, Detector::Vin),
    ("ehicle ident", b'v', Detector::Vin),
];

/// The words, ready to be searched for.
pub(crate) struct Keywords {
    searcher: Searcher,
    meanings: Vec<Meaning>,
    /// The words of countries, and the rows that they are of.
    national: Option<(AhoCorasick, Vec<&'static Row>)>,
    /// The rows that are on.
    rows: Vec<&'static Row>,
    /// Those of them that are a country's.
    of_countries: Vec<&'static Row>,
    /// Those of them that need no word.
    alone: Vec<&'static Row>,
}

impl Keywords {
    /// Those of the detectors that are on.
    pub(crate) fn new(is_on: impl Fn(Detector) -> bool) -> Self {
        let rows: Vec<_> = rows().filter(|row| is_on(row.detector)).collect();
        let mut words: Vec<_> = WORDS.to_vec();
        for (word, letter, detector) in ROW_WORDS {
            let row = rows.iter().find(|row| row.detector == detector);
            words.extend(row.map(|row| (word, Meaning::Row(row, letter))));
        }
        let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
        builder.extend(words.iter().map(|(word, _)| word));
        let alone = rows.iter().copied().filter(|row| !row.alone.is_empty());
        Self {
            searcher: builder.build().expect(VECTORS),
            meanings: words.iter().map(|(_, meaning)| *meaning).collect(),
            national: national(&rows),
            of_countries: rows
                .iter()
                .copied()
                .filter(|row| !row.countries.is_empty())
                .collect(),
            alone: alone.collect(),
            rows,
        }
    }

    /// Calls `visit` for what words announce, which says whether that is masked; all numbers begin in
    /// `numbers`, or up to [`AHEAD`] bytes before. Whether there was a word of a row.
    #[inline]
    pub(crate) fn find(
        &self,
        text: &[u8],
        numbers: Range<usize>,
        mut visit: impl FnMut(Found) -> bool,
    ) -> bool {
        let mut any = false;
        if !numbers.is_empty() && text.len() >= TEXT_BYTES_MIN {
            any = self.search(text, numbers, &mut visit);
        }
        if self.national.is_some() {
            any |= self.search_national(text, &mut visit);
        }
        any
    }

    fn search(
        &self,
        text: &[u8],
        numbers: Range<usize>,
        visit: &mut impl FnMut(Found) -> bool,
    ) -> bool {
        let from = numbers.start.saturating_sub(AHEAD + REACH + WORD_BYTES_MAX);
        let near = slice(text, from, numbers.end.min(text.len()));
        let mut done = 0;
        let mut any = false;
        super::search(&self.searcher, near, |hit| {
            let word = hit.pattern().as_usize();
            let Some(meaning) = self.meanings.get(word) else {
                return;
            };
            let (start, end) = (from + hit.start(), from + hit.end());
            let is_word = match meaning {
                Meaning::Row(row, letter) => is_row_word(text, start, end, row, *letter),
                meaning => {
                    let begins = word >= TAILS || begins_word(text, start);
                    begins && ends_word(text, end, *meaning)
                }
            };
            // Several kinds may share a stretch: a bank's routing number and its account.
            let is_new = start >= done || matches!(meaning, Meaning::Row(..));
            if is_word && is_new {
                any |= matches!(meaning, Meaning::Row(..));
                done = announced(text, end, *meaning, visit);
            }
        });
        any
    }

    #[cold]
    fn search_national(&self, text: &[u8], visit: &mut impl FnMut(Found) -> bool) -> bool {
        announced::alone(&self.alone, text, &mut *visit);
        let mut any = !self.alone.is_empty();
        if let Some((search, owners)) = &self.national {
            for hit in search.find_overlapping_iter(text) {
                let next = at(text, hit.end());
                let ends = !next.is_ascii_alphabetic() || !before(text, hit.end(), 1).is_ascii();
                let Some(row) = owners.get(hit.pattern().as_usize()) else {
                    continue;
                };
                if ends && begins_word(text, hit.start()) {
                    any = true;
                    numbers_of(row, text, hit.end(), visit);
                }
            }
        }
        any
    }

    /// Whether the name of a field may make something of a number that is its whole value.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        is_phone_name(name) || is_ssn_name(name) || announced::is_name(&self.rows, name)
    }

    /// Visits what the name of a field makes of the number that is its whole value, until one is masked.
    pub(crate) fn named(&self, name: &str, text: &[u8], mut visit: impl FnMut(Found) -> bool) {
        if !hinted(name, text).is_some_and(&mut visit) {
            self.number(name, text, visit);
        }
    }

    /// Visits what a text without a name is that is a number from end to end, until one is masked.
    pub(crate) fn bare(&self, text: &[u8], visit: impl FnMut(Found) -> bool) {
        announced::bare(&self.of_countries, text, visit);
    }

    /// Visits what the name of a field makes of the literal of a JSON number, until one is masked.
    pub(crate) fn number(&self, name: &str, literal: &[u8], visit: impl FnMut(Found) -> bool) {
        announced::named(&self.rows, name, literal, visit);
    }
}

/// A searcher for the words of countries, if there are any. It knows both cases of ASCII letters only:
/// words with others are given to it in both.
fn national(rows: &[&'static Row]) -> Option<(AhoCorasick, Vec<&'static Row>)> {
    let mut words = Vec::new();
    let mut owners = Vec::new();
    for row in rows.iter().filter(|row| !row.countries.is_empty()) {
        for word in row.words {
            words.push((*word).to_owned());
            owners.push(*row);
            if !word.is_ascii() {
                words.push(word.to_uppercase());
                owners.push(*row);
            }
        }
    }
    if words.is_empty() {
        return None;
    }
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words);
    Some((search.expect("a few hundred short words"), owners))
}

/// Whether a word of a row stands here, and what must stand beside it.
fn is_row_word(text: &[u8], start: usize, end: usize, row: &Row, letter: u8) -> bool {
    let first = if letter == 0 {
        start
    } else {
        start.saturating_sub(1)
    };
    let rest = text.get(end..).unwrap_or_default().iter();
    let letters = rest
        .take(12)
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    let has_letter = letter == 0 || before(text, start, 1) | 0x20 == letter;
    // `passports`, `birthdate`, `identification`; of abbreviations only their plural.
    let ends = match (letter, before(text, end, 1)) {
        (_, b' ') => true,
        (0, _) => letters <= 1,
        (..) => letters <= 4 || matches!(row.detector, Detector::Vin | Detector::UsNpi),
    };
    has_letter && ends && begins_word(text, first) && is_qualified(text, first, end, row.detector)
}

/// Words that mean many things: an account is a bank's only where it says so or has a number, a licence is
/// one to drive only behind a driver.
fn is_qualified(text: &[u8], first: usize, end: usize, detector: Detector) -> bool {
    let behind = |words: &[&[u8]]| {
        words.iter().any(|word| {
            ends_with(text, first, word)
                && !before(text, first, word.len() + 1).is_ascii_alphabetic()
        })
    };
    match detector {
        Detector::UsDriverLicense => behind(&[b"driver ", b"driver's ", b"drivers ", b"driving "]),
        Detector::BankAccount => {
            let pos = end + usize::from(matches!(at(text, end), b' ' | b'_' | b'-'));
            let has_number = [b"number".as_slice(), b"num", b"no", b"nr", b"#"];
            behind(&[b"bank ", b"bank_", b"checking ", b"savings "])
                || before(text, end, 1) | 0x20 == b't' && end - first == 4
                || has_number.iter().any(|word| starts_with(text, pos, word))
        }
        _ => true,
    }
}

/// Whether a word begins here, on its own, inside a name (`userPhone`), or in a script that needs no spaces.
fn begins_word(text: &[u8], start: usize) -> bool {
    let prev = before(text, start, 1);
    char_before(text, start).is_none_or(|c| !joins(c))
        || char_at(text, start).is_some_and(is_unspaced)
        || at(text, start).is_ascii_uppercase() && prev.is_ascii_lowercase()
}

/// Whether the word ends here, or soon: `phones`, `telephone`.
fn ends_word(text: &[u8], end: usize, meaning: Meaning) -> bool {
    let rest = text.get(end..).unwrap_or_default().iter();
    let letters = rest
        .take(LETTERS_MAX + 1)
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    letters <= 1 || matches!(meaning, Meaning::Phone) && letters <= LETTERS_MAX
}

/// Visits the numbers that start within reach behind a word; returns how far those go that are masked.
fn announced(
    text: &[u8],
    word_end: usize,
    meaning: Meaning,
    visit: &mut impl FnMut(Found) -> bool,
) -> usize {
    if let Meaning::Row(row, _) = meaning {
        return numbers_of(row, text, word_end, visit);
    }
    let (mut from, mut masked) = (word_end, word_end);
    for _ in 0..LIST_MAX {
        let Some(found) = first_number(text, from).and_then(|start| take(text, start, meaning))
        else {
            break;
        };
        from = found.end;
        if visit(found) {
            masked = from;
        }
    }
    masked
}

/// Where numbers may stand in a text that words announce.
#[derive(Default)]
pub(crate) struct Numbers {
    /// Phone and social security numbers.
    called: Range<usize>,
    /// Numbers of rows that no shape in the bitmaps gives away.
    vehicles: Range<usize>,
}

impl Numbers {
    /// Looks at what begins at an event.
    #[inline]
    pub(crate) fn see(&mut self, text: &[u8], event: Event<'_>) {
        let here = event.pos..event.pos + 1;
        if event.is_headed() && is_announced(text, event.pos) {
            self.called = together(&self.called, &here);
        }
        if event.is_seventeen() && announced::is_vehicle(text, event.pos) {
            self.vehicles = together(&self.vehicles, &here);
        }
    }

    /// The part of the text in which they stand; from its start if something is masked: what masks leave between
    /// a word and a number may bring them together.
    pub(crate) fn near(&self, shaped: &Range<usize>, is_masked: bool) -> Range<usize> {
        let mut of_rows = together(&self.vehicles, shaped);
        if is_masked && !of_rows.is_empty() {
            of_rows.start = 0;
        }
        together(&self.called, &of_rows)
    }
}

/// Whether a number that begins with this digit, the first one behind a word, is what a word that means a
/// phone or a social security number announces.
fn is_announced(text: &[u8], digit: usize) -> bool {
    let prev = before(text, digit, 1);
    let is_joined = || matches!(before(text, digit, 2), b'0'..=b'9' | b'_' | b'-');
    if is_word(prev) || prev == b'-' && is_joined() {
        return false;
    }
    let bracket = usize::from(prev == b'(');
    let plus = (1..=3).find(|back| before(text, digit, *back) == b'+');
    phone::announced(text, digit - bracket, true).is_some()
        || ssn::find_in_context(text, digit).is_some()
        || plus.is_some_and(|back| phone::announced(text, digit - back, true).is_some())
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
        Meaning::Row(..) => None,
    }
}

/// What the name of a field makes of the number that is its whole value.
fn hinted(name: &str, text: &[u8]) -> Option<Found> {
    let start = text.iter().take_while(|b| **b == b' ').count();
    if !matches!(at(text, start), b'0'..=b'9' | b'(' | b'+') || digits(text, start) > 15 {
        return None;
    }
    if is_phone_name(name) {
        return phone::announced(text, start, true).map(|range| Found::new(Detector::Phone, range));
    }
    if is_ssn_name(name) {
        return ssn::find_in_context(text, start).map(|range| Found::new(Detector::Ssn, range));
    }
    None
}

fn is_phone_name(name: &str) -> bool {
    has(
        name,
        &["phone", "mobile", "msisdn", "telefon", "fax_", "whatsapp"],
    ) && !has(name, &["_id", "count", "model", "size"])
}

fn is_ssn_name(name: &str) -> bool {
    has(name, &["ssn", "social_security", "socialsecurity"])
}

/// Whether one of the words is in the name, in any case.
fn has(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        name.as_bytes()
            .windows(word.len())
            .any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
    })
}
