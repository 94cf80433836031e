//! How a segment's Parquet file is laid out: encodings, pages, and the check that pages are granules.

use std::path::Path;

use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, LogicalType, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type};

use super::{Error, GRANULE_ROWS, ROW_GROUP_GRANULES};
use crate::batch::{Typed, TypedKind, name, schema};

/// Key of the file's own metadata that holds the version of the layout.
pub(crate) const VERSION_KEY: &str = "hushlog.segment";
/// The version of the layout of segments without signatures of exceptions.
pub(crate) const VERSION_UNSIGNED: &str = "1";
/// The version of those with a column of signatures.
pub(crate) const VERSION: &str = "2";
/// Zstandard level of the pages.
pub(crate) const ZSTD_LEVEL: i32 = 1;
/// Byte limit of pages and dictionaries: none, since only rows may end a page. 1,024 records of the
/// largest size fit in Parquet's own limit of 2 GiB a page.
const PAGE_BYTES_MAX: usize = 1 << 40;
/// Values encoded at a time; more than a granule's map can have, so that nothing splits.
const WRITE_BATCH: usize = 4 << 20;

/// The properties of a segment's writer.
pub(crate) fn properties(typed: &[Typed], signed: bool) -> Result<WriterProperties, Error> {
    let version = if signed { VERSION } else { VERSION_UNSIGNED };
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_data_page_row_count_limit(GRANULE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES_MAX)
        .set_dictionary_page_size_limit(PAGE_BYTES_MAX)
        .set_write_batch_size(WRITE_BATCH)
        .set_max_row_group_row_count(Some(GRANULE_ROWS * ROW_GROUP_GRANULES))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(vec![KeyValue::new(
            VERSION_KEY.into(),
            version.to_owned(),
        )]));
    for column in [name::SEQ, name::ROW, name::TIMESTAMP, name::CREATED_AT] {
        properties = delta(properties, column.into());
    }
    for column in [
        name::LEVEL,
        name::SERVICE_NAME,
        name::HOST,
        name::ENVIRONMENT,
        name::REGION,
        name::EXCEPTION_TYPE,
        name::EXCEPTION_SIGNATURE,
        name::PII,
    ] {
        properties = properties.set_column_dictionary_enabled(column.into(), true);
    }
    for column in [
        name::MESSAGE,
        name::EXCEPTION_MESSAGE,
        name::STACK_TRACE,
        name::TRACE_ID,
        name::SPAN_ID,
    ] {
        properties = text(properties, column.into());
    }
    let [key, value] = ["key", "value"].map(|leaf| path(&[name::FIELDS, "key_value", leaf]));
    properties = properties
        .set_column_dictionary_enabled(key.clone(), true)
        .set_column_statistics_enabled(key, EnabledStatistics::None);
    properties = text(properties, value);
    for column in typed {
        properties = typed_column(properties, column);
    }
    Ok(properties.build())
}

fn path(parts: &[&str]) -> ColumnPath {
    ColumnPath::new(parts.iter().map(|part| (*part).to_owned()).collect())
}

fn delta(properties: WriterPropertiesBuilder, column: ColumnPath) -> WriterPropertiesBuilder {
    properties.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED)
}

/// Text that hardly repeats: lengths apart from the text; smallest and largest say nothing.
fn text(properties: WriterPropertiesBuilder, column: ColumnPath) -> WriterPropertiesBuilder {
    properties
        .set_column_encoding(column.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_statistics_enabled(column, EnabledStatistics::None)
}

fn typed_column(properties: WriterPropertiesBuilder, typed: &Typed) -> WriterPropertiesBuilder {
    let column = path(&[&typed.column()]);
    match typed.kind {
        TypedKind::Int => delta(properties, column),
        TypedKind::Float | TypedKind::Bool => properties,
        TypedKind::Text => text(properties, column),
        TypedKind::Words => properties.set_column_dictionary_enabled(column, true),
    }
}

/// The Parquet schema: Arrow's, with `log_id` marked as a UUID.
pub(crate) fn parquet_schema(typed: &[Typed], signed: bool) -> Result<SchemaDescriptor, Error> {
    let descriptor = ArrowSchemaConverter::new().convert(&schema(typed, signed))?;
    let root = descriptor.root_schema();
    let fields = root
        .get_fields()
        .iter()
        .map(|field| {
            if field.name() == name::LOG_ID {
                uuid().map(Into::into)
            } else {
                Ok(field.clone())
            }
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let root = Type::group_type_builder(root.name())
        .with_fields(fields)
        .build()?;
    Ok(SchemaDescriptor::new(root.into()))
}

fn uuid() -> Result<Type, Error> {
    Ok(
        Type::primitive_type_builder(name::LOG_ID, parquet::basic::Type::FIXED_LEN_BYTE_ARRAY)
            .with_repetition(parquet::basic::Repetition::REQUIRED)
            .with_length(16)
            .with_logical_type(Some(LogicalType::Uuid))
            .build()?,
    )
}

/// Refuses a file in which a page of any column does not begin at a multiple of 1,024 rows, or
/// which says nothing about its pages.
pub(crate) fn check_pages(path: &Path, metadata: &ParquetMetaData) -> Result<(), Error> {
    let damaged = |what: &str| Err(Error::damaged(path, what));
    let Some(index) = metadata.page_index() else {
        return damaged("it has no page index");
    };
    let granule = GRANULE_ROWS as i64;
    for (i, group) in metadata.row_groups().iter().enumerate() {
        let is_last = i + 1 == metadata.num_row_groups();
        if !is_last && group.num_rows() % granule != 0 {
            return damaged("a row group does not end with a granule");
        }
        let granules = usize::try_from(group.num_rows())
            .unwrap_or(0)
            .div_ceil(GRANULE_ROWS);
        for column in 0..group.num_columns() {
            let Some(pages) = index.page_locations(i, column) else {
                return damaged("its offset index is incomplete");
            };
            let aligned = pages
                .iter()
                .zip(0i64..)
                .all(|(page, n)| page.first_row_index == n * granule);
            if pages.len() != granules || !aligned {
                return damaged("a page does not begin at a multiple of 1,024 rows");
            }
        }
    }
    Ok(())
}
