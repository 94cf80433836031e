//! A stream: its labels, which every entry of it gets a copy of.

use hushlog_ingest::RawRecord;
use hushlog_record::{Timestamp, Value};

use crate::api::hand::Hand;
use crate::error::Failure;

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

/// Names and values.
pub(super) type Pairs = Vec<(String, String)>;

/// What all entries of a stream share.
pub(super) struct Stream {
    labels: Pairs,
    /// Bytes of text that they are in each entry.
    text_bytes: usize,
}

/// What an entry says beside its line.
pub(super) struct Said {
    /// When; `None` when it does not say.
    pub(super) time: Option<Timestamp>,
    /// Its structured metadata.
    pub(super) metadata: Pairs,
}

impl Stream {
    /// A stream with these labels.
    pub(super) fn new(labels: Pairs) -> Self {
        let mut alone = RawRecord::default();
        describe(&mut alone, &labels);
        Self {
            text_bytes: alone.text_bytes(),
            labels,
        }
    }

    /// Hands over an entry, which is made if there is room for it.
    pub(super) fn entry(
        &self,
        line: &[u8],
        said: Said,
        hand: &mut Hand<'_, '_>,
    ) -> Result<(), Failure> {
        let metadata: usize = said.metadata.iter().map(|(_, value)| value.len()).sum();
        hand.over(self.text_bytes + line.len() + metadata, || {
            let mut raw = RawRecord::line(line);
            raw.timestamp = said.time;
            describe(&mut raw, &self.labels);
            for (name, value) in &said.metadata {
                place(&mut raw, name, value);
            }
            raw
        })
    }
}

fn describe(raw: &mut RawRecord, labels: &[(String, String)]) {
    let named = |wanted: &&str| labels.iter().find(|(name, _)| name == wanted);
    if let Some((name, value)) = SERVICES.iter().find_map(named)
        && !PLACED.contains(&name.as_str())
    {
        raw.put("service_name", Value::string(value.as_str()));
    }
    for (name, value) in labels {
        place(raw, name, value);
    }
}

fn place(raw: &mut RawRecord, name: &str, value: &str) {
    if PLACED.contains(&name) {
        raw.put(name, Value::string(value));
    } else {
        raw.field(name, Value::string(value));
    }
}
