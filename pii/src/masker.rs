//! The masker: a compiled policy, applied to text.

use std::borrow::Cow;
use std::fmt;

use crate::bytes::part;
use crate::detector::{self, Anchors, Detector, Found, Keywords};
use crate::fold::Folded;
use crate::policy::Rule;
use crate::{Key, Policy, Strategy, render, scan, settle};

/// What was found in one text; few texts hold more than four.
pub(crate) type FoundList = smallvec::SmallVec<[Found; 4]>;

/// Shortest text that can hold anything a detector finds, in bytes (`a@b.co`).
const TEXT_BYTES_MIN: usize = 6;
/// Most times that a text is looked into again after masking.
const ROUNDS_MAX: usize = 8;

/// Where something was found in a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// Name of the detector.
    pub detector: &'static str,
    /// What was done.
    pub strategy: Strategy,
}

/// A masked text with what was masked in it. Prints no text in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Findings<'a> {
    /// The text with every span replaced; borrowed when there is none.
    pub masked: Cow<'a, str>,
    /// Spans of the original text, ascending, never overlapping.
    pub spans: Vec<Span>,
}

impl fmt::Debug for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings")
            .field("spans", &self.spans)
            .finish_non_exhaustive()
    }
}

/// A policy and a key, compiled. Immutable: share it in an `Arc`.
pub struct Masker {
    policy: Policy,
    key: Key,
    keywords: Keywords,
    anchors: Anchors,
}

/// Detectors that fired, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fired(u32);

impl Fired {
    pub(crate) fn add(&mut self, detector: Detector) {
        self.0 |= 1 << detector as u32;
    }

    pub(crate) fn add_all(&mut self, others: Self) {
        self.0 |= others.0;
    }

    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }

    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Detector::ALL
            .into_iter()
            .filter(move |d| self.0 & 1 << *d as u32 != 0)
            .map(Detector::name)
    }
}

impl Masker {
    /// Compiles a policy.
    pub fn new(policy: Policy, key: Key) -> Self {
        Self {
            policy,
            key,
            keywords: Keywords::new(),
            anchors: Anchors::new(),
        }
    }

    /// Version of the policy, for the headers of blocks.
    pub fn epoch(&self) -> u64 {
        self.policy.epoch
    }

    /// The policy it was made from.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Masks one text and says what was found where.
    pub fn mask_text<'a>(&self, text: &'a str) -> Findings<'a> {
        let found = self.find(text, None);
        if found.is_empty() {
            return Findings {
                masked: Cow::Borrowed(text),
                spans: Vec::new(),
            };
        }
        let mut spans = Vec::with_capacity(found.len());
        for f in &found {
            if let Some(rule) = self.rule(f) {
                let (detector, strategy) = (f.detector.name(), render::strategy(rule, f));
                spans.push(Span {
                    start: f.start,
                    end: f.end,
                    detector,
                    strategy,
                });
            }
        }
        Findings {
            masked: Cow::Owned(self.replaced(text, &found)),
            spans,
        }
    }

    /// What HASH writes for this value: what a search for equal values looks for.
    pub fn hash_value(&self, detector: Detector, text: &str) -> String {
        let mut out = String::new();
        render::hash(&self.key, detector, text, &mut out);
        out
    }

    /// Masks a string in place; costs no allocation when nothing is found. `name` is the field's.
    pub(crate) fn mask_string(
        &self,
        text: &mut String,
        name: Option<&str>,
        fired: &mut Fired,
    ) -> bool {
        let found = self.find(text, name);
        if found.is_empty() {
            return false;
        }
        for f in &found {
            fired.add(f.detector);
            fired.add_all(f.swallowed);
        }
        *text = self.replaced(text, &found);
        true
    }

    /// Masks the literal of a JSON number; `None` when it may stay.
    /// `name` is the field's.
    pub(crate) fn mask_number(
        &self,
        literal: &str,
        name: &str,
        fired: &mut Fired,
    ) -> Option<String> {
        let bytes = literal.as_bytes();
        let card = || {
            detector::number_is_card(bytes)
                .then(|| Found::new(Detector::CreditCard, 0..literal.len()))
        };
        let found = detector::secret_field(name, bytes).or_else(card)?;
        let rule = self.policy.rule(found.detector)?;
        fired.add(found.detector);
        let mut out = String::new();
        render::render(&self.key, rule, &found, literal, &mut out);
        Some(out)
    }

    /// What is to be masked, ascending, without overlaps.
    pub(crate) fn find(&self, text: &str, name: Option<&str>) -> FoundList {
        let Some(folded) = Folded::of(text) else {
            return self.find_folded(text, name);
        };
        let mut found = self.find_folded(&folded.text, name);
        for f in &mut found {
            (f.start, f.end) = (folded.original(f.start), folded.original(f.end));
        }
        found
    }

    fn find_folded(&self, text: &str, name: Option<&str>) -> FoundList {
        let mut found = self.find_once(text, name);
        if found.is_empty() {
            return found;
        }
        for _ in 0..ROUNDS_MAX {
            if !settle::is_open(text, &found) || !self.find_again(text, name, &mut found) {
                break;
            }
        }
        found
    }

    fn find_once(&self, text: &str, name: Option<&str>) -> FoundList {
        let bytes = text.as_bytes();
        let mut found = FoundList::new();
        let secret = name.and_then(|name| detector::secret_field(name, bytes));
        if let Some(secret) = secret {
            self.accept(text, secret, &mut found);
        }
        if bytes.len() < TEXT_BYTES_MIN {
            return found;
        }
        // Signs inside a value that its name has given away begin no value of their own.
        let mut keyed_to = 0;
        let seen = scan::scan(bytes, |event| {
            if event.pos < keyed_to && detector::is_sign(bytes, event) {
                return;
            }
            if let Some(f) = detector::confirm(bytes, event) {
                if matches!(f.detector, Detector::KvSecret | Detector::AuthHeader) {
                    keyed_to = f.end;
                }
                self.accept(text, f, &mut found);
            }
        });
        self.keywords
            .find(bytes, seen.dense_to, |f| self.accept(text, f, &mut found));
        self.anchors
            .find(bytes, seen.runs, |f| self.accept(text, f, &mut found));
        if let Some(f) = detector::whole(name, bytes) {
            self.accept(text, f, &mut found);
        }
        settle::apart(bytes, &mut found);
        found
    }

    /// Looks into the masked text and adds what appears only there; whether there was anything.
    fn find_again(&self, text: &str, name: Option<&str>, found: &mut FoundList) -> bool {
        let masked = self.replaced(text, found);
        let again = self.find_once(&masked, name);
        let lengths: Vec<usize> = found.iter().map(|f| self.rendered_len(text, f)).collect();
        let added = settle::original(&again, found, &lengths);
        settle::merge(found, &added);
        !again.is_empty()
    }

    fn rendered_len(&self, text: &str, found: &Found) -> usize {
        let mut out = String::new();
        if let Some(rule) = self.rule(found) {
            let span = part(text, found.start, found.end);
            render::render(&self.key, rule, found, span, &mut out);
        }
        out.len()
    }

    /// Adds a finding unless the policy is against it.
    fn accept(&self, text: &str, new: Found, found: &mut FoundList) {
        if self.policy.rule(new.detector).is_some() && !self.is_kept(text, new) {
            found.push(new);
        }
    }

    /// Addresses that name no one.
    fn is_kept(&self, text: &str, found: Found) -> bool {
        let span = part(text, found.start, found.end);
        let (loopback, private) = match found.detector {
            Detector::Ipv4 => detector::ipv4_address(span).map_or((false, false), |a| {
                (
                    a.is_loopback() || a.is_unspecified() || a.is_broadcast(),
                    a.is_private() || a.is_link_local(),
                )
            }),
            Detector::Ipv6 => detector::ipv6_address(span).map_or((false, false), |a| {
                (
                    a.is_loopback() || a.is_unspecified(),
                    a.is_unique_local() || a.is_unicast_link_local(),
                )
            }),
            _ => (false, false),
        };
        loopback && self.policy.keep_loopback || private && self.policy.keep_private
    }

    fn replaced(&self, text: &str, found: &[Found]) -> String {
        let mut out = String::with_capacity(text.len() + 16 * found.len());
        let mut copied = 0;
        for f in found {
            let Some(rule) = self.rule(f) else { continue };
            out.push_str(part(text, copied, f.start));
            render::render(&self.key, rule, f, part(text, f.start, f.end), &mut out);
            copied = f.end;
        }
        out.push_str(part(text, copied, text.len()));
        out
    }

    fn rule(&self, found: &Found) -> Option<&Rule> {
        self.policy.rule(found.detector)
    }
}

/// Prints the policy's version and nothing else.
impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker")
            .field("epoch", &self.policy.epoch)
            .finish_non_exhaustive()
    }
}
