//! The detectors, one file each.
//!
//! A detector gets the text and the position of an event and says which bytes are what it looks for.
//! It decides by boundaries, structure and checks, never by luck of a pattern, and it must not find
//! what the masker writes: that is what makes masking twice the same as masking once.

mod context;
mod credit_card;
mod email;
mod ipv4;
mod ipv6;
mod mac;
mod phone;
mod ssn;
mod url_credentials;

use std::fmt;
use std::ops::Range;

pub(crate) use context::Keywords;
pub(crate) use ipv4::{address as ipv4_address, partial as ipv4_partial};
pub(crate) use ipv6::{address as ipv6_address, partial as ipv6_partial};
pub(crate) use phone::partial as phone_partial;

use crate::Strategy;
use crate::bytes::at;
use crate::masker::Fired;
use crate::scan::Event;
use url_credentials::At;

/// A kind of personal data that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Detector {
    /// E-mail addresses.
    Email = 0,
    /// Social security numbers of the United States.
    Ssn = 1,
    /// Phone numbers: international, and of North America; national ones after a word like `phone`.
    Phone = 2,
    /// Payment card numbers.
    CreditCard = 3,
    /// IPv4 addresses.
    Ipv4 = 4,
    /// IPv6 addresses.
    Ipv6 = 5,
    /// Hardware addresses of six bytes.
    Mac = 6,
    /// User name and password in a URL.
    UrlCredentials = 7,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Ssn,
        Self::Phone,
        Self::CreditCard,
        Self::Ipv4,
        Self::Ipv6,
        Self::Mac,
        Self::UrlCredentials,
    ];

    /// The name in `pii`, in spans and in hashed values.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Ssn => "ssn",
            Self::Phone => "phone",
            Self::CreditCard => "credit_card",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Mac => "mac",
            Self::UrlCredentials => "url_credentials",
        }
    }

    /// The detector with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|detector| detector.name() == name)
    }

    /// What the pack of this release does with its findings.
    pub const fn default_strategy(self) -> Strategy {
        match self {
            Self::Ssn | Self::UrlCredentials => Strategy::Redact,
            Self::Email | Self::Phone | Self::CreditCard | Self::Ipv4 | Self::Ipv6 | Self::Mac => {
                Strategy::PartialMask
            }
        }
    }

    /// What REDACT writes unless the policy says otherwise.
    pub const fn replacement(self) -> &'static str {
        match self {
            Self::Email => "[EMAIL]",
            Self::Ssn => "[SSN]",
            Self::Phone => "[PHONE]",
            Self::CreditCard => "[CREDIT_CARD]",
            Self::Ipv4 => "[IPV4]",
            Self::Ipv6 => "[IPV6]",
            Self::Mac => "[MAC]",
            Self::UrlCredentials => "[URL_CREDENTIALS]",
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a detector found, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) detector: Detector,
    /// Made of several findings, or a part of one: no part of it may be left readable.
    pub(crate) merged: bool,
    /// It displaced another finding, of which something may be left: look again.
    pub(crate) contested: bool,
    /// Detectors of the findings that it is made of.
    pub(crate) swallowed: Fired,
}

impl Found {
    pub(crate) fn new(detector: Detector, range: Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
            detector,
            merged: false,
            contested: false,
            swallowed: Fired::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// What begins, or is marked, at this event.
pub(crate) fn confirm(text: &[u8], event: Event) -> Option<Found> {
    use Detector::{CreditCard, Email, Ipv4, Ipv6, Mac, Phone, Ssn, UrlCredentials};
    let pos = event.pos;
    let found = |detector| move |range| Found::new(detector, range);
    if event.mark {
        return match at(text, pos) {
            b'@' => match url_credentials::find(text, pos) {
                At::Credentials(range) => Some(found(UrlCredentials)(range)),
                At::Masked => None,
                At::Other => email::find(text, pos).map(found(Email)),
            },
            b'%' => email::find(text, pos).map(found(Email)),
            b'+' => phone::international(text, pos).map(found(Phone)),
            _ => phone::bracketed(text, pos).map(found(Phone)),
        };
    }
    if event.number {
        return credit_card::find(text, pos)
            .map(found(CreditCard))
            .or_else(|| ssn::find(text, pos).map(found(Ssn)))
            .or_else(|| phone::grouped(text, pos).map(found(Phone)));
    }
    if event.dotted {
        return ipv4::find(text, pos).map(found(Ipv4));
    }
    if event.colons {
        return ipv6::find(text, pos)
            .map(found(Ipv6))
            .or_else(|| mac::find(text, pos).map(found(Mac)));
    }
    None
}

/// Whether the whole of it, such as the literal of a JSON number, is the number of a card.
pub(crate) fn number_is_card(literal: &[u8]) -> bool {
    credit_card::find(literal, 0) == Some(0..literal.len())
}

/// Whether a field of this name may hold a bare or national number of some kind.
pub(crate) fn hinted(name: &str, text: &[u8]) -> Option<Found> {
    context::hinted(name, text)
}
