//! Finding where personal data could be, 48 bytes at a time.
//!
//! Each byte is classified once into bitmaps (digit, letter, dot, colon, rare marks); shifts of the bitmaps
//! then say where a shape begins that a detector should look at: `ddd-dd-dddd`, a run of 13 digits,
//! three dotted numbers in a row and so on. Timestamps, counters and ids fall through here without
//! being looked at one by one, which is what makes ordinary lines cheap.
//!
//! Never decides that something *is* personal data, and never misses a shape that a detector accepts.

mod announced;
mod lanes;
mod maps;
mod runs;
mod shapes;

use std::ops::Range;

use announced::{Announced, Places};
use maps::{Maps, STEP, STEP_BITS};
use runs::Runs;

pub(crate) use announced::AHEAD;
pub(crate) use shapes::RUN;

/// What may begin at the positions of a window, bit by bit.
#[derive(Clone, Copy)]
struct Kinds {
    numbers: u64,
    pairs: u64,
    dotted: u64,
    colons: u64,
    marks: u64,
    signs: u64,
    places: Places,
}

impl Kinds {
    #[inline(always)]
    fn all(&self) -> u64 {
        let places = self.places.headed | self.places.seventeen;
        self.numbers | self.pairs | self.dotted | self.colons | self.marks | self.signs | places
    }
}

/// What may begin at a position; several may.
#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    /// Position in bytes.
    pub(crate) pos: usize,
    bit: u64,
    kinds: &'a Kinds,
}

#[cfg(test)]
impl Event<'static> {
    /// Each thing that can be said of a position, by itself.
    pub(crate) fn each_kind(pos: usize) -> impl Iterator<Item = Self> {
        const NONE: Kinds = Kinds {
            numbers: 0,
            pairs: 0,
            dotted: 0,
            colons: 0,
            marks: 0,
            signs: 0,
            places: Places {
                shaped: 0,
                headed: 0,
                seventeen: 0,
            },
        };
        static KINDS: [Kinds; 6] = [
            Kinds { numbers: 1, ..NONE },
            Kinds { pairs: 1, ..NONE },
            Kinds { dotted: 1, ..NONE },
            Kinds { colons: 1, ..NONE },
            Kinds { marks: 1, ..NONE },
            Kinds { signs: 1, ..NONE },
        ];
        KINDS.iter().map(move |kinds| Self { pos, bit: 1, kinds })
    }
}

impl Event<'_> {
    /// The first digit of a number that is grouped or long enough to be a card, an SSN or a phone.
    #[inline(always)]
    pub(crate) fn is_number(self) -> bool {
        self.kinds.numbers & self.bit != 0
    }

    /// The first of two digits or more, behind two letters.
    #[inline(always)]
    pub(crate) fn is_pair(self) -> bool {
        self.kinds.pairs & self.bit != 0
    }

    /// The first dot of four numbers joined by dots.
    #[inline(always)]
    pub(crate) fn is_dotted(self) -> bool {
        self.kinds.dotted & self.bit != 0
    }

    /// A colon of `::` or of three colons close together.
    #[inline(always)]
    pub(crate) fn is_colons(self) -> bool {
        self.kinds.colons & self.bit != 0
    }

    /// One of `@`, `%`, `+`, `(`, `=`, or a mark that means nothing.
    #[inline(always)]
    pub(crate) fn is_mark(self) -> bool {
        self.kinds.marks & self.bit != 0
    }

    /// A `:` that a name could stand before.
    #[inline(always)]
    pub(crate) fn is_sign(self) -> bool {
        self.kinds.signs & self.bit != 0
    }

    /// The first digit behind letters, of eight or more.
    #[inline(always)]
    pub(crate) fn is_headed(self) -> bool {
        self.kinds.places.headed & self.bit != 0
    }

    /// The first of seventeen letters and digits.
    #[inline(always)]
    pub(crate) fn is_seventeen(self) -> bool {
        self.kinds.places.seventeen & self.bit != 0
    }
}

/// What a text has as a whole.
#[derive(Default)]
pub(crate) struct Seen {
    /// From the first to behind the last place where a number with a shape of its own may stand that a word
    /// announces; empty if there is none.
    pub(crate) shaped: Range<usize>,
    /// The part in which tokens may begin; empty if there is none.
    pub(crate) tokens: Range<usize>,
    /// Whether a private key could begin.
    pub(crate) dashes: bool,
}

/// Makes a range reach from its start, or the first of these bits, to behind the last.
#[inline(always)]
fn stretch(range: &mut Range<usize>, start: usize, bits: u64) {
    let bits = bits & STEP_BITS;
    if bits != 0 {
        if Range::is_empty(range) {
            range.start = start + bits.trailing_zeros() as usize;
        }
        range.end = start + bits.ilog2() as usize + 1;
    }
}

/// The range from the first start to the last end of two, either of which may be empty.
pub(crate) fn together(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => a.start.min(b.start)..a.end.max(b.end),
    }
}

/// Calls `visit` for every position where something may begin, in ascending order.
#[inline]
pub(crate) fn scan(text: &[u8], mut visit: impl FnMut(Event<'_>)) -> Seen {
    let mut seen = Seen::default();
    let mut announced = Announced::default();
    let mut runs_seen = Runs::default();
    let mut passed = Maps::default();
    let mut this = Maps::first(text);
    let mut start = 0;
    loop {
        let runs = runs_seen.step((text, start), passed, this, &mut seen.tokens);
        let places = announced.step(passed, this, runs);
        if places.shaped != 0 {
            stretch(&mut seen.shaped, start, places.shaped);
        }
        seen.dashes |= shapes::has_dashes(this);
        let (mut numbers, mut pairs, mut dotted) = (0, 0, 0);
        if this.digit != 0 {
            numbers = shapes::numbers(this.digit, passed.digit);
            pairs = shapes::pairs(passed, this);
            dotted = shapes::dotted(passed, this);
        }
        let kinds = Kinds {
            numbers,
            pairs,
            dotted,
            colons: shapes::colons(this.colon),
            marks: shapes::marks(this),
            // A colon behind a digit is a time's or a port's.
            signs: this.colon & !shapes::behind(this.digit, passed.digit, 1),
            places,
        };
        let mut events = kinds.all() & STEP_BITS;
        while events != 0 {
            let bit = events & events.wrapping_neg();
            events ^= bit;
            visit(Event {
                pos: start + bit.trailing_zeros() as usize,
                bit,
                kinds: &kinds,
            });
        }
        start += STEP;
        if start >= text.len() {
            return seen;
        }
        passed = this.passed();
        this = this.next(text, start);
    }
}
