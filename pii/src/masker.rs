//! The masker: a compiled policy, applied to text.

use std::borrow::Cow;
use std::fmt;

use crate::bytes::part;
use crate::count::{Count, Counters};
use crate::detector::{self, Anchors, Detector, Found, Keywords};
use crate::finder::{Finder, Fired};
use crate::fold::Folded;
use crate::names::{Names, Says};
use crate::pattern::{Mode, Place};
use crate::policy::Rule;
use crate::render::Named;
use crate::{Key, Policy, Strategy, escapes, render, scan, settle};

/// What was found in one text; few texts hold more than four.
pub(crate) type FoundList = smallvec::SmallVec<[Found; 4]>;

/// Shortest text that can hold anything a detector finds, in bytes (`a@b.co`).
const TEXT_BYTES_MIN: usize = 6;
/// Most times that a text is looked into again after masking.
const ROUNDS_MAX: usize = 8;

/// Where something was found in a text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// Name of the detector or pattern.
    pub detector: Cow<'static, str>,
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
    /// What rules that only observe have found, in no order, and left.
    pub observed: Vec<Span>,
}

impl fmt::Debug for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings")
            .field("spans", &self.spans)
            .field("observed", &self.observed)
            .finish_non_exhaustive()
    }
}

/// A policy and a key, compiled. Immutable: share it in an `Arc`.
pub struct Masker {
    policy: Policy,
    key: Key,
    keywords: Keywords,
    anchors: Anchors,
    /// Whether a masked text is always looked at again.
    is_custom: bool,
    /// Whether a detector is on.
    has_detectors: bool,
    counters: Counters,
    names: Names,
}

/// What is known of a text once it has been looked at.
#[derive(Default)]
pub(crate) struct Look {
    /// What is to be masked, ascending, without overlaps.
    pub(crate) found: FoundList,
    /// Who found what others swallowed.
    swallowed: Fired,
    /// Findings of rules that only observe.
    pub(crate) observed: Vec<Found>,
    /// Whether a word announces a number: what masks leave between may let it reach farther.
    pub(crate) announced: bool,
    /// The text with these findings masked, where that was needed to find them.
    masked: Option<String>,
}

impl Masker {
    /// Compiles a policy.
    ///
    /// `key` is the cluster's first; the policy says with which number HASH goes.
    pub fn new(policy: Policy, key: Key) -> Self {
        let counters = Counters::new(&policy, None);
        Self::counting(policy, key, counters)
    }

    /// As [`Masker::new`], going on with what another masker has counted.
    pub fn succeeding(before: &Self, policy: Policy, key: Key) -> Self {
        let counters = Counters::new(&policy, Some((&before.policy, &before.counters)));
        Self::counting(policy, key, counters)
    }

    fn counting(policy: Policy, key: Key, counters: Counters) -> Self {
        Self {
            is_custom: policy.is_custom(),
            has_detectors: Detector::ALL.iter().any(|d| policy.rule(*d).is_some()),
            counters,
            names: Names::new(&key),
            keywords: Keywords::new(|detector| policy.rule(detector).is_some()),
            key: key.derived(policy.hash_key),
            policy,
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

    /// Masks one text and says what was found where; counts nothing. The text stands for a message of no
    /// service.
    pub fn mask_text<'a>(&self, text: &'a str) -> Findings<'a> {
        self.mask_text_in(text, "", "message")
    }

    /// As [`Masker::mask_text`], for a text of this service at this path.
    pub fn mask_text_in<'a>(&self, text: &'a str, service: &str, path: &str) -> Findings<'a> {
        let place = Place {
            service,
            path,
            ..Place::default()
        };
        let mut look = Look::default();
        self.find(text, place, &mut look);
        if look.found.is_empty() && look.observed.is_empty() {
            return Findings {
                masked: Cow::Borrowed(text),
                spans: Vec::new(),
                observed: Vec::new(),
            };
        }
        Findings {
            spans: self.spans(&look.found),
            observed: self.spans(&look.observed),
            masked: match look.found.is_empty() {
                true => Cow::Borrowed(text),
                false => Cow::Owned(self.masked_by(text, look)),
            },
        }
    }

    /// The text with what was found in it masked.
    fn masked_by(&self, text: &str, look: Look) -> String {
        let Look { found, masked, .. } = look;
        masked.unwrap_or_else(|| self.replaced(text, &found))
    }

    fn spans(&self, found: &[Found]) -> Vec<Span> {
        let span = |f: &Found| {
            let strategy = render::strategy(self.named(f)?.rule, f);
            Some(Span {
                start: f.start,
                end: f.end,
                detector: self.name(f.by),
                strategy,
            })
        };
        let mut spans = Vec::with_capacity(found.len());
        spans.extend(found.iter().filter_map(span));
        spans
    }

    /// The name of a detector or a pattern.
    pub(crate) fn name(&self, finder: Finder) -> Cow<'static, str> {
        match finder {
            Finder::BuiltIn(detector) => detector.name().into(),
            Finder::Pattern(_) => {
                let name = self.policy.named(finder).map(|named| named.name.to_owned());
                name.unwrap_or_default().into()
            }
        }
    }

    /// The name of who finds something in a text, if anybody does.
    pub(crate) fn finder_in(&self, text: &str) -> Option<String> {
        let mut look = Look::default();
        self.find_once(text, Place::default(), &mut look);
        let first = look.found.first().or_else(|| look.observed.first())?;
        Some(self.name(first.by).into_owned())
    }

    /// The rules that only observe and to which the whole of a text is one finding, each by itself.
    pub(crate) fn finders_of(&self, text: &str, place: Place<'_>) -> Vec<Finder> {
        let mut look = Look::default();
        if !text.is_empty() {
            self.find(text, place, &mut look);
        }
        let mut finders = Vec::new();
        for f in &look.observed {
            if (f.start, f.end) == (0, text.len()) && !finders.contains(&f.by) {
                finders.push(f.by);
            }
        }
        finders
    }

    /// What was found in records since the masker was made, or the one that it succeeds, by rule.
    pub fn counts(&self) -> Vec<Count> {
        self.counters.counts(&self.policy)
    }

    /// What HASH writes for this value: what a search for equal values looks for.
    pub fn hash_value(&self, detector: Detector, text: &str) -> String {
        let mut out = String::new();
        render::hash(&self.key, detector.into(), detector.name(), text, &mut out);
        out
    }

    /// As [`Masker::hash_value`], for the detector or pattern of this name; `None` if there is none.
    pub fn hash_named(&self, name: &str, text: &str) -> Option<String> {
        let pattern = || {
            let place = self.policy.patterns().iter().position(|p| p.name == name);
            u8::try_from(place?).ok().map(Finder::Pattern)
        };
        let by = Detector::from_name(name)
            .map(Finder::from)
            .or_else(pattern)?;
        let mut out = String::new();
        render::hash(&self.key, by, name, text, &mut out);
        Some(out)
    }

    /// What the name of a field says.
    pub(crate) fn says(&self, name: &str) -> Says {
        self.names.get(name, || self.look_at(name))
    }

    fn look_at(&self, name: &str) -> Says {
        let mut look = Look::default();
        // Scopes and words go by the place too: what is found in any, this finds.
        let anywhere = Place {
            is_name: true,
            is_any: true,
            ..Place::default()
        };
        self.find(name, anywhere, &mut look);
        let any = !look.found.is_empty() || !look.observed.is_empty();
        Says::NOTHING
            .with(Says::FOUND, any)
            .with(Says::SECRET, detector::is_secret_name(name))
            .with(Says::USER, detector::is_user_name(name))
            .with(Says::NUMBER, self.keywords.is_named(name))
    }

    /// The masked text, counted; `None`, and no allocation, when nothing was found.
    pub(crate) fn masked(&self, text: &str, place: Place<'_>, fired: &mut Fired) -> Option<String> {
        let mut look = Look::default();
        self.find(text, place, &mut look);
        self.note(&look, fired);
        (!look.found.is_empty()).then(|| self.masked_by(text, look))
    }

    /// Counts findings, and adds who made them.
    fn note(&self, look: &Look, fired: &mut Fired) {
        for f in &look.observed {
            self.counters.observed(f.by);
        }
        if look.found.is_empty() {
            return;
        }
        for f in &look.found {
            fired.add(f.by);
            self.counters.masked(f.by);
        }
        for by in look.swallowed.iter() {
            fired.add(by);
        }
    }

    /// Masks the literal of a JSON number; `None` when it may stay.
    pub(crate) fn mask_number(
        &self,
        literal: &str,
        place: Place<'_>,
        fired: &mut Fired,
    ) -> Option<String> {
        let bytes = literal.as_bytes();
        let mut look = Look::default();
        if let Some(secret) = detector::secret_field(place.says(), bytes) {
            self.accept((literal, place), secret, &mut look);
        }
        if detector::number_is_card(bytes) {
            let card = Found::new(Detector::CreditCard, 0..literal.len());
            self.accept((literal, place), card, &mut look);
        }
        if place.says().any(Says::NUMBER)
            && let Some(name) = place.name
        {
            let accept = |f| self.accept((literal, place), f, &mut look);
            self.keywords.number(name, bytes, accept);
        }
        if self.policy.engine().names(place.path) {
            self.policy.engine().find(literal, place, |f| {
                if self.policy.engine().is_named(&f, place.path) {
                    self.accept((literal, place), f, &mut look);
                }
            });
        }
        settle::apart(bytes, &mut look.found);
        self.note(&look, fired);
        (!look.found.is_empty()).then(|| self.masked_by(literal, look))
    }

    /// Finds what is to be masked.
    pub(crate) fn find(&self, text: &str, place: Place<'_>, look: &mut Look) {
        match Folded::of(text) {
            None => self.find_folded(text, place, look),
            Some(folded) => self.find_unfolded(&folded, place, look),
        }
    }

    #[cold]
    fn find_unfolded(&self, folded: &Folded, place: Place<'_>, look: &mut Look) {
        self.find_folded(&folded.text, place, look);
        // That was the folded text; the text as it was is masked.
        look.masked = None;
        for f in look.found.iter_mut().chain(&mut look.observed) {
            (f.start, f.end) = (folded.original(f.start), folded.original(f.end));
        }
    }

    #[inline]
    fn find_folded(&self, text: &str, place: Place<'_>, look: &mut Look) {
        self.find_once(text, place, look);
        if !look.found.is_empty() {
            self.settle(text, place, look);
        }
    }

    /// Adds what shows only beside masks.
    fn settle(&self, text: &str, place: Place<'_>, look: &mut Look) {
        for _ in 0..ROUNDS_MAX {
            // In a name every dot is a border, so every mask has close neighbours.
            let is_open = self.is_custom
                || place.is_name
                || look.announced
                || settle::is_open(text, &look.found);
            if !is_open || !self.find_again(text, place, look) {
                return;
            }
        }
        self.whole_if_unsettled(text, place, look);
    }

    pub(crate) fn find_once(&self, text: &str, place: Place<'_>, look: &mut Look) {
        self.find_in(text, place, look);
        if place.is_name {
            self.find_in_parts(text, place, look);
        }
        settle::apart(text.as_bytes(), &mut look.found);
    }

    /// Finds what one text holds; findings may overlap.
    pub(crate) fn find_in(&self, text: &str, place: Place<'_>, look: &mut Look) {
        let bytes = text.as_bytes();
        if let Some(f) = detector::named_field(place.says(), bytes) {
            self.accept((text, place), f, look);
        }
        if self.has_detectors && bytes.len() >= TEXT_BYTES_MIN {
            self.find_built_in(text, place, look);
            // Patterns see the text as it is; nobody knows what they look for.
            if let Some(view) = escapes::blanked(text) {
                self.find_built_in(&view, place, look);
            }
        }
        if !self.policy.engine().is_idle() {
            self.policy.engine().find(text, place, |f| {
                self.accept((text, place), f, look);
            });
        }
    }

    fn find_built_in(&self, text: &str, place: Place<'_>, look: &mut Look) {
        let bytes = text.as_bytes();
        let mut read = detector::Read::default();
        let mut numbers = detector::Numbers::default();
        let seen = scan::scan(bytes, |event| {
            numbers.see(bytes, event);
            let accept = |f| self.accept((text, place), f, look);
            detector::confirm(bytes, event, &mut read, accept);
        });
        let numbers = numbers.near(&seen.shaped, !look.found.is_empty());
        let accept = |f| self.accept((text, place), f, look);
        let announced = self.keywords.find(bytes, numbers, accept);
        look.announced |= announced;
        self.anchors.find(bytes, &seen, |f| {
            self.accept((text, place), f, look);
        });
        let accept = |f| self.accept((text, place), f, look);
        match place.name {
            Some(name) if place.says().any(Says::NUMBER) => {
                self.keywords.named(name, bytes, accept)
            }
            Some(_) => {}
            None => {
                self.keywords.bare(bytes, accept);
                if let Some(f) = detector::whole(bytes) {
                    self.accept((text, place), f, look);
                }
            }
        }
    }

    /// Looks into the masked text and adds what appears only there; whether that changes anything.
    fn find_again(&self, text: &str, place: Place<'_>, look: &mut Look) -> bool {
        let masked = self.replaced(text, &look.found);
        let mut again = Look::default();
        self.find_once(&masked, place, &mut again);
        if again.found.is_empty() || self.replaced(&masked, &again.found) == masked {
            look.masked = Some(masked);
            return false;
        }
        let found = &mut look.found;
        let lengths: Vec<usize> = found.iter().map(|f| self.rendered_len(text, f)).collect();
        let added = settle::original(&again.found, found, &lengths);
        settle::merge(found, &added, &mut look.swallowed);
        true
    }

    /// What masks and patterns turn into findings again and again is hidden whole.
    #[cold]
    fn whole_if_unsettled(&self, text: &str, place: Place<'_>, look: &mut Look) {
        if !self.find_again(text, place, look) {
            return;
        }
        let found = std::mem::take(&mut look.found);
        for f in &found {
            look.swallowed.add(f.by);
        }
        look.found.extend(found.last().map(|last| Found {
            start: 0,
            end: text.len(),
            merged: true,
            ..*last
        }));
    }

    fn rendered_len(&self, text: &str, found: &Found) -> usize {
        let mut out = String::new();
        if let Some(named) = self.named(found) {
            let span = part(text, found.start, found.end);
            render::render(&self.key, named, found, span, &mut out);
        }
        out.len()
    }

    /// Adds a finding unless the policy is against it; whether it is to be masked.
    fn accept(&self, (text, place): (&str, Place<'_>), new: Found, look: &mut Look) -> bool {
        let Some(Named { rule, .. }) = self.named(&new) else {
            return false;
        };
        let is_elsewhere = !place.is_any
            && !rule.scope.is_everywhere()
            && !rule.scope.has(place.service, place.path);
        if is_elsewhere || self.is_kept(text, rule, new) {
            return false;
        }
        match rule.mode {
            Mode::Mask => look.found.push(new),
            Mode::Observe => look.observed.push(new),
        }
        rule.mode == Mode::Mask
    }

    /// Values that the policy leaves, and addresses that name no one.
    fn is_kept(&self, text: &str, rule: &Rule, found: Found) -> bool {
        let span = part(text, found.start, found.end);
        if !rule.allow.is_empty() && rule.allow.has(span) {
            return true;
        }
        let Policy {
            keep_loopback,
            keep_private,
            ..
        } = self.policy;
        match found.by {
            Finder::BuiltIn(Detector::Ipv4) => {
                let private = || {
                    detector::ipv4_address(span)
                        .is_some_and(|address| address.is_private() || address.is_link_local())
                };
                keep_loopback && detector::is_ipv4_of_no_one(span) || keep_private && private()
            }
            Finder::BuiltIn(Detector::Ipv6) => {
                let private = || {
                    detector::ipv6_address(span).is_some_and(|address| {
                        address.is_unique_local() || address.is_unicast_link_local()
                    })
                };
                keep_loopback && detector::is_ipv6_of_no_one(span) || keep_private && private()
            }
            _ => false,
        }
    }

    fn replaced(&self, text: &str, found: &[Found]) -> String {
        let mut out = String::with_capacity(text.len() + 16 * found.len());
        let mut copied = 0;
        for f in found {
            let Some(named) = self.named(f) else { continue };
            out.push_str(part(text, copied, f.start));
            render::render(&self.key, named, f, part(text, f.start, f.end), &mut out);
            copied = f.end;
        }
        out.push_str(part(text, copied, text.len()));
        out
    }

    fn named(&self, found: &Found) -> Option<Named<'_>> {
        self.policy.named(found.by)
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
