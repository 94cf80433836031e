//! One JSON object, flattened into a raw record while it is read.
//!
//! Recursion is bounded by the depth limit: what lies deeper is passed over and kept as JSON text.

use std::borrow::Cow;

use hushlog_record::limits::{FIELD_DEPTH_MAX, FIELD_NAME_BYTES_MAX};
use hushlog_record::{Kind, Value};

use super::cloudwatch;
use super::scan::{Cursor, Scalar, Syntax};
use super::text::plain;
use crate::raw::RawRecord;

/// Reads the object that the cursor stands on.
pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<RawRecord, Syntax> {
    let (mut raw, events) = read_with_events(cursor)?;
    if let Some(events) = events {
        cloudwatch::put_back(&mut raw, events);
    }
    Ok(raw)
}

/// The same; the array under the name of a batch of events is given apart and is no field.
pub(crate) fn read_with_events<'a>(
    cursor: &mut Cursor<'a>,
) -> Result<(RawRecord, Option<&'a str>), Syntax> {
    let mut reader = Reader {
        raw: RawRecord::default(),
        path: String::new(),
        custom: false,
        events: None,
    };
    reader.object(cursor, 1)?;
    Ok((reader.raw, reader.events))
}

struct Reader<'a> {
    raw: RawRecord,
    /// Name of the object that is being read, with a final dot; empty at the top.
    path: String,
    /// Inside the object `fields`, where no name is a known one.
    custom: bool,
    /// The array [`cloudwatch::EVENTS`] of the top level.
    events: Option<&'a str>,
}

impl<'a> Reader<'a> {
    fn object(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Result<(), Syntax> {
        cursor.eat(b'{', "an object")?;
        if cursor.peek() == Some(b'}') {
            cursor.bump();
            return Ok(());
        }
        loop {
            let name = cursor.key()?;
            self.member(cursor, name, depth)?;
            match cursor.peek() {
                Some(b',') => cursor.bump(),
                Some(b'}') => {
                    cursor.bump();
                    return Ok(());
                }
                _ => return cursor.fail("a comma or a closing brace"),
            }
        }
    }

    fn member(
        &mut self,
        cursor: &mut Cursor<'a>,
        name: Cow<'_, str>,
        depth: usize,
    ) -> Result<(), Syntax> {
        let value = match cursor.peek() {
            Some(b'{') if depth < FIELD_DEPTH_MAX && name.len() <= FIELD_NAME_BYTES_MAX => {
                return self.nested(cursor, &name, depth);
            }
            Some(b'[') if depth == 1 && name == cloudwatch::EVENTS && self.events.is_none() => {
                self.events = Some(cursor.skip()?.text);
                return Ok(());
            }
            Some(b'{' | b'[') => self.kept_as_text(cursor, depth)?,
            _ => match cursor.scalar()? {
                Scalar::Text(text) => Value {
                    kind: Kind::String,
                    text: text.into_owned(),
                },
                Scalar::Number(literal) => Value::number(literal),
                Scalar::Bool(value) => Value::bool(value),
                Scalar::Null => return Ok(()),
            },
        };
        self.put(name, value);
        Ok(())
    }

    fn nested(&mut self, cursor: &mut Cursor<'a>, name: &str, depth: usize) -> Result<(), Syntax> {
        if depth == 1 && name == "fields" {
            self.custom = true;
            self.object(cursor, depth + 1)?;
            self.custom = false;
            return Ok(());
        }
        let outer = self.path.len();
        self.path.push_str(name);
        self.path.push('.');
        self.object(cursor, depth + 1)?;
        self.path.truncate(outer);
        Ok(())
    }

    /// An array, or what lies too deep. Text that is itself too deep for those who parse it later
    /// is kept as a string.
    fn kept_as_text(&self, cursor: &mut Cursor<'a>, depth: usize) -> Result<Value, Syntax> {
        let skipped = cursor.skip()?;
        let kind = if depth + skipped.depth > 2 * FIELD_DEPTH_MAX {
            Kind::String
        } else {
            Kind::Json
        };
        Ok(Value {
            kind,
            text: plain(skipped.text).into_owned(),
        })
    }

    fn put(&mut self, name: Cow<'_, str>, value: Value) {
        if self.raw.is_oversize() {
            // It is refused in any case; long paths must not be copied for every member of it.
            return;
        }
        let name = if self.path.is_empty() {
            name
        } else {
            Cow::Owned(format!("{}{name}", self.path))
        };
        if self.custom {
            self.raw.field(name, value)
        } else {
            self.raw.put(name, value)
        }
    }
}
