//! The message of a record, and what it holds: JSON, logfmt, the form of a line, one in the other.
//!
//! A container's log line may carry a syslog line that carries JSON: layers are taken off one by one, a
//! few of them. Whatever is in no known form stays the message.

use hushlog_record::{Kind, Timestamp, Value};

use super::line::{self, Hints};
use super::{logfmt, may_copy};
use crate::json;
use crate::limits::MESSAGE_LAYERS_MAX;
use crate::raw::{RawRecord, Slot};

/// What a JSON message may have in front of it (Common Event Expression, as rsyslog sends it).
const CEE: &str = "@cee:";

/// Takes the message out of the record; what it holds becomes fields and hints.
pub(super) fn take(raw: &mut RawRecord, received: Timestamp, hints: &mut Hints) -> String {
    let Some((name, message)) = raw.take_named(Slot::Message) else {
        return String::new();
    };
    let Value { kind, mut text } = of_container(raw, name, message);
    if kind != Kind::String {
        return text;
    }
    for _ in 0..MESSAGE_LAYERS_MAX {
        if !may_copy(raw, &text) {
            return text;
        }
        match layer(raw, &mut text, received, hints) {
            Layer::Inner => {}
            Layer::Last => return text,
        }
    }
    text
}

/// Whether there may be more to take out of the message.
enum Layer {
    Inner,
    Last,
}

fn layer(raw: &mut RawRecord, text: &mut String, received: Timestamp, hints: &mut Hints) -> Layer {
    let trimmed = text.trim_ascii_start();
    let object = trimmed.strip_prefix(CEE).unwrap_or(trimmed);
    if object.trim_ascii_start().starts_with('{') {
        let Some(inner) = json::object_in(object) else {
            return Layer::Last;
        };
        return absorb(raw, inner, text, hints);
    }
    if let Some(inner) = logfmt::fields_in(text) {
        absorb(raw, inner, text, hints);
        return Layer::Last;
    }
    if !raw.plain {
        return Layer::Last;
    }
    let start = line::read(text, received, raw, hints);
    if start == 0 {
        return Layer::Last;
    }
    text.drain(..start);
    Layer::Inner
}

/// Takes over the fields of a message; its own message, if it has one, is the new text.
fn absorb(raw: &mut RawRecord, inner: RawRecord, text: &mut String, hints: &mut Hints) -> Layer {
    raw.absorb(inner);
    super::sources::adapt(raw, hints);
    match raw.take_named(Slot::Message) {
        Some((name, value)) => {
            let value = of_container(raw, name, value);
            *text = value.text;
            if value.kind == Kind::String {
                Layer::Inner
            } else {
                Layer::Last
            }
        }
        None => Layer::Last,
    }
}

/// A container's runtime writes the line, with its end, under the name `log`: it is a line of text
/// then, as if it had come by itself.
fn of_container(raw: &mut RawRecord, name: &str, mut value: Value) -> Value {
    if name == "log" && value.kind == Kind::String {
        raw.plain = true;
        let length = value.text.trim_end_matches(['\n', '\r']).len();
        value.text.truncate(length);
    }
    value
}
