//! A block as an Arrow IPC stream of one record batch.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeBinaryBuilder, Int64Builder, MapBuilder, StringBuilder, StringDictionaryBuilder,
    UInt8Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use hushlog_record::{Exception, Masked, Record};

use super::Form;

pub(crate) const FORM: Form = Form {
    name: "Arrow IPC stream",
    encode,
    decode,
};

fn encode(records: &[Masked<Record>]) -> Vec<u8> {
    let batch = batch(records);
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a plain schema");
    writer.write(&batch).expect("a Vec takes everything");
    writer.into_inner().expect("a Vec takes everything")
}

fn batch(records: &[Masked<Record>]) -> RecordBatch {
    let mut log_id = FixedSizeBinaryBuilder::new(16);
    let mut level = UInt8Builder::new();
    for record in records {
        log_id.append_value(record.log_id.0).expect("16 bytes");
        level.append_value(record.level.code());
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("log_id", Arc::new(log_id.finish())),
        ("timestamp", times(records, |r| r.timestamp.nanos())),
        ("created_at", times(records, |r| r.created_at.nanos())),
        ("level", Arc::new(level.finish())),
        ("service_name", dictionary(records, |r| &r.service_name)),
        ("host", dictionary(records, |r| &r.host)),
        ("environment", dictionary(records, |r| &r.environment)),
        ("region", dictionary(records, |r| &r.region)),
        ("trace_id", text(records, |r| Some(&r.trace_id))),
        ("span_id", text(records, |r| Some(&r.span_id))),
        ("message", text(records, |r| Some(&r.message))),
        ("exception_type", exception(records, |e| &e.type_name)),
        ("exception_message", exception(records, |e| &e.message)),
        ("stack_trace", exception(records, |e| &e.stack_trace)),
        ("fields", fields(records)),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn times(records: &[Masked<Record>], field: impl Fn(&Record) -> i64) -> ArrayRef {
    let mut builder = Int64Builder::new();
    records
        .iter()
        .for_each(|record| builder.append_value(field(record)));
    Arc::new(builder.finish())
}

fn dictionary(records: &[Masked<Record>], field: impl Fn(&Record) -> &String) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    records
        .iter()
        .for_each(|record| builder.append_value(field(record)));
    Arc::new(builder.finish())
}

fn text(records: &[Masked<Record>], field: impl Fn(&Record) -> Option<&String>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    records
        .iter()
        .for_each(|record| builder.append_option(field(record)));
    Arc::new(builder.finish())
}

fn exception(records: &[Masked<Record>], field: impl Fn(&Exception) -> &String) -> ArrayRef {
    text(records, |record| record.exception.as_ref().map(&field))
}

fn fields(records: &[Masked<Record>]) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for record in records {
        for (key, value) in &record.fields {
            builder.keys().append_value(key);
            builder.values().append_value(&value.text);
        }
        builder.append(true).expect("as many keys as values");
    }
    Arc::new(builder.finish())
}

fn decode(bytes: &[u8]) {
    let reader = StreamReader::try_new(bytes, None).expect("it was just encoded");
    for batch in reader {
        black_box(batch.expect("it was just encoded"));
    }
}
