//! New inputs from old ones. The same seed makes the same inputs.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{INPUT_BYTES_MAX, Target};

/// Most mutations of one input.
const MUTATIONS_MAX: usize = 8;
/// Bytes that formats treat in a way of their own.
const BYTES: [u8; 24] = [
    0, 1, 7, 9, 10, 13, 31, 32, 34, 39, 44, 45, 46, 58, 60, 62, 91, 92, 93, 123, 125, 127, 128, 255,
];
/// Numbers at the ends of what types hold, as text.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "-0",
    "00",
    "1e999",
    "-1e-999",
    "0.1",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "1700000000000000000",
];
/// Texts that are awkward anywhere.
const ODD: [&str; 10] = [
    "\u{feff}",
    "\u{202e}",
    "ß",
    "İ",
    "👩‍👩‍👧",
    "\u{0}",
    "\\u0000",
    "\\ud800",
    "\r\n",
    "%00",
];

/// Makes inputs.
pub struct Mutator {
    random: ChaCha8Rng,
}

impl Mutator {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// A number below this one; 0 below 0.
    pub fn below(&mut self, end: usize) -> usize {
        let number = self.random.next_u64() % (end.max(1) as u64);
        usize::try_from(number).unwrap_or_default()
    }

    /// An input made of one of these, for this target.
    pub fn input(&mut self, target: &Target, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus).unwrap_or_default();
        for _ in 0..=self.below(MUTATIONS_MAX) {
            self.mutate(&mut input, target, corpus);
            input.truncate(INPUT_BYTES_MAX);
        }
        (target.repair)(&mut input);
        input
    }

    fn pick(&mut self, corpus: &[Vec<u8>]) -> Option<Vec<u8>> {
        let place = self.below(corpus.len());
        corpus.get(place).cloned()
    }

    fn mutate(&mut self, input: &mut Vec<u8>, target: &Target, corpus: &[Vec<u8>]) {
        match self.below(14) {
            0 => self.flip(input),
            1 => self.set(input),
            2 => self.remove(input),
            3 => self.repeat(input),
            4 => self.insert_bytes(input),
            5 | 6 => self.insert_word(input, target),
            7 => self.replace_number(input),
            8 => self.set_integer(input),
            9 => self.splice(input, corpus),
            10 => self.swap_lines(input),
            11 => {
                let odd = ODD[self.below(ODD.len())];
                self.insert(input, odd.as_bytes());
            }
            12 => {
                let end = self.below(input.len() + 1);
                input.truncate(end);
            }
            _ => self.grow(input),
        }
    }

    fn flip(&mut self, input: &mut [u8]) {
        let place = self.below(input.len());
        let bit = self.below(8);
        if let Some(byte) = input.get_mut(place) {
            *byte ^= 1 << bit;
        }
    }

    fn set(&mut self, input: &mut [u8]) {
        let place = self.below(input.len());
        let new = BYTES[self.below(BYTES.len())];
        if let Some(byte) = input.get_mut(place) {
            *byte = new;
        }
    }

    /// Some stretch of the input, mostly a short one.
    fn stretch(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = if self.below(4) == 0 { length } else { 16 };
        let end = start + self.below(longest.min(length - start) + 1);
        start..end
    }

    fn remove(&mut self, input: &mut Vec<u8>) {
        let stretch = self.stretch(input.len());
        input.drain(stretch);
    }

    /// Repeats a stretch, now and then very often.
    fn repeat(&mut self, input: &mut Vec<u8>) {
        let stretch = self.stretch(input.len());
        let part = input.get(stretch.clone()).unwrap_or_default().to_vec();
        let most = INPUT_BYTES_MAX / part.len().max(1);
        let times = match self.below(8) {
            0 => self.below(most.min(4_096)),
            _ => 1 + self.below(4),
        };
        let more = part.repeat(times.min(most));
        input.splice(stretch.end..stretch.end, more);
    }

    fn insert(&mut self, input: &mut Vec<u8>, part: &[u8]) {
        let place = self.below(input.len() + 1);
        input.splice(place..place, part.iter().copied());
    }

    fn insert_bytes(&mut self, input: &mut Vec<u8>) {
        let count = 1 + self.below(8);
        let bytes: Vec<u8> = (0..count)
            .map(|_| self.random.next_u64().to_le_bytes()[0])
            .collect();
        self.insert(input, &bytes);
    }

    fn insert_word(&mut self, input: &mut Vec<u8>, target: &Target) {
        let place = self.below(target.words.len());
        let word = target.words.get(place).copied().unwrap_or(" ");
        self.insert(input, word.as_bytes());
    }

    /// Puts an extreme number in the place of one.
    fn replace_number(&mut self, input: &mut Vec<u8>) {
        let from = self.below(input.len() + 1);
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let Some(start) = input.iter().skip(from).position(is_digit) else {
            return;
        };
        let start = from + start;
        let length = input
            .iter()
            .skip(start)
            .take_while(|byte| is_digit(byte))
            .count();
        let number = NUMBERS[self.below(NUMBERS.len())];
        input.splice(start..start + length, number.bytes());
    }

    /// Overwrites bytes with an integer of some width and order.
    fn set_integer(&mut self, input: &mut [u8]) {
        let number: u64 = match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            3 => (1 << self.below(63)) - 1,
            4 => input.len() as u64,
            _ => self.random.next_u64(),
        };
        let width = 1 << self.below(4);
        let (low, high) = (number.to_le_bytes(), number.to_be_bytes());
        let bytes: Vec<u8> = if self.below(2) == 0 {
            low.into_iter().take(width).collect()
        } else {
            high.into_iter().skip(8 - width).collect()
        };
        let place = self.below(input.len());
        for (to, from) in input.iter_mut().skip(place).zip(bytes) {
            *to = from;
        }
    }

    /// Puts a stretch of another input in.
    fn splice(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let other = self.pick(corpus).unwrap_or_default();
        let stretch = self.stretch(other.len());
        let part = other.get(stretch).unwrap_or_default().to_vec();
        let place = self.stretch(input.len());
        input.splice(place, part);
    }

    fn swap_lines(&mut self, input: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = input
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        let (a, b) = (self.below(lines.len()), self.below(lines.len()));
        lines.swap(a, b);
        *input = lines.join(&b'\n');
    }

    /// A long run of one byte.
    fn grow(&mut self, input: &mut Vec<u8>) {
        let byte = BYTES[self.below(BYTES.len())];
        let count = 1 << self.below(14);
        let run = vec![byte; count];
        self.insert(input, &run);
    }
}
