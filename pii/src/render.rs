//! What is written in place of a finding.
//!
//! No detector may find what is written here: masking twice must change nothing.

use std::fmt::Write;

use crate::bytes::part;
use crate::detector::{Detector, Found, ipv4_address, ipv6_address};
use crate::finder::Finder;
use crate::fold::folded;
use crate::policy::Rule;
use crate::{Key, Strategy, detector};

/// Bytes of a hash that are kept: 120 bits.
const HASH_BYTES: usize = 15;
/// Characters of a hash in base 32.
pub(crate) const HASH_CHARACTERS: usize = HASH_BYTES * 8 / 5;
/// Characters of a card or an account that PARTIAL leaves.
const LAST_KEPT: usize = 4;

/// A rule with the name of what it is about.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) name: &'a str,
}

/// What is done with a finding under its rule.
pub(crate) fn strategy(rule: &Rule, found: &Found) -> Strategy {
    if found.merged {
        Strategy::Redact
    } else {
        rule.strategy
    }
}

/// Appends what takes the place of `span`, the text of `found`.
pub(crate) fn render(key: &Key, of: Named<'_>, found: &Found, span: &str, out: &mut String) {
    match strategy(of.rule, found) {
        Strategy::Redact => out.push_str(&of.rule.replacement),
        Strategy::Hash => hash(key, found.by, of.name, span, out),
        Strategy::PartialMask => partial(found.by, &of.rule.replacement, &folded(span), out),
    }
}

fn partial(by: Finder, replacement: &str, span: &str, out: &mut String) {
    let Finder::BuiltIn(detector) = by else {
        return tail(span, out);
    };
    match detector {
        // Of one whose `@` is written out in another way nobody knows where the name ends.
        Detector::Email if span.contains('@') || span.contains("%40") => email(span, out),
        Detector::Phone => detector::phone_partial(span, out),
        Detector::CreditCard | Detector::BankAccount | Detector::Imei => {
            last(LAST_KEPT, span, |b| b.is_ascii_digit(), out)
        }
        Detector::Ipv4 => detector::ipv4_partial(span, out),
        Detector::Ipv6 => detector::ipv6_partial(span, out),
        Detector::Mac => mac(span, out),
        Detector::Iban => last(LAST_KEPT, span, |b| b.is_ascii_alphanumeric(), out),
        _ => out.push_str(replacement),
    }
}

/// Of what a pattern found the end stays, as far as that is no more than a quarter and four characters.
fn tail(span: &str, out: &mut String) {
    let count = span.chars().filter(|c| c.is_alphanumeric()).count();
    let mut left = count.saturating_sub(LAST_KEPT.min(count / 4));
    for c in span.chars() {
        let hidden = c.is_alphanumeric() && left > 0;
        left -= usize::from(hidden);
        out.push(if hidden { '*' } else { c });
    }
}

/// `j***@example.com`
fn email(span: &str, out: &mut String) {
    let mark = span.find('@').or_else(|| span.find("%40")).unwrap_or(0);
    out.extend(span.chars().next());
    out.push_str("***");
    out.push_str(part(span, mark, span.len()));
}

/// `**** **** **** 4242`, `**** **** **** **** **30 00`: stars for all that counts but the last ones.
fn last(kept: usize, span: &str, counts: impl Fn(u8) -> bool, out: &mut String) {
    let total = span.bytes().filter(|b| counts(*b)).count();
    let mut seen = 0;
    for c in span.chars() {
        let counted = u8::try_from(c).is_ok_and(&counts);
        seen += usize::from(counted);
        out.push(if counted && seen + kept <= total {
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

/// Appends `name:key id:hash` of the normalised text.
pub(crate) fn hash(key: &Key, by: Finder, name: &str, span: &str, out: &mut String) {
    let mut hasher = key.hasher();
    hasher.update(name.as_bytes());
    hasher.update(&[0]);
    hasher.update(normalised(by, &folded(span)).as_bytes());
    let mut bytes = [0u8; HASH_BYTES];
    hasher.finalize_xof().fill(&mut bytes);
    let text = data_encoding::BASE32_NOPAD
        .encode(&bytes)
        .to_ascii_lowercase();
    // Writing to a String cannot fail.
    let _ = write!(out, "{name}:{}:{text}", key.id());
}

/// One spelling for all spellings of one value.
fn normalised(by: Finder, span: &str) -> String {
    let span = span.trim();
    let Finder::BuiltIn(detector) = by else {
        return span.to_owned();
    };
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
        Detector::UrlCredentials
        | Detector::Secret
        | Detector::Jwt
        | Detector::PrivateKey
        | Detector::AuthHeader
        | Detector::KvSecret
        | Detector::Username => span.to_owned(),
        // Numbers with letters, written with and without spaces and hyphens.
        _ => span
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect(),
    }
}
