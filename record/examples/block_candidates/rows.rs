//! A block as protobuf rows.

use std::hint::black_box;

use hushlog_record::{Masked, Record};
use prost::Message;

use super::Form;

pub(crate) const FORM: Form = Form {
    name: "protobuf rows",
    encode,
    decode,
};

#[derive(Clone, PartialEq, Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    records: Vec<Row>,
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(bytes = "vec", tag = "1")]
    log_id: Vec<u8>,
    #[prost(sfixed64, tag = "2")]
    timestamp: i64,
    #[prost(sfixed64, tag = "3")]
    created_at: i64,
    #[prost(string, tag = "4")]
    service_name: String,
    #[prost(uint32, tag = "5")]
    level: u32,
    #[prost(string, tag = "6")]
    message: String,
    #[prost(message, repeated, tag = "7")]
    fields: Vec<Field>,
    #[prost(string, repeated, tag = "8")]
    exception: Vec<String>,
    #[prost(string, tag = "9")]
    host: String,
    #[prost(string, tag = "10")]
    environment: String,
    #[prost(string, tag = "11")]
    region: String,
    #[prost(string, tag = "12")]
    trace_id: String,
    #[prost(string, tag = "13")]
    span_id: String,
    #[prost(string, repeated, tag = "14")]
    pii: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(string, tag = "3")]
    value: String,
}

fn encode(records: &[Masked<Record>]) -> Vec<u8> {
    Batch {
        records: records.iter().map(row).collect(),
    }
    .encode_to_vec()
}

fn row(record: &Masked<Record>) -> Row {
    Row {
        log_id: record.log_id.0.to_vec(),
        timestamp: record.timestamp.nanos(),
        created_at: record.created_at.nanos(),
        service_name: record.service_name.clone(),
        level: u32::from(record.level.code()),
        message: record.message.clone(),
        fields: record
            .fields
            .iter()
            .map(|(key, value)| Field {
                key: key.clone(),
                kind: value.kind as u32,
                value: value.text.clone(),
            })
            .collect(),
        exception: record
            .exception
            .iter()
            .flat_map(|e| {
                [
                    e.type_name.clone(),
                    e.message.clone(),
                    e.stack_trace.clone(),
                ]
            })
            .collect(),
        host: record.host.clone(),
        environment: record.environment.clone(),
        region: record.region.clone(),
        trace_id: record.trace_id.clone(),
        span_id: record.span_id.clone(),
        pii: record.pii.clone(),
    }
}

fn decode(bytes: &[u8]) {
    black_box(Batch::decode(bytes).expect("it was just encoded"));
}
