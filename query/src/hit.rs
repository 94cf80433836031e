//! A record in an answer: where it stands, its bytes between nodes, its JSON.

use hushlog_record::{
    Exception, ExceptionId, Kind, Level, LogId, Record, ShardId, Timestamp, Value,
};
use hushlog_storage::batch::Row;
use serde::de::IgnoredAny;

use crate::Error;
use crate::codec::{DAMAGED, Reader, Writer};
use crate::position::Position;

/// What a record's exception is between nodes: there is none.
const NO_EXCEPTION: u8 = 0;
/// One without a signature.
const EXCEPTION: u8 = 1;
/// One with its signature, 8 bytes, first.
const SIGNED_EXCEPTION: u8 = 2;

/// A record in an answer. Its text was masked before it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where it stands in the order of answers.
    pub position: Position,
    /// The record.
    pub record: Record,
}

/// The record in a row of a batch that has all columns.
pub(crate) fn record_of(row: &Row<'_, '_>) -> Result<Record, Error> {
    let lacks = |what: &str| Error::Data(format!("a row has no {what}"));
    let field = |field: hushlog_storage::batch::FieldRef<'_>| {
        (
            field.name.to_owned(),
            Value {
                kind: field.kind,
                text: field.text.into_owned(),
            },
        )
    };
    Ok(Record {
        log_id: row.log_id().ok_or_else(|| lacks("log_id"))?,
        timestamp: row.timestamp().ok_or_else(|| lacks("timestamp"))?,
        created_at: row.created_at().ok_or_else(|| lacks("created_at"))?,
        service_name: row
            .service_name()
            .ok_or_else(|| lacks("service_name"))?
            .to_owned(),
        level: row.level().ok_or_else(|| lacks("level"))?,
        message: row.message().ok_or_else(|| lacks("message"))?.to_owned(),
        fields: row.fields().into_iter().map(field).collect(),
        exception: row
            .exception()
            .map(|(type_name, message, stack_trace)| Exception {
                type_name: type_name.to_owned(),
                message: message.to_owned(),
                stack_trace: stack_trace.to_owned(),
                signature: row.signature(),
            }),
        host: row.host().to_owned(),
        environment: row.environment().to_owned(),
        region: row.region().to_owned(),
        trace_id: row.trace_id().to_owned(),
        span_id: row.span_id().to_owned(),
        pii: row.pii().map(str::to_owned).collect(),
    })
}

impl Hit {
    /// Memory that it takes, estimated from what is in it.
    pub fn memory_bytes(&self) -> usize {
        let Self { record, .. } = self;
        let pii: usize = record.pii.iter().map(String::len).sum();
        let lists = size_of::<(String, Value)>() * record.fields.len()
            + size_of::<String>() * record.pii.len();
        size_of::<Self>() + record.text_bytes() + pii + lists
    }

    pub(crate) fn encode(&self, into: &mut Writer) {
        let Self { position, record } = self;
        into.signed(position.timestamp);
        into.number(position.shard.group());
        into.number(position.seq);
        into.number(u64::from(position.row));
        into.raw(&record.log_id.0);
        into.signed(record.created_at.nanos());
        into.byte(record.level.code());
        for text in texts(record) {
            into.text(text);
        }
        into.size(record.fields.len());
        for (name, value) in &record.fields {
            into.text(name);
            into.byte(value.kind as u8);
            into.text(&value.text);
        }
        into.byte(match &record.exception {
            None => NO_EXCEPTION,
            Some(exception) if exception.signature == 0 => EXCEPTION,
            Some(_) => SIGNED_EXCEPTION,
        });
        if let Some(exception) = &record.exception {
            if exception.signature != 0 {
                into.raw(&exception.signature.to_be_bytes());
            }
            into.text(&exception.type_name);
            into.text(&exception.message);
            into.text(&exception.stack_trace);
        }
        into.size(record.pii.len());
        record.pii.iter().for_each(|name| into.text(name));
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self, Error> {
        let timestamp = from.signed()?;
        let shard = ShardId::from_group(from.number()?).ok_or(DAMAGED)?;
        let (seq, row) = (from.number()?, from.number()?);
        let position = Position {
            timestamp,
            shard,
            seq,
            row: u32::try_from(row).map_err(|_| DAMAGED)?,
        };
        let log_id = LogId(from.array()?);
        let created_at = Timestamp::from_nanos(from.signed()?);
        let level = Level::from_code(from.byte()?).ok_or(DAMAGED)?;
        let mut record = Record::new(log_id, created_at, "");
        record.timestamp = Timestamp::from_nanos(timestamp);
        record.level = level;
        record.service_name = from.text()?;
        record.message = from.text()?;
        record.host = from.text()?;
        record.environment = from.text()?;
        record.region = from.text()?;
        record.trace_id = from.text()?;
        record.span_id = from.text()?;
        for _ in 0..from.size()? {
            let name = from.text()?;
            let kind = Kind::from_code(from.byte()?).ok_or(DAMAGED)?;
            record.fields.push((
                name,
                Value {
                    kind,
                    text: from.text()?,
                },
            ));
        }
        let form = from.byte()?;
        if form != NO_EXCEPTION {
            let signature = match form {
                SIGNED_EXCEPTION => u64::from_be_bytes(from.array()?),
                _ => 0,
            };
            record.exception = Some(Exception {
                signature,
                type_name: from.text()?,
                message: from.text()?,
                stack_trace: from.text()?,
            });
        }
        for _ in 0..from.size()? {
            record.pii.push(from.text()?);
        }
        Ok(Self { position, record })
    }
}

fn texts(record: &Record) -> [&str; 7] {
    [
        &record.service_name,
        &record.message,
        &record.host,
        &record.environment,
        &record.region,
        &record.trace_id,
        &record.span_id,
    ]
}

/// Appends the JSON of a record to `out`.
pub fn write_json(record: &Record, out: &mut String) {
    out.push_str("{\"log_id\":\"");
    out.push_str(&record.log_id.to_string());
    out.push_str("\",\"timestamp\":\"");
    out.push_str(&record.timestamp.to_string());
    out.push_str("\",\"service_name\":");
    push_text(&record.service_name, out);
    out.push_str(",\"level\":\"");
    out.push_str(record.level.name());
    out.push_str("\",\"message\":");
    push_text(&record.message, out);
    out.push_str(",\"fields\":{");
    for (i, (name, value)) in record.fields.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_text(name, out);
        out.push(':');
        push_value(value, out);
    }
    out.push_str("},\"exception\":");
    push_exception(record, out);
    for (name, text) in [
        ("host", &record.host),
        ("environment", &record.environment),
        ("region", &record.region),
        ("trace_id", &record.trace_id),
        ("span_id", &record.span_id),
    ] {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        // Absent is null, not an empty string that somebody might have sent.
        if text.is_empty() {
            out.push_str("null")
        } else {
            push_text(text, out)
        }
    }
    out.push_str(",\"pii\":[");
    for (i, name) in record.pii.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_text(name, out);
    }
    out.push_str("],\"created_at\":\"");
    out.push_str(&record.created_at.to_string());
    out.push_str("\"}");
}

fn push_exception(record: &Record, out: &mut String) {
    let Some(exception) = &record.exception else {
        out.push_str("null");
        return;
    };
    for (key, text) in [
        ("{\"type\":", &exception.type_name),
        (",\"message\":", &exception.message),
        (",\"stack_trace\":", &exception.stack_trace),
    ] {
        out.push_str(key);
        push_text(text, out);
    }
    out.push_str(",\"exception_id\":\"");
    out.push_str(&ExceptionId::of(&exception.type_name, &record.service_name).to_string());
    // Records that were stored before there were signatures have none.
    if exception.signature != 0 {
        out.push_str(&format!("\",\"signature\":\"{:016x}", exception.signature));
    }
    out.push_str("\"}");
}

pub(crate) fn push_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
}

/// A number, truth value or array stands as it was sent; what is no JSON after all, as text.
fn push_value(value: &Value, out: &mut String) {
    let is_json = match value.kind {
        Kind::String => false,
        Kind::Bool => matches!(value.text.as_str(), "true" | "false"),
        Kind::Number | Kind::Json => serde_json::from_str::<IgnoredAny>(&value.text).is_ok(),
    };
    if is_json {
        out.push_str(&value.text)
    } else {
        push_text(&value.text, out)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Record {
        let mut record = Record::new(
            LogId([7; 16]),
            Timestamp::from_nanos(1_767_323_045_000_000_000),
            "a \"b\"\n",
        );
        record.timestamp = Timestamp::from_nanos(1_767_323_045_000_000_001);
        record.service_name = "pay".into();
        record.level = Level::Error;
        record.fields = vec![
            ("a.b".into(), Value::number("1.50")),
            ("c".into(), Value::string("12")),
            ("d".into(), Value::bool(true)),
            ("e".into(), Value::json("[1,\"x\"]")),
        ];
        record.exception = Some(Exception {
            type_name: "E".into(),
            message: "m".into(),
            stack_trace: "at x".into(),
            signature: 0xbeef,
        });
        record.host = "h".into();
        record.pii = vec!["email".into(), "ssn".into()];
        record
    }

    #[test]
    fn json_has_every_key_and_keeps_literals() {
        let mut out = String::new();
        write_json(&sample(), &mut out);
        let id = ExceptionId::of("E", "pay");
        let expected = format!(
            r#"{{"log_id":"07070707-0707-0707-0707-070707070707","timestamp":"2026-01-02T03:04:05.000000001Z","service_name":"pay","level":"ERROR","message":"a \"b\"\n","fields":{{"a.b":1.50,"c":"12","d":true,"e":[1,"x"]}},"exception":{{"type":"E","message":"m","stack_trace":"at x","exception_id":"{id}","signature":"000000000000beef"}},"host":"h","environment":null,"region":null,"trace_id":null,"span_id":null,"pii":["email","ssn"],"created_at":"2026-01-02T03:04:05Z"}}"#
        );
        assert_eq!(out, expected);
    }

    #[test]
    fn a_hit_travels_and_a_shortened_one_is_refused() {
        let shard = ShardId { bucket: 1, slot: 2 };
        let record = sample();
        let timestamp = record.timestamp.nanos();
        let hit = Hit {
            position: Position {
                timestamp,
                shard,
                seq: 300,
                row: 4,
            },
            record,
        };
        let mut writer = Writer::default();
        hit.encode(&mut writer);
        assert_eq!(Hit::decode(&mut Reader::new(&writer.bytes)).unwrap(), hit);
        for length in 0..writer.bytes.len() {
            assert!(Hit::decode(&mut Reader::new(&writer.bytes[..length])).is_err());
        }
    }
}
