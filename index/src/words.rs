//! The words of all granules: each word once, and which granules hold it.
//!
//! tantivy can gather words by itself, but hashes every word of every granule into its arena and
//! links it there; keeping plain pairs (word, granule) costs a fifth of that.

use crate::hash::{finish, hash, short};

/// Slots at the start; the table doubles when half full.
const SLOTS_MIN: usize = 1 << 16;

/// Words up to this length are their own key.
const SHORT_BYTES_MAX: usize = 8;

/// A slot; `number` counts from 1, 0 means free.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// The word itself, if it is short; else its hash.
    key: u64,
    number: u32,
    length: u32,
    start: u32,
    /// The last granule that it was seen in.
    last: u32,
}

impl Slot {
    /// Where probing for it begins.
    #[inline]
    fn first(&self, mask: usize) -> usize {
        first_slot(spread(self.key, self.length as usize), mask)
    }
}

/// A word's place in the text.
#[derive(Clone, Copy)]
struct Word {
    start: u32,
    length: u32,
}

/// Words under collection; granules come in order.
pub(crate) struct Words {
    text: String,
    words: Vec<Word>,
    slots: Vec<Slot>,
    /// (word, granule), by granule.
    pairs: Vec<(u32, u32)>,
}

impl Words {
    pub(crate) fn new() -> Self {
        Self {
            text: String::new(),
            words: Vec::new(),
            slots: vec![Slot::default(); SLOTS_MIN],
            pairs: Vec::new(),
        }
    }

    /// Notes that this granule holds this word.
    #[inline]
    pub(crate) fn insert(&mut self, granule: u32, word: &str) {
        let bytes = word.as_bytes();
        let key = if bytes.len() <= SHORT_BYTES_MAX {
            short(bytes)
        } else {
            hash(bytes)
        };
        self.insert_keyed(granule, word, key);
    }

    #[inline]
    fn insert_keyed(&mut self, granule: u32, word: &str, key: u64) {
        let at = self.slot_of(word, key);
        let slot = &mut self.slots[at];
        let number = match slot.number {
            0 => self.add(at, granule, word, key),
            _ if slot.last == granule => return,
            number => {
                slot.last = granule;
                number
            }
        };
        self.pairs.push((number - 1, granule));
    }

    /// All words in byte order, each with its granules in order.
    pub(crate) fn sorted(&self) -> Sorted<'_> {
        let mut starts = vec![0u32; self.words.len() + 1];
        for (word, _) in &self.pairs {
            starts[*word as usize + 1] += 1;
        }
        for word in 0..self.words.len() {
            starts[word + 1] += starts[word];
        }
        let mut next = starts.clone();
        let mut granules = vec![0; self.pairs.len()];
        for (word, granule) in &self.pairs {
            let place = &mut next[*word as usize];
            granules[*place as usize] = *granule;
            *place += 1;
        }
        let mut order: Vec<usize> = (0..self.words.len()).collect();
        order.sort_unstable_by_key(|word| self.word(&self.words[*word]));
        Sorted {
            words: self,
            starts,
            granules,
            order,
        }
    }

    /// The word's slot, or the free one where it belongs.
    #[inline]
    fn slot_of(&self, word: &str, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = first_slot(spread(key, word.len()), mask);
        loop {
            let slot = &self.slots[at];
            if slot.number == 0 || (slot.key == key && self.is(slot, word)) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// Whether the slot, whose key is the word's, is the word's.
    #[inline]
    fn is(&self, slot: &Slot, word: &str) -> bool {
        let (start, length) = (slot.start as usize, slot.length as usize);
        length == word.len()
            && (length <= SHORT_BYTES_MAX
                || &self.text.as_bytes()[start..start + length] == word.as_bytes())
    }

    fn word(&self, word: &Word) -> &[u8] {
        let start = word.start as usize;
        &self.text.as_bytes()[start..start + word.length as usize]
    }

    fn add(&mut self, slot: usize, granule: u32, word: &str, key: u64) -> u32 {
        let start = u32::try_from(self.text.len()).expect("a segment has less than 4 GiB of words");
        let length = u32::try_from(word.len()).expect("words are short");
        self.text.push_str(word);
        self.words.push(Word { start, length });
        let number = u32::try_from(self.words.len()).expect("fewer words than bytes");
        self.slots[slot] = Slot {
            key,
            number,
            length,
            start,
            last: granule,
        };
        if self.words.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    fn grow(&mut self) {
        let doubled = vec![Slot::default(); self.slots.len() * 2];
        let mask = doubled.len() - 1;
        for slot in std::mem::replace(&mut self.slots, doubled) {
            if slot.number > 0 {
                let mut at = slot.first(mask);
                while self.slots[at].number > 0 {
                    at = (at + 1) & mask;
                }
                self.slots[at] = slot;
            }
        }
    }
}

/// A well-mixed number for a key.
#[inline]
fn spread(key: u64, length: usize) -> u64 {
    if length <= SHORT_BYTES_MAX {
        finish(key)
    } else {
        key
    }
}

#[inline]
fn first_slot(hash: u64, mask: usize) -> usize {
    usize::try_from(hash & mask as u64).expect("less than the mask")
}

/// Words in byte order.
pub(crate) struct Sorted<'a> {
    words: &'a Words,
    starts: Vec<u32>,
    granules: Vec<u32>,
    order: Vec<usize>,
}

impl Sorted<'_> {
    /// Number of pairs (word, granule).
    pub(crate) fn pair_count(&self) -> u64 {
        self.granules.len() as u64
    }

    /// Each word and its granules.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u32])> {
        self.order.iter().map(|word| {
            let granules = self.starts[*word] as usize..self.starts[*word + 1] as usize;
            (
                self.words.word(&self.words.words[*word]),
                &self.granules[granules],
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_in_order_with_their_granules() {
        let mut words = Words::new();
        for granule in 0..3 {
            for _ in 0..2 {
                for i in (0..40_000).filter(|i| i % (granule + 1) == 0) {
                    words.insert(granule, &format!("w{i:05}"));
                }
            }
        }
        let sorted = words.sorted();
        assert_eq!(sorted.iter().count(), 40_000);
        for (i, (word, granules)) in (0u32..).zip(sorted.iter()) {
            let expected: Vec<u32> = (0..3).filter(|granule| i % (granule + 1) == 0).collect();
            assert_eq!(
                (word, granules),
                (format!("w{i:05}").as_bytes(), &expected[..])
            );
        }
    }

    #[test]
    fn words_of_one_hash_are_kept_apart() {
        let mut words = Words::new();
        for word in ["second_word", "a_first_word", "second_word"] {
            words.insert_keyed(4, word, 7);
        }
        let sorted = words.sorted();
        let found: Vec<_> = sorted
            .iter()
            .map(|(word, granules)| (word, granules.len()))
            .collect();
        let expected = ["a_first_word", "second_word"];
        assert_eq!(found, expected.map(|word| (word.as_bytes(), 1)));
    }
}
