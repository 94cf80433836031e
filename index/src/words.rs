//! The distinct words of one granule, gathered as one text with a line for each.

use crate::hash::hash;

/// Slots at the start; the table doubles when half full.
const SLOTS_MIN: usize = 8_192;

/// A slot: the word's hash and its place in the text; `length` 0 means free.
#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u64,
    start: u32,
    length: u32,
}

/// A set of words; cleared and reused for granule after granule.
pub(crate) struct Words {
    text: String,
    slots: Vec<Slot>,
    count: usize,
}

impl Words {
    pub(crate) fn new() -> Self {
        Self {
            text: String::new(),
            slots: vec![Slot::default(); SLOTS_MIN],
            count: 0,
        }
    }

    /// Adds a word, which is not empty and holds no line break.
    #[inline]
    pub(crate) fn insert(&mut self, word: &str) {
        self.insert_hashed(word, hash(word.as_bytes()));
    }

    /// As [`Words::insert`], given the word's hash.
    #[inline]
    pub(crate) fn insert_hashed(&mut self, word: &str, hash: u64) {
        let slot = self.slot_of(word, hash);
        if self.slots[slot].length == 0 {
            self.add(slot, word, hash);
        }
    }

    /// Each word on a line of its own.
    pub(crate) fn lines(&self) -> &str {
        &self.text
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.slots.fill(Slot::default());
        self.count = 0;
    }

    /// The word's slot, or the free one where it belongs.
    #[inline]
    fn slot_of(&self, word: &str, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = first_slot(hash, mask);
        loop {
            let slot = &self.slots[at];
            if slot.length == 0 || (slot.hash == hash && self.word(slot) == word.as_bytes()) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn word(&self, slot: &Slot) -> &[u8] {
        let start = slot.start as usize;
        &self.text.as_bytes()[start..start + slot.length as usize]
    }

    fn add(&mut self, slot: usize, word: &str, hash: u64) {
        let start = u32::try_from(self.text.len()).expect("a granule has less than 4 GiB of words");
        let length = u32::try_from(word.len()).expect("words are short");
        self.text.push_str(word);
        self.text.push('\n');
        self.slots[slot] = Slot {
            hash,
            start,
            length,
        };
        self.count += 1;
        if self.count * 2 > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let doubled = vec![Slot::default(); self.slots.len() * 2];
        let mask = doubled.len() - 1;
        for slot in std::mem::replace(&mut self.slots, doubled) {
            if slot.length > 0 {
                let mut at = first_slot(slot.hash, mask);
                while self.slots[at].length > 0 {
                    at = (at + 1) & mask;
                }
                self.slots[at] = slot;
            }
        }
    }
}

#[inline]
fn first_slot(hash: u64, mask: usize) -> usize {
    usize::try_from(hash & mask as u64).expect("less than the mask")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_kept_once_however_many_there_are() {
        let mut words = Words::new();
        for _ in 0..2 {
            for i in 0..20_000 {
                words.insert(&format!("w{i}"));
            }
        }
        assert_eq!(words.lines().lines().count(), 20_000);
        words.clear();
        words.insert("a");
        assert_eq!(words.lines(), "a\n");
    }

    #[test]
    fn words_of_one_hash_are_kept_apart() {
        let mut words = Words::new();
        words.insert_hashed("a", 7);
        words.insert_hashed("b", 7);
        words.insert_hashed("a", 7);
        assert_eq!(words.lines(), "a\nb\n");
    }
}
