//! Loki's push requests, translated to raw records of ingest.
//!
//! An entry's line is the message. Labels and structured metadata become fields; those with a place in
//! the record (service, level, host, ids…) go there. A stream's service is its label `service_name`,
//! else `service`, `app` or `job`.

mod json;
mod labels;
mod stream;

use hushlog_ingest::json::{Each, Shape};
use hushlog_record::Timestamp;
use prost::Message;

use super::hand::Hand;
use super::protobuf::{parts, without};
use crate::error::{Failure, Kind};
use crate::gateway::Room;
use crate::limits::ENCODED_RECORD_BYTES_MAX;
use stream::{Said, Stream};

pub(super) use json::read as read_json;

/// Numbers of the repeated fields that lead from a request to its entries.
const STREAMS: u64 = 1;
const ENTRIES: u64 = 2;

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
pub(super) fn read_protobuf(
    request: &[u8],
    room: &mut Room<'_>,
    each: Each<'_>,
) -> Result<Shape, Failure> {
    let mut hand = Hand::new(room, each);
    for stream in parts(request, STREAMS) {
        let stream = stream.map_err(malformed)?;
        let head = without::<StreamHead>(stream, ENTRIES, ENCODED_RECORD_BYTES_MAX);
        let of = match head.map_err(malformed)? {
            Some(head) => Some(Stream::new(labels::parse(&head.labels).ok_or_else(
                || Failure::new(Kind::InvalidBody, "the labels of a stream are malformed"),
            )?)),
            None => None,
        };
        for entry in parts(stream, ENTRIES) {
            let entry = entry.map_err(malformed)?;
            match &of {
                Some(of) if entry.len() <= ENCODED_RECORD_BYTES_MAX => {
                    let entry = Entry::decode(entry).map_err(malformed)?;
                    let pairs = entry.metadata.into_iter();
                    let said = Said {
                        time: entry.timestamp.and_then(Time::timestamp),
                        metadata: pairs.map(|label| (label.name, label.value)).collect(),
                    };
                    of.entry(&entry.line, said, &mut hand)?;
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

#[cfg(test)]
mod tests;
