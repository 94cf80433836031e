//! OpenTelemetry log records, translated to raw records of ingest.
//!
//! Attributes keep their names; nested ones are flattened with dots. Nothing is refused for its
//! shape: a value without a counterpart becomes text.

mod json;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use data_encoding::HEXLOWER;
use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Each, Shape};
use hushlog_proto::opentelemetry::proto::common::v1::{InstrumentationScope, KeyValue};
use hushlog_proto::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use hushlog_proto::opentelemetry::proto::resource::v1::Resource;
use hushlog_record::{Timestamp, Value};
use prost::Message;

use super::hand::Hand;
use super::protobuf::{parts, without};
use crate::error::{Failure, Kind};
use crate::gateway::Room;
use crate::limits::ENCODED_RECORD_BYTES_MAX;

pub(super) use json::read as read_json;

/// Numbers of the repeated fields that lead from a request to its records.
const RESOURCE_LOGS: u64 = 1;
const SCOPE_LOGS: u64 = 2;
const LOG_RECORDS: u64 = 2;

/// The field with a record's flags that are set, as W3C's trace context writes them (`01`: sampled).
const FLAGS: &str = "trace_flags";
/// The field with the number of attributes that the client has left out.
const DROPPED: &str = "otel.dropped_attributes_count";

/// What a source says about a record where the message has no place for it, by the names of a record.
type Odd = Vec<(&'static str, Value)>;

/// Hands over every record of an encoded `ExportLogsServiceRequest`, in order, one decoded at a time.
pub(super) fn read_protobuf(
    request: &[u8],
    room: &mut Room<'_>,
    each: Each<'_>,
) -> Result<Shape, Failure> {
    let hand = &mut Hand::new(room, each);
    for of_resource in parts(request, RESOURCE_LOGS) {
        let of_resource = of_resource.map_err(malformed)?;
        let logs = without::<ResourceLogs>(of_resource, SCOPE_LOGS, ENCODED_RECORD_BYTES_MAX);
        let resource = logs.map_err(malformed)?;
        let resource = resource.map(|logs| Origin::new(logs.resource.unwrap_or_default()));
        for of_scope in parts(of_resource, SCOPE_LOGS) {
            let of_scope = of_scope.map_err(malformed)?;
            let logs = without::<ScopeLogs>(of_scope, LOG_RECORDS, ENCODED_RECORD_BYTES_MAX);
            let scope = logs.map_err(malformed)?;
            let scope = scope.map(|logs| Scope::new(logs.scope.unwrap_or_default()));
            let source = match (&resource, &scope) {
                (Some(resource), Some(scope)) => Some(Source { resource, scope }),
                _ => None,
            };
            for record in parts(of_scope, LOG_RECORDS) {
                let record = record.map_err(malformed)?;
                match &source {
                    Some(source) if record.len() <= ENCODED_RECORD_BYTES_MAX => {
                        let record = LogRecord::decode(record).map_err(malformed)?;
                        source.record(record, Odd::new(), hand)?;
                    }
                    _ => hand.reject(),
                }
            }
        }
    }
    Ok(Shape::Array)
}

fn malformed<E>(_: E) -> Failure {
    Failure::new(
        Kind::InvalidBody,
        "the body is not an ExportLogsServiceRequest",
    )
}

/// A resource, looked at once however many scopes it has.
#[derive(Default)]
struct Origin {
    resource: Resource,
    /// Bytes of text that it is in each record.
    text_bytes: usize,
}

impl Origin {
    fn new(resource: Resource) -> Self {
        let mut alone = RawRecord::default();
        describe_resource(&resource, &mut alone);
        Self {
            resource,
            text_bytes: alone.text_bytes(),
        }
    }
}

/// A scope, looked at once however many records it has.
#[derive(Default)]
struct Scope {
    scope: InstrumentationScope,
    /// Bytes of text that it is in each record.
    text_bytes: usize,
}

impl Scope {
    fn new(scope: InstrumentationScope) -> Self {
        let mut alone = RawRecord::default();
        describe_scope(&scope, &mut alone);
        Self {
            scope,
            text_bytes: alone.text_bytes(),
        }
    }
}

fn describe_resource(resource: &Resource, raw: &mut RawRecord) {
    each(&resource.attributes, raw, |raw, name, value| {
        raw.resource(name, value);
    });
}

fn describe_scope(scope: &InstrumentationScope, raw: &mut RawRecord) {
    each(&scope.attributes, raw, |raw, name, value| {
        raw.field(format!("otel.scope.attributes.{name}"), value);
    });
    for (name, text) in [
        ("otel.scope.name", &scope.name),
        ("otel.scope.version", &scope.version),
    ] {
        if !text.is_empty() {
            raw.field(name, Value::string(&**text));
        }
    }
}

/// Where records come from: what all of one resource and scope share, and each gets a copy of.
struct Source<'a> {
    resource: &'a Origin,
    scope: &'a Scope,
}

impl Source<'_> {
    /// Hands over a record, which is made if there is room for it.
    fn record(&self, record: LogRecord, odd: Odd, hand: &mut Hand<'_, '_>) -> Result<(), Failure> {
        let text_bytes = self.resource.text_bytes + self.scope.text_bytes;
        hand.over(text_bytes, || self.raw(record, odd))
    }

    fn raw(&self, record: LogRecord, odd: Odd) -> RawRecord {
        let mut raw = RawRecord::default();
        raw.timestamp = [record.time_unix_nano, record.observed_time_unix_nano]
            .into_iter()
            .filter(|nanos| *nanos != 0)
            .find_map(|nanos| i64::try_from(nanos).ok())
            .map(Timestamp::from_nanos);
        if i64::try_from(record.time_unix_nano).is_err() {
            let beyond = record.time_unix_nano.to_string();
            raw.field("timestamp_raw", Value::string(beyond));
        }
        raw.severity_number = Some(record.severity_number);
        raw.severity_text(record.severity_text);
        raw.put(
            "message",
            Value::string(record.body.as_ref().map(value::text).unwrap_or_default()),
        );
        describe_resource(&self.resource.resource, &mut raw);
        describe_scope(&self.scope.scope, &mut raw);
        each(&record.attributes, &mut raw, |raw, name, value| {
            raw.attribute(name, value);
        });
        if !record.event_name.is_empty() {
            raw.field("event_name", Value::string(record.event_name));
        }
        for (name, id) in [("trace_id", record.trace_id), ("span_id", record.span_id)] {
            if id.iter().any(|byte| *byte != 0) {
                raw.put(name, Value::string(HEXLOWER.encode(&id)));
            }
        }
        if record.flags != 0 {
            raw.field(FLAGS, Value::string(format!("{:02x}", record.flags)));
        }
        if record.dropped_attributes_count != 0 {
            let count = record.dropped_attributes_count.to_string();
            raw.field(DROPPED, Value::number(count));
        }
        for (name, value) in odd {
            raw.put(name, value);
        }
        raw
    }
}

/// Enters attributes, nested ones under the names of their members, while the record is not too large.
fn each(
    attributes: &[KeyValue],
    raw: &mut RawRecord,
    enter: impl Fn(&mut RawRecord, String, Value),
) {
    for attribute in attributes {
        let value = attribute.value.as_ref();
        value::flatten(&attribute.key, value, &mut |name, value| {
            enter(raw, name, value);
            !raw.is_oversize()
        });
    }
}
