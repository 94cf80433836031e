//! Builds an index: granule after granule in, packed bytes out.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use hushlog_record::Kind;
use hushlog_storage::batch::{Text, for_each_element, name, value};

use crate::hash::hash;
use crate::words::Words;
use crate::{Error, fingerprint, pack, terms, token};

/// Name of the part that holds the fingerprints.
pub(crate) const FINGERPRINTS: &str = "fingerprints";
/// First byte of the term for the beginning of fingerprinted tokens.
pub(crate) const STEM: char = '\u{1}';
/// Characters of such a beginning.
pub(crate) const STEM_CHARS: usize = 2;
/// Recently seen hashes of a granule; most repetitions end here.
const RECENT: usize = 4_096;

/// Columns whose tokens are not in the index: a query on them must not be pruned by it.
pub const NOT_INDEXED: [&str; 5] = [
    name::SEQ,
    name::ROW,
    name::LOG_ID,
    name::TIMESTAMP,
    name::CREATED_AT,
];

/// An index under construction. Give it all granules of a segment, in order.
pub struct Builder {
    words: Words,
    /// (hash's first 32 bits, granule).
    pairs: Vec<u64>,
    /// Hashes of the present granule.
    recent: Vec<u64>,
    granule: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty index.
    pub fn new() -> Self {
        Self {
            words: Words::new(),
            pairs: Vec::new(),
            recent: vec![0; RECENT],
            granule: 0,
        }
    }

    /// Adds the next granule, with all its columns.
    ///
    /// # Errors
    /// [`Error::Schema`] for a column of a type that no segment has.
    pub fn add(&mut self, granule: &RecordBatch) -> Result<(), Error> {
        self.recent.fill(0);
        for (field, column) in granule.schema_ref().fields().iter().zip(granule.columns()) {
            if NOT_INDEXED.contains(&field.name().as_str()) {
                continue;
            }
            let is_encoded = field.name().starts_with(name::TYPED_PREFIX);
            self.add_column(column, is_encoded)
                .ok_or_else(|| Error::Schema(field.name().clone()))?;
        }
        self.granule += 1;
        Ok(())
    }

    /// The packed index.
    ///
    /// # Errors
    /// [`Error::Tantivy`] and [`Error::Io`].
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        self.finish_as(token::VERSION)
    }

    fn finish_as(self, tokens: u8) -> Result<Vec<u8>, Error> {
        let mut files = terms::write(&self.words.sorted(), self.granule)?;
        drop(self.words);
        files.insert(FINGERPRINTS, fingerprint::encode(self.pairs, self.granule));
        Ok(pack::pack(&files, tokens))
    }

    /// Adds the tokens of a column; `is_encoded`: text is as [`value`] writes it. `None` for a type
    /// that no column has.
    fn add_column(&mut self, column: &ArrayRef, is_encoded: bool) -> Option<()> {
        match column.data_type() {
            DataType::Utf8 | DataType::Dictionary(_, _) => self.add_text(column, is_encoded)?,
            DataType::Int64 => {
                for number in column.as_primitive_opt::<Int64Type>()?.iter().flatten() {
                    self.add_int(number);
                }
            }
            DataType::Float64 => {
                for number in column.as_primitive_opt::<Float64Type>()?.iter().flatten() {
                    self.add_number(&number.to_string(), &token::number_of(number));
                }
            }
            DataType::Boolean => {
                for truth in column.as_boolean_opt()?.iter().flatten() {
                    self.add_token(if truth { "true" } else { "false" });
                }
            }
            DataType::Map(_, _) => {
                let map = column.as_map_opt()?;
                let offsets = map.value_offsets();
                let first = usize::try_from(*offsets.first()?).ok()?;
                let count = usize::try_from(*offsets.last()?).ok()? - first;
                self.add_text(&map.values().slice(first, count), true)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn add_text(&mut self, column: &ArrayRef, is_encoded: bool) -> Option<()> {
        let add: fn(&mut Self, &str) = if is_encoded {
            Self::add_value
        } else {
            Self::add_words
        };
        match Text::of(column)? {
            Text::Plain(texts) => texts.iter().flatten().for_each(|text| add(self, text)),
            Text::Dictionary(keys, values) => {
                let mut seen = vec![false; values.len()];
                for key in keys.iter().flatten() {
                    let key = usize::try_from(key).ok()?;
                    if !std::mem::replace(seen.get_mut(key)?, true) {
                        add(self, values.value(key));
                    }
                }
            }
        }
        Some(())
    }

    /// Adds the tokens of a text.
    fn add_words(&mut self, text: &str) {
        token::scan(text, |token, flags| {
            self.add_classed(token, flags.is_fingerprinted(token))
        });
    }

    #[inline]
    fn add_classed(&mut self, token: &str, is_fingerprinted: bool) {
        if is_fingerprinted {
            self.add_fingerprint(token, hash(token.as_bytes()));
        } else {
            self.words.insert(self.granule, token);
        }
    }

    /// Adds the tokens of a field's value, and a number's canonical text; of an array those of each of its
    /// values, too.
    fn add_value(&mut self, encoded: &str) {
        let (kind, text) = value::decode(encoded);
        self.add_words(&text);
        match kind {
            Kind::Number => self.add_canonical(&text),
            Kind::Json => for_each_element(&text, |kind, element| {
                match kind {
                    Kind::Number => self.add_canonical(element),
                    // Without escapes the tokens of the array's text are those of its texts.
                    Kind::String if text.contains('\\') => self.add_words(element),
                    Kind::String | Kind::Bool | Kind::Json => {}
                }
                true
            }),
            Kind::String | Kind::Bool => {}
        }
    }

    fn add_canonical(&mut self, number: &str) {
        if let Some(number) = token::number(number) {
            self.add_token(&number);
        }
    }

    fn add_int(&mut self, number: i64) {
        let mut digits = itoa::Buffer::new();
        let literal = digits.format(number);
        if token::is_plain(number) && number >= 0 {
            self.add_token(literal); // the literal is the token and the canonical text
        } else {
            self.add_number(literal, &token::number_of_int(number));
        }
    }

    fn add_number(&mut self, literal: &str, canonical: &str) {
        self.add_words(literal);
        self.add_token(canonical);
    }

    fn add_token(&mut self, token: &str) {
        self.add_classed(token, token::is_fingerprinted(token));
    }

    #[inline]
    fn add_fingerprint(&mut self, token: &str, hash: u64) {
        // By the whole hash: tokens that share their fingerprint may differ in their stem. 0 marks a
        // free place, so a token whose hash is 0 is merely never found among the recent.
        let bits = fingerprint_of(hash);
        let recent = &mut self.recent[bits as usize % RECENT];
        if *recent == hash && hash != 0 {
            return;
        }
        *recent = hash;
        self.pairs
            .push(u64::from(bits) << 32 | u64::from(self.granule));
        self.add_stem(token);
    }

    fn add_stem(&mut self, token: &str) {
        let mut stem = [0; 16];
        let mut length = STEM.encode_utf8(&mut stem).len();
        for c in token.chars().take(STEM_CHARS) {
            length += c.encode_utf8(&mut stem[length..]).len();
        }
        let stem = std::str::from_utf8(&stem[..length]).expect("made of characters");
        self.words.insert(self.granule, stem);
    }
}

/// The bits of a hash that fingerprints are made of.
pub(crate) fn fingerprint_of(hash: u64) -> u32 {
    u32::try_from(hash >> 32).expect("32 bits")
}

/// Builds the index of these granules: all of a segment, in order.
///
/// # Errors
/// As [`Builder::add`] and [`Builder::finish`].
pub fn build(granules: &[RecordBatch]) -> Result<Vec<u8>, Error> {
    let mut builder = Builder::new();
    granules
        .iter()
        .try_for_each(|granule| builder.add(granule))?;
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Index, Prune};

    /// An index of these arrays, each in a granule of its own, by the first token rules.
    fn without_elements(arrays: &[&str]) -> Index {
        let mut builder = Builder::new();
        for array in arrays {
            builder.add_words(array);
            builder.granule += 1;
        }
        let packed = builder.finish_as(token::VERSION_WITHOUT_ELEMENTS);
        Index::from_bytes(packed.unwrap()).unwrap()
    }

    #[test]
    fn token_rules_1_leave_out_no_array_whose_texts_hold_the_token() {
        let arrays = [
            r#"["red","blue"]"#,
            r#"["first\nsecond"]"#,
            r#"["a\tsecond","b\u0007deadbeef01"]"#,
            r#"["c\fSecond","d\rx","e\bdeadbeef01","\u001fred"]"#,
            r#"["nsecond","\\second"]"#,
            r#"[500]"#,
        ];
        let index = without_elements(&arrays);
        for (token, holders) in [
            ("red", &[0, 3][..]),
            ("first", &[1]),
            ("second", &[1, 2, 3, 4]),
            ("deadbeef01", &[2, 3]),
            ("x", &[3]),
            ("500", &[5]),
        ] {
            let set = index.prune(&Prune::Token(token.to_owned())).unwrap();
            let set = set.unwrap();
            let missing = holders.iter().find(|granule| !set.contains(**granule));
            assert_eq!(missing, None, "{token}");
            // A granule too many does no harm, the scanner decides; all of them would be no index.
            let granules = 0..u32::try_from(arrays.len()).unwrap();
            assert!(
                granules.clone().any(|granule| !set.contains(granule)),
                "{token}"
            );
        }
    }
}
