//! From a raw record to a record: the rules of the record, the same for every source.
//!
//! Never fails. What cannot be understood is kept: an impossible time in `timestamp_raw`, an unknown
//! level in `level_raw`, a client id that is no UUID in `log_id_raw`. What a message holds (JSON, logfmt,
//! a level, an exception) is taken out of it, and the message stays.

mod fields;
pub(crate) mod level;
pub(crate) mod line;
mod logfmt;
mod message;
mod sources;
pub(crate) mod time;

use std::fmt;

use hushlog_record::limits::RECORD_BYTES_MAX;
use hushlog_record::{Exception, Kind, Level, LogId, Record, Timestamp, Value};

use crate::exception::{self, Found};
use crate::limits::NAME_BYTES_MAX;
use crate::raw::{RawRecord, SEVERITY_NUMBERS, SEVERITY_TEXTS, Slot, cut_name};
use line::Hints;

/// The name of a service that nobody named.
pub const UNKNOWN_SERVICE: &str = "unknown";

/// The type of an exception that is given and names none: a stack trace or a message alone.
const UNKNOWN_TYPE: &str = "unknown";

/// The field with what was given as the level, where that is no level or says more than its name.
const LEVEL_RAW: &str = "level_raw";

/// The field with the type of the exception that began a chain of several.
pub const ROOT_CAUSE: &str = "exception.root_cause";

/// What the surroundings of a record say.
pub struct Context<'a> {
    /// Receive time: `created_at`, and the event time of a record without one.
    pub received: Timestamp,
    /// Service of records that name none (`X-Service-Name`); empty when there is none.
    pub service: &'a str,
    /// Environment of records that name none (`X-Environment`); empty when there is none.
    pub environment: &'a str,
    /// Ten random bytes for each record's id.
    pub random: &'a mut dyn FnMut() -> [u8; 10],
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Makes the record of one line of plain text.
pub fn line(bytes: &[u8], context: &mut Context<'_>) -> Record {
    record(RawRecord::line(bytes), context)
}

/// Makes the record. Its text is at most the raw record's plus what copies of parts of the message
/// add, and those are made only while the whole stays under the limit of a record.
pub fn record(mut raw: RawRecord, context: &mut Context<'_>) -> Record {
    let mut hints = Hints::default();
    sources::adapt(&mut raw, &mut hints);
    let message = message::take(&mut raw, context.received, &mut hints);
    let log_id = log_id(&mut raw, context);
    let timestamp = timestamp(&mut raw, hints.time, context.received);
    let level = level(&mut raw, hints.level, &message);
    let exception = exception(&mut raw, &hints, &message);
    let service = name(raw.take(Slot::Service), context.service);
    let service = guessed(service, hints.service);
    let trace_id = id(
        &mut raw,
        Slot::TraceId,
        &["trace_id", "trace.id", "traceId"],
    );
    let span_id = id(&mut raw, Slot::SpanId, &["span_id", "span.id", "spanId"]);
    Record {
        log_id,
        timestamp,
        created_at: context.received,
        service_name: if service.is_empty() {
            UNKNOWN_SERVICE.to_owned()
        } else {
            service
        },
        level,
        message,
        exception,
        host: guessed(name(raw.take(Slot::Host), ""), hints.host),
        environment: name(raw.take(Slot::Environment), context.environment),
        region: name(raw.take(Slot::Region), ""),
        trace_id,
        span_id,
        fields: fields::finish(raw),
        pii: Vec::new(),
    }
}

/// Whether copies of parts of the message still fit into a record: fields, exception, stack trace.
pub(crate) fn may_copy(raw: &RawRecord, message: &str) -> bool {
    raw.text_bytes() + 3 * message.len() <= RECORD_BYTES_MAX
}

fn log_id(raw: &mut RawRecord, context: &mut Context<'_>) -> LogId {
    if let Some(value) = raw.take(Slot::LogId) {
        match value.text.trim_ascii().parse() {
            Ok(id) => return id,
            Err(_) => raw.field("log_id_raw", value),
        }
    }
    raw.log_id
        .unwrap_or_else(|| LogId::v7(context.received, (context.random)()))
}

/// The time that a field gives, else that of the line, else the receive time.
fn timestamp(raw: &mut RawRecord, written: Option<Timestamp>, received: Timestamp) -> Timestamp {
    let value = raw.take(Slot::Timestamp);
    if let Some(timestamp) = raw.timestamp {
        if let Some(value) = value {
            raw.field("timestamp", value);
        }
        return timestamp;
    }
    let Some(value) = value else {
        return written.unwrap_or(received);
    };
    match time::value(&value.text, received) {
        Some(timestamp) => timestamp,
        None => {
            raw.field("timestamp_raw", value);
            written.unwrap_or(received)
        }
    }
}

/// The level that a field gives, else that of the line's header, else what its text says.
///
/// What OpenTelemetry says stays as it was sent where it is more than the name of the level.
fn level(raw: &mut RawRecord, written: Option<Level>, message: &str) -> Level {
    let given = raw.take_named(Slot::Level);
    let given = given.filter(|(_, value)| !value.text.is_empty());
    let number = raw.severity_number.filter(|number| *number != 0);
    if let Some(level) = number.and_then(level::otel) {
        if let Some((_, value)) = given {
            keep_level(raw, value, level);
        }
        return level;
    }
    if let Some(number) = number {
        let name = match given {
            Some(_) => SEVERITY_NUMBERS[0],
            None => LEVEL_RAW,
        };
        raw.field(name, Value::number(number.to_string()));
    }
    match given {
        Some((name, value)) if SEVERITY_NUMBERS.contains(&name) => {
            level::otel_text(&value.text).unwrap_or(Level::Info)
        }
        Some((name, value)) => {
            let found = level::value(&value.text);
            let level = found.unwrap_or(Level::Info);
            if found.is_none() || SEVERITY_TEXTS.contains(&name) {
                keep_level(raw, value, level);
            }
            level
        }
        None => written
            .or_else(|| level::in_message(message))
            .unwrap_or(Level::Info),
    }
}

/// Keeps what was given as the level, unless that is only its name.
fn keep_level(raw: &mut RawRecord, given: Value, level: Level) {
    if !given.text.trim_ascii().eq_ignore_ascii_case(level.name()) {
        raw.field(LEVEL_RAW, given);
    }
}

fn exception(raw: &mut RawRecord, hints: &Hints, message: &str) -> Option<Exception> {
    let type_name = raw
        .take(Slot::ExceptionType)
        .map(|value| value.text)
        .unwrap_or_default();
    let given_message = raw.take_named(Slot::ExceptionMessage);
    let stack = stack(raw);
    if !stack.is_empty()
        && let Some(found) = exception::find(&stack)
    {
        root_cause(
            raw,
            exception::root_cause(&stack, &found).map(str::to_owned),
        );
    }
    if !type_name.trim_ascii().is_empty() {
        return Some(Exception {
            type_name: cut_name(type_name.trim_ascii(), NAME_BYTES_MAX).to_owned(),
            message: given_message
                .map(|(_, value)| value.text)
                .unwrap_or_default(),
            stack_trace: stack,
            signature: 0,
        });
    }
    if !stack.is_empty() {
        return Some(of_stack(stack, given_message.map(|(_, value)| value.text)));
    }
    if let Some((found, root)) = extracted(raw, hints, message) {
        // What names its type says more than a message alone.
        if let Some((name, value)) = given_message {
            raw.field(name, value);
        }
        root_cause(raw, root);
        return Some(found);
    }
    let (name, value) = given_message?;
    if value.text.trim_ascii().is_empty() {
        raw.field(name, value);
        return None;
    }
    Some(Exception {
        type_name: UNKNOWN_TYPE.to_owned(),
        message: value.text,
        stack_trace: String::new(),
        signature: 0,
    })
}

/// The exception that a field or the message reports, and the type of its root cause.
fn extracted(raw: &RawRecord, hints: &Hints, message: &str) -> Option<(Exception, Option<String>)> {
    if !may_copy(raw, message) {
        return None;
    }
    match sources::exception(raw, hints) {
        Some((found, text)) => Some(described(&found, text)),
        None => Some(described(&exception::find(message)?, message)),
    }
}

/// An exception and the type of its root cause, copied out of the text.
fn described(found: &Found, text: &str) -> (Exception, Option<String>) {
    let root = exception::root_cause(text, found).map(str::to_owned);
    (found.to_exception(text), root)
}

/// Keeps the type of the root cause, which a record has no place for, in a field.
fn root_cause(raw: &mut RawRecord, type_name: Option<String>) {
    if let Some(type_name) = type_name {
        raw.field_before(ROOT_CAUSE.to_owned(), Value::string(type_name));
    }
}

/// The stack trace that was given. Some loggers write a number or a truth value under its name; that
/// is a field.
fn stack(raw: &mut RawRecord) -> String {
    match raw.take_named(Slot::ExceptionStack) {
        Some((_, value)) if matches!(value.kind, Kind::String | Kind::Json) => value.text,
        Some((name, value)) => {
            raw.field(name, value);
            String::new()
        }
        None => String::new(),
    }
}

/// The exception of a stack trace that came without a type.
fn of_stack(stack: String, message: Option<String>) -> Exception {
    let found = exception::find_in_stack(&stack);
    let type_name = found
        .as_ref()
        .map_or(UNKNOWN_TYPE, |found| found.type_name(&stack))
        .to_owned();
    let written = || {
        found
            .map(|found| stack[found.message].to_owned())
            .unwrap_or_default()
    };
    Exception {
        type_name,
        message: message.unwrap_or_else(written),
        stack_trace: stack,
        signature: 0,
    }
}

fn name(value: Option<Value>, default: &str) -> String {
    let text = value.map(|value| value.text).unwrap_or_default();
    let given = text.trim_ascii();
    let chosen = if given.is_empty() {
        default.trim_ascii()
    } else {
        given
    };
    if chosen.len() == text.len() && chosen.len() <= NAME_BYTES_MAX {
        return text;
    }
    cut_name(chosen, NAME_BYTES_MAX).to_owned()
}

/// The name that was given, else the one that the line or its fields suggest.
fn guessed(given: String, guess: String) -> String {
    if !given.is_empty() {
        return given;
    }
    match cut_name(&guess, NAME_BYTES_MAX) {
        whole if whole.len() == guess.len() => guess,
        short => short.to_owned(),
    }
}

/// A trace or span id from its slot, or copied from the fields; hex digits in lower case.
fn id(raw: &mut RawRecord, slot: Slot, names: &[&str]) -> String {
    let given = raw.take(slot);
    let copied = || {
        names
            .iter()
            .find_map(|name| raw.field_text(name))
            .map(Value::string)
    };
    let mut id = name(given.or_else(copied), "");
    if id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        id.make_ascii_lowercase();
    }
    id
}
