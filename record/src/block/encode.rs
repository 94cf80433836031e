//! Records → columns, before compression. The layout is drawn in `docs/formats.md`.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::Error;
use super::error::at_most;
use super::wire::{put_bytes, put_len, put_signed, put_varint};
use crate::limits::BLOCK_FIELDS_MAX;
use crate::{Kind, Masked, Record, Value};

/// Units of time differences, largest first: the largest that divides all of a column is used.
pub(super) const TIME_UNITS: [i64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];
/// Mark of an id column that is absent in every row.
pub(super) const IDS_ABSENT: u8 = 0;
/// Mark of an id column kept as text.
pub(super) const IDS_TEXT: u8 = 1;
/// Mark of an id column of lower-case hex, two digits a byte.
pub(super) const IDS_HEX: u8 = 2;
/// Mark of a field column whose values differ in kind: one byte each follows.
pub(super) const KINDS_MIXED: u8 = 0xff;
/// What [`BLOCK_FIELDS_MAX`] limits.
pub(super) const FIELDS: &str = "fields of a block";

/// Bytes of a row beyond its text, roughly.
const ROW_BYTES_TYPICAL: usize = 48;
/// Bytes of a row's random ids: record, trace and span.
const PLAIN_BYTES_TYPICAL: usize = 10 + 16 + 8;

type Records<'a> = &'a [Masked<Record>];

/// The columns of a block before compression.
pub(super) struct Raw {
    /// What is worth compressing.
    pub(super) packed: Vec<u8>,
    /// Random ids: no codec shortens them, and they would spoil its statistics and cost its time.
    pub(super) plain: Vec<u8>,
    /// Whether signatures of exceptions are among it.
    pub(super) signed: bool,
}

/// All columns of `records`, if a reader will take them.
pub(super) fn columns(records: Records<'_>) -> Result<Raw, Error> {
    let text_bytes = records
        .iter()
        .map(|record| record.text_bytes() + ROW_BYTES_TYPICAL)
        .sum();
    let mut packed = Vec::with_capacity(text_bytes);
    let mut plain = Vec::with_capacity(records.len() * PLAIN_BYTES_TYPICAL);
    let out = &mut packed;
    log_ids(records, out, &mut plain);
    times(records.iter().map(|r| r.timestamp.nanos()), out);
    times(records.iter().map(|r| r.created_at.nanos()), out);
    out.extend(records.iter().map(|r| r.level.code()));
    dictionary(records, |r| &r.service_name, out);
    dictionary(records, |r| &r.host, out);
    dictionary(records, |r| &r.environment, out);
    dictionary(records, |r| &r.region, out);
    ids(records, |r| &r.trace_id, out, &mut plain);
    ids(records, |r| &r.span_id, out, &mut plain);
    strings(records.iter().map(|r| r.message.as_str()), out);
    let signed = exceptions(records, out, &mut plain);
    pii(records, out);
    fields(records, out)?;
    Ok(Raw {
        packed,
        plain,
        signed,
    })
}

/// The first six bytes are the milliseconds of a version 7 UUID and nearly repeat; the rest is random.
fn log_ids(records: Records<'_>, out: &mut Vec<u8>, plain: &mut Vec<u8>) {
    let mut before = 0i64;
    for record in records {
        let [m0, m1, m2, m3, m4, m5, ..] = record.log_id.0;
        let millis = i64::from_be_bytes([0, 0, m0, m1, m2, m3, m4, m5]);
        put_signed(out, millis - before);
        before = millis;
    }
    for record in records {
        let [_, _, _, _, _, _, rest @ ..] = record.log_id.0;
        plain.extend_from_slice(&rest);
    }
}

fn times(times: impl Iterator<Item = i64> + Clone, out: &mut Vec<u8>) {
    let mut deltas = times
        .clone()
        .zip(times.clone().skip(1))
        .map(|(a, b)| b.wrapping_sub(a));
    let mut unit = 0;
    while let (Some(delta), true) = (deltas.next(), unit + 1 < TIME_UNITS.len()) {
        while TIME_UNITS.get(unit).is_some_and(|size| delta % size != 0) {
            unit += 1;
        }
    }
    let size = TIME_UNITS.get(unit).copied().unwrap_or(1);
    out.push(u8::try_from(unit).unwrap_or_default());
    let mut before = None;
    for time in times {
        match before {
            None => put_signed(out, time),
            Some(before) => put_signed(out, time.wrapping_sub(before) / size),
        }
        before = Some(time);
    }
}

fn strings<'a>(values: impl Iterator<Item = &'a str> + Clone, out: &mut Vec<u8>) {
    for value in values.clone() {
        put_len(out, value.len());
    }
    for value in values {
        out.extend_from_slice(value.as_bytes());
    }
}

fn dictionary(records: Records<'_>, field: impl Fn(&Record) -> &String, out: &mut Vec<u8>) {
    let mut numbers = HashMap::<&str, u32, FxBuildHasher>::default();
    let mut values = Vec::<&str>::new();
    let mut codes = Vec::with_capacity(records.len());
    let mut last = None::<(&str, u32)>;
    for record in records {
        let value = field(record).as_str();
        let code = match last {
            Some((text, code)) if text == value => code,
            _ => *numbers.entry(value).or_insert_with(|| {
                values.push(value);
                u32::try_from(values.len() - 1).expect("a block has fewer rows than 2^32")
            }),
        };
        last = Some((value, code));
        codes.push(code);
    }
    put_len(out, values.len());
    strings(values.iter().copied(), out);
    match values.len() {
        0..=1 => {}
        2..=0x100 => out.extend(codes.iter().map(|code| (code & 0xff) as u8)),
        _ => out.extend(
            codes
                .iter()
                .flat_map(|code| ((code & 0xffff) as u16).to_le_bytes()),
        ),
    }
}

fn ids(
    records: Records<'_>,
    field: impl Fn(&Record) -> &String,
    out: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) {
    let values = || records.iter().map(|record| field(record).as_str());
    if values().all(str::is_empty) {
        out.push(IDS_ABSENT);
    } else if values().all(is_packable) {
        out.push(IDS_HEX);
        for value in values() {
            put_len(out, value.len() / 2);
        }
        for value in values() {
            pack(value, plain);
        }
    } else {
        out.push(IDS_TEXT);
        strings(values(), out);
    }
}

fn is_packable(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn pack(text: &str, out: &mut Vec<u8>) {
    let digit = |c: u8| if c <= b'9' { c - b'0' } else { c - b'a' + 10 };
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    out.extend(
        pairs
            .iter()
            .map(|[high, low]| digit(*high) << 4 | digit(*low)),
    );
}

/// Ascending rows as the difference to the row before, of which the first is row 0.
fn rows(rows: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    let mut before = 0;
    for row in rows {
        put_varint(out, u64::from(row - before));
        before = row;
    }
}

/// Whether there are signatures among them.
fn exceptions(records: Records<'_>, out: &mut Vec<u8>, plain: &mut Vec<u8>) -> bool {
    let found: Vec<_> = (0u32..)
        .zip(records)
        .filter_map(|(row, r)| Some((row, r.exception.as_ref()?)))
        .collect();
    put_len(out, found.len());
    rows(found.iter().map(|(row, _)| *row), out);
    strings(found.iter().map(|(_, e)| e.type_name.as_str()), out);
    strings(found.iter().map(|(_, e)| e.message.as_str()), out);
    strings(found.iter().map(|(_, e)| e.stack_trace.as_str()), out);
    let signed = found.iter().any(|(_, e)| e.signature != 0);
    if signed {
        plain.extend(found.iter().flat_map(|(_, e)| e.signature.to_le_bytes()));
    }
    signed
}

fn pii(records: Records<'_>, out: &mut Vec<u8>) {
    let found: Vec<_> = (0u32..)
        .zip(records)
        .filter(|(_, record)| !record.pii.is_empty())
        .map(|(row, record)| (row, record.pii.join(",")))
        .collect();
    put_len(out, found.len());
    rows(found.iter().map(|(row, _)| *row), out);
    strings(found.iter().map(|(_, names)| names.as_str()), out);
}

struct Field<'a> {
    key: &'a str,
    values: Vec<(u32, &'a Value)>,
    /// The field that came after this one in the last record that had it: nearly always right.
    next: usize,
}

fn fields(records: Records<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut fields = gather(records);
    at_most(FIELDS, fields.len(), BLOCK_FIELDS_MAX)?;
    fields.sort_unstable_by_key(|field| field.key);
    put_len(out, fields.len());
    for field in &fields {
        put_bytes(out, field.key.as_bytes());
        put_len(out, field.values.len());
        if field.values.len() < records.len() {
            rows(field.values.iter().map(|(row, _)| *row), out);
        }
        kinds(&field.values, out);
        strings(
            field.values.iter().map(|(_, value)| value.text.as_str()),
            out,
        );
    }
    Ok(())
}

fn kinds(values: &[(u32, &Value)], out: &mut Vec<u8>) {
    let first = values.first().map_or(Kind::String, |(_, value)| value.kind);
    if values.iter().all(|(_, value)| value.kind == first) {
        out.push(first as u8);
    } else {
        out.push(KINDS_MIXED);
        out.extend(values.iter().map(|(_, value)| value.kind as u8));
    }
}

/// All values by field, in row order.
fn gather<'a>(records: Records<'a>) -> Vec<Field<'a>> {
    let mut numbers = HashMap::<&str, usize, FxBuildHasher>::default();
    let mut fields = Vec::<Field<'a>>::new();
    let mut guess = 0;
    let mut before = None;
    for (row, record) in (0u32..).zip(records) {
        for (key, value) in &record.fields {
            let number = match fields.get(guess) {
                Some(field) if field.key == key => guess,
                _ => *numbers.entry(key).or_insert_with(|| {
                    fields.push(Field {
                        key,
                        values: Vec::new(),
                        next: 0,
                    });
                    fields.len() - 1
                }),
            };
            if let Some(field) = before.and_then(|before: usize| fields.get_mut(before)) {
                field.next = number;
            }
            let field = fields.get_mut(number).expect("numbers point into fields");
            assert!(
                field.values.last().is_none_or(|(last, _)| *last < row),
                "the field names of a record are unique"
            );
            field.values.push((row, value));
            guess = field.next;
            before = Some(number);
        }
    }
    fields
}
