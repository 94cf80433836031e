//! The decoders of other protocols' requests by themselves, for who tries any bytes on them.
//!
//! Stores nothing and asks nobody: records are counted and dropped.

use std::sync::Arc;

use hushlog_ingest::RawRecord;
use hushlog_ingest::json::Rejected;
use hushlog_record::Timestamp;

use super::{bulk, loki, otlp};
use crate::entropy::Entropy;
use crate::gateway::{Admission, Claim, Room};
use crate::metrics::Gauge;

/// What bytes are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The body of Elasticsearch's `_bulk`.
    Bulk,
    /// A push to Loki in JSON.
    LokiJson,
    /// The same in protobuf, unpacked.
    LokiProtobuf,
    /// Logs of OpenTelemetry in JSON.
    OtlpJson,
    /// The same in protobuf.
    OtlpProtobuf,
}

/// What came out of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Records.
    pub records: usize,
    /// Records that were rejected alone.
    pub rejected: usize,
    /// Bytes of the records' text.
    pub text_bytes: usize,
    /// Whether all of it was refused.
    pub refused: bool,
    /// Memory that was asked for.
    pub memory: usize,
}

/// Decodes a request with so much memory for it and its records, and gives every record to `each`.
pub fn decode(form: Form, body: &[u8], memory: usize, mut each: impl FnMut(RawRecord)) -> Decoded {
    let held = Gauge::default();
    let admission = Admission::new(memory, held.clone());
    let mut decoded = Decoded::default();
    let mut take = |outcome: Result<RawRecord, Rejected>| match outcome {
        Ok(raw) => {
            decoded.records += 1;
            decoded.text_bytes += raw.text_bytes();
            each(raw);
        }
        Err(_) => decoded.rejected += 1,
    };
    let (refused, taken) = Room::lend(&admission, |room| {
        let read = match form {
            Form::Bulk => {
                let mut answer = Claim::new(&admission);
                let reader = bulk::Reader {
                    index: Arc::from("logs"),
                    received: Timestamp::default(),
                    ids: Entropy::seeded(1).stream("bulk"),
                    room,
                    beside: 0,
                    answer: &mut answer,
                    admission: &admission,
                };
                reader.read(body, &mut take).map(|_| ())
            }
            Form::LokiJson => loki::read_json(body, room, &mut take).map(|_| ()),
            Form::LokiProtobuf => loki::read_protobuf(body, room, &mut take).map(|_| ()),
            Form::OtlpJson => otlp::read_json(body, room, &mut take).map(|_| ()),
            Form::OtlpProtobuf => otlp::read_protobuf(body, room, &mut take).map(|_| ()),
        };
        (read.is_err(), held.get())
    });
    decoded.refused = refused;
    decoded.memory = usize::try_from(taken).unwrap_or_default();
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_decoded_and_no_more_memory_taken_than_there_is() {
        let bulk = b"{\"index\":{}}\n{\"message\":\"a\"}\n";
        let loki = br#"{"streams":[{"stream":{},"values":[["1","a"],["2","b"]]}]}"#;
        let otlp =
            br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}}]}]}]}"#;
        let cases = [
            (Form::Bulk, &bulk[..], 1),
            (Form::LokiJson, loki, 2),
            (Form::OtlpJson, otlp, 1),
            (Form::LokiProtobuf, b"", 0),
            (Form::OtlpProtobuf, b"", 0),
        ];
        for (form, body, records) in cases {
            let mut seen = 0;
            let decoded = decode(form, body, 1 << 20, |_| seen += 1);
            assert_eq!(
                (decoded.records, decoded.refused),
                (records, false),
                "{form:?}"
            );
            assert_eq!(seen, records);
            assert!(
                decode(form, b"\xff\xff", 1 << 20, |_| ()).refused,
                "{form:?}"
            );
        }
        let little = decode(Form::LokiJson, loki, 1 << 10, |_| ());
        assert!(little.refused && little.memory <= 1 << 10);
    }
}
