//! Masking inside JSON text: strings, names, and card numbers among the numbers.
//!
//! Works on the text itself and copies what it does not mask, so that number literals, spaces and
//! order stay. A string with escapes is decoded, and written anew only when something in it is
//! masked. Text that is no JSON is masked like any other text; nothing is ever left unmasked for
//! being malformed.

use std::collections::BTreeMap;
use std::fmt::Write;

use hushlog_record::json::decoded;

use crate::Masker;
use crate::bytes::{at, part};
use crate::finder::Fired;
use crate::names::Says;
use crate::pattern::Place;

/// The masked text; `None` when nothing was found. `place` is that of the field.
pub(crate) fn mask(
    masker: &Masker,
    text: &str,
    place: Place<'_>,
    fired: &mut Fired,
) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut pos = 0;
    let mut key = Key {
        name: place.name.unwrap_or_default().to_owned(),
        says: place.says,
        masked: None,
    };
    let mut alike = Alike::default();
    while pos < bytes.len() {
        let (end, masked) = match at(bytes, pos) {
            b'{' => {
                alike.open();
                (pos + 1, None)
            }
            b'}' => {
                alike.close();
                (pos + 1, None)
            }
            b'"' => {
                let end = string_end(bytes, pos);
                let plain = decoded(part(text, pos, end));
                let masked = if next_mark(bytes, end) == b':' {
                    key = Key::of(masker, plain.into_owned(), place, fired);
                    key.masked.as_deref().map(|name| alike.numbered(name))
                } else {
                    key.mask(masker, &plain, Masker::masked, place, fired)
                };
                (end, masked)
            }
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, pos);
                let literal = part(text, pos, end);
                let masked = key.mask(masker, literal, Masker::mask_number, place, fired);
                (end, masked)
            }
            _ => (pos + 1, None),
        };
        if let Some(masked) = masked {
            out.push_str(part(text, copied, pos));
            out.push_str(&quoted(&masked));
            copied = end;
        }
        pos = end;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(part(text, copied, text.len()));
    Some(out)
}

/// Masked names of the objects that are open: two of one object that have become alike are numbered, as those of fields
/// are, so that whoever reads the object keeps both.
#[derive(Default)]
struct Alike {
    depth: usize,
    /// How often each name was made in the object at that depth.
    made: BTreeMap<(usize, String), usize>,
}

impl Alike {
    fn open(&mut self) {
        self.depth += 1;
    }

    fn close(&mut self) {
        if !self.made.is_empty() {
            self.made.split_off(&(self.depth, String::new()));
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn numbered(&mut self, name: &str) -> String {
        let count = self.made.entry((self.depth, name.to_owned())).or_default();
        *count += 1;
        match count {
            1 => name.to_owned(),
            number => format!("{name}#{number}"),
        }
    }
}

/// The name before a value, or that of the field.
struct Key {
    name: String,
    says: Says,
    /// The name that it has from now on, where that is another.
    masked: Option<String>,
}

/// How a value is masked: as a text, or as the literal of a number.
type Mask = fn(&Masker, &str, Place<'_>, &mut Fired) -> Option<String>;

impl Key {
    fn of(masker: &Masker, name: String, place: Place<'_>, fired: &mut Fired) -> Self {
        let says = masker.says(&name);
        let masked = masker.masked_name(&name, says, place.service, fired);
        Self { name, says, masked }
    }

    /// The masked value behind the name, and under the name as it is from now on; `None` when nothing was found.
    fn mask(
        &self,
        masker: &Masker,
        value: &str,
        mask: Mask,
        place: Place<'_>,
        fired: &mut Fired,
    ) -> Option<String> {
        let place = Place {
            name: Some(&self.name),
            says: self.says,
            ..place
        };
        let masked = mask(masker, value, place, fired);
        let name = self.masked.as_deref();
        let Some(place) = name.and_then(|name| masker.renamed(name, place)) else {
            return masked;
        };
        let again = match &masked {
            Some(text) => masker.masked(text, place, fired),
            None => mask(masker, value, place, fired),
        };
        again.or(masked)
    }
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut pos = start + 1;
    while pos < bytes.len() {
        match at(bytes, pos) {
            b'\\' => pos += 2,
            b'"' => return pos + 1,
            _ => pos += 1,
        }
    }
    bytes.len()
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let is_number = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
    start
        + bytes
            .get(start..)
            .unwrap_or_default()
            .iter()
            .take_while(|b| is_number(b))
            .count()
}

/// The first byte behind `pos` that is no white space.
fn next_mark(bytes: &[u8], pos: usize) -> u8 {
    let rest = bytes.get(pos..).unwrap_or_default();
    rest.iter()
        .copied()
        .find(|b| !b.is_ascii_whitespace())
        .unwrap_or(0)
}

/// A string literal of this text.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
