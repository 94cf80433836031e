//! What is written in place of a finding.
//!
//! No detector may find what is written here: masking twice must change nothing.

use std::fmt::Write;

use crate::bytes::part;
use crate::detector::{Detector, Found, ipv4_address, ipv6_address};
use crate::fold::folded;
use crate::policy::Rule;
use crate::{Key, Strategy, detector};

/// Bytes of a hash that are kept: 120 bits, 24 characters.
const HASH_BYTES: usize = 15;
/// Characters of a card or an account that PARTIAL leaves.
const LAST_KEPT: usize = 4;

/// What is done with a finding under its rule.
pub(crate) fn strategy(rule: &Rule, found: &Found) -> Strategy {
    if found.merged {
        Strategy::Redact
    } else {
        rule.strategy
    }
}

/// Appends what takes the place of `span`, the text of `found`.
pub(crate) fn render(key: &Key, rule: &Rule, found: &Found, span: &str, out: &mut String) {
    match strategy(rule, found) {
        Strategy::Redact => out.push_str(&rule.replacement),
        Strategy::Hash => hash(key, found.detector, span, out),
        Strategy::PartialMask => partial(found.detector, &rule.replacement, &folded(span), out),
    }
}

fn partial(detector: Detector, replacement: &str, span: &str, out: &mut String) {
    match detector {
        Detector::Email => email(span, out),
        Detector::Phone => detector::phone_partial(span, out),
        Detector::CreditCard => last_four(span, |b| b.is_ascii_digit(), out),
        Detector::Ipv4 => detector::ipv4_partial(span, out),
        Detector::Ipv6 => detector::ipv6_partial(span, out),
        Detector::Mac => mac(span, out),
        Detector::Iban => last_four(span, |b| b.is_ascii_alphanumeric(), out),
        Detector::Ssn
        | Detector::Itin
        | Detector::UrlCredentials
        | Detector::Secret
        | Detector::Jwt
        | Detector::PrivateKey
        | Detector::AuthHeader
        | Detector::KvSecret => out.push_str(replacement),
    }
}

/// `j***@example.com`
fn email(span: &str, out: &mut String) {
    let mark = span.find('@').or_else(|| span.find("%40")).unwrap_or(0);
    out.extend(span.chars().next());
    out.push_str("***");
    out.push_str(part(span, mark, span.len()));
}

/// `**** **** **** 4242`, `**** **** **** **** **30 00`: stars for all that counts but the last four.
fn last_four(span: &str, counts: impl Fn(u8) -> bool, out: &mut String) {
    let total = span.bytes().filter(|b| counts(*b)).count();
    let mut seen = 0;
    for c in span.chars() {
        let counted = u8::try_from(c).is_ok_and(&counts);
        seen += usize::from(counted);
        out.push(if counted && seen + LAST_KEPT <= total {
            '*'
        } else {
            c
        });
    }
}

/// The vendor's half.
fn mac(span: &str, out: &mut String) {
    for (i, c) in span.char_indices() {
        out.push(if i > 8 && c.is_ascii_hexdigit() {
            'x'
        } else {
            c
        });
    }
}

/// Appends `detector:key id:hash` of the normalised text.
pub(crate) fn hash(key: &Key, detector: Detector, span: &str, out: &mut String) {
    let mut hasher = key.hasher();
    hasher.update(detector.name().as_bytes());
    hasher.update(&[0]);
    hasher.update(normalised(detector, &folded(span)).as_bytes());
    let mut bytes = [0u8; HASH_BYTES];
    hasher.finalize_xof().fill(&mut bytes);
    let text = data_encoding::BASE32_NOPAD
        .encode(&bytes)
        .to_ascii_lowercase();
    // Writing to a String cannot fail.
    let _ = write!(out, "{}:{}:{text}", detector.name(), key.id());
}

/// One spelling for all spellings of one value.
fn normalised(detector: Detector, span: &str) -> String {
    let span = span.trim();
    match detector {
        Detector::Email => {
            let (local, domain) = span
                .split_once('@')
                .or_else(|| span.split_once("%40"))
                .unwrap_or((span, ""));
            format!("{local}@{}", domain.to_lowercase())
        }
        Detector::Phone | Detector::CreditCard | Detector::Ssn | Detector::Itin => {
            span.chars().filter(char::is_ascii_digit).collect()
        }
        Detector::Ipv4 => {
            ipv4_address(span).map_or_else(|| span.to_owned(), |address| address.to_string())
        }
        Detector::Ipv6 => {
            ipv6_address(span).map_or_else(|| span.to_owned(), |address| address.to_string())
        }
        Detector::Mac => span
            .chars()
            .filter(char::is_ascii_hexdigit)
            .map(|c| c.to_ascii_lowercase())
            .collect(),
        Detector::Iban => span
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect(),
        Detector::UrlCredentials
        | Detector::Secret
        | Detector::Jwt
        | Detector::PrivateKey
        | Detector::AuthHeader
        | Detector::KvSecret => span.to_owned(),
    }
}
