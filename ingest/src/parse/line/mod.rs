//! What the form of a line of text says: its time, level, service, host and fields.
//!
//! Envelopes (syslog, container logs) are taken off: the message is what they carry. All else that is
//! understood is copied into fields, and the message stays as it was written. Only lines of sources
//! without a form of their own are read so; a line in no known form is left alone.

mod access;
pub(crate) mod cri;
mod klog;
mod logger;
mod structured_data;
pub(crate) mod syslog;

use hushlog_record::{Level, Timestamp, Value};

use crate::digits::is_digits;
use crate::json;
use crate::parse::time;
use crate::raw::RawRecord;

/// What is used where the record itself says nothing.
#[derive(Default)]
pub(crate) struct Hints {
    /// Event time: of the envelope, else of the line.
    pub(crate) time: Option<Timestamp>,
    /// Severity: of the line, else of the envelope.
    pub(crate) level: Option<Level>,
    /// The program that wrote the line, by the name in a log file.
    pub(crate) service: String,
    /// Its host.
    pub(crate) host: String,
    /// Whether there are fields from which something may be concluded.
    pub(crate) fields: bool,
}

/// Reads the form of a line. Gives where the content of an envelope starts; 0 when there is none.
pub(crate) fn read(
    text: &str,
    received: Timestamp,
    raw: &mut RawRecord,
    hints: &mut Hints,
) -> usize {
    if text.starts_with('<')
        && let Some(start) = syslog::envelope(text, received, raw, hints)
    {
        return start;
    }
    let head = time::prefix(text, received);
    if let Some((time, end)) = head {
        if let Some(start) = cri::envelope(text, end, received, raw) {
            hints.time = hints.time.or(Some(time));
            return start;
        }
        hints.time = hints.time.or(Some(time));
    }
    let end = head.map_or(0, |(_, end)| end);
    let first = &text[..memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len())];
    let first = first.strip_suffix('\r').unwrap_or(first);
    let end = end.min(first.len());
    let level = klog::read(first, end, raw)
        .or_else(|| access::read(first, end, raw))
        .or_else(|| syslog::in_file(first, end, raw, hints))
        .or_else(|| logger::read(first, end, raw));
    if let Some(level) = level {
        hints.level = level.or(hints.level);
        tail(text, raw);
    }
    0
}

/// The object that zap's console form has behind the message, after a tab.
fn tail(text: &str, raw: &mut RawRecord) {
    if !text.ends_with('}') {
        return;
    }
    let start = memchr::memmem::find(text.as_bytes(), b"\t{");
    if let Some(inner) = start.and_then(|start| json::object_in(&text[start + 1..])) {
        raw.absorb(inner);
    }
}

/// Adds a text field that the line gives, if there is something in it.
fn text_field(raw: &mut RawRecord, name: &'static str, text: &str) {
    if !text.is_empty() && text != "-" {
        raw.field_before(name.to_owned(), Value::string(text));
    }
}

/// Adds a field of digits, as a number where it is one of JSON.
fn digits_field(raw: &mut RawRecord, name: &'static str, digits: &str) {
    if is_digits(digits) && (digits.len() == 1 || !digits.starts_with('0')) {
        raw.field_before(name.to_owned(), Value::number(digits));
    } else {
        text_field(raw, name, digits);
    }
}
