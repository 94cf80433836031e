//! Where masks stand in a text: what a pattern finds inside of one is no finding.
//!
//! Knows `[NAME]` and `name:k1:hash` of every detector and pattern. Texts that a policy has chosen in
//! their place are not known here: a policy whose replacement is found by a pattern is refused.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::bytes::{at, digits};
use crate::detector::Detector;
use crate::render::HASH_CHARACTERS;

/// Recognises masks.
pub(super) struct Marks {
    /// For each name `[NAME]`, then `name:k`.
    search: AhoCorasick,
}

impl Marks {
    /// Those of the built-in detectors and of patterns with these names.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut words = Vec::new();
        let built_in = Detector::ALL.into_iter().map(|detector| detector.name());
        let all = built_in.chain(names);
        for name in all {
            words.push(format!("[{}]", name.to_ascii_uppercase()));
            words.push(format!("{name}:k"));
        }
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(words);
        Self {
            search: search.expect("a few hundred short words"),
        }
    }

    /// All masks of a text, ascending.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        self.search
            .find_iter(text)
            .filter_map(|hit| {
                let end = match hit.pattern().as_usize() % 2 {
                    0 => hit.end(),
                    _ => hash_end(text, hit.end())?,
                };
                Some(hit.start()..end)
            })
            .collect()
    }
}

/// End of a hash whose `k` ends at `pos`.
fn hash_end(text: &[u8], pos: usize) -> Option<usize> {
    let number = digits(text, pos);
    let hash = pos + number + 1;
    let is_hash = number > 0
        && at(text, hash - 1) == b':'
        && (hash..hash + HASH_CHARACTERS).all(|i| matches!(at(text, i), b'a'..=b'z' | b'2'..=b'7'));
    is_hash.then_some(hash + HASH_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_every_name_are_known() {
        let marks = Marks::new(["staff"].into_iter());
        let hash = "a2".repeat(HASH_CHARACTERS / 2);
        let text =
            format!("[EMAIL] [STAFF] [OTHER] staff:k12:{hash} staff:k:{hash} email:k1:short");
        let found: Vec<_> = marks
            .find(text.as_bytes())
            .into_iter()
            .map(|range| &text[range])
            .collect();
        assert_eq!(found[..2], ["[EMAIL]", "[STAFF]"]);
        assert_eq!(found[2..], [format!("staff:k12:{hash}")]);
    }
}
