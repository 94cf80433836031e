//! Findings that touch: none may overlap, and one masking must do what a second one would add.
//!
//! Of two findings that overlap neither is left readable. Where one contains the other, the longer one
//! says it all. `+1 415 555 2671 4111 1111 1111 1111` has three that overlap, since `2671 4111 1111 1111`
//! passes for a card by chance: two of them side by side make up the whole, so the third was none.
//! Where that does not help, all of them are hidden whole.
//!
//! What a mask leaves behind can be a better neighbour than what was there: in
//! `4242424242424242+4915112345678` the plus follows a digit, in `[CREDIT_CARD]+4915112345678` it does
//! not. So where findings have close neighbours the masked text is looked into once more, and what
//! appears there is added in terms of the original text. Rare, and never needed for findings that
//! stand among words.

use crate::bytes::{at, before, is_word, slice};
use std::cmp::Reverse;

use crate::detector::{Detector, Found};
use crate::finder::Fired;
use crate::masker::FoundList;

/// How far from a finding its mask can matter to another, in bytes.
const REACH: usize = 32;
/// Fewest digits beside a finding that could be one of their own.
const DIGITS_MIN: usize = 4;
/// Most digits beside a finding that are a port or a count, in one group.
const PORT_DIGITS_MAX: usize = 6;

/// Puts findings in order and takes them apart.
pub(crate) fn apart(text: &[u8], found: &mut FoundList) {
    if found.is_sorted_by(|a, b| a.end <= b.start) {
        return;
    }
    outermost(found);
    let mut all = FoundList::new();
    for cluster in found.chunk_by(|a, b| b.start < a.end) {
        match tiles(text, cluster) {
            Some(tiles) => all.extend(tiles),
            None => all.extend(parts(cluster)),
        }
    }
    *found = all;
}

/// Puts findings in order, without those that stand inside of others.
pub(crate) fn outermost(found: &mut FoundList) {
    found.sort_by_key(|f| (f.start, Reverse(f.end), f.rank));
    found.dedup_by(|f, longer| {
        let is_inside = f.end <= longer.end;
        longer.contested |= is_inside && f.len() < longer.len();
        is_inside
    });
}

/// Those of the findings that, side by side, are all that there is: the others are made of their pieces.
fn tiles(text: &[u8], cluster: &[Found]) -> Option<FoundList> {
    let is_number = |f: &Found| f.is(Detector::Phone) || f.is(Detector::CreditCard);
    let mut tiles = FoundList::new();
    let mut covered = None;
    for f in cluster {
        let is_next = covered.is_none_or(|end| {
            end <= f.start && slice(text, end, f.start).iter().all(|b| *b == b' ')
        });
        if is_next {
            covered = Some(f.end);
            tiles.push(Found {
                contested: f.contested || cluster.len() > 1,
                ..*f
            });
        }
    }
    let is_whole = covered == cluster.last().map(|f| f.end);
    (is_whole && (cluster.len() == 1 || cluster.iter().all(is_number))).then_some(tiles)
}

/// All of the findings, hidden whole. The earlier of two keeps what they share, so that each is
/// reported.
fn parts(cluster: &[Found]) -> FoundList {
    let mut parts = FoundList::new();
    for f in cluster {
        let whole = Found {
            merged: true,
            contested: true,
            ..*f
        };
        match parts.last_mut() {
            Some(last) if last.by == f.by => last.end = f.end,
            Some(Found { end, .. }) => {
                let start = *end;
                parts.push(Found { start, ..whole });
            }
            None => parts.push(whole),
        }
    }
    parts
}

/// Whether any finding has a neighbour that its mask might change the meaning of.
pub(crate) fn is_open(text: &str, found: &[Found]) -> bool {
    let text = text.as_bytes();
    found.iter().any(|f| {
        let after = (0..REACH).map(|i| at(text, f.end + i));
        let ahead = (1..=REACH).map(|i| before(text, f.start, i));
        let joined = |joint: u8, word: u8| {
            is_word(joint)
                || joint >= 0x80
                // The local part of an address reaches back over it.
                || joint == b'\'' && is_word(word)
                || matches!(joint, b'-' | b'.')
                    && (is_word(word) || matches!(word, b'-' | b'.') || word >= 0x80)
        };
        f.contested
            || is_number_before(text, f.start)
            || is_number_behind(text, f.end)
            || is_word_before_number(text, f.end)
            || joined(at(text, f.end), at(text, f.end + 1))
            || joined(before(text, f.start, 1), before(text, f.start, 2))
            || is_telling(after)
            || is_telling(ahead)
    })
}

/// Whether a number ends before a finding that a digit behind its mark was taken for a part of.
fn is_number_before(text: &[u8], start: usize) -> bool {
    matches!(before(text, start, 1), b',' | b':' | b'/') && before(text, start, 2).is_ascii_digit()
}

/// Whether a number begins behind a finding whose last digit was taken for a part of it.
fn is_number_behind(text: &[u8], end: usize) -> bool {
    matches!(at(text, end), b',' | b':' | b'/')
        && before(text, end, 1).is_ascii_digit()
        && matches!(at(text, end + 1), b'0'..=b'9' | b'(')
}

/// Whether a finding's last word may be what makes the number behind it a version.
fn is_word_before_number(text: &[u8], end: usize) -> bool {
    let mut pos = end;
    while matches!(
        at(text, pos),
        b' ' | b'=' | b':' | b'.' | b'/' | b'"' | b'\''
    ) && pos < end + 4
    {
        pos += 1;
    }
    pos > end && before(text, end, 1).is_ascii_alphabetic() && at(text, pos).is_ascii_digit()
}

/// Whether what could continue a number or an address is more than a port.
fn is_telling(bytes: impl Iterator<Item = u8>) -> bool {
    let (mut digits, mut groups, mut colons, mut last) = (0, 0, 0, 0u8);
    for byte in bytes {
        match byte {
            b'@' | b'%' | b'+' => return true,
            b'0'..=b'9' => {
                digits += 1;
                groups += usize::from(!last.is_ascii_digit());
            }
            b':' => colons += 1,
            0x80..
            | b'a'..=b'f'
            | b'A'..=b'F'
            | b' '
            | b'-'
            | b'.'
            | b'/'
            | b'('
            | b')'
            | b'*'
            | b'x'
            | b'['
            | b']' => {}
            _ => break,
        }
        last = byte;
    }
    colons >= 2 || digits > PORT_DIGITS_MAX || digits >= DIGITS_MIN && groups > 1
}

/// Findings of the masked text in terms of the original; `lengths` are those of the masks of `found`.
pub(crate) fn original(again: &[Found], found: &[Found], lengths: &[usize]) -> FoundList {
    let mut masks = Vec::with_capacity(found.len());
    let (mut masked, mut plain) = (0, 0);
    for (f, len) in found.iter().zip(lengths) {
        let start = masked + (f.start - plain);
        masks.push((start..start + len, f.start..f.end));
        (masked, plain) = (start + len, f.end);
    }
    // Positions inside a mask become that finding's start or end; others move with the text.
    let map = |pos: usize, is_end: bool| {
        let next = masks.partition_point(|(m, _)| {
            if is_end {
                m.start < pos
            } else {
                m.start <= pos
            }
        });
        match next.checked_sub(1).and_then(|i| masks.get(i)) {
            None => pos,
            Some((m, f)) if is_end && pos <= m.end => f.end,
            Some((m, f)) if pos < m.end => f.start,
            Some((m, f)) => f.end + (pos - m.end),
        }
    };
    again
        .iter()
        .map(|f| Found {
            start: map(f.start, false),
            end: map(f.end, true),
            ..*f
        })
        .collect()
}

/// Adds findings to others, both in order; one that overlaps older ones swallows them, and no part of it is
/// left readable. One pass over both, since a text may hold very many.
pub(crate) fn merge(found: &mut FoundList, added: &[Found], swallowed: &mut Fired) {
    let mut all = FoundList::with_capacity(found.len() + added.len());
    let mut olds = found.iter().peekable();
    let mut news = added.iter().peekable();
    loop {
        let old_first = match (olds.peek(), news.peek()) {
            (Some(old), Some(new)) => old.start <= new.start,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        let next = if old_first { olds.next() } else { news.next() };
        let Some(next) = next else { break };
        match all.last_mut().filter(|last| next.start < last.end) {
            None => all.push(*next),
            Some(last) => {
                // What was added counts; of two that were added, the later one.
                let (lost, kept) = if old_first {
                    (next.by, *last)
                } else {
                    (last.by, *next)
                };
                swallowed.add(lost);
                *last = Found {
                    start: last.start,
                    end: last.end.max(next.end),
                    merged: true,
                    ..kept
                };
            }
        }
    }
    *found = all;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finder::Finder;

    /// One by one, as the words above `merge` say it.
    fn merged_one_by_one(found: &[Found], added: &[Found]) -> (Vec<Found>, Fired) {
        let (mut all, mut swallowed) = (found.to_vec(), Fired::default());
        for new in added {
            let mut whole = *new;
            all.retain(|old| {
                let overlaps = old.start < new.end && new.start < old.end;
                if overlaps {
                    whole.start = whole.start.min(old.start);
                    whole.end = whole.end.max(old.end);
                    whole.merged = true;
                    swallowed.add(old.by);
                }
                !overlaps
            });
            all.push(whole);
            all.sort_by_key(|f| f.start);
        }
        (all, swallowed)
    }

    /// Findings in order and apart, from lengths of gaps and findings.
    fn findings(lengths: &[(usize, usize)], first: u8) -> Vec<Found> {
        let mut end = 0;
        let place = |((gap, len), by): (&(usize, usize), u8)| {
            let start = end + gap;
            end = start + len;
            Found::new(Finder::Pattern(by), start..end)
        };
        let names = (first..first + 100).cycle();
        lengths.iter().zip(names).map(place).collect()
    }

    proptest! {
        #[test]
        fn merging_in_one_pass_is_merging_one_by_one(
            old in prop::collection::vec((0usize..6, 1usize..6), 0..12),
            new in prop::collection::vec((0usize..6, 1usize..6), 0..12),
        ) {
            let (old, new) = (findings(&old, 0), findings(&new, 100));
            let (expected, expected_swallowed) = merged_one_by_one(&old, &new);
            let (mut found, mut swallowed) = (FoundList::from_vec(old), Fired::default());
            merge(&mut found, &new, &mut swallowed);
            prop_assert_eq!(found.as_slice(), expected);
            prop_assert_eq!(swallowed, expected_swallowed);
        }
    }

    /// Moved one by one, 300,000 findings would be 2 TB of moves.
    #[test]
    fn very_many_findings_are_merged() {
        let lengths = vec![(8, 4); 300_000];
        let mut found = FoundList::from_vec(findings(&lengths, 0));
        let new: Vec<_> = found
            .iter()
            .map(|f| Found::new(Detector::Email, f.end + 1..f.end + 3))
            .collect();
        merge(&mut found, &new, &mut Fired::default());
        assert_eq!(found.len(), 600_000);
        assert!(found.is_sorted_by(|a, b| a.end <= b.start));
    }
}
