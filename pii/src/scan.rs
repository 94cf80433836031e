//! Finding where personal data could be, 64 bytes at a time.
//!
//! Each byte is classified once into bitmaps (digit, dot, colon, rare mark); shifts of the bitmaps
//! then say where a shape begins that a detector should look at: `ddd-dd-dddd`, a run of 13 digits,
//! three dotted numbers in a row and so on. Timestamps, counters and ids fall through here without
//! being looked at one by one, which is what makes ordinary lines cheap.
//!
//! Never decides that something *is* personal data, and never misses a shape that a detector accepts.

/// Bytes classified at once; the width of one bitmap word.
const WORD: usize = 64;

/// What may begin at a position; several may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Position in bytes.
    pub(crate) pos: usize,
    /// The first digit of a number that is grouped or long enough to be a card, an SSN or a phone.
    pub(crate) number: bool,
    /// The first dot of four numbers joined by dots.
    pub(crate) dotted: bool,
    /// A colon of `::` or of three colons close together.
    pub(crate) colons: bool,
    /// One of `@`, `%`, `+`, `(`.
    pub(crate) mark: bool,
}

#[derive(Clone, Copy, Default)]
struct Maps {
    digit: u64,
    dot: u64,
    colon: u64,
    mark: u64,
}

/// Gathers 64 bytes that are 0 or 1 into one word, first byte lowest.
#[inline]
fn gather(flags: &[u8; WORD]) -> u64 {
    // Multiplying moves the eight low bits of eight bytes side by side into the top byte.
    const SIDE_BY_SIDE: u64 = 0x0102_0408_1020_4080;
    let (groups, _) = flags.as_chunks::<8>();
    groups.iter().enumerate().fold(0, |word, (i, group)| {
        word | ((u64::from_le_bytes(*group).wrapping_mul(SIDE_BY_SIDE) >> 56) << (8 * i))
    })
}

#[inline]
fn classify(bytes: &[u8; WORD]) -> Maps {
    Maps {
        digit: gather(&bytes.map(|b| u8::from(b.wrapping_sub(b'0') < 10))),
        dot: gather(&bytes.map(|b| u8::from(b == b'.'))),
        colon: gather(&bytes.map(|b| u8::from(b == b':'))),
        mark: gather(&bytes.map(|b| {
            u8::from(b == b'@') | u8::from(b == b'%') | u8::from(b == b'+') | u8::from(b == b'(')
        })),
    }
}

/// The bitmaps of the word that starts at byte `start`; positions outside the text are in no class.
#[inline]
fn maps(text: &[u8], start: usize) -> Maps {
    let rest = text.get(start..).unwrap_or_default();
    match rest.first_chunk::<WORD>() {
        Some(bytes) => classify(bytes),
        None if rest.is_empty() => Maps::default(),
        None => {
            let mut padded = [0u8; WORD];
            for (to, from) in padded.iter_mut().zip(rest) {
                *to = *from;
            }
            classify(&padded)
        }
    }
}

/// Starts of the number shapes in `digit`, where bit 64 and up look ahead and `prev` is the digit
/// bit before bit 0.
#[inline]
fn numbers(digit: u128, prev: bool) -> u64 {
    let start = digit & !(digit << 1 | u128::from(prev));
    let run2 = digit & digit >> 1;
    let run3 = run2 & digit >> 2;
    let run4 = run2 & run2 >> 2;
    let run8 = run4 & run4 >> 4;
    let exactly2 = start & run2 & !(digit >> 2);
    let exactly3 = start & run3 & !(digit >> 3);
    let exactly4 = start & run4 & !(digit >> 4);
    let exactly6 = start & run4 & run2 >> 4 & !(digit >> 6);
    let long = start & run8 & run4 >> 8 & digit >> 12;
    let ssn = exactly3 & exactly2 >> 4 & exactly4 >> 7;
    let phone = exactly3 & exactly3 >> 4 & exactly4 >> 8;
    // 4-4-4-…, 4-6-…: the detector checks the rest.
    let card = exactly4 & (exactly4 >> 5 & exactly4 >> 10 | exactly6 >> 5);
    low(long | ssn | phone | card)
}

/// Dots that begin four dotted numbers.
#[inline]
fn dotted(dot: u128, digit: u128, prev: bool) -> u64 {
    let inner = dot & (digit << 1 | u128::from(prev)) & digit >> 1;
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

/// Calls `visit` for every position where something may begin, in ascending order, and returns how
/// many digits the text has.
#[inline]
pub(crate) fn scan(text: &[u8], mut visit: impl FnMut(Event)) -> u32 {
    let mut digits = 0;
    let mut prev = false;
    let mut this = maps(text, 0);
    let mut start = 0;
    while start < text.len() {
        let next = maps(text, start + WORD);
        let wide = |low: u64, high: u64| u128::from(low) | u128::from(high) << WORD;
        let digit = wide(this.digit, next.digit);
        digits += this.digit.count_ones();
        let numbers = if this.digit == 0 {
            0
        } else {
            numbers(digit, prev)
        };
        let dotted = if this.dot == 0 {
            0
        } else {
            dotted(wide(this.dot, next.dot), digit, prev)
        };
        let colons = if this.colon == 0 {
            0
        } else {
            colons(wide(this.colon, next.colon))
        };
        let mut events = numbers | dotted | colons | this.mark;
        while events != 0 {
            let bit = events & events.wrapping_neg();
            events ^= bit;
            visit(Event {
                pos: start + bit.trailing_zeros() as usize,
                number: numbers & bit != 0,
                dotted: dotted & bit != 0,
                colons: colons & bit != 0,
                mark: this.mark & bit != 0,
            });
        }
        prev = this.digit >> 63 != 0;
        this = next;
        start += WORD;
    }
    digits
}
