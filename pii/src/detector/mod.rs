//! The detectors, one file each.
//!
//! A detector gets the text and the position of an event and says which bytes are what it looks for.
//! It decides by boundaries, structure and checks, never by luck of a pattern, and it must not find
//! what the masker writes: that is what makes masking twice the same as masking once.

mod anchor;
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

use std::fmt;
use std::ops::Range;

pub(crate) use anchor::Anchors;
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
    /// International bank account numbers.
    Iban = 8,
    /// Individual taxpayer identification numbers of the United States.
    Itin = 9,
    /// Tokens with an issuer's prefix.
    Secret = 10,
    /// JSON Web Tokens.
    Jwt = 11,
    /// Private keys in PEM form.
    PrivateKey = 12,
    /// Credentials and cookies of HTTP headers.
    AuthHeader = 13,
    /// Values of names like `password` and `api_key`.
    KvSecret = 14,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Email,
        Self::Ssn,
        Self::Phone,
        Self::CreditCard,
        Self::Ipv4,
        Self::Ipv6,
        Self::Mac,
        Self::UrlCredentials,
        Self::Iban,
        Self::Itin,
        Self::Secret,
        Self::Jwt,
        Self::PrivateKey,
        Self::AuthHeader,
        Self::KvSecret,
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
            Self::Iban => "iban",
            Self::Itin => "us_itin",
            Self::Secret => "secret",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
            Self::AuthHeader => "auth_header",
            Self::KvSecret => "kv_secret",
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
            Self::Ssn
            | Self::Itin
            | Self::UrlCredentials
            | Self::Secret
            | Self::Jwt
            | Self::PrivateKey
            | Self::AuthHeader
            | Self::KvSecret => Strategy::Redact,
            Self::Email
            | Self::Phone
            | Self::CreditCard
            | Self::Ipv4
            | Self::Ipv6
            | Self::Mac
            | Self::Iban => Strategy::PartialMask,
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
            Self::Iban => "[IBAN]",
            Self::Itin => "[US_ITIN]",
            Self::Secret => "[SECRET]",
            Self::Jwt => "[JWT]",
            Self::PrivateKey => "[PRIVATE_KEY]",
            Self::AuthHeader => "[AUTH_HEADER]",
            Self::KvSecret => "[KV_SECRET]",
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Without them words and beginnings cannot be searched for, and nothing may pass unmasked for that.
const VECTORS: &str = "masking needs a processor with SSSE3 or NEON";

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

/// Whether an event is nothing but a sign behind which a value could stand.
pub(crate) fn is_sign(text: &[u8], event: Event) -> bool {
    let colon = event.sign && !event.colons;
    colon || event.mark && at(text, event.pos) == b'='
}

/// What begins, or is marked, at this event.
pub(crate) fn confirm(text: &[u8], event: Event) -> Option<Found> {
    use Detector::{CreditCard, Email, Iban, Ipv4, Ipv6, Itin, Mac, Phone, Ssn, UrlCredentials};
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
            b'=' => keyed::find(text, pos),
            _ => phone::bracketed(text, pos).map(found(Phone)),
        };
    }
    if event.sign
        && let Some(found) = keyed::find(text, pos)
    {
        return Some(found);
    }
    if event.pair
        && let Some(range) = iban::find(text, pos)
    {
        return Some(found(Iban)(range));
    }
    if event.number {
        return credit_card::find(text, pos)
            .map(found(CreditCard))
            .or_else(|| ssn::find(text, pos).map(found(Ssn)))
            .or_else(|| itin::find(text, pos).map(found(Itin)))
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

/// The whole value of a field whose name says that it is a secret.
pub(crate) fn secret_field(name: &str, text: &[u8]) -> Option<Found> {
    (keyed::is_secret_name(name) && keyed::is_value(text))
        .then(|| Found::new(Detector::KvSecret, 0..text.len()))
}

/// What the whole text is: in a field the name tells, and nine digits that are a message by themselves
/// are a social security number.
pub(crate) fn whole(name: Option<&str>, text: &[u8]) -> Option<Found> {
    match name {
        Some(name) => context::hinted(name, text),
        None if text.len() == ssn::BARE_DIGITS => {
            ssn::find_in_context(text, 0).map(|range| Found::new(Detector::Ssn, range))
        }
        None => None,
    }
}
