//! Picks rows out of the columns of several blocks or segments, in any order, into Arrow batches.
//!
//! Dictionaries are merged once for all the blocks, so batches of one [`Gather`] share them. Never
//! reorders by itself: the caller says which rows, in which order.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, MapArray, RecordBatch,
    StringArray, StructArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, SchemaRef};
use hushlog_record::Level;
use hushlog_record::block::{Columns, DictColumn, StrColumn};
use rustc_hash::FxHashMap;

use super::typed::{Typed, TypedKind, int};
use super::{Error, map_entries, schema, value};

/// Marks a row that has no value in a sparse column.
const ABSENT: u32 = u32::MAX;
/// The key of a null in a dictionary column under construction.
const NULL_KEY: i32 = -1;

/// A row: its input's place in the list given to [`Gather::new`], and the row in that input.
pub(crate) type At = (u32, u32);

/// Columns to pick from.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) origin: Origin<'a>,
    pub(crate) columns: &'a Columns,
}

/// Where rows have come from: what their positions are.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The block with this seq, each row in its place.
    Block(u64),
    /// Seq and row of each row.
    Rows(&'a [(u64, u32)]),
}

impl Origin<'_> {
    fn seq(self, row: u32) -> u64 {
        match self {
            Self::Block(seq) => seq,
            Self::Rows(rows) => rows[row as usize].0,
        }
    }

    fn row(self, row: u32) -> u32 {
        match self {
            Self::Block(_) => row,
            Self::Rows(rows) => rows[row as usize].1,
        }
    }
}

/// The blocks to pick from, prepared.
pub(crate) struct Gather<'a> {
    schema: SchemaRef,
    sources: Vec<Source<'a>>,
    typed: Vec<Typed>,
    level: Arc<StringArray>,
    service: Arc<StringArray>,
    host: Arc<StringArray>,
    environment: Arc<StringArray>,
    region: Arc<StringArray>,
    exception_type: Arc<StringArray>,
    /// Signatures of exceptions, if any is known.
    signature: Option<Arc<StringArray>>,
    pii: Arc<StringArray>,
    words: Vec<Arc<StringArray>>,
}

/// One input, with what is needed to find a row's values in constant time.
struct Source<'a> {
    origin: Origin<'a>,
    columns: &'a Columns,
    message: StringArray,
    trace_id: StringArray,
    span_id: StringArray,
    service: Vec<i32>,
    host: Vec<i32>,
    environment: Vec<i32>,
    region: Vec<i32>,
    exception_at: Vec<u32>,
    exception_type: Vec<i32>,
    signature: Vec<i32>,
    pii_at: Vec<u32>,
    pii: Vec<i32>,
    typed: Vec<Option<TypedSource>>,
    rest: Rest,
}

/// One typed field in one block.
struct TypedSource {
    field: usize,
    at: Vec<u32>,
    /// For [`TypedKind::Words`]: key per value.
    keys: Vec<i32>,
}

/// The fields that have no column of their own, by row: entries of row r are
/// `entries[starts[r]..starts[r + 1]]`, each (field, value).
struct Rest {
    starts: Vec<u32>,
    entries: Vec<(u32, u32)>,
}

/// Distinct strings in order of first appearance.
#[derive(Default)]
struct Interner<'a> {
    keys: FxHashMap<std::borrow::Cow<'a, str>, i32>,
    values: Vec<std::borrow::Cow<'a, str>>,
}

impl<'a> Interner<'a> {
    fn key(&mut self, text: std::borrow::Cow<'a, str>) -> Result<i32, Error> {
        if let Some(key) = self.keys.get(&text) {
            return Ok(*key);
        }
        let key = i32::try_from(self.values.len())
            .map_err(|_| Error::Columns("more than 2^31 distinct values"))?;
        self.keys.insert(text.clone(), key);
        self.values.push(text);
        Ok(key)
    }

    fn keys_of(&mut self, values: &'a StrColumn) -> Result<Vec<i32>, Error> {
        (0..values.len())
            .map(|i| self.key(values.get(i).into()))
            .collect()
    }

    /// As [`Interner::keys_of`], with a null for the empty string.
    fn keys_or_null(&mut self, values: &'a StrColumn) -> Result<Vec<i32>, Error> {
        (0..values.len())
            .map(|i| match values.get(i) {
                "" => Ok(NULL_KEY),
                text => self.key(text.into()),
            })
            .collect()
    }

    /// As 16 hex digits, with a null for those that are not known.
    fn keys_of_signatures(&mut self, signatures: &[u64]) -> Result<Vec<i32>, Error> {
        signatures
            .iter()
            .map(|signature| match signature {
                0 => Ok(NULL_KEY),
                signature => self.key(format!("{signature:016x}").into()),
            })
            .collect()
    }

    fn array(self) -> Arc<StringArray> {
        Arc::new(StringArray::from_iter_values(self.values))
    }
}

/// The dictionaries of a [`Gather`] while they are merged.
#[derive(Default)]
struct Interners<'a> {
    service: Interner<'a>,
    host: Interner<'a>,
    environment: Interner<'a>,
    region: Interner<'a>,
    exception_type: Interner<'a>,
    signature: Interner<'a>,
    pii: Interner<'a>,
    words: Vec<Interner<'a>>,
}

impl<'a> Gather<'a> {
    /// Prepares inputs. `typed` is sorted by name.
    pub(crate) fn new(inputs: &[Input<'a>], typed: &[Typed]) -> Result<Self, Error> {
        let mut interners = Interners::default();
        interners.words.resize_with(typed.len(), Interner::default);
        let sources = inputs
            .iter()
            .map(|input| Source::new(*input, typed, &mut interners))
            .collect::<Result<Vec<_>, Error>>()?;
        let signature = interners.signature.array();
        let signature = (!signature.is_empty()).then_some(signature);
        Ok(Self {
            schema: Arc::new(schema(typed, signature.is_some())),
            signature,
            sources,
            typed: typed.to_vec(),
            level: Arc::new(StringArray::from_iter_values(Level::ALL.map(Level::name))),
            service: interners.service.array(),
            host: interners.host.array(),
            environment: interners.environment.array(),
            region: interners.region.array(),
            exception_type: interners.exception_type.array(),
            pii: interners.pii.array(),
            words: interners.words.into_iter().map(Interner::array).collect(),
        })
    }

    /// The schema of the batches.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether there is a column of signatures.
    pub(crate) fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// The typed columns, sorted by name.
    pub(crate) fn typed(&self) -> &[Typed] {
        &self.typed
    }

    /// All rows of the only block, sharing its text.
    pub(crate) fn whole(&self) -> Result<RecordBatch, Error> {
        let [source] = self.sources.as_slice() else {
            return Err(Error::Columns("not one block"));
        };
        let rows: Vec<At> = (0..source.columns.rows).map(|row| (0, row)).collect();
        let shared = Shared {
            message: Arc::new(source.message.clone()),
            trace_id: Arc::new(source.trace_id.clone()),
            span_id: Arc::new(source.span_id.clone()),
        };
        self.assemble(&rows, shared)
    }

    /// The given rows in the given order.
    pub(crate) fn batch(&self, rows: &[At]) -> Result<RecordBatch, Error> {
        let shared = Shared {
            message: self.text(rows, |s| &s.message),
            trace_id: self.text(rows, |s| &s.trace_id),
            span_id: self.text(rows, |s| &s.span_id),
        };
        self.assemble(rows, shared)
    }

    fn assemble(&self, rows: &[At], shared: Shared) -> Result<RecordBatch, Error> {
        let origin = |at: &At| self.source(*at).origin;
        let seq = UInt64Array::from_iter_values(rows.iter().map(|at| origin(at).seq(at.1)));
        let row = UInt32Array::from_iter_values(rows.iter().map(|at| origin(at).row(at.1)));
        let exception = |at: &At| {
            let source = self.source(*at);
            source
                .exception_at
                .get(at.1 as usize)
                .copied()
                .filter(|i| *i != ABSENT)
        };
        let exceptions: Vec<Option<u32>> = rows.iter().map(exception).collect();
        let exception_text = |pick: fn(&Columns) -> &StrColumn| -> ArrayRef {
            Arc::new(StringArray::from_iter(rows.iter().zip(&exceptions).map(
                |(at, i)| i.map(|i| pick(self.source(*at).columns).get(i as usize)),
            )))
        };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(seq),
            Arc::new(row),
            Arc::new(self.log_ids(rows)?),
            Arc::new(self.times(rows, |c| &c.timestamp)),
            Arc::new(self.times(rows, |c| &c.created_at)),
            self.dictionary(&self.level, rows, |s, row| {
                i32::from(s.columns.level[row].code()) - i32::from(Level::Debug.code())
            })?,
            self.dictionary(&self.service, rows, |s, row| {
                s.service[s.columns.service_name.codes[row] as usize]
            })?,
            self.dictionary(&self.host, rows, |s, row| {
                s.host[s.columns.host.codes[row] as usize]
            })?,
            self.dictionary(&self.environment, rows, |s, row| {
                s.environment[s.columns.environment.codes[row] as usize]
            })?,
            self.dictionary(&self.region, rows, |s, row| {
                s.region[s.columns.region.codes[row] as usize]
            })?,
            shared.message,
            self.dictionary(&self.exception_type, rows, |s, row| {
                sparse_key(&s.exception_at, &s.exception_type, row)
            })?,
            exception_text(|c| &c.exception.message),
            exception_text(|c| &c.exception.stack_trace),
        ];
        if let Some(signature) = &self.signature {
            columns.push(self.dictionary(signature, rows, |s, row| {
                sparse_key(&s.exception_at, &s.signature, row)
            })?);
        }
        columns.extend([
            shared.trace_id,
            shared.span_id,
            self.dictionary(&self.pii, rows, |s, row| sparse_key(&s.pii_at, &s.pii, row))?,
        ]);
        for (i, typed) in self.typed.iter().enumerate() {
            columns.push(self.typed_column(i, typed.kind, rows)?);
        }
        columns.push(Arc::new(self.map(rows)?));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn source(&self, at: At) -> &Source<'a> {
        &self.sources[at.0 as usize]
    }

    fn log_ids(&self, rows: &[At]) -> Result<FixedSizeBinaryArray, Error> {
        let mut bytes = Vec::with_capacity(rows.len() * 16);
        for at in rows {
            bytes.extend_from_slice(&self.source(*at).columns.log_id[at.1 as usize].0);
        }
        Ok(FixedSizeBinaryArray::try_new(
            16,
            Buffer::from_vec(bytes),
            None,
        )?)
    }

    fn times(&self, rows: &[At], pick: fn(&Columns) -> &Vec<i64>) -> TimestampNanosecondArray {
        let times = rows
            .iter()
            .map(|at| pick(self.source(*at).columns)[at.1 as usize]);
        TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC")
    }

    fn text(&self, rows: &[At], pick: for<'s> fn(&'s Source<'a>) -> &'s StringArray) -> ArrayRef {
        let length = |at: &At| pick(self.source(*at)).value_length(at.1 as usize);
        let bytes: i64 = rows.iter().map(|at| i64::from(length(at))).sum();
        let mut builder =
            StringBuilder::with_capacity(rows.len(), usize::try_from(bytes).unwrap_or(0));
        for at in rows {
            let column = pick(self.source(*at));
            match at.1 as usize {
                row if column.is_null(row) => builder.append_null(),
                row => builder.append_value(column.value(row)),
            }
        }
        Arc::new(builder.finish())
    }

    fn dictionary(
        &self,
        values: &Arc<StringArray>,
        rows: &[At],
        key: impl Fn(&Source<'a>, usize) -> i32,
    ) -> Result<ArrayRef, Error> {
        let keys: Vec<i32> = rows
            .iter()
            .map(|at| key(self.source(*at), at.1 as usize))
            .collect();
        dictionary_of(keys, Arc::clone(values))
    }

    fn typed_column(&self, i: usize, kind: TypedKind, rows: &[At]) -> Result<ArrayRef, Error> {
        let values = || rows.iter().map(|at| self.source(*at).typed_value(i, at.1));
        const INEXACT: Error = Error::Columns("a value is not of its column's type");
        Ok(match kind {
            TypedKind::Int => {
                let mut builder = PrimitiveBuilder::<Int64Type>::with_capacity(rows.len());
                for text in values() {
                    let number = text.map(|(_, text)| int(text).ok_or(INEXACT)).transpose()?;
                    builder.append_option(number);
                }
                Arc::new(builder.finish())
            }
            TypedKind::Float => {
                let mut builder = PrimitiveBuilder::<Float64Type>::with_capacity(rows.len());
                for text in values() {
                    let number = text
                        .map(|(_, text)| text.parse().map_err(|_| INEXACT))
                        .transpose()?;
                    builder.append_option(number);
                }
                Arc::new(builder.finish())
            }
            TypedKind::Bool => {
                let mut builder = BooleanBuilder::with_capacity(rows.len());
                for text in values() {
                    builder.append_option(text.map(|(_, text)| text == "true"));
                }
                Arc::new(builder.finish())
            }
            TypedKind::Text => {
                let mut builder = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
                for text in values() {
                    builder.append_option(text.map(|(kind, text)| value::encode(kind, text)));
                }
                Arc::new(builder.finish())
            }
            TypedKind::Words => {
                let values = self.words.get(i).ok_or(INEXACT)?;
                self.dictionary(values, rows, |source, row| {
                    source.typed[i]
                        .as_ref()
                        .map_or(NULL_KEY, |t| sparse_key(&t.at, &t.keys, row))
                })?
            }
        })
    }

    fn map(&self, rows: &[At]) -> Result<MapArray, Error> {
        let count: usize = rows
            .iter()
            .map(|at| self.source(*at).rest.of(at.1).len())
            .sum();
        let mut keys = StringBuilder::with_capacity(count, count * 16);
        let mut values = StringBuilder::with_capacity(count, count * 24);
        let mut offsets = Vec::with_capacity(rows.len() + 1);
        let mut end = 0i32;
        offsets.push(end);
        for at in rows {
            let source = self.source(*at);
            for (field, i) in source.rest.of(at.1) {
                let column = &source.columns.fields[*field as usize];
                let i = *i as usize;
                keys.append_value(&column.key);
                values.append_value(value::encode(column.kinds[i], column.values.get(i)));
                end += 1;
            }
            offsets.push(end);
        }
        let entries = StructArray::try_new(
            map_entries(),
            vec![Arc::new(keys.finish()), Arc::new(values.finish())],
            None,
        )?;
        let field = Field::new("key_value", DataType::Struct(map_entries()), false);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(MapArray::try_new(
            Arc::new(field),
            offsets,
            entries,
            None,
            false,
        )?)
    }
}

/// The text columns that [`Gather::whole`] takes from the block as they are.
struct Shared {
    message: ArrayRef,
    trace_id: ArrayRef,
    span_id: ArrayRef,
}

impl<'a> Source<'a> {
    fn new(
        input: Input<'a>,
        typed: &[Typed],
        interners: &mut Interners<'a>,
    ) -> Result<Self, Error> {
        let Input { origin, columns } = input;
        let rows = columns.rows as usize;
        check(columns)?;
        if matches!(origin, Origin::Rows(positions) if positions.len() != rows) {
            return Err(Error::Columns("not one position per row"));
        }
        let typed = typed
            .iter()
            .enumerate()
            .map(|(i, t)| TypedSource::new(columns, t, &mut interners.words[i]))
            .collect::<Result<Vec<_>, Error>>()?;
        let rest = Rest::new(columns, &typed)?;
        Ok(Self {
            origin,
            columns,
            message: share(&columns.message, false)?,
            trace_id: share(&columns.trace_id, true)?,
            span_id: share(&columns.span_id, true)?,
            service: interners.service.keys_of(&columns.service_name.values)?,
            host: interners.host.keys_or_null(&columns.host.values)?,
            environment: interners
                .environment
                .keys_or_null(&columns.environment.values)?,
            region: interners.region.keys_or_null(&columns.region.values)?,
            exception_at: places(&columns.exception.rows, rows)?,
            exception_type: interners
                .exception_type
                .keys_of(&columns.exception.type_name)?,
            signature: interners
                .signature
                .keys_of_signatures(&columns.exception.signature)?,
            pii_at: places(&columns.pii.rows, rows)?,
            pii: interners.pii.keys_of(&columns.pii.names)?,
            typed,
            rest,
        })
    }

    fn typed_value(&self, i: usize, row: u32) -> Option<(hushlog_record::Kind, &'a str)> {
        let typed = self.typed.get(i)?.as_ref()?;
        let at = *typed.at.get(row as usize)?;
        if at == ABSENT {
            return None;
        }
        let field = &self.columns.fields[typed.field];
        Some((field.kinds[at as usize], field.values.get(at as usize)))
    }
}

impl TypedSource {
    fn new<'a>(
        columns: &'a Columns,
        typed: &Typed,
        words: &mut Interner<'a>,
    ) -> Result<Option<Self>, Error> {
        let Ok(field) = columns
            .fields
            .binary_search_by(|f| f.key.as_str().cmp(&typed.name))
        else {
            return Ok(None);
        };
        let column = &columns.fields[field];
        let at = places(&column.rows, columns.rows as usize)?;
        let mut keys = Vec::new();
        if typed.kind == TypedKind::Words {
            keys.reserve(column.values.len());
            for (i, kind) in column.kinds.iter().enumerate() {
                keys.push(words.key(value::encode(*kind, column.values.get(i)))?);
            }
        }
        Ok(Some(Self { field, at, keys }))
    }
}

impl Rest {
    fn new(columns: &Columns, typed: &[Option<TypedSource>]) -> Result<Self, Error> {
        let rows = columns.rows as usize;
        let mut is_typed = vec![false; columns.fields.len()];
        for source in typed.iter().flatten() {
            is_typed[source.field] = true;
        }
        let fields = || {
            columns
                .fields
                .iter()
                .enumerate()
                .filter(|(i, _)| !is_typed[*i])
        };
        let mut starts = vec![0u32; rows + 1];
        for (_, field) in fields() {
            for row in &field.rows {
                starts[*row as usize + 1] += 1;
            }
        }
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0); starts[rows] as usize];
        for (i, field) in fields() {
            let i = u32::try_from(i).map_err(|_| Error::Columns("too many fields"))?;
            for (value, row) in (0u32..).zip(&field.rows) {
                let place = &mut next[*row as usize];
                entries[*place as usize] = (i, value);
                *place += 1;
            }
        }
        Ok(Self { starts, entries })
    }

    fn of(&self, row: u32) -> &[(u32, u32)] {
        let row = row as usize;
        &self.entries[self.starts[row] as usize..self.starts[row + 1] as usize]
    }
}

/// Refuses columns of different lengths and rows that do not exist, so that nothing below can
/// reach beyond an end.
fn check(columns: &Columns) -> Result<(), Error> {
    let rows = columns.rows as usize;
    let dictionary = |d: &DictColumn| {
        d.codes.len() == rows && d.codes.iter().all(|code| (*code as usize) < d.values.len())
    };
    let exception = &columns.exception;
    let same_length = columns.log_id.len() == rows
        && columns.timestamp.len() == rows
        && columns.created_at.len() == rows
        && columns.level.len() == rows
        && columns.message.len() == rows
        && columns.trace_id.len() == rows
        && columns.span_id.len() == rows
        && exception.type_name.len() == exception.rows.len()
        && exception.message.len() == exception.rows.len()
        && exception.stack_trace.len() == exception.rows.len()
        && [0, exception.rows.len()].contains(&exception.signature.len())
        && columns.pii.names.len() == columns.pii.rows.len()
        && columns.fields.iter().all(|f| {
            f.kinds.len() == f.rows.len()
                && f.values.len() == f.rows.len()
                && f.rows.iter().all(|row| (*row as usize) < rows)
        });
    let dictionaries = [
        &columns.service_name,
        &columns.host,
        &columns.environment,
        &columns.region,
    ];
    if same_length && dictionaries.into_iter().all(dictionary) {
        Ok(())
    } else {
        Err(Error::Columns("lengths or codes do not agree"))
    }
}

/// For every row its place in a sparse column, or [`ABSENT`]; empty when nothing is present.
fn places(sparse: &[u32], rows: usize) -> Result<Vec<u32>, Error> {
    if sparse.is_empty() {
        return Ok(Vec::new());
    }
    let mut places = vec![ABSENT; rows];
    for (place, row) in (0u32..).zip(sparse) {
        *places
            .get_mut(*row as usize)
            .ok_or(Error::Columns("a row that does not exist"))? = place;
    }
    Ok(places)
}

fn sparse_key(at: &[u32], keys: &[i32], row: usize) -> i32 {
    match at.get(row) {
        Some(place) if *place != ABSENT => keys.get(*place as usize).copied().unwrap_or(NULL_KEY),
        _ => NULL_KEY,
    }
}

/// A dictionary array; [`NULL_KEY`] is null.
fn dictionary_of(mut keys: Vec<i32>, values: Arc<StringArray>) -> Result<ArrayRef, Error> {
    let nulls = keys.contains(&NULL_KEY).then(|| {
        let nulls = NullBuffer::from_iter(keys.iter().map(|key| *key != NULL_KEY));
        keys.iter_mut().for_each(|key| *key = (*key).max(0));
        nulls
    });
    let keys = Int32Array::new(ScalarBuffer::from(keys), nulls);
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(
        keys, values,
    )?))
}

/// The block's text as an Arrow array, without copying it; with `absent`, empty strings are null.
fn share(column: &StrColumn, absent: bool) -> Result<StringArray, Error> {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(column.offsets().to_vec()));
    let has_absent = absent && column.offsets().windows(2).any(|pair| pair[0] == pair[1]);
    let nulls = has_absent
        .then(|| NullBuffer::from_iter(column.offsets().windows(2).map(|pair| pair[0] != pair[1])));
    Ok(StringArray::try_new(
        offsets,
        Buffer::from(column.data().clone()),
        nulls,
    )?)
}
