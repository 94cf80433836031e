//! Finding where personal data could be, 64 bytes at a time.
//!
//! Each byte is classified once into bitmaps (digit, dot, colon, rare mark); shifts of the bitmaps
//! then say where a shape begins that a detector should look at: `ddd-dd-dddd`, a run of 13 digits,
//! three dotted numbers in a row and so on. Timestamps, counters and ids fall through here without
//! being looked at one by one, which is what makes ordinary lines cheap.
//!
//! Never decides that something *is* personal data, and never misses a shape that a detector accepts.

mod lanes;

use std::ops::Range;

/// Bytes classified at once; the width of one bitmap word.
const WORD: usize = 64;
/// Half of that.
const HALF: usize = WORD / 2;
/// Fewest digits of a number without structure of its own (an SSN).
const DIGITS_MIN: u8 = 9;
/// Fewest digits around a number that a word announces, its own among them.
const ANNOUNCED_MIN: u8 = 5;
/// Length of a run of letters, digits, `_` and `-` that may be of a token, in bytes.
pub(crate) const RUN: usize = 20;
/// Bytes of a time that texts often begin with.
const LEAD: usize = 24;
/// The same as a bitmap.
const LEAD_BITS: u64 = (1 << LEAD) - 1;

/// Bytes classified in one step.
const PIECE: usize = 16;

/// What may begin at a position; several may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Position in bytes.
    pub(crate) pos: usize,
    /// The first digit of a number that is grouped or long enough to be a card, an SSN or a phone.
    pub(crate) number: bool,
    /// The first of two digits or more, behind two letters.
    pub(crate) pair: bool,
    /// The first dot of four numbers joined by dots.
    pub(crate) dotted: bool,
    /// A colon of `::` or of three colons close together.
    pub(crate) colons: bool,
    /// One of `@`, `%`, `+`, `(`, `=`.
    pub(crate) mark: bool,
    /// A `:` that a name could stand before.
    pub(crate) sign: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Maps {
    digit: u64,
    dot: u64,
    colon: u64,
    mark: u64,
    /// Letters, digits, `_`, `-`.
    word: u64,
}

impl Maps {
    /// Without the first `bytes`.
    fn without(self, bytes: usize) -> Self {
        self.each(|map| map >> bytes)
    }

    /// Together with those of the bytes from `at` on.
    fn or(self, other: Self, at: usize) -> Self {
        Self {
            digit: self.digit | other.digit << at,
            dot: self.dot | other.dot << at,
            colon: self.colon | other.colon << at,
            mark: self.mark | other.mark << at,
            word: self.word | other.word << at,
        }
    }

    fn each(self, f: impl Fn(u64) -> u64) -> Self {
        Self {
            digit: f(self.digit),
            dot: f(self.dot),
            colon: f(self.colon),
            mark: f(self.mark),
            word: f(self.word),
        }
    }
}

#[inline(always)]
fn classify<const N: usize>(bytes: &[u8; N]) -> Maps {
    let (pieces, _) = bytes.as_chunks::<PIECE>();
    let pieces = pieces.iter().enumerate();
    pieces.fold(Maps::default(), |maps, (i, piece)| {
        maps.or(lanes::classify(*piece), PIECE * i)
    })
}

/// The bitmaps of the word that starts at byte `start`; positions outside the text are in no class.
#[inline]
fn maps(text: &[u8], start: usize) -> Maps {
    let rest = text.get(start..).unwrap_or_default();
    if let Some(bytes) = rest.first_chunk::<WORD>() {
        return classify(bytes);
    }
    if rest.is_empty() {
        return Maps::default();
    }
    if let Some(bytes) = text.last_chunk::<WORD>() {
        return classify(bytes).without(WORD - rest.len());
    }
    short(rest)
}

/// The bitmaps of less than a word, from pieces that may overlap.
#[inline]
fn short(text: &[u8]) -> Maps {
    let (pieces, rest) = text.as_chunks::<PIECE>();
    let whole = pieces.iter().enumerate();
    let head = whole.fold(Maps::default(), |maps, (i, piece)| {
        maps.or(lanes::classify(*piece), PIECE * i)
    });
    if rest.is_empty() {
        return head;
    }
    if let Some(tail) = text.last_chunk::<PIECE>() {
        return head.or(lanes::classify(*tail), text.len() - PIECE);
    }
    let mut piece = [0; PIECE];
    if let Some(start) = piece.get_mut(..rest.len()) {
        start.copy_from_slice(rest);
    }
    lanes::classify(piece)
}

/// How far ahead of its start a number shape is looked at, in bytes.
const SHAPE: usize = 20;

/// Starts of the number shapes in `digit`, right for all bits but the last [`SHAPE`]; `prev` is the
/// digit bit before the first.
#[inline]
fn numbers(digit: u64, prev: bool) -> u64 {
    let start = digit & !(digit << 1 | u64::from(prev));
    let run2 = digit & digit >> 1;
    let run4 = run2 & run2 >> 2;
    let run8 = run4 & run4 >> 4;
    let exactly2 = start & run2 & !(digit >> 2);
    let exactly3 = start & run2 & digit >> 2 & !(digit >> 3);
    let exactly4 = start & run4 & !(digit >> 4);
    let exactly6 = start & run4 & run2 >> 4 & !(digit >> 6);
    let long = start & run8 & run4 >> 8 & digit >> 12;
    let ssn = exactly3 & exactly2 >> 4 & exactly4 >> 7;
    let phone = exactly3 & exactly3 >> 4 & exactly4 >> 8;
    // 4-4-4-…, 4-6-…: the detector checks the rest.
    let card = exactly4 & (exactly4 >> 5 & exactly4 >> 10 | exactly6 >> 5);
    long | ssn | phone | card
}

/// Digits that begin two or more of them behind two letters.
#[inline]
fn pairs(this: Maps, prev: Maps, next: Maps) -> u64 {
    let behind = |map: fn(Maps) -> u64, n: u32| map(this) << n | map(prev) >> (64 - n);
    let letter = |maps: Maps| maps.word & !maps.digit;
    let start = this.digit & behind(letter, 1) & behind(letter, 2);
    start & (this.digit >> 1 | next.digit << (WORD - 1))
}

/// Where runs of [`RUN`] word bytes or more begin or go on.
#[inline]
fn runs(word: u128) -> u64 {
    let run2 = word & word >> 1;
    let run4 = run2 & run2 >> 2;
    let run8 = run4 & run4 >> 4;
    low(run8 & run8 >> 8 & run4 >> (RUN - 4))
}

/// Dots that begin four dotted numbers.
#[inline]
fn dotted(dot: u128, digit: u128, prev: bool) -> u64 {
    let inner = dot & (digit << 1 | u128::from(prev)) & digit >> 1;
    if inner == 0 {
        return 0;
    }
    let followed = |x: u128| x >> 2 | x >> 3 | x >> 4;
    low(inner & followed(inner & followed(inner)))
}

/// Colons of `::` and colons that two more follow within five bytes each.
#[inline]
fn colons(colon: u128) -> u64 {
    let followed = |x: u128| x >> 1 | x >> 2 | x >> 3 | x >> 4 | x >> 5;
    low(colon & colon >> 1 | colon & followed(colon & followed(colon)))
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half only looks ahead"
)]
fn low(bits: u128) -> u64 {
    bits as u64
}

/// What a text has as a whole.
pub(crate) struct Seen {
    /// From the first to the last dense digits: a word far before them, or behind them, has too few digits
    /// to announce a number. Empty if there are none.
    pub(crate) dense: Range<usize>,
    /// From the first to the last run of bytes that could be of a token; empty if there is none.
    pub(crate) runs: Range<usize>,
}

/// Calls `visit` for every position where something may begin, in ascending order.
#[inline]
pub(crate) fn scan(text: &[u8], mut visit: impl FnMut(Event)) -> Seen {
    let mut dense = 0..0;
    let mut all_runs = 0..0;
    let mut before = Maps::default();
    let mut this = maps(text, 0);
    let mut start = 0;
    let mut sums = cumulative(this.digit);
    // What a text begins with, such as its time, is announced by no word.
    let mut announced = if begins_with_time(text) {
        cumulative(this.digit & !LEAD_BITS)
    } else {
        sums
    };
    while start < text.len() {
        let next = maps(text, start + WORD);
        let next_sums = cumulative(next.digit);
        let wide = |low: u64, high: u64| u128::from(low) | u128::from(high) << WORD;
        let digit = wide(this.digit, next.digit);
        let mut numbers = 0;
        if sums[7] >= DIGITS_MIN {
            let prev = before.digit >> 63 != 0;
            numbers = self::numbers(this.digit, prev) & (!0 >> SHAPE);
        }
        let middle = this.digit >> HALF | next.digit << HALF;
        if this.digit >> HALF != 0 && sums[7] - sums[3] + next_sums[3] >= DIGITS_MIN {
            numbers |= self::numbers(middle, this.digit >> (HALF - 1) & 1 != 0) << HALF;
        }
        if let Some(end) = self::dense(announced, next_sums) {
            if dense.is_empty() {
                dense.start = start;
            }
            dense.end = start + end;
        }
        let dotted = if this.dot == 0 {
            0
        } else {
            dotted(wide(this.dot, next.dot), digit, before.digit >> 63 != 0)
        };
        let colons = match this.colon {
            0 => 0,
            one if one.is_power_of_two() && next.colon == 0 => 0,
            _ => colons(wide(this.colon, next.colon)),
        };
        let pairs = if this.digit == 0 {
            0
        } else {
            pairs(this, before, next)
        };
        let runs = runs(wide(this.word, next.word));
        if runs != 0 {
            if all_runs.is_empty() {
                all_runs.start = start + runs.trailing_zeros() as usize;
            }
            all_runs.end = start + WORD - 1 - runs.leading_zeros() as usize + RUN;
        }
        // A colon behind a digit is a time's or a port's.
        let timed = this.digit << 1 | before.digit >> 63;
        let signs = this.colon & !timed;
        let mut events = numbers | pairs | dotted | colons | signs | this.mark;
        while events != 0 {
            let bit = events & events.wrapping_neg();
            events ^= bit;
            visit(Event {
                pos: start + bit.trailing_zeros() as usize,
                number: numbers & bit != 0,
                pair: pairs & bit != 0,
                dotted: dotted & bit != 0,
                colons: colons & bit != 0,
                mark: this.mark & bit != 0,
                sign: signs & bit != 0,
            });
        }
        before = this;
        this = next;
        sums = next_sums;
        announced = next_sums;
        start += WORD;
    }
    Seen {
        dense,
        runs: all_runs,
    }
}

/// Whether the first bytes are digits and marks with one letter at most, so that no word is in them.
fn begins_with_time(text: &[u8]) -> bool {
    text.first_chunk::<LEAD>().is_some_and(|lead| {
        lead[0].is_ascii_digit()
            && lead
                .iter()
                .map(|b| u8::from(b.is_ascii_alphabetic()))
                .sum::<u8>()
                <= 1
    })
}

/// For each byte of the word, how many bits it and the bytes below it have.
#[inline]
fn cumulative(word: u64) -> [u8; 8] {
    let pairs = word - (word >> 1 & 0x5555_5555_5555_5555);
    let nibbles = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let bytes = (nibbles + (nibbles >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    bytes.wrapping_mul(0x0101_0101_0101_0101).to_le_bytes()
}

/// End of the last stretch of 48 bytes with enough digits to be announced, of those that begin in the
/// first of two words, every 16 bytes. Any 32 bytes in a row are in one of them.
#[inline]
fn dense(this: [u8; 8], next: [u8; 8]) -> Option<usize> {
    let stretches = [
        (96, this[7] - this[5] + next[3]),
        (80, this[7] - this[3] + next[1]),
        (64, this[7] - this[1]),
        (48, this[5]),
    ];
    stretches
        .into_iter()
        .find(|(_, digits)| *digits >= ANNOUNCED_MIN)
        .map(|(end, _)| end)
}
