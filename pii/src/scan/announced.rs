//! Where numbers may begin that a word before them announces.
//!
//! Words are searched for only near such places, and most texts have none: what stands before the first
//! two letters of a text, such as its time, has no word before it; parts of longer words are no numbers.
//! Names more places than there are numbers, and never misses one by more than [`AHEAD`].

use super::maps::{Maps, STEP_BITS};
use super::shapes::{behind, runs16};

/// Most bytes from the start of a number to the place that is named for it (`A-999-9999-9999`).
pub(crate) const AHEAD: usize = 8;

/// Where in a window the numbers of rows may begin, and where those that can be dialled.
#[derive(Clone, Copy, Default)]
pub(super) struct Places {
    /// Numbers that have a shape of their own.
    pub(super) shaped: u64,
    /// The first digits behind a word of letters, of many with little between them.
    pub(super) headed: u64,
    /// Seventeen letters and digits.
    pub(super) seventeen: u64,
}

/// Goes through a text with its windows.
#[derive(Default)]
pub(super) struct Announced {
    /// Whether two letters side by side have been seen.
    seen_letters: bool,
    /// Whether two letters have been seen behind the last digit.
    is_headed: bool,
}

impl Announced {
    /// The places in this window; `runs` has its long runs of letters, digits, `_` and `-`.
    #[inline(always)]
    pub(super) fn step(&mut self, passed: Maps, this: Maps, runs: u64) -> Places {
        let letters = this.letter & behind(this.letter, passed.letter, 1) & STEP_BITS;
        // Added to the bytes that are no digits, letters carry into the first digit behind them.
        let others = !this.digit & STEP_BITS;
        let sum = others + letters + u64::from(self.is_headed);
        self.is_headed = sum > STEP_BITS;
        let first = match (self.seen_letters, letters) {
            (true, _) => !0,
            (false, 0) => 0,
            (false, letters) => !0 << letters.trailing_zeros(),
        };
        self.seen_letters |= letters != 0;
        if first == 0 || this.digit == 0 && runs == 0 {
            return Places::default();
        }
        Places {
            shaped: shaped(passed, this) & first,
            headed: headed(sum & this.digit, this),
            seventeen: if runs == 0 {
                0
            } else {
                of_17(passed, this) & first
            },
        }
    }
}

/// Those of the first digits that eight digits or more begin with, at most three bytes between two of them
/// and neither letters nor colons.
#[inline(always)]
fn headed(first: u64, this: Maps) -> u64 {
    if first == 0 {
        return 0;
    }
    let digit = this.digit;
    let near = (digit | digit >> 1 | digit >> 2 | digit >> 3) & !(this.letter | this.colon);
    let near2 = near & near >> 1;
    let near4 = near2 & near2 >> 2;
    first & near4 & near4 >> 4
}

/// Where numbers of the rows begin, or a part of them that is as telling.
#[inline(always)]
fn shaped(passed: Maps, this: Maps) -> u64 {
    let digit = this.digit;
    let run2 = digit & digit >> 1;
    let run4 = run2 & run2 >> 2;
    let mut places = mixed(passed, this);
    if run4 != 0 {
        places |= digits(passed, this, run2, run4);
        // Four digits beside three or more, a day: with one mark between.
        let apart = digit | this.letter | this.colon;
        let beside = run4 & !(apart >> 4) & run2 >> 5;
        let year_first = beside & !(apart >> 7) & run2 >> 8;
        let year_last = run2 & !(apart >> 2) & run2 >> 3 & !(apart >> 5) & run4 >> 6;
        let days = (year_first | year_last) & !behind(digit, passed.digit, 1);
        places |= beside & digit >> 7 | days;
    }
    places
}

/// Six digits or more, or five behind one or two letters, that no word goes on with. A dash or a dot before
/// them joins them to a word, other than one letter or two digits.
#[inline(always)]
fn digits(passed: Maps, this: Maps, run2: u64, run4: u64) -> u64 {
    let start = this.digit & !behind(this.digit, passed.digit, 1);
    let run5 = start & run4 & this.digit >> 4;
    if run5 == 0 {
        return 0;
    }
    let digit_at = |n| behind(this.digit, passed.digit, n);
    let letter_at = |n| behind(this.letter, passed.letter, n);
    let word_at = |n| behind(this.word, passed.word, n);
    let alike_at = |n| digit_at(n) | letter_at(n);
    let dash_at = |n| word_at(n) & !alike_at(n);
    let joint = dash_at(1) | behind(this.dot, passed.dot, 1);
    let is_part = alike_at(2) & !(digit_at(2) & digit_at(3)) & !(letter_at(2) & !alike_at(3));
    let joined = is_part | dash_at(1) & dash_at(2);
    let free = !word_at(1) & !joint | joint & !joined;
    let lettered = letter_at(1) & (!alike_at(2) | letter_at(2) & !alike_at(3));
    run5 & (lettered | run2 >> 4 & free)
}

/// A digit, a letter, either, a digit and a letter: `1EG4-TE5-MK73`.
#[inline(always)]
fn mixed(passed: Maps, this: Maps) -> u64 {
    let (digit, letter) = (this.digit, this.letter);
    let start = digit & letter >> 1 & digit >> 3;
    if start == 0 {
        return 0;
    }
    let alike = letter | digit;
    let before = behind(alike, passed.letter | passed.digit, 1);
    start & !before & alike >> 2 & (letter >> 4 | !(alike >> 4) & letter >> 5)
}

/// Seventeen letters and digits.
#[inline(always)]
fn of_17(passed: Maps, this: Maps) -> u64 {
    let alike = this.letter | this.digit;
    let before = behind(alike, passed.letter | passed.digit, 1);
    runs16(alike) & alike >> 16 & !(alike >> 17) & !before
}
