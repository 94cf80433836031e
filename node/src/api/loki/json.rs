//! The JSON form of a push request: times are text, as Loki demands.

use std::collections::BTreeMap;

use hushlog_ingest::json::{Each, Shape};
use hushlog_record::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::stream::{Pairs, Said, Stream};
use crate::api::arrays::elements;
use crate::api::hand::Hand;
use crate::error::{Failure, Kind};
use crate::gateway::Room;
use crate::limits::ENCODED_RECORD_BYTES_MAX;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    streams: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OfStream<'a> {
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    values: Option<&'a RawValue>,
}

/// Hands over every entry of a request, in order, one decoded at a time.
pub(in crate::api) fn read(
    body: &[u8],
    room: &mut Room<'_>,
    each: Each<'_>,
) -> Result<Shape, Failure> {
    let request: Request<'_> = serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "the body is not a push request in JSON: line {}, column {}",
            error.line(),
            error.column()
        );
        Failure::new(Kind::InvalidBody, message)
    })?;
    let mut hand = Hand::new(room, each);
    let Some(streams) = request.streams else {
        return Err(wrong("`streams`"));
    };
    let no_streams = || wrong("an array in `streams`");
    let mut each_stream = |stream| of_stream(stream, &mut hand);
    elements(streams, &mut each_stream, no_streams)?;
    Ok(Shape::Array)
}

fn of_stream(stream: &RawValue, hand: &mut Hand<'_, '_>) -> Result<(), Failure> {
    let stream: OfStream<'_> =
        serde_json::from_str(stream.get()).map_err(|_| wrong("objects in `streams`"))?;
    let of = match stream.stream {
        Some(labels) if is_short(labels) => Some(Stream::new(pairs(labels, "`stream`")?)),
        Some(_) => None,
        None => Some(Stream::new(Vec::new())),
    };
    let Some(values) = stream.values else {
        return Ok(());
    };
    let no_values = || wrong("an array in `values`");
    let mut each_value = |value: &RawValue| match &of {
        Some(of) if is_short(value) => of_value(of, value, hand),
        _ => {
            hand.reject();
            Ok(())
        }
    };
    elements(values, &mut each_value, no_values)
}

fn of_value(of: &Stream, value: &RawValue, hand: &mut Hand<'_, '_>) -> Result<(), Failure> {
    let parts: Vec<&RawValue> =
        serde_json::from_str(value.get()).map_err(|_| wrong("arrays in `values`"))?;
    let (time, line, metadata) = match *parts.as_slice() {
        [time, line] => (time, line, None),
        [time, line, metadata] => (time, line, Some(metadata)),
        _ => return Err(wrong("a time, a line and at most metadata in every value")),
    };
    let nanos: Option<i64> = text(time).and_then(|text| text.parse().ok());
    let nanos = nanos.ok_or_else(|| wrong("nanoseconds as text in every value"))?;
    let line = text(line).ok_or_else(|| wrong("a line of text in every value"))?;
    let metadata = match metadata {
        Some(metadata) => pairs(metadata, "the metadata of a value")?,
        None => Vec::new(),
    };
    let said = Said {
        time: (nanos != 0).then(|| Timestamp::from_nanos(nanos)),
        metadata,
    };
    of.entry(line.as_bytes(), said, hand)
}

fn is_short(json: &RawValue) -> bool {
    json.get().len() <= ENCODED_RECORD_BYTES_MAX
}

fn text(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

/// The members of an object; values that are no text are kept as JSON.
fn pairs(json: &RawValue, what: &str) -> Result<Pairs, Failure> {
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(json.get()).map_err(|_| wrong(&format!("an object in {what}")))?;
    let value = |json: &RawValue| text(json).unwrap_or_else(|| json.get().to_owned());
    let pairs = members.into_iter().map(|(name, json)| (name, value(json)));
    Ok(pairs.collect())
}

fn wrong(expected: &str) -> Failure {
    Failure::new(
        Kind::InvalidBody,
        format!("not a push request: expected {expected}"),
    )
}
