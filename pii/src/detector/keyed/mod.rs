//! Secrets that their name gives away: `password=…`, `"api_key": "…"`, `Authorization: Bearer …`.
//!
//! The name must end where its word ends (`token_count` is none), a sign must follow it, and what
//! follows that must be a value: behind `name:` in prose only what no word of a language looks like.

use std::ops::Range;

use super::{Detector, Found, ipv6};
use crate::bytes::{before, slice, starts_with};
use crate::finder::Finder;

use name::{Name, may_end, name_end, named};
use place::{is_mask, is_mask_hash, is_nothing};
use value::{Sign, end, has_parameters, header_end, line_end, value};

mod name;
mod place;
mod value;

pub(crate) use name::{is_secret_name, is_user_name};
pub(crate) use place::is_user;

/// How far a line is looked at for a cookie's first `=`, in bytes.
const COOKIE_NAME_MAX: usize = 256;
/// Longest name of a user, in bytes.
const USER_BYTES_MAX: usize = 128;
/// Shortest value behind a word that also stands in prose.
const PROSE_VALUE_MIN: usize = 6;

/// How far a text has been read as values that names give away. Signs inside a value begin no value of
/// their own: in one that is masked none, in one that is left none of the same detector.
#[derive(Default)]
pub(crate) struct Read {
    masked: usize,
    headers: usize,
    secrets: usize,
    /// The address of version 6 that was read last.
    pub(super) address: ipv6::Last,
}

impl Read {
    /// Notes a value, and whether it is masked.
    pub(crate) fn note(&mut self, found: &Found, is_masked: bool) {
        let to = match found.by {
            Finder::BuiltIn(Detector::AuthHeader) => &mut self.headers,
            Finder::BuiltIn(Detector::KvSecret) => &mut self.secrets,
            // Short, and other values may begin in it.
            _ => return,
        };
        *to = found.end.max(*to);
        if is_masked {
            self.masked = found.end.max(self.masked);
        }
    }

    /// Whether values behind this name have been read beyond `pos`.
    fn has(&self, name: Name, pos: usize) -> bool {
        let to = match name {
            Name::Authorization | Name::Cookie => self.headers,
            Name::Secret | Name::Word => self.secrets,
            Name::User => 0,
        };
        pos < to
    }
}

/// The value behind the sign at `pos`, if a secret's name stands before it and `read` does not have it.
pub(crate) fn find(text: &[u8], pos: usize, read: &Read) -> Option<Found> {
    if pos < read.masked || !may_end(before(text, pos, 1), before(text, pos, 2)) {
        return None;
    }
    let (name_end, quoted) = name_end(text, pos);
    let name = named(text, name_end).filter(|name| !read.has(*name, pos))?;
    let (start, quote, sign) = value(text, pos, quoted);
    if is_mask(text, start) {
        return None;
    }
    match name {
        Name::Authorization => {
            let credentials = after_scheme_word(text, start);
            let word = credentials..end(text, credentials, quote);
            let known = credentials > start;
            // A scheme of several parameters, as Digest and AWS4-HMAC-SHA256 are.
            let parameters = !known && quote == 0 && has_parameters(text, word.end);
            let range = if parameters {
                credentials..line_end(text, credentials)
            } else {
                word
            };
            // Behind a scheme nothing but credentials stands, in prose too.
            let sign = if known || parameters {
                Sign::Plain
            } else {
                sign
            };
            (!range.is_empty() && !is_mask(text, credentials) && tells(text, &range, sign))
                .then(|| Found::new(Detector::AuthHeader, range))
        }
        Name::Cookie => {
            let head = slice(text, start, text.len().min(start + COOKIE_NAME_MAX));
            let ends = |b: &u8| matches!(b, b'\n' | b'\r' | b'"');
            let named = head.iter().take_while(|b| !ends(b)).any(|b| *b == b'=');
            let end = || match quote {
                0 => header_end(text, start),
                quote => end(text, start, quote),
            };
            named.then(|| Found::new(Detector::AuthHeader, start..end()))
        }
        Name::User => {
            // A longer value is none, and is not read to its end again and again.
            let head = slice(text, 0, text.len().min(start + USER_BYTES_MAX + 1));
            let range = start..end(head, start, quote);
            let value = slice(text, range.start, range.end);
            (sign == Sign::Plain
                && range.len() <= USER_BYTES_MAX
                && is_user(value)
                && tells(text, &range, sign))
            .then(|| Found::new(Detector::Username, range))
        }
        Name::Secret | Name::Word => {
            let range = start..end(text, start, quote);
            (!range.is_empty() && tells(text, &range, sign))
                .then(|| Found::new(Detector::KvSecret, range))
        }
    }
}

/// Whether the value of a secret's field is one, and not a mask or a way to say that there is none.
pub(crate) fn is_value(text: &[u8]) -> bool {
    !text.is_empty() && !is_mask(text, 0) && !is_nothing(text)
}

/// Start of the credentials behind the word of a scheme, if there is one.
fn after_scheme_word(text: &[u8], start: usize) -> usize {
    let schemes: [&[u8]; 5] = [b"bearer ", b"basic ", b"token ", b"apikey ", b"negotiate "];
    let scheme = schemes.iter().find(|word| starts_with(text, start, word));
    start + scheme.map_or(0, |word| word.len())
}

/// Whether a value is one: behind a plain sign unless it says that there is none; in prose only with a
/// digit in it that is not a hash's, so that masking what stands in it does not make it a secret.
fn tells(text: &[u8], range: &Range<usize>, sign: Sign) -> bool {
    let value = slice(text, range.start, range.end);
    match sign {
        Sign::Plain => !is_nothing(value),
        Sign::Prose => {
            value.len() >= PROSE_VALUE_MIN
                && value.iter().any(u8::is_ascii_digit)
                && !range.clone().any(|pos| is_mask_hash(text, pos))
        }
    }
}
