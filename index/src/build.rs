//! Builds an index: granule after granule in, packed bytes out.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use hushlog_record::Kind;
use hushlog_storage::batch::{Text, name, value};
use tantivy::directory::RamDirectory;
use tantivy::schema::{IndexRecordOption, OwnedValue, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::Compressor;
use tantivy::tokenizer::TokenizerManager;
use tantivy::{Directory, IndexSettings, SingleSegmentIndexWriter, TantivyDocument};

use crate::directory::SEGMENT_ID;
use crate::hash::hash;
use crate::lines::{LINES, Lines};
use crate::words::Words;
use crate::{Error, fingerprint, pack, token};

/// Name of the only field.
pub(crate) const FIELD: &str = "token";
/// Name of the part that holds the fingerprints.
pub(crate) const FINGERPRINTS: &str = "fingerprints";
/// Names of tantivy's files in the packed index, after which it calls them itself.
const SEGMENT_FILES: [&str; 6] = ["term", "idx", "pos", "store", "fast", "fieldnorm"];
/// First byte of the term for the beginning of fingerprinted tokens.
pub(crate) const STEM: char = '\u{1}';
/// Characters of such a beginning.
pub(crate) const STEM_CHARS: usize = 2;
/// What tantivy plans its first tables for.
const MEMORY_BYTES: usize = 32 << 20;
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
    writer: SingleSegmentIndexWriter<TantivyDocument>,
    directory: RamDirectory,
    field: tantivy::schema::Field,
    tokens: Tokens,
    granules: u32,
}

/// The tokens of the present granule, and the fingerprints of all of them.
struct Tokens {
    words: Words,
    /// (hash's first 32 bits, granule).
    pairs: Vec<u64>,
    recent: Vec<u32>,
    granule: u32,
}

impl Builder {
    /// An empty index.
    ///
    /// # Errors
    /// [`Error::Tantivy`].
    pub fn new() -> Result<Self, Error> {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(LINES)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        let mut schema = Schema::builder();
        let field =
            schema.add_text_field(FIELD, TextOptions::default().set_indexing_options(indexing));
        let settings = IndexSettings {
            docstore_compression: Compressor::None,
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let tokenizers = TokenizerManager::new();
        tokenizers.register(LINES, Lines::default());
        let directory = RamDirectory::create();
        let writer = tantivy::Index::builder()
            .schema(schema.build())
            .settings(settings)
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory.clone(), MEMORY_BYTES)?;
        let tokens = Tokens {
            words: Words::new(),
            pairs: Vec::new(),
            recent: vec![0; RECENT],
            granule: 0,
        };
        Ok(Self {
            writer,
            directory,
            field,
            tokens,
            granules: 0,
        })
    }

    /// Adds the next granule, with all its columns.
    ///
    /// # Errors
    /// [`Error::Tantivy`], and [`Error::Schema`] for a column of a type that no segment has.
    pub fn add(&mut self, granule: &RecordBatch) -> Result<(), Error> {
        self.tokens.start(self.granules);
        for (field, column) in granule.schema_ref().fields().iter().zip(granule.columns()) {
            if NOT_INDEXED.contains(&field.name().as_str()) {
                continue;
            }
            let is_encoded = field.name().starts_with(name::TYPED_PREFIX);
            self.tokens
                .add_column(column, is_encoded)
                .ok_or_else(|| Error::Schema(field.name().clone()))?;
        }
        let mut document = TantivyDocument::default();
        let lines = OwnedValue::Str(self.tokens.words.lines().to_owned());
        document.add_field_value(self.field, &lines);
        self.writer.add_document(document)?;
        self.granules += 1;
        Ok(())
    }

    /// The packed index.
    ///
    /// # Errors
    /// [`Error::Tantivy`] and [`Error::Io`].
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        let index = self.writer.finalize()?;
        let segments = index.searchable_segment_metas()?;
        let [segment] = segments.as_slice() else {
            return Err(Error::Damaged("tantivy made other than one segment"));
        };
        let id = segment.id().uuid_string();
        let mut files = BTreeMap::new();
        for name in SEGMENT_FILES {
            let path = format!("{id}.{name}");
            let file = self
                .directory
                .open_read(Path::new(&path))
                .map_err(tantivy::TantivyError::from)?;
            files.insert(name, file.read_bytes()?.to_vec());
        }
        files.insert("meta.json", meta(&self.directory, &id)?);
        let pairs = self.tokens.pairs;
        files.insert(FINGERPRINTS, fingerprint::encode(pairs, self.granules));
        Ok(pack::pack(&files))
    }
}

/// tantivy's own table, with our segment id in place of its random one.
fn meta(directory: &RamDirectory, id: &str) -> Result<Vec<u8>, Error> {
    let bytes = directory
        .atomic_read(Path::new("meta.json"))
        .map_err(tantivy::TantivyError::from)?;
    let hyphenated = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    let text = String::from_utf8_lossy(&bytes);
    let text = text
        .replace(&hyphenated, SEGMENT_ID)
        .replace(id, &SEGMENT_ID.replace('-', ""));
    Ok(text.into_bytes())
}

impl Tokens {
    fn start(&mut self, granule: u32) {
        self.granule = granule;
        self.words.clear();
        self.recent.fill(0);
    }

    /// Adds the tokens of a column; `is_encoded`: text is as [`value`] writes it. `None` for a type
    /// that no column has.
    fn add_column(&mut self, column: &ArrayRef, is_encoded: bool) -> Option<()> {
        match column.data_type() {
            DataType::Utf8 | DataType::Dictionary(_, _) => self.add_text(column, is_encoded)?,
            DataType::Int64 => {
                for number in column.as_primitive_opt::<Int64Type>()?.iter().flatten() {
                    self.add_number(&number.to_string(), &token::number_of_int(number));
                }
            }
            DataType::Float64 => {
                for number in column.as_primitive_opt::<Float64Type>()?.iter().flatten() {
                    self.add_number(&number.to_string(), &token::number_of(number));
                }
            }
            DataType::Boolean => {
                for truth in column.as_boolean_opt()?.iter().flatten() {
                    self.words.insert(if truth { "true" } else { "false" });
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
            Self::add
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
    fn add(&mut self, text: &str) {
        token::scan(text, |token, flags| {
            let hash = hash(token.as_bytes());
            if flags.is_fingerprinted(token) {
                self.add_fingerprint(token, hash);
            } else {
                self.words.insert_hashed(token, hash);
            }
        });
    }

    /// Adds the tokens of a field's value, and a number's canonical text.
    fn add_value(&mut self, encoded: &str) {
        let (kind, text) = value::decode(encoded);
        match (kind, token::number(&text).filter(|_| kind == Kind::Number)) {
            (_, Some(number)) => self.add_number(&text, &number),
            (_, None) => self.add(&text),
        }
    }

    fn add_number(&mut self, literal: &str, canonical: &str) {
        self.add(literal);
        let hash = hash(canonical.as_bytes());
        if token::is_fingerprinted(canonical) {
            self.add_fingerprint(canonical, hash);
        } else {
            self.words.insert_hashed(canonical, hash);
        }
    }

    #[inline]
    fn add_fingerprint(&mut self, token: &str, hash: u64) {
        let bits = fingerprint_of(hash);
        // 0 marks a free place, so a token whose bits are 0 is merely never found among the recent.
        let recent = &mut self.recent[bits as usize % RECENT];
        if *recent == bits && bits != 0 {
            return;
        }
        *recent = bits;
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
        self.words.insert(stem);
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
    let mut builder = Builder::new()?;
    granules
        .iter()
        .try_for_each(|granule| builder.add(granule))?;
    builder.finish()
}
