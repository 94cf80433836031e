//! Compiled patterns: which of them match a text, and where.
//!
//! Two looks at the whole text say which patterns could match: one for the literals that patterns
//! require, all at once, and one with an automaton of all patterns that require none. Only those that
//! could are run by themselves. Time grows with the text, whatever is in it: a match is sought in a
//! window, so that no pattern reads to the end of the text again and again.

use std::ops::Range;

use regex_automata::meta::{BuildError, Regex};
use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input, MatchKind, PatternID, PatternSet, Span};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use super::check::{self, Check};
use super::gate::Gate;
use super::limits::{
    COMPILED_BYTES_MAX, COMPILED_BYTES_TOTAL_MAX, MATCH_BYTES_MAX, NAME_BYTES_MAX, NEST_MAX,
    PATTERNS_MAX, SOURCE_BYTES_MAX,
};
use super::marks::Marks;
use super::refusal::{Cause, Refusal};
use super::{Pattern, Scope, literal, name};
use crate::bytes::part;
use crate::detector::{Detector, Found};
use crate::finder::{Finder, Patterns};
use crate::names::Says;
use crate::policy::Rule;

/// Memory that a pattern's automaton may use while it runs, in bytes.
const CACHE_BYTES: usize = 256 << 10;
/// The same for the automaton of many patterns.
const JOINED_CACHE_BYTES: usize = 2 << 20;
/// Stretch of a text in which one match is sought, in bytes. A match that fills it to its end is followed
/// beyond it.
const WINDOW_BYTES: usize = 2 * MATCH_BYTES_MAX;

/// Where a text stands in its record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    /// The name of the field whose value it is.
    pub(crate) name: Option<&'a str>,
    /// What that name says; without one it means nothing.
    pub(crate) says: Says,
    /// The service of the record.
    pub(crate) service: &'a str,
    /// The path that scopes go by.
    pub(crate) path: &'a str,
    /// Whether the text is itself a name: what its parts hold is found too.
    pub(crate) is_name: bool,
    /// The whole name, where the text is a part of one.
    pub(crate) whole: &'a str,
    /// Whether it stands anywhere: what would be found in any place is.
    pub(crate) is_any: bool,
}

impl Place<'_> {
    /// What the name says, if there is one.
    pub(crate) const fn says(&self) -> Says {
        match self.name {
            Some(_) => self.says,
            None => Says::NOTHING,
        }
    }

    /// Where the words of a pattern may stand besides the text itself; `None` where they need not be there.
    fn words(&self) -> Option<&str> {
        let path = if self.whole.is_empty() {
            self.path
        } else {
            self.whole
        };
        (!self.is_any).then_some(path)
    }
}

/// The patterns of a policy, ready to be applied.
#[derive(Default)]
pub(crate) struct Engine {
    patterns: Vec<Compiled>,
    gate: Option<Gate>,
    /// An automaton, and the pattern that each of its is.
    joined: Option<(Regex, Vec<u8>)>,
    marks: Option<Marks>,
}

struct Compiled {
    regex: Regex,
    rule: Rule,
    check: Option<Check>,
    spec: Pattern,
    rank: u16,
}

impl Engine {
    /// Compiles patterns; those that are not active are checked all the same.
    pub(crate) fn new(patterns: &[Pattern]) -> Result<Self, Refusal> {
        if patterns.len() > PATTERNS_MAX {
            return Err(Cause::TooMany.of("policy"));
        }
        let mut engine = Self::default();
        let mut literals = Vec::new();
        let mut free = Vec::new();
        let mut bytes = 0;
        for (pattern, i) in patterns.iter().zip(0u8..) {
            let refuse = |cause: Cause| cause.of(&pattern.name);
            check_names(pattern, patterns.get(..i.into()).unwrap_or_default()).map_err(refuse)?;
            let (compiled, hir) = Compiled::new(pattern).map_err(refuse)?;
            bytes += compiled.regex.memory_usage();
            if bytes > COMPILED_BYTES_TOTAL_MAX {
                return Err(Cause::TotalTooLarge.of("policy"));
            }
            engine.patterns.push(compiled);
            if !pattern.is_active {
                continue;
            }
            match literal::required(&hir) {
                Some(found) => literals.extend(found.into_iter().map(|literal| (literal, i))),
                None => free.push((hir, i)),
            }
        }
        let too_large = || Cause::TotalTooLarge.of("policy");
        if !literals.is_empty() {
            engine.gate = Some(Gate::new(literals).map_err(|_| too_large())?);
        }
        if !free.is_empty() {
            let (hirs, owners): (Vec<_>, Vec<_>) = free.into_iter().unzip();
            let config = Regex::config()
                .match_kind(MatchKind::All)
                .nfa_size_limit(Some(COMPILED_BYTES_TOTAL_MAX))
                .hybrid_cache_capacity(JOINED_CACHE_BYTES);
            let joined = Regex::builder()
                .configure(config)
                .build_many_from_hir(&hirs);
            engine.joined = Some((joined.map_err(|_| too_large())?, owners));
        }
        engine.marks = Some(Marks::new(patterns.iter().map(|p| p.name.as_str())));
        Ok(engine)
    }

    /// The rule and the name of a pattern.
    pub(crate) fn rule(&self, pattern: u8) -> Option<(&Rule, &str)> {
        let compiled = self.patterns.get(usize::from(pattern))?;
        Some((&compiled.rule, &compiled.spec.name))
    }

    /// Calls `visit` for everything that active patterns find.
    pub(crate) fn find(&self, text: &str, place: Place<'_>, mut visit: impl FnMut(Found)) {
        let wanted = self.wanted(text.as_bytes());
        if !wanted.any() {
            return;
        }
        let mut marks = None;
        for pattern in wanted.iter() {
            let Some(compiled) = self.patterns.get(usize::from(pattern)) else {
                continue;
            };
            if !place.is_any && !compiled.spec.scope.has(place.service, place.path) {
                continue;
            }
            compiled.find(text, place.words(), |span| {
                let marks = marks.get_or_insert_with(|| {
                    let found = self.marks.as_ref().map(|marks| marks.find(text.as_bytes()));
                    found.unwrap_or_default()
                });
                let next = marks.partition_point(|mark| mark.end < span.end);
                if marks.get(next).is_none_or(|mark| span.start < mark.start) {
                    visit(Found {
                        rank: compiled.rank,
                        ..Found::new(Finder::Pattern(pattern), span.range())
                    });
                }
            });
        }
    }

    /// Whether a pattern names this path: only those look at numbers.
    pub(crate) fn names(&self, path: &str) -> bool {
        self.patterns
            .iter()
            .any(|compiled| compiled.spec.scope.names(path))
    }

    /// Whether the finding is of a pattern that names this path.
    pub(crate) fn is_named(&self, found: &Found, path: &str) -> bool {
        let Finder::Pattern(pattern) = found.by else {
            return false;
        };
        let compiled = self.patterns.get(usize::from(pattern));
        compiled.is_some_and(|compiled| compiled.spec.scope.names(path))
    }

    /// Whether no pattern is in force.
    pub(crate) fn is_idle(&self) -> bool {
        self.gate.is_none() && self.joined.is_none()
    }

    /// The patterns that could match.
    fn wanted(&self, text: &[u8]) -> Patterns {
        let mut wanted = Patterns::default();
        if let Some(gate) = &self.gate {
            gate.find(text, |pattern| wanted.add(pattern));
        }
        if let Some((joined, owners)) = &self.joined
            && joined.is_match(text)
        {
            let mut matching = PatternSet::new(joined.pattern_len());
            joined.which_overlapping_matches(&Input::new(text), &mut matching);
            for pattern in matching.iter() {
                if let Some(owner) = owners.get(pattern.as_usize()) {
                    wanted.add(*owner);
                }
            }
        }
        wanted
    }
}

/// The id and the name of a pattern are its own.
fn check_names(pattern: &Pattern, others: &[Pattern]) -> Result<(), Cause> {
    let is_id = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let (id, name) = (&pattern.id, &pattern.name);
    if !(1..=NAME_BYTES_MAX).contains(&id.len()) || !id.bytes().all(is_id) {
        return Err(Cause::BadId);
    }
    if !name::is_name(name) {
        return Err(Cause::BadName);
    }
    if let Some(title) = &pattern.title {
        name::check_title(title)?;
    }
    if pattern.pattern_type.len() > NAME_BYTES_MAX {
        return Err(Cause::BadType);
    }
    if others.iter().any(|other| other.id == *id) {
        return Err(Cause::IdTaken);
    }
    if Detector::from_name(name).is_some() || others.iter().any(|other| other.name == *name) {
        return Err(Cause::NameTaken);
    }
    Ok(())
}

impl Compiled {
    fn new(spec: &Pattern) -> Result<(Self, Hir), Cause> {
        spec.keywords.check()?;
        spec.scope.check()?;
        spec.suppress.check()?;
        let check = spec.validator.as_deref().map(|name| {
            let unknown = || {
                let known: Vec<_> = check::names().collect();
                Cause::UnknownValidator(name.to_owned(), known.join(", "))
            };
            Check::by_name(name).ok_or_else(unknown)
        });
        let check = check.transpose()?;
        let rule = Rule {
            strategy: spec.strategy,
            replacement: spec.replacement(),
            mode: spec.mode,
            // The engine goes by the pattern's own scope before it looks.
            scope: Scope::default(),
            allow: spec.suppress.clone(),
        };
        if spec.replacement.is_some() {
            rule.check_replacement()?;
        }
        let (regex, hir) = compile(&spec.regex)?;
        if let Some(group) = spec.capture
            && group as usize >= regex.group_info().group_len(PatternID::ZERO)
        {
            return Err(Cause::NoGroup(group));
        }
        // Validated before context before pattern, then priority.
        let class = match (check, spec.keywords.include.is_empty()) {
            (Some(_), _) => 0,
            (None, false) => 1,
            (None, true) => 2,
        };
        let compiled = Self {
            regex,
            rule,
            check,
            spec: spec.clone(),
            rank: class << 8 | u16::from(u8::MAX - spec.priority),
        };
        Ok((compiled, hir))
    }

    /// Calls `visit` for what it finds and what its words, its check and its exceptions let stand. Its words may also
    /// stand in `path`; without one they are not asked for.
    fn find(&self, text: &str, path: Option<&str>, mut visit: impl FnMut(Span)) {
        let mut groups = self.spec.capture.map(|_| self.regex.create_captures());
        let mut from = 0;
        while let Some(whole) = self.next(text.as_bytes(), &mut from) {
            let span = match &mut groups {
                Some(groups) => self.group(text, whole, groups),
                None => whole,
            };
            let words = &self.spec.keywords;
            let value = part(text, span.start, span.end);
            let near = |path| words.allow(text.as_bytes(), span.start, span.end, path);
            if path.is_none_or(near) && self.check.is_none_or(|check| check.passes(value)) {
                visit(span);
            }
        }
    }

    /// The next match, and where to go on from. In a long text it is sought in windows that overlap by
    /// half: one that begins in the second half may be cut, or only be there since one that begins before it
    /// is, and is sought again in the next window.
    fn next(&self, text: &[u8], from: &mut usize) -> Option<Span> {
        while *from < text.len() {
            let end = text.len().min(*from + WINDOW_BYTES);
            let found = self.search(text, *from..end, Anchored::No);
            let half = *from + (WINDOW_BYTES - MATCH_BYTES_MAX);
            if let Some(found) = found
                && (end == text.len() || found.start <= half)
            {
                let found = self.followed(text, found, end);
                *from = found.end;
                return Some(found);
            }
            if end == text.len() {
                *from = end;
            } else {
                *from = half;
                while !is_boundary(text, *from) {
                    *from += 1;
                }
            }
        }
        None
    }

    /// The whole of a match that may have been cut at the end of its window. What is read for it is in
    /// proportion to how long it is: each window is twice the one that it filled.
    fn followed(&self, text: &[u8], found: Span, window_end: usize) -> Span {
        let mut whole = found;
        let mut window_end = window_end;
        while whole.end == window_end && window_end < text.len() {
            window_end = text.len().min(whole.start + 2 * (window_end - whole.start));
            let longer = self.search(text, whole.start..window_end, Anchored::Yes);
            whole.end = longer.map_or(whole.end, |longer| longer.end.max(whole.end));
        }
        whole
    }

    fn search(&self, text: &[u8], within: Range<usize>, anchored: Anchored) -> Option<Span> {
        #[cfg(test)]
        crate::work::add(within.len());
        let input = Input::new(text).span(within).anchored(anchored);
        self.regex.search(&input).map(|found| found.span())
    }

    /// The group that is the finding, if it took part in the match.
    fn group(&self, text: &str, whole: Span, groups: &mut Captures) -> Span {
        let input = Input::new(text).span(whole);
        self.regex.search_captures(&input, groups);
        let group = self.spec.capture.and_then(|i| groups.get_group(i as usize));
        group.filter(|span| !span.is_empty()).unwrap_or(whole)
    }
}

/// Whether a character begins here.
fn is_boundary(text: &[u8], i: usize) -> bool {
    crate::bytes::at(text, i) & 0xc0 != 0x80
}

fn compile(source: &str) -> Result<(Regex, Hir), Cause> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(Cause::SourceTooLong);
    }
    let parsed = ParserBuilder::new()
        .nest_limit(NEST_MAX)
        .build()
        .parse(source);
    let hir = parsed.map_err(|error| Cause::Invalid(why(&error)))?;
    match hir.properties().minimum_len() {
        None => return Err(Cause::MatchesNothing),
        Some(0) => return Err(Cause::MatchesEmpty),
        Some(_) => {}
    }
    let config = Regex::config()
        .nfa_size_limit(Some(COMPILED_BYTES_MAX))
        .hybrid_cache_capacity(CACHE_BYTES);
    let built = Regex::builder().configure(config).build_from_hir(&hir);
    let regex = built.map_err(|error: BuildError| match error.size_limit() {
        Some(_) => Cause::TooLarge,
        None => Cause::Invalid(error.to_string()),
    })?;
    if regex.memory_usage() > 2 * COMPILED_BYTES_MAX {
        return Err(Cause::TooLarge);
    }
    Ok((regex, hir))
}

/// What is wrong, and where, in one line.
fn why(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => {
            let column = error.span().start.column;
            format!("{} at character {column}", error.kind())
        }
        regex_syntax::Error::Translate(error) => {
            let column = error.span().start.column;
            format!("{} at character {column}", error.kind())
        }
        _ => "it does not parse".to_owned(),
    }
}
