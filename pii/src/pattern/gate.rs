//! Which patterns a text could match, by the literals that they require.
//!
//! A text that has the three rarest bytes of no literal is passed at the cost of one look at a table for
//! each of its bytes; only the others are searched for whole literals.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

/// Bits of a byte that count: letters have the same ones in both cases.
const BYTE_BITS: u32 = 5;
/// Those bits.
const LOW: u8 = (1 << BYTE_BITS) - 1;
/// What a byte can be, of the bits that count.
const BYTES: usize = 1 << BYTE_BITS;
/// Letters from the most frequent one in English to the rarest.
const FREQUENT: &[u8; 26] = b"etaoinsrhldcumfpgwybvkxjqz";

/// The literals of all patterns, ready to be searched for.
pub(super) struct Gate {
    /// Three bytes of every literal: for each of the three, and each byte, which of 64 sets of literals have it
    /// there.
    triples: Box<[[u64; 3]; BYTES]>,
    search: AhoCorasick,
    /// The pattern that each literal is of.
    owners: Vec<u8>,
}

impl Gate {
    /// Literals of three bytes or more in lower case, each with its pattern.
    pub(super) fn new(literals: Vec<(Vec<u8>, u8)>) -> Result<Self, BuildError> {
        let mut triples = Box::new([[0; 3]; BYTES]);
        let mut known: Vec<[u8; 3]> = Vec::new();
        for (literal, _) in &literals {
            let rarest = triples_of(literal).max_by_key(|triple| rarity(*triple));
            // Those that have nothing of the kind would be in every text.
            let triple = rarest.unwrap_or_default().map(|byte| byte & LOW);
            let set = known.iter().position(|other| *other == triple);
            let set = set.unwrap_or_else(|| {
                known.push(triple);
                known.len() - 1
            });
            for (place, byte) in triple.into_iter().enumerate() {
                if let Some(sets) = triples.get_mut(usize::from(byte))
                    && let Some(sets) = sets.get_mut(place)
                {
                    *sets |= 1 << (set % 64);
                }
            }
        }
        let (words, owners): (Vec<_>, Vec<_>) = literals.into_iter().unzip();
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(words)?;
        Ok(Self {
            triples,
            search,
            owners,
        })
    }

    /// Calls `visit` for the pattern of every literal that stands in the text.
    pub(super) fn find(&self, text: &[u8], mut visit: impl FnMut(u8)) {
        if !self.may_hold(text) {
            return;
        }
        for hit in self.search.find_overlapping_iter(text) {
            if let Some(owner) = self.owners.get(hit.pattern().as_usize()) {
                visit(*owner);
            }
        }
    }

    /// Never false where a literal stands.
    fn may_hold(&self, text: &[u8]) -> bool {
        let (mut any, mut one, mut two) = (0, 0, 0);
        for byte in text {
            let low = usize::from(byte & LOW);
            let [first, second, third] = self.triples.get(low).copied().unwrap_or_default();
            any |= two & third;
            two = one & second;
            one = first;
        }
        any != 0
    }
}

/// All three bytes side by side.
fn triples_of(text: &[u8]) -> impl Iterator<Item = [u8; 3]> {
    text.array_windows::<3>().copied()
}

/// How rare three bytes are in logs, roughly.
fn rarity(triple: [u8; 3]) -> usize {
    let of = |byte: &u8| match FREQUENT.iter().position(|known| known == byte) {
        Some(rank) => rank,
        None if byte.is_ascii_digit() || *byte == b' ' => 2,
        None => FREQUENT.len() / 2,
    };
    triple.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(gate: &Gate, text: &str) -> Vec<u8> {
        let mut found = Vec::new();
        gate.find(text.as_bytes(), |owner| found.push(owner));
        found
    }

    #[test]
    fn a_literal_is_found_wherever_and_in_whatever_case_it_stands() {
        let literals = ["emp-", "order-k", "abc", "contract_"];
        let owned = literals.iter().zip(0u8..);
        let gate = Gate::new(owned.map(|(l, i)| (l.as_bytes().to_vec(), i)).collect());
        let gate = gate.expect("few literals");
        for (literal, owner) in literals.iter().zip(0u8..) {
            for text in [
                (*literal).to_owned(),
                format!("é {}!", literal.to_ascii_uppercase()),
                format!("{}{literal}", "x".repeat(100)),
            ] {
                assert_eq!(found(&gate, &text), [owner], "{text}");
            }
        }
        assert_eq!(found(&gate, "order-abc"), [2]);
        assert!(found(&gate, "ab").is_empty() && found(&gate, "").is_empty());
        assert!(!gate.may_hold(b"plain words of a line"));
    }
}
