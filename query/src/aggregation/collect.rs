//! Counting the matching rows of a batch into states.
//!
//! Works level by level: the rows are grouped by key, then each group goes into its bucket.

use arrow_array::Array;
use arrow_schema::Schema;
use hushlog_record::time::NANOS_PER_MINUTE;
use hushlog_record::{ExceptionId, Kind as ValueKind, Level};
use hushlog_storage::batch::{Text, for_each_element, name, value};
use rustc_hash::FxHashMap;

use super::metric::MetricState;
use super::state::{Bucket, Buckets, Key, State, empty};
use super::{Aggregation, Kind, Metric, RangeBucket};
use crate::Error;
use crate::field::{Field, Nature};
use crate::number::Number;
use crate::scan::column::{self, Columns, Values};
use crate::scan::number::float_of;

/// Rows of a batch, ascending.
type Rows = Vec<u32>;

/// The kind under which the values of names and texts count as distinct.
const TEXT: u8 = ValueKind::String as u8;

/// Adds the columns that these aggregations look at.
pub(crate) fn needed(aggregations: &[Aggregation], schema: &Schema, into: &mut Vec<String>) {
    for aggregation in aggregations {
        column::needed(&aggregation.field, schema, into);
        needed(&aggregation.children, schema, into);
    }
}

/// Counts these rows of the batch.
pub(crate) fn collect(
    aggregations: &[Aggregation],
    states: &mut [State],
    columns: &Columns<'_>,
    rows: &[u32],
) -> Result<(), Error> {
    for (aggregation, state) in aggregations.iter().zip(states) {
        match state {
            State::Metric(metric) => collect_metric(aggregation, metric, columns, rows)?,
            State::Buckets(buckets) => {
                for (key, rows) in group(aggregation, columns, rows)? {
                    let bucket = bucket(aggregation, buckets, key);
                    bucket.count += rows.len() as u64;
                    collect(&aggregation.children, &mut bucket.children, columns, &rows)?;
                }
            }
        }
    }
    Ok(())
}

fn bucket<'s>(aggregation: &Aggregation, buckets: &'s mut Buckets, key: Key) -> &'s mut Bucket {
    buckets.map.entry(key).or_insert_with(|| Bucket {
        count: 0,
        children: empty(&aggregation.children),
    })
}

/// The rows by key; a row without a value is in no group, one with several in several.
fn group(
    aggregation: &Aggregation,
    columns: &Columns<'_>,
    rows: &[u32],
) -> Result<Vec<(Key, Rows)>, Error> {
    match &aggregation.kind {
        Kind::DateHistogram {
            interval, offset, ..
        } => {
            let times = columns.times(time_column(&aggregation.field))?;
            let place = |row: &u32| {
                times
                    .get(*row as usize)
                    .map(|&t| place(t, *interval, *offset))
            };
            let pairs = rows.iter().filter_map(|row| Some((place(row)?, *row)));
            Ok(gather(pairs)
                .map(|(place, rows)| (Key::Place(place), rows))
                .collect())
        }
        Kind::Histogram {
            interval, offset, ..
        } => {
            let mut pairs = Vec::new();
            for_each_number(aggregation, columns, rows, &mut |row, number| {
                pairs.push((number_place(number, *interval, *offset), row));
            })?;
            Ok(gather(pairs)
                .map(|(place, rows)| (Key::Place(place), rows))
                .collect())
        }
        Kind::Range { ranges } => {
            let mut pairs = Vec::new();
            for_each_number(aggregation, columns, rows, &mut |row, number| {
                let within = (0..)
                    .zip(ranges)
                    .filter(|(_, range)| is_within(range, number));
                pairs.extend(within.map(|(place, _)| (place, row)));
            })?;
            Ok(gather(pairs)
                .map(|(place, rows)| (Key::Place(place), rows))
                .collect())
        }
        Kind::Terms { .. } | Kind::Metric(_) => group_terms(aggregation, columns, rows),
    }
}

/// The rows of each key, from pairs in order of their rows. A row that has a key several times, as an array may, is in
/// its group once: buckets count records.
fn gather<K: Eq + std::hash::Hash>(
    pairs: impl IntoIterator<Item = (K, u32)>,
) -> impl Iterator<Item = (K, Rows)> {
    let mut groups: FxHashMap<K, Rows> = FxHashMap::default();
    for (key, row) in pairs {
        let rows = groups.entry(key).or_default();
        if rows.last() != Some(&row) {
            rows.push(row);
        }
    }
    groups.into_iter()
}

/// Number of the interval that a time falls into; intervals begin `offset` after the epoch.
pub(super) fn place(time: i64, interval: i64, offset: i64) -> i64 {
    time.saturating_sub(offset).div_euclid(interval)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a place beyond 2^63 saturates"
)]
fn number_place(number: f64, interval: f64, offset: f64) -> i64 {
    ((number - offset) / interval).floor() as i64
}

fn is_within(range: &RangeBucket, number: f64) -> bool {
    range.from.is_none_or(|from| number >= from) && range.to.is_none_or(|to| number < to)
}

fn time_column(field: &Field) -> &'static str {
    if *field == Field::CreatedAt {
        name::CREATED_AT
    } else {
        name::TIMESTAMP
    }
}

fn group_terms(
    aggregation: &Aggregation,
    columns: &Columns<'_>,
    rows: &[u32],
) -> Result<Vec<(Key, Rows)>, Error> {
    if let Some(name) = column::fixed(&aggregation.field)
        && !matches!(aggregation.field, Field::Pii | Field::LogId)
    {
        let Some(text) = columns.text(name)? else {
            return Ok(Vec::new());
        };
        let groups = group_text(text, rows);
        return Ok(groups
            .map(|(text, rows)| (Key::Text(text.to_owned()), rows))
            .collect());
    }
    let mut pairs = Vec::new();
    for_each_value(&aggregation.field, columns, rows, &mut |row, kind, text| {
        pairs.push((key_of(kind, text), row));
    })?;
    Ok(gather(pairs).collect())
}

/// Groups by dictionary key, so that a string is looked at once per distinct value.
fn group_text<'a>(text: Text<'a>, rows: &[u32]) -> Box<dyn Iterator<Item = (&'a str, Rows)> + 'a> {
    match text {
        Text::Plain(_) => {
            let value = |row: &u32| Some((text.get(*row as usize)?, *row));
            Box::new(gather(rows.iter().filter_map(value).collect::<Vec<_>>()))
        }
        Text::Dictionary(keys, values) => {
            let valid = rows.iter().filter(|&&row| keys.is_valid(row as usize));
            let pairs: Vec<_> = valid.map(|&row| (keys.value(row as usize), row)).collect();
            let named = gather(pairs)
                .filter_map(|(key, rows)| Some((values.value(usize::try_from(key).ok()?), rows)));
            Box::new(named)
        }
    }
}

fn key_of(kind: ValueKind, text: &str) -> Key {
    match kind {
        ValueKind::Bool => Key::Bool(text == "true"),
        ValueKind::Number => match Number::parse(text) {
            Some(number) => Key::Number(number),
            None => Key::Text(text.to_owned()),
        },
        ValueKind::String | ValueKind::Json => Key::Text(text.to_owned()),
    }
}

/// Calls `visit` with every value of the field; an array of plain values is several values.
fn for_each_value(
    field: &Field,
    columns: &Columns<'_>,
    rows: &[u32],
    visit: &mut dyn FnMut(u32, ValueKind, &str),
) -> Result<(), Error> {
    match field {
        Field::Custom(name) => for_each_custom(&columns.custom(name)?, rows, visit),
        Field::Timestamp | Field::CreatedAt => {
            let times = columns.times(time_column(field))?;
            for &row in rows {
                let time = times.get(row as usize).copied().unwrap_or_default();
                visit(row, ValueKind::Number, &time.to_string());
            }
        }
        Field::ExceptionId | Field::Exception => {
            let pair = (
                columns.text(name::EXCEPTION_TYPE)?,
                columns.text(name::SERVICE_NAME)?,
            );
            let (Some(types), Some(services)) = pair else {
                return Ok(());
            };
            for &row in rows {
                let pair = (types.get(row as usize), services.get(row as usize));
                if let (Some(type_name), Some(service)) = pair {
                    let id = ExceptionId::of(type_name, service);
                    visit(row, ValueKind::String, &id.to_string());
                }
            }
        }
        Field::LogId => {
            // An id is one of a kind: nothing is to be gained by a nicer form.
            let column = columns.column(name::LOG_ID)?;
            let ids = arrow_array::cast::AsArray::as_fixed_size_binary_opt(column);
            let ids = ids.ok_or_else(|| column::mismatch(name::LOG_ID))?;
            for &row in rows {
                let id: Result<[u8; 16], _> = ids.value(row as usize).try_into();
                let id = id.map_err(|_| column::mismatch(name::LOG_ID))?;
                visit(
                    row,
                    ValueKind::String,
                    &hushlog_record::LogId(id).to_string(),
                );
            }
        }
        Field::Pii => {
            let Some(text) = columns.text(name::PII)? else {
                return Ok(());
            };
            for &row in rows {
                let names = text
                    .get(row as usize)
                    .into_iter()
                    .flat_map(|names| names.split(','));
                names.for_each(|name| visit(row, ValueKind::String, name));
            }
        }
        fixed => {
            let text = columns.text(column::fixed(fixed).unwrap_or(name::MESSAGE))?;
            let Some(text) = text else { return Ok(()) };
            for &row in rows {
                if let Some(text) = text.get(row as usize) {
                    visit(row, ValueKind::String, text);
                }
            }
        }
    }
    Ok(())
}

fn for_each_custom(values: &Values<'_>, rows: &[u32], visit: &mut dyn FnMut(u32, ValueKind, &str)) {
    match values {
        Values::Absent => {}
        Values::Int(column) => {
            for &row in rows.iter().filter(|&&row| column.is_valid(row as usize)) {
                visit(
                    row,
                    ValueKind::Number,
                    &column.value(row as usize).to_string(),
                );
            }
        }
        Values::Float(column) => {
            for &row in rows.iter().filter(|&&row| column.is_valid(row as usize)) {
                visit(
                    row,
                    ValueKind::Number,
                    &column.value(row as usize).to_string(),
                );
            }
        }
        Values::Bool(column) => {
            for &row in rows.iter().filter(|&&row| column.is_valid(row as usize)) {
                let truth = column.value(row as usize);
                visit(row, ValueKind::Bool, if truth { "true" } else { "false" });
            }
        }
        Values::Encoded(text) => {
            for &row in rows {
                if let Some(encoded) = text.get(row as usize) {
                    visit_encoded(row, encoded, visit);
                }
            }
        }
        Values::Map(found, texts) => {
            let mut found = found.iter().peekable();
            for &row in rows {
                while found.next_if(|(has, _)| *has < row).is_some() {}
                if let Some((_, entry)) = found.next_if(|(has, _)| *has == row) {
                    visit_encoded(row, texts.value(*entry as usize), visit);
                }
            }
        }
    }
}

fn visit_encoded(row: u32, encoded: &str, visit: &mut dyn FnMut(u32, ValueKind, &str)) {
    let (kind, text) = value::decode(encoded);
    if kind == ValueKind::Json && text.starts_with('[') {
        for_each_element(&text, |kind, element| {
            visit(row, kind, element);
            true
        });
        return;
    }
    visit(row, kind, &text);
}

/// Calls `visit` with every number of the field; text that reads as a number counts, times are
/// milliseconds since the epoch.
fn for_each_number(
    aggregation: &Aggregation,
    columns: &Columns<'_>,
    rows: &[u32],
    visit: &mut dyn FnMut(u32, f64),
) -> Result<(), Error> {
    if aggregation.field.nature() == Nature::Time {
        let times = columns.times(time_column(&aggregation.field))?;
        for &row in rows {
            let time = times.get(row as usize).copied().unwrap_or_default();
            visit(row, millis(time));
        }
        return Ok(());
    }
    let Field::Custom(name) = &aggregation.field else {
        return Ok(());
    };
    let values = columns.custom(name)?;
    match &values {
        Values::Float(column) => {
            for &row in rows.iter().filter(|&&row| column.is_valid(row as usize)) {
                visit(row, column.value(row as usize));
            }
        }
        values => for_each_custom(values, rows, &mut |row, kind, text| {
            if matches!(kind, ValueKind::Number | ValueKind::String)
                && let Some(number) = float_of(text)
            {
                visit(row, number);
            }
        }),
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of real times are below 2^53"
)]
fn millis(nanos: i64) -> f64 {
    nanos.div_euclid(1_000_000) as f64
}

fn collect_metric(
    aggregation: &Aggregation,
    state: &mut MetricState,
    columns: &Columns<'_>,
    rows: &[u32],
) -> Result<(), Error> {
    let Kind::Metric(metric) = &aggregation.kind else {
        return Ok(());
    };
    if metric.is_numeric() {
        return for_each_number(aggregation, columns, rows, &mut |_, number| {
            state.add_number(number);
        });
    }
    for_each_value(&aggregation.field, columns, rows, &mut |_, kind, text| {
        // Equal numbers in different forms are one value.
        match Number::parse(text).filter(|_| kind == ValueKind::Number) {
            Some(number) if *metric == Metric::Cardinality => {
                state.add_value(kind as u8, &number.to_string());
            }
            _ => state.add_value(
                if kind == ValueKind::Json {
                    TEXT
                } else {
                    kind as u8
                },
                text,
            ),
        }
    })
}

/// So many records of one minute, service and level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountRow<'a> {
    pub(crate) minute: i64,
    pub(crate) service: &'a str,
    pub(crate) level: Level,
    pub(crate) count: u64,
}

/// Whether counts per minute, service and level suffice for these aggregations.
pub(crate) fn is_countable(aggregations: &[Aggregation]) -> bool {
    aggregations.iter().all(|aggregation| {
        let countable = match (&aggregation.kind, &aggregation.field) {
            (Kind::Terms { .. }, Field::Level | Field::Service) => true,
            (
                Kind::DateHistogram {
                    interval, offset, ..
                },
                Field::Timestamp,
            ) => interval % NANOS_PER_MINUTE == 0 && offset % NANOS_PER_MINUTE == 0,
            _ => false,
        };
        countable && is_countable(&aggregation.children)
    })
}

/// Whether any of these tells services apart.
pub(crate) fn uses_service(aggregations: &[Aggregation]) -> bool {
    aggregations.iter().any(|aggregation| {
        aggregation.field == Field::Service || uses_service(&aggregation.children)
    })
}

/// Counts records that are known by number only; for aggregations that [`is_countable`].
pub(crate) fn collect_count(aggregations: &[Aggregation], states: &mut [State], row: CountRow<'_>) {
    for (aggregation, state) in aggregations.iter().zip(states) {
        let key = match (&aggregation.kind, &aggregation.field) {
            (
                Kind::DateHistogram {
                    interval, offset, ..
                },
                _,
            ) => Key::Place(place(
                row.minute.saturating_mul(NANOS_PER_MINUTE),
                *interval,
                *offset,
            )),
            (_, Field::Level) => Key::Text(row.level.name().to_owned()),
            _ => Key::Text(row.service.to_owned()),
        };
        if let State::Buckets(buckets) = state {
            let bucket = bucket(aggregation, buckets, key);
            bucket.count += row.count;
            collect_count(&aggregation.children, &mut bucket.children, row);
        }
    }
}
