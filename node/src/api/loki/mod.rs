//! Loki's push requests, translated to raw records of ingest.
//!
//! An entry's line is the message. Labels and structured metadata become fields; those with a place in
//! the record (service, level, host, ids…) go there. A stream's service is its label `service_name`,
//! else `service`, `app` or `job`.

mod json;
mod labels;

use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Each, Shape};
use hushlog_record::{Timestamp, Value};
use prost::Message;

use super::hand::Hand;
use super::protobuf::{parts, without};
use crate::error::{Failure, Kind};
use crate::limits::ENCODED_RECORD_BYTES_MAX;

pub(super) use json::read as read_json;

/// Numbers of the repeated fields that lead from a request to its entries.
const STREAMS: u64 = 1;
const ENTRIES: u64 = 2;

/// Labels that name the service, the first that is there.
const SERVICES: [&str; 4] = ["service_name", "service", "app", "job"];
/// Names with a place in the record. All others, also those that mean something in a JSON body, are
/// fields: a label `message` is no message.
const PLACED: [&str; 12] = [
    "service_name",
    "service",
    "level",
    "severity",
    "host",
    "hostname",
    "environment",
    "region",
    "trace_id",
    "span_id",
    "traceId",
    "spanId",
];

/// `logproto.StreamAdapter` without its entries.
#[derive(Clone, PartialEq, Message)]
struct StreamHead {
    #[prost(string, tag = "1")]
    labels: String,
}

/// `logproto.EntryAdapter`.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    /// Bytes, since it may not be UTF-8.
    #[prost(bytes = "vec", tag = "2")]
    line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Label>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// `logproto.LabelPairAdapter`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

impl Time {
    fn timestamp(self) -> Option<Timestamp> {
        let nanos = self.seconds.checked_mul(1_000_000_000)?;
        let nanos = nanos.checked_add(self.nanos.into())?;
        (nanos != 0).then(|| Timestamp::from_nanos(nanos))
    }
}

/// Hands over every entry of an encoded `logproto.PushRequest`, in order, one decoded at a time.
pub(super) fn read_protobuf(request: &[u8], each: Each<'_>) -> Result<Shape, Failure> {
    let mut hand = Hand::new(each);
    for stream in parts(request, STREAMS) {
        let stream = stream.map_err(malformed)?;
        let head = without::<StreamHead>(stream, ENTRIES, ENCODED_RECORD_BYTES_MAX);
        let labels = match head.map_err(malformed)? {
            Some(head) => Some(labels::parse(&head.labels).ok_or_else(|| {
                Failure::new(Kind::InvalidBody, "the labels of a stream are malformed")
            })?),
            None => None,
        };
        for entry in parts(stream, ENTRIES) {
            let entry = entry.map_err(malformed)?;
            match &labels {
                Some(labels) if entry.len() <= ENCODED_RECORD_BYTES_MAX => {
                    let entry = Entry::decode(entry).map_err(malformed)?;
                    let time = entry.timestamp.and_then(Time::timestamp);
                    let pairs = entry.metadata.into_iter();
                    let metadata = pairs.map(|label| (label.name, label.value));
                    hand.over(raw(labels, time, RawRecord::line(&entry.line), metadata));
                }
                _ => hand.reject(),
            }
        }
    }
    Ok(Shape::Array)
}

fn malformed<E>(_: E) -> Failure {
    Failure::new(Kind::InvalidBody, "the body is not a logproto.PushRequest")
}

/// One entry of a stream with these labels.
fn raw(
    labels: &[(String, String)],
    time: Option<Timestamp>,
    mut raw: RawRecord,
    metadata: impl Iterator<Item = (String, String)>,
) -> RawRecord {
    raw.timestamp = time;
    let named = |wanted: &&str| labels.iter().find(|(name, _)| name == wanted);
    if let Some((name, value)) = SERVICES.iter().find_map(named)
        && !PLACED.contains(&name.as_str())
    {
        raw.put("service_name", Value::string(value.as_str()));
    }
    for (name, value) in labels {
        place(&mut raw, name, value);
    }
    for (name, value) in metadata {
        place(&mut raw, &name, &value);
    }
    raw
}

fn place(raw: &mut RawRecord, name: &str, value: &str) {
    if PLACED.contains(&name) {
        raw.put(name, Value::string(value));
    } else {
        raw.field(name, Value::string(value));
    }
}

#[cfg(test)]
mod tests;
