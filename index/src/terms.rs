//! Writes sorted words as a tantivy segment: a document per granule, the words its terms.
//!
//! The segment is made in memory by tantivy's own writers; our names replace its random ones later.

use std::collections::BTreeMap;
use std::path::Path;

use tantivy::directory::RamDirectory;
use tantivy::index::Segment;
use tantivy::postings::InvertedIndexSerializer;
use tantivy::schema::{IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::Compressor;
use tantivy::{Directory, IndexSettings, SingleSegmentIndexWriter, TantivyDocument};

use crate::Error;
use crate::directory::SEGMENT_ID;
use crate::words::Sorted;

/// Name of the only field: indexed, without frequencies, positions or norms, not stored.
pub(crate) const FIELD: &str = "token";
/// The files that depend on the words.
const TERM_FILES: [&str; 3] = ["term", "idx", "pos"];
/// The files that depend on the number of documents alone.
const DOCUMENT_FILES: [&str; 3] = ["store", "fast", "fieldnorm"];
/// tantivy's own table.
const META: &str = "meta.json";
/// What tantivy plans its first tables for.
const MEMORY_BYTES: usize = 15 << 20;

/// The segment's files by logical name.
pub(crate) fn write(
    words: &Sorted<'_>,
    granules: u32,
) -> Result<BTreeMap<&'static str, Vec<u8>>, Error> {
    let directory = RamDirectory::create();
    let (schema, field) = schema();
    let settings = IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    };
    let mut writer: SingleSegmentIndexWriter<TantivyDocument> = tantivy::Index::builder()
        .schema(schema)
        .settings(settings)
        .single_segment_index_writer(directory.clone(), MEMORY_BYTES)?;
    for _ in 0..granules {
        writer.add_document(TantivyDocument::default())?;
    }
    let index = writer.finalize()?;
    let segments = index.searchable_segments()?;
    let [documents] = segments.as_slice() else {
        return Err(Error::Damaged("tantivy made other than one segment"));
    };
    let terms = index.new_segment();
    write_terms(&terms, field, words)?;

    let mut files = BTreeMap::new();
    for (segment, names) in [(documents, DOCUMENT_FILES), (&terms, TERM_FILES)] {
        for name in names {
            files.insert(name, read(&directory, &segment.id().uuid_string(), name)?);
        }
    }
    files.insert(META, meta(&directory, &documents.id().uuid_string())?);
    Ok(files)
}

fn schema() -> (Schema, tantivy::schema::Field) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::Basic);
    let mut schema = Schema::builder();
    let field = schema.add_text_field(FIELD, TextOptions::default().set_indexing_options(indexing));
    (schema.build(), field)
}

fn write_terms(
    segment: &Segment,
    field: tantivy::schema::Field,
    words: &Sorted<'_>,
) -> Result<(), Error> {
    let mut serializer = InvertedIndexSerializer::open(segment)?;
    let mut terms = serializer.new_field(field, words.pair_count(), None)?;
    for (word, granules) in words.iter() {
        let count = u32::try_from(granules.len()).expect("at most one for each granule");
        terms.new_term(word, count, false)?;
        for granule in granules {
            terms.write_doc(*granule, 0, &[]);
        }
        terms.close_term()?;
    }
    terms.close()?;
    Ok(serializer.close()?)
}

fn read(directory: &RamDirectory, segment_id: &str, name: &str) -> Result<Vec<u8>, Error> {
    let path = format!("{segment_id}.{name}");
    let file = directory
        .open_read(Path::new(&path))
        .map_err(tantivy::TantivyError::from)?;
    Ok(file.read_bytes()?.to_vec())
}

/// tantivy's own table, with our segment id in place of its random one.
fn meta(directory: &RamDirectory, id: &str) -> Result<Vec<u8>, Error> {
    let bytes = directory
        .atomic_read(Path::new(META))
        .map_err(tantivy::TantivyError::from)?;
    let hyphenated = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    Ok(String::from_utf8_lossy(&bytes)
        .replace(&hyphenated, SEGMENT_ID)
        .into_bytes())
}
