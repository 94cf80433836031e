//! Where tokens may begin that an issuer gave out: long runs of letters, digits, `_` and `-`, as hardly a word
//! is one, and what stands before them.
//!
//! Looks at what a run begins with, no farther: the detector decides.

use std::ops::Range;

use super::maps::{Maps, STEP_BITS};
use super::shapes::{RUN, behind, runs16};
use crate::bytes::{at, before, is_word, slice};
use crate::detector::may_begin_token;

/// Most bytes from the start of a token to its first run (`hooks.slack.com/services/` and two ids).
const HEAD: usize = 64;

/// Goes through a text with its windows.
#[derive(Default)]
pub(super) struct Runs {
    /// The bytes of the next window that are of runs seen so far.
    carry: u64,
    /// Where runs were seen before the window.
    passed: u64,
}

impl Runs {
    /// Looks at a window that starts at `start`, and has long runs, or the one before it had; gives the runs.
    /// `tokens` becomes the part of the text in which tokens may stand.
    #[inline(always)]
    pub(super) fn step(
        &mut self,
        (text, start): (&[u8], usize),
        passed: Maps,
        this: Maps,
        tokens: &mut Range<usize>,
    ) -> u64 {
        let runs = runs16(this.word) & STEP_BITS;
        if runs | self.carry != 0 {
            self.look((text, start), passed, this, runs, tokens);
        }
        runs
    }

    fn look(
        &mut self,
        (text, start): (&[u8], usize),
        passed: Maps,
        this: Maps,
        runs: u64,
        tokens: &mut Range<usize>,
    ) {
        let cover2 = runs | runs << 1;
        let cover4 = cover2 | cover2 << 2;
        let cover8 = cover4 | cover4 << 4;
        let cover = cover8 | cover8 << 8;
        let alike = behind(this.letter | this.digit, passed.letter | passed.digit, 1);
        let words = (cover | self.carry) & this.letter & !alike & STEP_BITS;
        let begins = runs & !behind(runs, self.passed, 1);
        self.carry = cover >> STEP_BITS.count_ones();
        self.passed = runs << STEP_BITS.leading_zeros();
        let begin = ones(words)
            .map(|bit| start + bit)
            .find(|pos| may_begin_token(at(text, *pos), at(text, pos + 1)));
        let behind_mark = ones(begins)
            .map(|bit| start + bit)
            .filter(|pos| is_behind_mark(text, *pos))
            .find_map(|pos| beginning_before(text, pos));
        if let Some(first) = begin.into_iter().chain(behind_mark).min() {
            tokens.start = if Range::is_empty(tokens) {
                first
            } else {
                tokens.start.min(first)
            };
            tokens.end = text.len();
        }
    }
}

/// Where a token may begin before a run that is in it.
fn beginning_before(text: &[u8], run: usize) -> Option<usize> {
    let from = run.saturating_sub(HEAD);
    let head = slice(text, from, run);
    let is_of_token = |b: &u8| is_word(*b) || matches!(b, b'-' | b'.' | b'/' | b'+' | b'=');
    let length = head.iter().rev().take_while(|b| is_of_token(b)).count();
    (run - length..run).find(|pos| {
        may_begin_token(at(text, *pos), at(text, pos + 1)) && !is_word(before(text, *pos, 1))
    })
}

/// Whether the run that begins here is long enough for a token, and behind a mark that tokens may have.
fn is_behind_mark(text: &[u8], run: usize) -> bool {
    let rest = slice(text, run, run + RUN);
    matches!(before(text, run, 1), b'.' | b'/' | b'+' | b'=')
        && rest.len() == RUN
        && rest.iter().all(|b| is_word(*b) || *b == b'-')
}

/// The places of the bits, lowest first.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        bit
    })
}
