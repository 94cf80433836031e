//! The JSON form of a push request: times are text, as Loki demands.

use std::collections::BTreeMap;

use hushlog_ingest::json::{Cursor, Each, Scalar, Shape};
use hushlog_record::Timestamp;

use super::stream::{Pairs, Said, Stream};
use crate::api::hand::Hand;
use crate::api::walk::{Stop, elements, is_null, keep, members, pass, text, whole};
use crate::error::{Failure, Kind};
use crate::gateway::Room;
use crate::limits::ENCODED_RECORD_BYTES_MAX;

/// Hands over every entry of a request, in order, one decoded at a time.
pub(in crate::api) fn read(
    body: &[u8],
    room: &mut Room<'_>,
    each: Each<'_>,
) -> Result<Shape, Failure> {
    let mut hand = Hand::new(room, each);
    let mut is_there = false;
    whole(body, |cursor| {
        let no_object = || wrong("an object");
        members(cursor, no_object, |name, cursor| match name {
            "streams" if !is_null(cursor)? => {
                is_there = true;
                let no_array = || wrong("an array in `streams`");
                elements(cursor, no_array, |cursor| of_stream(cursor, &mut hand))
            }
            "streams" => Ok(()),
            _ => pass(cursor),
        })
    })?;
    if is_there {
        Ok(Shape::Array)
    } else {
        Err(wrong("`streams`"))
    }
}

/// The entries of a stream, whose labels may follow them; so they are gone through at once only behind them.
fn of_stream(cursor: &mut Cursor<'_>, hand: &mut Hand<'_, '_>) -> Result<(), Stop> {
    let mut stream = None;
    let mut before = None;
    let no_object = || wrong("objects in `streams`");
    members(cursor, no_object, |name, cursor| match name {
        "stream" => {
            stream = Some(labels_here(cursor)?);
            Ok(())
        }
        "values" => match &stream {
            Some(stream) => values(cursor, stream.as_ref(), hand),
            None => keep(&mut before, cursor, || wrong("`values` once in a stream")),
        },
        _ => pass(cursor),
    })?;
    let Some(entries) = before else {
        return Ok(());
    };
    let stream = stream.unwrap_or_else(|| Some(Stream::new(Vec::new())));
    values(&mut Cursor::new(entries), stream.as_ref(), hand)
}

/// The labels of a stream; `None` when they are too long for any entry that would carry them.
fn labels_here(cursor: &mut Cursor<'_>) -> Result<Option<Stream>, Stop> {
    let labels = cursor.skip()?.text;
    if !is_short(labels) {
        return Ok(None);
    }
    let mut cursor = Cursor::new(labels);
    if is_null(&mut cursor)? {
        return Ok(Some(Stream::new(Vec::new())));
    }
    Ok(Some(Stream::new(pairs(&mut cursor, "`stream`")?)))
}

fn values(
    cursor: &mut Cursor<'_>,
    stream: Option<&Stream>,
    hand: &mut Hand<'_, '_>,
) -> Result<(), Stop> {
    let no_array = || wrong("an array in `values`");
    elements(cursor, no_array, |cursor| {
        let value = cursor.skip()?.text;
        match stream {
            Some(stream) if is_short(value) => of_value(stream, &mut Cursor::new(value), hand),
            _ => {
                hand.reject();
                Ok(())
            }
        }
    })
}

fn of_value(stream: &Stream, cursor: &mut Cursor<'_>, hand: &mut Hand<'_, '_>) -> Result<(), Stop> {
    let (mut time, mut line, mut metadata) = (None, None, Vec::new());
    let mut count = 0;
    let no_array = || wrong("arrays in `values`");
    elements(cursor, no_array, |cursor| {
        count += 1;
        match count {
            1 => time = text(cursor)?.and_then(|text| text.parse::<i64>().ok()),
            2 => line = text(cursor)?,
            3 => metadata = pairs(cursor, "the metadata of a value")?,
            _ => pass(cursor)?,
        }
        Ok(())
    })?;
    if !matches!(count, 2 | 3) {
        return Err(wrong("a time, a line and at most metadata in every value").into());
    }
    let nanos = time.ok_or_else(|| wrong("nanoseconds as text in every value"))?;
    let line = line.ok_or_else(|| wrong("a line of text in every value"))?;
    let said = Said {
        time: (nanos != 0).then(|| Timestamp::from_nanos(nanos)),
        metadata,
    };
    Ok(stream.entry(line.as_bytes(), said, hand)?)
}

fn is_short(json: &str) -> bool {
    json.len() <= ENCODED_RECORD_BYTES_MAX
}

/// The members of an object, each name once; values that are no text are kept as JSON.
fn pairs(cursor: &mut Cursor<'_>, what: &str) -> Result<Pairs, Stop> {
    let mut pairs = BTreeMap::new();
    let no_object = || wrong(&format!("an object in {what}"));
    members(cursor, no_object, |name, cursor| {
        let json = cursor.skip()?.text;
        let value = match json.starts_with('"').then(|| Cursor::new(json).scalar()) {
            Some(Ok(Scalar::Text(text))) => text.into_owned(),
            _ => json.to_owned(),
        };
        pairs.insert(name.to_owned(), value);
        Ok(())
    })?;
    Ok(pairs.into_iter().collect())
}

fn wrong(expected: &str) -> Failure {
    Failure::new(
        Kind::InvalidBody,
        format!("not a push request: expected {expected}"),
    )
}
