//! Where in the bitmaps of a window the shapes begin that detectors look for by themselves.
//!
//! All look no farther than 16 bytes ahead, so that they are right for a window's step.

use super::maps::Maps;

/// Length of a run of letters, digits, `_` and `-` that may be of a token, in bytes.
pub(crate) const RUN: usize = 20;

/// The bits `n` places farther on, what stands `n` bytes before; `passed` stands before the window.
#[inline(always)]
pub(super) fn behind(this: u64, passed: u64, n: u32) -> u64 {
    this << n | passed >> (u64::BITS - n)
}

/// First digits of numbers that are grouped or long enough to be a card, an SSN or a phone.
#[inline(always)]
pub(super) fn numbers(digit: u64, passed: u64) -> u64 {
    let run2 = digit & digit >> 1;
    let run4 = run2 & run2 >> 2;
    if run4 == 0 {
        return 0;
    }
    let start = digit & !behind(digit, passed, 1);
    let run8 = run4 & run4 >> 4;
    let long = start & run8 & run4 >> 8 & digit >> 12;
    let exactly4 = start & run4 & !(digit >> 4);
    if exactly4 == 0 {
        return long;
    }
    let exactly2 = start & run2 & !(digit >> 2);
    let exactly3 = start & run2 & digit >> 2 & !(digit >> 3);
    let exactly6 = start & run4 & run2 >> 4 & !(digit >> 6);
    let ssn = exactly3 & exactly2 >> 4 & exactly4 >> 7;
    let phone = exactly3 & exactly3 >> 4 & exactly4 >> 8;
    // 4-4-4-…, 4-6-…: the detector checks the rest.
    let card = exactly4 & (exactly4 >> 5 & exactly4 >> 10 | exactly6 >> 5);
    long | ssn | phone | card
}

/// Digits that begin two or more of them behind two letters that begin a word.
#[inline(always)]
pub(super) fn pairs(passed: Maps, this: Maps) -> u64 {
    let letter = |n| behind(this.letter, passed.letter, n);
    let start = this.digit & this.digit >> 1 & letter(1) & letter(2);
    start & !letter(3) & !behind(this.digit, passed.digit, 3)
}

/// Where runs of 16 bytes or more begin or go on: no window sees more of those that begin at its end.
#[inline(always)]
pub(super) fn runs16(bytes: u64) -> u64 {
    let run2 = bytes & bytes >> 1;
    let run4 = run2 & run2 >> 2;
    let run8 = run4 & run4 >> 4;
    run8 & run8 >> 8
}

/// Dots that begin four dotted numbers.
#[inline(always)]
pub(super) fn dotted(passed: Maps, this: Maps) -> u64 {
    let inner = this.dot & behind(this.digit, passed.digit, 1) & this.digit >> 1;
    if inner == 0 {
        return 0;
    }
    let followed = |x: u64| x >> 2 | x >> 3 | x >> 4;
    inner & followed(inner & followed(inner))
}

/// Colons of `::` and colons that two more follow within five bytes each.
#[inline(always)]
pub(super) fn colons(colon: u64) -> u64 {
    if colon & colon.wrapping_sub(1) == 0 {
        return 0;
    }
    let followed = |x: u64| x >> 1 | x >> 2 | x >> 3 | x >> 4 | x >> 5;
    colon & (colon >> 1 | followed(colon & followed(colon)))
}

/// `@`, `=`, and those of the rare marks that a digit follows within three bytes.
#[inline(always)]
pub(super) fn marks(this: Maps) -> u64 {
    this.mark | this.aside & (this.digit >> 1 | this.digit >> 2 | this.digit >> 3)
}

/// Whether five dashes in a row begin here, or what looks like them.
#[inline(always)]
pub(super) fn has_dashes(this: Maps) -> bool {
    let dash = this.word & !(this.letter | this.digit);
    let pair = dash & dash >> 1;
    pair & pair >> 2 & dash >> 4 != 0
}
