//! Batches of CloudWatch Logs, as subscriptions deliver them: one object with the events in an array.
//!
//! Each event becomes a record of its own and gets what the object says about all of them.

use hushlog_record::Value;

use super::object;
use super::scan::Cursor;
use super::text::plain;
use crate::limits::CLOUDWATCH_SHARED_BYTES_MAX;
use crate::raw::{RawRecord, Slot};

/// The member with the events.
pub(super) const EVENTS: &str = "logEvents";
/// What every batch says of itself; another object may use the same name for something else.
const KIND: (&str, &str) = ("messageType", "DATA_MESSAGE");

/// Hands over the records of a batch and says whether it is one: every element an object with a
/// message, and what they share short enough to be copied to each.
pub(super) fn each(outer: &RawRecord, events: &str, take: &mut dyn FnMut(RawRecord)) -> bool {
    let short = outer.text_bytes() <= CLOUDWATCH_SHARED_BYTES_MAX;
    let kind = outer.field_text(KIND.0) == Some(KIND.1);
    // Read twice, so that no more than one record is held here.
    if !kind || !short || read(events, &mut |_| ()).is_none() {
        return false;
    }
    read(events, &mut |mut raw| {
        raw.absorb(outer.clone());
        take(raw);
    })
    .is_some()
}

fn read(events: &str, take: &mut dyn FnMut(RawRecord)) -> Option<()> {
    let mut cursor = Cursor::new(events);
    cursor.eat(b'[', "an array").ok()?;
    loop {
        let raw = object::read(&mut cursor).ok()?;
        if raw.lacks(Slot::Message) {
            return None;
        }
        take(raw);
        match cursor.peek()? {
            b',' => cursor.bump(),
            _ => return Some(()),
        }
    }
}

/// Keeps the array as a field, where it is no batch.
pub(super) fn put_back(raw: &mut RawRecord, events: &str) {
    raw.put(EVENTS, Value::json(plain(events)));
}
