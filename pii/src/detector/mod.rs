//! The detectors, one file each.
//!
//! A detector gets the text and the position of an event and says which bytes are what it looks for.
//! It decides by boundaries, structure and checks, never by luck of a pattern, and it must not find
//! what the masker writes: that is what makes masking twice the same as masking once.

mod anchor;
mod announced;
mod catalog;
mod context;
mod credit_card;
mod email;
mod iban;
mod ipv4;
mod ipv6;
mod itin;
mod jwt;
mod keyed;
mod mac;
mod phone;
mod private_key;
mod ssn;
mod token;
mod url_credentials;

use std::ops::Range;

pub(crate) use anchor::Anchors;
pub(crate) use announced::{Row, rows};
pub use catalog::{Detector, Pack};
pub(crate) use context::{Keywords, Numbers};
pub(crate) use email::is_common_top;
pub(crate) use ipv4::{
    address as ipv4_address, is_of_no_one as is_ipv4_of_no_one, partial as ipv4_partial,
};
pub(crate) use ipv6::{
    address as ipv6_address, is_of_no_one as is_ipv6_of_no_one, partial as ipv6_partial,
};
pub(crate) use keyed::{Read, is_secret_name, is_user_name};
pub(crate) use phone::partial as phone_partial;
pub(crate) use token::may_begin as may_begin_token;

use aho_corasick::Match;
use aho_corasick::packed::Searcher;

use crate::bytes::at;
use crate::finder::Finder;
use crate::names::Says;
use crate::scan::Event;
use crate::validators::card;
use url_credentials::At;

/// Without them words and beginnings cannot be searched for, and nothing may pass unmasked for that.
const VECTORS: &str = "masking needs a processor with SSSE3 or NEON";

/// Bytes that every searcher can search by vectors.
const SEARCHED_BYTES_MIN: usize = 64;

/// Searches for words in a text. Of a short one a copy is searched, with bytes behind it that no word has:
/// that is much faster than to search without vectors.
fn search(searcher: &Searcher, text: &[u8], mut visit: impl FnMut(Match)) {
    let mut copy = [0; SEARCHED_BYTES_MIN];
    let text = match copy.get_mut(..text.len()) {
        Some(head) => {
            head.copy_from_slice(text);
            &copy
        }
        None => text,
    };
    for hit in searcher.find_iter(text) {
        visit(hit);
    }
}

/// What was found, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) by: Finder,
    /// Made of several findings, or a part of one: no part of it may be left readable.
    pub(crate) merged: bool,
    /// It displaced another finding, of which something may be left: look again.
    pub(crate) contested: bool,
    /// Of two findings of the same bytes that of the lower rank counts.
    pub(crate) rank: u16,
}

impl Found {
    pub(crate) fn new(by: impl Into<Finder>, range: Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
            by: by.into(),
            merged: false,
            contested: false,
            rank: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether this detector found it.
    pub(crate) fn is(&self, detector: Detector) -> bool {
        self.by == Finder::BuiltIn(detector)
    }
}

/// Visits what begins, or is marked, at this event, until `visit` says that a finding is masked: one that is
/// left hides no other.
pub(crate) fn confirm(
    text: &[u8],
    event: Event<'_>,
    read: &mut Read,
    mut visit: impl FnMut(Found) -> bool,
) {
    use Detector::{CreditCard, Email, Iban, Ipv4, Ipv6, Itin, Mac, Phone, Ssn, UrlCredentials};
    let pos = event.pos;
    if (event.is_sign() || event.is_mark() && at(text, pos) == b'=')
        && let Some(found) = keyed::find(text, pos, read)
    {
        let is_masked = visit(found);
        read.note(&found, is_masked);
        if is_masked {
            return;
        }
    }
    let mut is_masked = |detector, range: Option<Range<usize>>| {
        range.is_some_and(|range| visit(Found::new(detector, range)))
    };
    if event.is_mark() {
        let _ = match at(text, pos) {
            b'@' => match url_credentials::find(text, pos) {
                At::Credentials(range) => {
                    is_masked(UrlCredentials, Some(range))
                        || is_masked(Email, email::find(text, pos))
                }
                At::Masked => false,
                At::Other => is_masked(Email, email::find(text, pos)),
            },
            b'%' => is_masked(Email, email::find(text, pos)),
            b'+' => is_masked(Phone, phone::international(text, pos)),
            b'(' => is_masked(Phone, phone::bracketed(text, pos)),
            _ => false,
        };
        return;
    }
    if event.is_pair() && is_masked(Iban, iban::find(text, pos)) {
        return;
    }
    if event.is_number() {
        let _ = is_masked(CreditCard, credit_card::find(text, pos))
            || is_masked(Ssn, ssn::find(text, pos))
            || is_masked(Itin, itin::find(text, pos))
            || is_masked(Phone, phone::grouped(text, pos));
        return;
    }
    if event.is_dotted() {
        is_masked(Ipv4, ipv4::find(text, pos));
        return;
    }
    if event.is_colons() {
        let _ = is_masked(Ipv6, ipv6::find(text, pos, &mut read.address))
            || is_masked(Mac, mac::find(text, pos));
    }
}

/// Whether the whole of it, such as the literal of a JSON number, is the number of a card.
pub(crate) fn number_is_card(literal: &[u8]) -> bool {
    literal.len() >= card::DIGITS_MIN && credit_card::find(literal, 0) == Some(0..literal.len())
}

/// The whole value of a field whose name says that it is a secret.
pub(crate) fn secret_field(says: Says, text: &[u8]) -> Option<Found> {
    (says.any(Says::SECRET) && keyed::is_value(text))
        .then(|| Found::new(Detector::KvSecret, 0..text.len()))
}

/// What a text without a name is as a whole, but for white space around it: nine digits that are a message by themselves are a social
/// security number.
pub(crate) fn whole(text: &[u8]) -> Option<Found> {
    let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_digit() || b.is_ascii_whitespace());
    let is_bare =
        ends(text.first()) && ends(text.last()) && text.trim_ascii().len() == ssn::BARE_DIGITS;
    let start = text.len() - text.trim_ascii_start().len();
    let range = is_bare.then(|| ssn::find_in_context(text, start)).flatten();
    range.map(|range| Found::new(Detector::Ssn, range))
}

/// The whole value of a field whose name says that it is a secret, or a user's name.
pub(crate) fn named_field(says: Says, text: &[u8]) -> Option<Found> {
    let user = || {
        (says.any(Says::USER) && keyed::is_user(text) && keyed::is_value(text))
            .then(|| Found::new(Detector::Username, 0..text.len()))
    };
    secret_field(says, text).or_else(user)
}
