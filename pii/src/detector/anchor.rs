//! Secrets, found by what their issuer lets them begin with.
//!
//! All prefixes are searched for at once, in one step of a vector unit per stretch of text; only behind
//! a hit is anything looked at byte by byte.

use std::ops::Range;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use memchr::memmem::Finder;

use super::{Detector, Found, VECTORS, jwt, private_key, token};
use crate::bytes::slice;
use crate::scan::Seen;

/// What a hit means.
#[derive(Clone, Copy)]
enum Anchor {
    Token(&'static token::Shape),
    Jwt,
}

/// The prefixes, ready to be searched for.
pub(crate) struct Anchors {
    searcher: Searcher,
    anchors: Vec<Anchor>,
    private_key: Finder<'static>,
}

impl Anchors {
    pub(crate) fn new() -> Self {
        let tokens = token::SHAPES
            .iter()
            .map(|shape| (shape.prefix, Anchor::Token(shape)));
        let words: Vec<_> = tokens.chain([("eyJ", Anchor::Jwt)]).collect();
        let mut builder = Config::new()
            .match_kind(MatchKind::LeftmostLongest)
            .builder();
        builder.extend(words.iter().map(|(word, _)| word));
        Self {
            searcher: builder.build().expect(VECTORS),
            anchors: words.into_iter().map(|(_, anchor)| anchor).collect(),
            private_key: Finder::new(private_key::BEGIN),
        }
    }

    /// Calls `visit` for everything that the text holds.
    #[inline]
    pub(crate) fn find(&self, text: &[u8], seen: &Seen, mut visit: impl FnMut(Found)) {
        if seen.dashes && text.len() >= private_key::BYTES_MIN {
            let mut behind = 0;
            for start in self.private_key.find_iter(text) {
                // What begins inside a key is part of it; looked at again, it would be read again.
                let key = (start >= behind).then(|| private_key::find(text, start));
                if let Some(range) = key.flatten() {
                    behind = range.end;
                    visit(Found::new(Detector::PrivateKey, range));
                }
            }
        }
        if !seen.tokens.is_empty() {
            self.search(text, &seen.tokens, visit);
        }
    }

    fn search(&self, text: &[u8], within: &Range<usize>, mut visit: impl FnMut(Found)) {
        let near = slice(text, within.start, within.end);
        super::search(&self.searcher, near, |hit| {
            let anchor = self.anchors.get(hit.pattern().as_usize());
            let start = within.start + hit.start();
            if let Some((detector, range)) = anchor.and_then(|a| a.confirm(text, start)) {
                visit(Found::new(detector, range));
            }
        });
    }
}

impl Anchor {
    fn confirm(self, text: &[u8], start: usize) -> Option<(Detector, Range<usize>)> {
        let (detector, range) = match self {
            Self::Token(shape) => (Detector::Secret, shape.find(text, start)),
            Self::Jwt => (Detector::Jwt, jwt::find(text, start)),
        };
        range.map(|range| (detector, range))
    }
}
