//! The distinct tokens of each granule.
//!
//! Words get a number each and a list of (number, granule); fingerprints go their own way. What
//! repeats within a granule costs a look-up and nothing else.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use hushlog_record::Kind;
use hushlog_storage::batch::{name, value};
use rustc_hash::FxHashMap;

use crate::fingerprint;
use crate::token;

/// First byte of the term of a number; no token begins with it.
pub(crate) const NUMBER_MARK: char = '\u{2}';

/// Columns whose text holds tokens; `f.` columns and the map of the other fields besides.
const TEXT_COLUMNS: [&str; 12] = [
    name::LEVEL,
    name::SERVICE_NAME,
    name::HOST,
    name::ENVIRONMENT,
    name::REGION,
    name::MESSAGE,
    name::EXCEPTION_TYPE,
    name::EXCEPTION_MESSAGE,
    name::STACK_TRACE,
    name::TRACE_ID,
    name::SPAN_ID,
    name::PII,
];

#[derive(Default)]
pub(crate) struct Collector {
    numbers: FxHashMap<Box<str>, u32>,
    /// By word: the last granule it was seen in.
    last: Vec<u16>,
    /// (word, granule), granules ascending.
    pub(crate) pairs: Vec<(u32, u16)>,
    pub(crate) fingerprints: fingerprint::Builder,
    scratch: String,
}

impl Collector {
    /// Words in the order of their bytes, with their numbers.
    pub(crate) fn words(&self) -> Vec<(&str, u32)> {
        let mut words: Vec<(&str, u32)> =
            self.numbers.iter().map(|(word, number)| (&**word, *number)).collect();
        words.sort_unstable();
        words
    }

    pub(crate) fn add_granule(&mut self, granule: u16, batch: &RecordBatch) {
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let name = field.name().as_str();
            if TEXT_COLUMNS.contains(&name) {
                self.add_texts(granule, column, false);
            } else if name.starts_with(name::TYPED_PREFIX) {
                self.add_typed(granule, column);
            } else if name == name::FIELDS
                && let Some(map) = column.as_map_opt()
            {
                self.add_texts(granule, map.values(), true);
            }
        }
    }

    fn add_typed(&mut self, granule: u16, column: &ArrayRef) {
        match column.data_type() {
            DataType::Int64 => {
                for number in column.as_primitive::<Int64Type>().iter().flatten() {
                    self.add_number(granule, &number.to_string());
                }
            }
            DataType::Float64 => {
                for number in column.as_primitive::<Float64Type>().iter().flatten() {
                    self.add_number(granule, &format!("{number:?}"));
                }
            }
            DataType::Boolean => {
                for value in column.as_boolean().iter().flatten() {
                    self.add_text(granule, if value { "true" } else { "false" });
                }
            }
            _ => self.add_texts(granule, column, true),
        }
    }

    /// Texts of a column; `encoded` ones carry their kind, as the `fields` map writes it.
    fn add_texts(&mut self, granule: u16, column: &ArrayRef, encoded: bool) {
        if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() {
            // A dictionary may be shared by many granules: only what this one uses counts.
            let mut used = vec![false; dictionary.values().len()];
            for key in dictionary.keys().iter().flatten() {
                if let Some(place) = usize::try_from(key).ok().and_then(|key| used.get_mut(key)) {
                    *place = true;
                }
            }
            let Some(values) = dictionary.values().as_string_opt::<i32>() else { return };
            for (value, _) in values.iter().zip(used).filter(|(_, used)| *used) {
                self.add_value(granule, value.unwrap_or_default(), encoded);
            }
            return;
        }
        let Some(texts) = column.as_string_opt::<i32>() else { return };
        for text in texts.iter().flatten() {
            self.add_value(granule, text, encoded);
        }
    }

    fn add_value(&mut self, granule: u16, text: &str, encoded: bool) {
        if !encoded {
            return self.add_text(granule, text);
        }
        match value::decode(text) {
            (Kind::Number, literal) => self.add_number(granule, &literal),
            (_, text) => self.add_text(granule, &text),
        }
    }

    /// A number is found by its value, and by the digits of its literal.
    fn add_number(&mut self, granule: u16, literal: &str) {
        if let Some(canonical) = token::number(literal) {
            let mut term = String::with_capacity(canonical.len() + 1);
            term.push(NUMBER_MARK);
            term.push_str(&canonical);
            self.add_word(granule, &term);
        }
        self.add_text(granule, literal);
    }

    fn add_text(&mut self, granule: u16, text: &str) {
        let mut scratch = std::mem::take(&mut self.scratch);
        token::for_each_with(text, &mut scratch, |token| {
            if token::is_fingerprinted(token) {
                self.fingerprints.add(token, granule);
            } else {
                self.add_word(granule, token::stored(token));
            }
        });
        self.scratch = scratch;
    }

    fn add_word(&mut self, granule: u16, word: &str) {
        let number = match self.numbers.get(word) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.last.len()).unwrap_or(u32::MAX);
                self.numbers.insert(word.into(), number);
                self.last.push(granule);
                self.pairs.push((number, granule));
                return;
            }
        };
        if let Some(last) = self.last.get_mut(number as usize)
            && *last != granule
        {
            *last = granule;
            self.pairs.push((number, granule));
        }
    }
}
