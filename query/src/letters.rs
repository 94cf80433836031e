//! Which characters stand in the text columns of a segment, learnt when they are first read.
//!
//! A column of ids is made of a few characters, so most words cannot stand in it, and it need not be
//! read for them. What is remembered of a column is never less than what it holds, of the granules
//! that were looked at; of others nothing is said. Segments never change, so it stays true.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema};
use hushlog_storage::batch::{Text, name};
use hushlog_storage::segment::{ROW_GROUP_GRANULES, Segment};

use crate::scan::column::is_typed;

const _: () = assert!(
    ROW_GROUP_GRANULES <= 64,
    "a bit for each granule of a group"
);

/// A set of ASCII characters, letter case aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Letters(u128);

impl Letters {
    /// None.
    pub(crate) const NONE: Self = Self(0);
    /// All of them: what is said of text with other than ASCII characters, since folding can make
    /// any out of these.
    const ALL: Self = Self(u128::MAX);

    /// The ASCII characters of a folded text that is looked for.
    pub(crate) fn wanted(folded: &str) -> Self {
        let ascii = folded.bytes().filter(u8::is_ascii);
        Self(ascii.fold(0, |set, byte| set | 1 << byte))
    }

    /// All characters that tests may see in a text.
    fn of(text: &[u8]) -> Self {
        let mut seen = [false; 256];
        for &byte in text {
            seen[usize::from(byte)] = true;
        }
        let (ascii, other) = seen.split_at(128);
        if other.contains(&true) {
            return Self::ALL;
        }
        let ascii = (0u8..).zip(ascii).filter(|(_, seen)| **seen);
        Self(ascii.fold(0, |set, (byte, _)| set | 1 << byte.to_ascii_lowercase()))
    }

    /// All characters in both.
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The characters that are in each.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether a text of these characters may hold all of the others.
    fn may_hold(self, wanted: Self) -> bool {
        wanted.0 & !self.0 == 0
    }
}

/// What was learnt of one segment: 24 bytes for each text column of a row group.
#[derive(Debug, Default)]
pub struct Alphabets(OnceLock<Vec<Column>>);

#[derive(Debug)]
struct Column {
    name: String,
    groups: Vec<Group>,
}

/// One column in one row group. Bits are only ever added: first letters, then the granules they are
/// of, so whoever sees a granule's bit sees its letters.
#[derive(Debug, Default)]
struct Group {
    granules: AtomicU64,
    low: AtomicU64,
    high: AtomicU64,
}

impl Group {
    fn letters_of(&self, bit: u64) -> Option<Letters> {
        if self.granules.load(Ordering::Acquire) & bit == 0 {
            return None;
        }
        let [low, high] = [&self.low, &self.high].map(|half| half.load(Ordering::Relaxed));
        Some(Letters(u128::from(high) << 64 | u128::from(low)))
    }

    fn add(&self, bit: u64, letters: Letters) {
        let [low, high] = [letters.0, letters.0 >> 64].map(|half| half & u128::from(u64::MAX));
        let half = |half: u128| u64::try_from(half).expect("masked to 64 bits");
        self.low.fetch_or(half(low), Ordering::Relaxed);
        self.high.fetch_or(half(high), Ordering::Relaxed);
        self.granules.fetch_or(bit, Ordering::Release);
    }
}

impl Alphabets {
    /// Whether no text of this column in these granules holds all of the wanted characters, as far
    /// as is known.
    pub(crate) fn rule_out(&self, column: &str, granules: &[u32], wanted: Letters) -> bool {
        let columns = self.0.get().map_or(&[][..], Vec::as_slice);
        let Some(column) = columns.iter().find(|known| known.name == column) else {
            return false;
        };
        granules.iter().all(|&granule| {
            let (group, bit) = place(granule);
            let known = column.groups.get(group);
            let letters = known.and_then(|group| group.letters_of(bit));
            letters.is_some_and(|letters| !letters.may_hold(wanted))
        })
    }

    /// Remembers what the columns of a granule are made of. Messages are left out: they are made of
    /// everything.
    pub(crate) fn learn(&self, segment: &Segment, granule: u32, batch: &RecordBatch) {
        let columns = self.0.get_or_init(|| columns(segment));
        let (group, bit) = place(granule);
        for column in columns {
            let Some(known) = column.groups.get(group) else {
                continue;
            };
            if known.letters_of(bit).is_none()
                && let Some(array) = batch.column_by_name(&column.name)
                && let Some(letters) = letters_of(&column.name, array)
            {
                known.add(bit, letters);
            }
        }
    }
}

/// A granule's row group, and its bit there.
fn place(granule: u32) -> (usize, u64) {
    let granule = granule as usize;
    let bit = 1 << (granule % ROW_GROUP_GRANULES);
    (granule / ROW_GROUP_GRANULES, bit)
}

fn columns(segment: &Segment) -> Vec<Column> {
    let groups = (segment.granule_count() as usize).div_ceil(ROW_GROUP_GRANULES);
    let schema: &Schema = segment.schema();
    let texts = schema.fields().iter().filter(|field| {
        let is_text = matches!(
            field.data_type(),
            DataType::Utf8 | DataType::Dictionary(_, _) | DataType::Map(_, _)
        );
        is_text && field.name() != name::MESSAGE
    });
    let column = |name: &String| Column {
        name: name.clone(),
        groups: (0..groups).map(|_| Group::default()).collect(),
    };
    texts.map(|field| column(field.name())).collect()
}

/// What a column's texts are made of; of a map, its values. `None` if it is of another type.
fn letters_of(column: &str, array: &ArrayRef) -> Option<Letters> {
    if let DataType::Map(_, _) = array.data_type() {
        let values = array.as_map_opt()?.values().as_string_opt::<i32>()?;
        return Some(encoded(letters_of_texts(values)));
    }
    let letters = match Text::of(array)? {
        Text::Plain(texts) => letters_of_texts(texts),
        Text::Dictionary(_, values) => letters_of_texts(values),
    };
    Some(if is_typed(column) {
        encoded(letters)
    } else {
        letters
    })
}

fn letters_of_texts(texts: &StringArray) -> Letters {
    let offsets = texts.value_offsets();
    let bound = |offset: Option<&i32>| offset.and_then(|&o| usize::try_from(o).ok());
    let range = bound(offsets.first()).zip(bound(offsets.last()));
    let text = range.and_then(|(from, to)| texts.value_data().get(from..to));
    text.map_or(Letters::ALL, Letters::of)
}

/// Encoded values are what they stand for, and marks besides; only a backslash stands for another
/// character.
fn encoded(letters: Letters) -> Letters {
    if letters.may_hold(Letters::wanted("\\")) {
        Letters::ALL
    } else {
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_column_may_hold_what_its_letters_make_up() {
        let plain = |texts: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
        let typed = format!("{}f", name::TYPED_PREFIX);
        for (column, texts, word, expected) in [
            (name::TRACE_ID, vec!["0aF", "b7"], "fab", true),
            (name::TRACE_ID, vec!["0aF", "b7"], "payment", false),
            (name::TRACE_ID, vec![], "a", false),
            (name::TRACE_ID, vec!["0a", "Kä"], "payment", true),
            (name::TRACE_ID, vec!["0a\\"], "payment", false),
            (&typed, vec!["\"12\""], "12", true),
            (&typed, vec!["\"12\""], "pay", false),
            (&typed, vec!["\"\\u000a\""], "\n", true),
        ] {
            let letters = letters_of(column, &plain(texts.clone())).unwrap();
            let may = letters.may_hold(Letters::wanted(word));
            assert_eq!(may, expected, "{word:?} in {texts:?}");
        }
    }

    #[test]
    fn of_what_was_not_seen_nothing_is_said() {
        let group = Group::default();
        assert_eq!(group.letters_of(1), None);
        group.add(2, Letters::wanted("a~"));
        assert_eq!(group.letters_of(1), None);
        assert_eq!(group.letters_of(2), Some(Letters::wanted("a~")));
        group.add(1, Letters::wanted("b"));
        assert_eq!(group.letters_of(2), Some(Letters::wanted("ab~")));
    }
}
