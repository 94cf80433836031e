//! The parts of a name. A dot joins names (`users.jane`) and stands in values (`10.0.0.1`), so a name is looked at as a whole and
//! in every stretch of parts side by side, each a text of its own: nested keys are found like those at the top.
//!
//! Says where to look and unites what is found; what is personal data, others decide.

use std::cmp::Reverse;
use std::ops::Range;

use hushlog_record::names::STRUCTURED_DATA;

use crate::bytes::{part, slice};
use crate::detector::{Detector, Found, is_common_top};
use crate::finder::Finder;
use crate::masker::{FoundList, Look};
use crate::pattern::Place;
use crate::scan::RUN;
use crate::{Masker, settle};

/// Most parts that are looked at together: an address with dots in its name and a long domain has as many. What is
/// longer is found in part.
pub(crate) const PARTS_MAX: usize = 10;
/// Findings that are kept before those inside of others go. A value is found in many stretches.
const FOUND_MAX: usize = 64;

impl Masker {
    /// Adds what the parts of a name hold.
    pub(crate) fn find_in_parts(&self, name: &str, place: Place<'_>, look: &mut Look) {
        // Nobody knows what a pattern looks for.
        let is_all = !self.policy().engine().is_idle();
        let place = Place {
            whole: name,
            ..place
        };
        let mut most = FOUND_MAX;
        stretches(name, is_all, |stretch| {
            let mut seen = Look::default();
            let text = part(name, stretch.start, stretch.end);
            self.find_in(text, place, &mut seen);
            let placed = |f: Found| Found {
                start: stretch.start + f.start,
                end: stretch.start + f.end,
                ..f
            };
            look.announced |= seen.announced;
            look.found.extend(seen.found.into_iter().map(placed));
            look.observed.extend(seen.observed.into_iter().map(placed));
            if look.found.len() + look.observed.len() > most {
                settle::outermost(&mut look.found);
                once(&mut look.observed);
                most = FOUND_MAX + 2 * (look.found.len() + look.observed.len());
            }
        });
        once(&mut look.observed);
        if let Some(mark) = element_mark(name) {
            leave_element(mark, &mut look.found);
            look.observed.retain(|f| !is_address_of(f, mark));
        }
    }
}

/// Calls `visit` for the stretches of up to [`PARTS_MAX`] parts that may hold something, but not for the whole: all of them, or those
/// that a detector could find something in.
fn stretches(name: &str, is_all: bool, mut visit: impl FnMut(Range<usize>)) {
    let bytes = name.as_bytes();
    let end_of = |from: usize| {
        let rest = slice(bytes, from, bytes.len());
        memchr::memchr(b'.', rest).map_or(bytes.len(), |dot| from + dot)
    };
    let mut start = 0;
    while start < bytes.len() {
        let next = end_of(start) + 1;
        let (mut from, mut is_telling) = (start, is_all);
        for _ in 0..PARTS_MAX {
            if from > bytes.len() {
                break;
            }
            let end = end_of(from);
            is_telling |= may_hold(slice(bytes, from, end));
            if is_telling && (start, end) != (0, bytes.len()) {
                visit(start..end);
            }
            from = end + 1;
        }
        start = next;
    }
}

/// Whether a part makes it worth looking. Every detector needs a digit, a mark or a long run.
fn may_hold(part: &[u8]) -> bool {
    let is_plain = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-');
    part.len() >= RUN || !part.iter().all(is_plain)
}

/// What one rule has found in several stretches counts once: the longest of findings that overlap.
fn once(observed: &mut Vec<Found>) {
    let rule = |f: &Found| match f.by {
        Finder::BuiltIn(detector) => (0, detector as usize),
        Finder::Pattern(pattern) => (1, usize::from(pattern)),
    };
    observed.sort_by_key(|f| (rule(f), f.start, Reverse(f.end)));
    observed.dedup_by(|f, first| {
        let is_same = f.by == first.by && f.start < first.end;
        if is_same {
            first.end = first.end.max(f.end);
        }
        is_same
    });
}

/// Where the `@` stands in the name of a parameter of structured data whose element has an id of its owner's: a name, `@`, the
/// owner's number (RFC 5424, section 7.2.2), then the parameter (`exampleSDID@32473.iut`). With any more it is no such name,
/// nor where number and parameter are the domain of many addresses (`bob@163.com`).
fn element_mark(name: &str) -> Option<usize> {
    let parameter = name.strip_prefix(STRUCTURED_DATA)?.strip_prefix('.')?;
    let (element, name_of_it) = parameter.rsplit_once('.')?;
    let (id, number) = element.split_once('@')?;
    let is_arc = |arc: &str| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit());
    let mark = name.len() - parameter.len() + id.len();
    let is_domain = !number.contains('.') && is_common_top(name_of_it.as_bytes());
    (number.split('.').all(is_arc) && !is_domain).then_some(mark)
}

/// Leaves what is no address. What would have been inside of one was found by itself: in a stretch that ends before the
/// parameter there is none.
fn leave_element(mark: usize, found: &mut FoundList) {
    found.retain(|f| !is_address_of(f, mark));
}

fn is_address_of(f: &Found, mark: usize) -> bool {
    f.is(Detector::Email) && (f.start..f.end).contains(&mark)
}
