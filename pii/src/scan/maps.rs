//! Bitmaps of a text: which of its bytes are of which class.
//!
//! A window shows 64 bytes and goes on by [`STEP`], so that whatever begins in a step is seen with the 16
//! bytes behind it. Positions outside of the text are in no class. Says nothing of what the classes mean
//! together.

use super::lanes;

/// Bytes that a window goes on by.
pub(super) const STEP: usize = 48;
/// The bits of a step.
pub(super) const STEP_BITS: u64 = (1 << STEP) - 1;
/// Bytes that a window shows.
const WINDOW: usize = 64;
/// Those that are seen again in the next one.
const AGAIN: usize = WINDOW - STEP;
/// Bytes classified at once.
pub(super) const PIECE: usize = 16;

/// The classes of 64 bytes, the first byte lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Maps {
    pub(super) digit: u64,
    pub(super) letter: u64,
    /// Letters, digits, `_`, `-`.
    pub(super) word: u64,
    pub(super) dot: u64,
    pub(super) colon: u64,
    /// `@`, `=`.
    pub(super) mark: u64,
    /// `%`, `&`, `'`, `(`, `)`, `*`, `+`.
    pub(super) aside: u64,
}

impl Maps {
    /// The first window of a text.
    #[inline(always)]
    pub(super) fn first(text: &[u8]) -> Self {
        match text.first_chunk::<WINDOW>() {
            Some(bytes) => whole(bytes.as_chunks::<PIECE>().0),
            None => short(text, 0),
        }
    }

    /// The window that starts at byte `start`, one step behind this one.
    #[inline(always)]
    pub(super) fn next(self, text: &[u8], start: usize) -> Self {
        let new = start + AGAIN;
        let rest = text.get(new..).unwrap_or_default();
        let more = match rest.first_chunk::<STEP>() {
            Some(bytes) => whole(bytes.as_chunks::<PIECE>().0),
            None if rest.is_empty() => return self.without(STEP),
            None => short(text, new),
        };
        self.without(STEP).or(more, AGAIN)
    }

    /// This window's step, with its last byte highest: what stands before the next window.
    #[inline(always)]
    pub(super) fn passed(self) -> Self {
        Self::default().or(self, AGAIN)
    }

    /// Without the first `bytes`.
    #[inline(always)]
    fn without(self, bytes: usize) -> Self {
        Self {
            digit: self.digit >> bytes,
            letter: self.letter >> bytes,
            word: self.word >> bytes,
            dot: self.dot >> bytes,
            colon: self.colon >> bytes,
            mark: self.mark >> bytes,
            aside: self.aside >> bytes,
        }
    }

    /// Together with those of the bytes from `at` on.
    #[inline(always)]
    pub(super) fn or(self, other: Self, at: usize) -> Self {
        Self {
            digit: self.digit | other.digit << at,
            letter: self.letter | other.letter << at,
            word: self.word | other.word << at,
            dot: self.dot | other.dot << at,
            colon: self.colon | other.colon << at,
            mark: self.mark | other.mark << at,
            aside: self.aside | other.aside << at,
        }
    }
}

#[inline(always)]
fn whole(pieces: &[[u8; PIECE]]) -> Maps {
    let pieces = pieces.iter().enumerate();
    pieces.fold(Maps::default(), |maps, (i, piece)| {
        maps.or(lanes::classify(*piece), PIECE * i)
    })
}

/// The bitmaps of what is left of a text from `start` on, less than a window, from pieces that may overlap.
#[inline]
fn short(text: &[u8], start: usize) -> Maps {
    let rest = text.get(start..).unwrap_or_default();
    let (pieces, left) = rest.as_chunks::<PIECE>();
    let head = whole(pieces);
    if left.is_empty() {
        return head;
    }
    let tail = match text.last_chunk::<PIECE>() {
        Some(tail) => lanes::classify(*tail).without(PIECE - left.len()),
        None => {
            let mut piece = [0; PIECE];
            for (place, byte) in piece.iter_mut().zip(left) {
                *place = *byte;
            }
            lanes::classify(piece)
        }
    };
    head.or(tail, rest.len() - left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_has_the_classes_of_its_bytes() {
        let text: Vec<u8> = (0..200).map(|i| b"a7-_.:@=%+ \xc3"[i * i % 12]).collect();
        for length in 0..text.len() {
            let text = &text[text.len() - length..];
            let mut window = Maps::first(text);
            for start in (0..=length).step_by(STEP) {
                if start > 0 {
                    window = window.next(text, start);
                }
                let mut expected = Maps::default();
                for (i, byte) in text[start..].iter().take(WINDOW).enumerate() {
                    let mut one = [0; PIECE];
                    one[0] = *byte;
                    expected = expected.or(lanes::classify(one), i);
                }
                assert_eq!(window, expected, "of {length} from {start}");
            }
        }
    }
}
