//! The bytes of summaries and of exception partials, drawn in `docs/formats.md`.
//!
//! Memory is taken only for what the bytes pay for: every thing takes at least a byte, and a sketch
//! (32 KiB) is read only behind the heavy hitters that come with it.

use crate::count_min::CountMin;
use crate::exceptions::{Entry, Exceptions};
use crate::names::Names;
use crate::pane::{Cell, ExceptionPane, HEAVY_MAX, Pane};
use crate::summary::Summary;
use crate::tally::{SAMPLES_MAX, Tally};
use crate::wire::{Reader, put_bytes, put_len, put_signed, put_varint, version};
use crate::{Error, LEVELS_MAX};

const SUMMARY_VERSION: u8 = 1;
const EXCEPTIONS_VERSION: u8 = 1;
const MINUTE_NANOS: i64 = 60_000_000_000;

const NO_EXCEPTIONS: u8 = 0;
const EXACT: u8 = 1;
const SKETCHED: u8 = 2;

pub(crate) fn encode(summary: &Summary) -> Vec<u8> {
    let mut out = vec![SUMMARY_VERSION];
    let order = Order::of(summary);
    order.encode(&summary.names, &mut out);
    put_len(&mut out, summary.panes.len());
    let mut before = None;
    for (minute, pane) in &summary.panes {
        match before {
            None => put_signed(&mut out, *minute),
            Some(before) => put_varint(&mut out, minute.wrapping_sub(before) as u64),
        }
        before = Some(*minute);
        encode_cells(&pane.cells, &order, &mut out);
        encode_exception_pane(*minute, &pane.exceptions, &order, &mut out);
    }
    out
}

/// The names in use, sorted, and the place of each number among them.
struct Order {
    sorted: Vec<u32>,
    places: Vec<u64>,
}

impl Order {
    fn of(summary: &Summary) -> Self {
        let mut used = vec![false; summary.names.len()];
        let mut mark = |number: u32| {
            if let Some(flag) = used.get_mut(number as usize) {
                *flag = true;
            }
        };
        for pane in summary.panes.values() {
            pane.cells.iter().for_each(|cell| mark(cell.service));
            for (service, name) in pane.exceptions.listed.keys() {
                mark(*service);
                mark(*name);
            }
        }
        let numbers = (0u32..)
            .zip(&used)
            .filter(|(_, used)| **used)
            .map(|(number, _)| number);
        let mut sorted: Vec<u32> = numbers.collect();
        sorted.sort_unstable_by_key(|number| summary.names.text(*number));
        let mut places = vec![0; used.len()];
        for (place, number) in (0u64..).zip(&sorted) {
            if let Some(slot) = places.get_mut(*number as usize) {
                *slot = place;
            }
        }
        Self { sorted, places }
    }

    fn encode(&self, names: &Names, out: &mut Vec<u8>) {
        put_len(out, self.sorted.len());
        for number in &self.sorted {
            put_bytes(out, names.text(*number).as_bytes());
        }
    }

    fn place(&self, number: u32) -> u64 {
        self.places
            .get(number as usize)
            .copied()
            .unwrap_or_default()
    }
}

fn encode_cells(cells: &[Cell], order: &Order, out: &mut Vec<u8>) {
    let mut placed: Vec<(u64, &[Cell])> = cells
        .chunk_by(|a, b| a.service == b.service)
        .map(|cells| {
            (
                cells.first().map_or(0, |cell| order.place(cell.service)),
                cells,
            )
        })
        .collect();
    placed.sort_unstable_by_key(|(place, _)| *place);
    put_len(out, placed.len());
    let mut next = 0;
    for (place, cells) in placed {
        put_varint(out, place - next);
        next = place + 1;
        out.push(cells.iter().fold(0, |mask, cell| mask | 1 << cell.level));
        cells.iter().for_each(|cell| put_varint(out, cell.count));
    }
}

fn encode_exception_pane(minute: i64, pane: &ExceptionPane, order: &Order, out: &mut Vec<u8>) {
    match &pane.sketch {
        None if pane.listed.is_empty() => return out.push(NO_EXCEPTIONS),
        None => out.push(EXACT),
        Some(_) => out.push(SKETCHED),
    }
    let mut listed: Vec<_> = pane
        .listed
        .iter()
        .map(|((service, name), tally)| ((order.place(*service), order.place(*name)), tally))
        .collect();
    listed.sort_unstable_by_key(|(key, _)| *key);
    put_len(out, listed.len());
    for ((service, name), tally) in listed {
        put_varint(out, service);
        put_varint(out, name);
        encode_tally(tally, minute.wrapping_mul(MINUTE_NANOS), out);
    }
    if let Some(sketch) = &pane.sketch {
        sketch.encode(out);
    }
}

fn encode_tally(tally: &Tally, base: i64, out: &mut Vec<u8>) {
    put_varint(out, tally.count);
    put_signed(out, tally.first_seen.wrapping_sub(base));
    put_signed(out, tally.last_seen.wrapping_sub(tally.first_seen));
    put_len(out, tally.samples.len());
    for sample in &tally.samples {
        out.extend_from_slice(sample);
    }
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Summary, Error> {
    let mut reader = version(bytes, "summary", SUMMARY_VERSION)?;
    let mut summary = Summary::new();
    decode_names(&mut reader, &mut summary.names)?;
    let panes = reader.count()?;
    let mut before = None;
    for _ in 0..panes {
        let minute = decode_minute(&mut reader, before)?;
        before = Some(minute);
        let names = summary.names.len() as u64;
        let cells = decode_cells(&mut reader, names)?;
        let exceptions = decode_exception_pane(&mut reader, minute, names)?;
        summary.panes.insert(minute, Pane { cells, exceptions });
    }
    reader.end()?;
    Ok(summary)
}

fn decode_names(reader: &mut Reader<'_>, names: &mut Names) -> Result<(), Error> {
    let mut before = None;
    for _ in 0..reader.count()? {
        let text = reader.text()?;
        if before.is_some_and(|before| before >= text) {
            return Err(Error::Malformed("names are not sorted"));
        }
        before = Some(text);
        names.intern(text);
    }
    Ok(())
}

fn decode_minute(reader: &mut Reader<'_>, before: Option<i64>) -> Result<i64, Error> {
    let Some(before) = before else {
        return reader.signed();
    };
    let minute = before.wrapping_add(reader.varint()? as i64);
    if minute > before {
        Ok(minute)
    } else {
        Err(Error::Malformed("minutes are not ascending"))
    }
}

fn decode_cells(reader: &mut Reader<'_>, names: u64) -> Result<Vec<Cell>, Error> {
    let mut cells = Vec::new();
    let mut next = 0u64;
    for _ in 0..reader.count()? {
        let service = next.checked_add(reader.varint()?);
        let service = service
            .filter(|number| *number < names)
            .ok_or(UNKNOWN_NAME)?;
        next = service + 1;
        let service = u32::try_from(service).map_err(|_| UNKNOWN_NAME)?;
        let mask = reader.byte()?;
        for level in (0..LEVELS_MAX).filter(|level| mask & (1 << level) != 0) {
            cells.push(Cell {
                service,
                level,
                count: reader.varint()?,
            });
        }
    }
    Ok(cells)
}

const UNKNOWN_NAME: Error = Error::Malformed("the number of a name is unknown");

fn decode_name(reader: &mut Reader<'_>, names: u64) -> Result<u32, Error> {
    let number = reader.varint()?;
    if number >= names {
        return Err(UNKNOWN_NAME);
    }
    u32::try_from(number).map_err(|_| UNKNOWN_NAME)
}

fn decode_exception_pane(
    reader: &mut Reader<'_>,
    minute: i64,
    names: u64,
) -> Result<ExceptionPane, Error> {
    let mut pane = ExceptionPane::default();
    let form = reader.byte()?;
    if form == NO_EXCEPTIONS {
        return Ok(pane);
    }
    let mut before = None;
    for _ in 0..reader.count()? {
        let key = (decode_name(reader, names)?, decode_name(reader, names)?);
        if before.is_some_and(|before| before >= key) {
            return Err(Error::Malformed("exceptions are not sorted"));
        }
        before = Some(key);
        pane.listed.insert(
            key,
            decode_tally(reader, minute.wrapping_mul(MINUTE_NANOS))?,
        );
    }
    match form {
        EXACT if !pane.listed.is_empty() => {}
        SKETCHED if pane.listed.len() >= HEAVY_MAX => {
            pane.sketch = Some(CountMin::decode(reader)?);
        }
        _ => {
            return Err(Error::Malformed(
                "the exceptions of a minute have no known form",
            ));
        }
    }
    Ok(pane)
}

fn decode_tally(reader: &mut Reader<'_>, base: i64) -> Result<Tally, Error> {
    let count = reader.varint()?;
    let first_seen = base.wrapping_add(reader.signed()?);
    let last_seen = first_seen.wrapping_add(reader.signed()?);
    let len = reader.count()?;
    if len > SAMPLES_MAX {
        return Err(Error::Malformed("an exception has too many samples"));
    }
    let mut samples = Vec::with_capacity(len);
    for _ in 0..len {
        samples.push(reader.array()?);
    }
    if !samples.is_sorted_by(|a: &[u8; 16], b| a > b) {
        return Err(Error::Malformed("samples are not sorted"));
    }
    Ok(Tally {
        count,
        first_seen,
        last_seen,
        samples,
    })
}

pub(crate) fn encode_exceptions(exceptions: &Exceptions) -> Vec<u8> {
    let mut out = vec![EXCEPTIONS_VERSION];
    put_len(&mut out, exceptions.entries.len());
    for ((type_name, service), entry) in &exceptions.entries {
        put_bytes(&mut out, type_name.as_bytes());
        put_bytes(&mut out, service.as_bytes());
        put_varint(&mut out, entry.exact);
        encode_tally(&entry.tally, 0, &mut out);
    }
    match &exceptions.sketch {
        None => out.push(EXACT),
        Some(sketch) => {
            out.push(SKETCHED);
            sketch.encode(&mut out);
        }
    }
    out
}

pub(crate) fn decode_exceptions(bytes: &[u8]) -> Result<Exceptions, Error> {
    let mut reader = version(bytes, "exceptions", EXCEPTIONS_VERSION)?;
    let mut exceptions = Exceptions::new();
    for _ in 0..reader.count()? {
        let key = (reader.text()?.to_owned(), reader.text()?.to_owned());
        if exceptions
            .entries
            .last_key_value()
            .is_some_and(|(before, _)| *before >= key)
        {
            return Err(Error::Malformed("exceptions are not sorted"));
        }
        let entry = Entry {
            exact: reader.varint()?,
            tally: decode_tally(&mut reader, 0)?,
        };
        exceptions.entries.insert(key, entry);
    }
    exceptions.sketch = match reader.byte()? {
        EXACT => None,
        SKETCHED => Some(CountMin::decode(&mut reader)?),
        _ => return Err(Error::Malformed("a partial has no known form")),
    };
    reader.end()?;
    Ok(exceptions)
}
