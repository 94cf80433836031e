//! A request body of JSON: one object, an array, or one value per line.
//!
//! Never refuses a record for its shape: a line or element that is not an object is kept as text with
//! the field `parse_error`, bad UTF-8 is replaced and noted in `utf8_error`. Only a record over the
//! size limit is rejected, alone, and a body that is no JSON at all, as a whole. Reasons and errors
//! never quote the body.

mod cloudwatch;
mod object;
pub(crate) mod scan;
pub mod text;

use std::borrow::Cow;

use hushlog_record::Value;
use memchr::memchr;
use memchr::memmem;

use crate::raw::RawRecord;
pub use scan::{Cursor, Scalar, Skipped, Syntax};

/// What the `Content-Type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// `application/json`, or nothing.
    Json,
    /// `application/x-ndjson` and its kin.
    Lines,
}

/// What the body turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One object.
    One,
    /// An array of records.
    Array,
    /// A record per line.
    Lines,
}

/// A record that is not taken, while its neighbours are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the request, from 0; blank lines do not count.
    pub index: usize,
    /// Why, for the client; never quotes the record.
    pub reason: &'static str,
}

/// Why a body as a whole is refused (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no record in it.
    #[error("the body is empty")]
    Empty,
    /// Not a JSON object, not an array, not NDJSON.
    #[error("the body is not JSON: expected {expected} at byte {offset}")]
    NotJson {
        /// Byte offset in the decoded body.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
    },
}

impl From<Syntax> for Error {
    fn from(syntax: Syntax) -> Self {
        Self::NotJson {
            offset: syntax.offset,
            expected: syntax.expected,
        }
    }
}

/// Why a record over the limit is rejected.
pub const TOO_LARGE: &str = "the record is larger than 1 MiB";

/// The consumer of records; gets each with its place in the request.
pub type Each<'a> = &'a mut dyn FnMut(Result<RawRecord, Rejected>);

/// Reads a decoded body and hands over its records in order.
///
/// # Errors
/// When the body as a whole is refused. Records may have been handed over before an array breaks
/// off: the caller drops them.
pub fn read(body: &[u8], declared: Declared, each: Each<'_>) -> Result<Shape, Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let blank = body
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let Some(first) = body.get(blank) else {
        return Err(Error::Empty);
    };
    match declared {
        Declared::Lines if begins_with_a_line(&body[blank..]) => Ok(read_lines(body, each)),
        Declared::Lines => match read_document(body, *first, &mut |_| ()) {
            // A document that only was declared wrongly; read again, now for real.
            Ok(_) => read_document(body, *first, each),
            Err(_) => Ok(read_lines(body, each)),
        },
        Declared::Json if *first == b'{' && is_lines(&body[blank..]) => Ok(read_lines(body, each)),
        Declared::Json if matches!(first, b'{' | b'[') => read_document(body, *first, each),
        Declared::Json => Err(Error::NotJson {
            offset: blank,
            expected: "a JSON object, an array or NDJSON",
        }),
    }
}

/// Whether the body is lines rather than one document: more than one line, of which the first or,
/// should that one be broken, the second is a value by itself.
fn is_lines(body: &[u8]) -> bool {
    let mut lines = lines(body);
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return false;
    };
    is_value(first) || is_object(second)
}

/// Whether the first line stands by itself. An array does not: who declares lines and sends one
/// array means its elements.
fn begins_with_a_line(body: &[u8]) -> bool {
    let mut lines = lines(body);
    lines
        .next()
        .is_some_and(|first| first.first() != Some(&b'[') && is_value(first))
        || lines.next().is_some_and(is_object)
}

fn is_object(line: &[u8]) -> bool {
    line.first() == Some(&b'{') && is_value(line)
}

fn is_value(line: &[u8]) -> bool {
    let text = lossy(line);
    let mut cursor = Cursor::new(&text);
    cursor.skip().is_ok() && cursor.peek().is_none()
}

/// The text, bad UTF-8 replaced. Checks first: the replacing walk is far slower than the check.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// The lines that are not blank, without the white space around them.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let body = rest?;
        let line = match memchr(b'\n', body) {
            Some(end) => {
                rest = Some(&body[end + 1..]);
                &body[..end]
            }
            None => {
                rest = None;
                body
            }
        };
        Some(line.trim_ascii())
    })
    .filter(|line| !line.is_empty())
}

fn read_lines(body: &[u8], each: Each<'_>) -> Shape {
    for (index, line) in lines(body).enumerate() {
        match std::str::from_utf8(line) {
            Ok(text) => {
                hand_over(read_line(text), index, each);
            }
            Err(error) => {
                let text = String::from_utf8_lossy(line);
                let mut element = read_line(&text);
                element.raw.utf8_error(error.valid_up_to());
                hand_over(element, index, each);
            }
        }
    }
    Shape::Lines
}

/// What stands in one place of a request.
struct Element<'a> {
    raw: RawRecord,
    /// The array of a batch of events.
    events: Option<&'a str>,
}

impl From<RawRecord> for Element<'_> {
    fn from(raw: RawRecord) -> Self {
        Self { raw, events: None }
    }
}

/// One line of NDJSON as one record, whatever it holds: a batch of events stays together.
pub fn line_of(line: &[u8]) -> RawRecord {
    let text = lossy(line);
    let Element { mut raw, events } = read_line(&text);
    if let Some(events) = events {
        cloudwatch::put_back(&mut raw, events);
    }
    if let Err(error) = std::str::from_utf8(line) {
        raw.utf8_error(error.valid_up_to());
    }
    raw
}

fn read_line(text: &str) -> Element<'_> {
    let mut cursor = Cursor::new(text);
    let failure = match element(&mut cursor) {
        Ok(element) if cursor.peek().is_none() => return element,
        Ok(_) => Syntax {
            offset: cursor.at(),
            expected: "the end of the line",
        },
        Err(syntax) => syntax,
    };
    let mut raw = RawRecord::text(text);
    raw.plain = true;
    let Syntax { offset, expected } = failure;
    raw.field(
        "parse_error",
        Value::string(format!("expected {expected} at byte {offset}")),
    );
    raw.into()
}

/// One element: an object, a text, or anything else kept as text.
fn element<'a>(cursor: &mut Cursor<'a>) -> Result<Element<'a>, Syntax> {
    match cursor.peek() {
        Some(b'{') => {
            let (raw, events) = object::read_with_events(cursor)?;
            Ok(Element { raw, events })
        }
        Some(b'"') => match cursor.scalar()? {
            Scalar::Text(text) => {
                let mut raw = RawRecord::text(text);
                raw.plain = true;
                Ok(raw.into())
            }
            _ => cursor.fail("a string"),
        },
        _ => {
            let mut raw = RawRecord::text(text::plain(cursor.skip()?.text));
            raw.field("parse_error", Value::string("expected an object"));
            Ok(raw.into())
        }
    }
}

/// Reads one object or one array.
fn read_document(body: &[u8], first: u8, each: Each<'_>) -> Result<Shape, Error> {
    let text = lossy(body);
    let replaced = matches!(text, Cow::Owned(_));
    let mut cursor = Cursor::new(&text);
    let result = if first == b'[' {
        read_array(&mut cursor, replaced, each)
    } else {
        read_one(&mut cursor, replaced, each)
    };
    let result = result.and_then(|count| match cursor.peek() {
        None => Ok(count),
        Some(_) => cursor.fail("the end of the body"),
    });
    match result {
        Ok(0) => Err(Error::Empty),
        Ok(1) if first != b'[' => Ok(Shape::One),
        // Also one object that is a batch.
        Ok(_) => Ok(Shape::Array),
        Err(Syntax { offset, expected }) => {
            let offset = if replaced {
                sent_offset(body, offset)
            } else {
                offset
            };
            Err(Error::NotJson { offset, expected })
        }
    }
}

fn read_one(cursor: &mut Cursor<'_>, replaced: bool, each: Each<'_>) -> Result<usize, Syntax> {
    let element = noted(cursor, replaced)?;
    // A single object is handed over only when it is the whole body.
    if cursor.peek().is_some() {
        return cursor.fail("the end of the body");
    }
    Ok(hand_over(element, 0, each))
}

/// Gives the number of elements.
fn read_array(cursor: &mut Cursor<'_>, replaced: bool, each: Each<'_>) -> Result<usize, Syntax> {
    cursor.eat(b'[', "an array")?;
    if cursor.peek() == Some(b']') {
        cursor.bump();
        return Ok(0);
    }
    let mut count = 0;
    loop {
        let element = noted(cursor, replaced)?;
        hand_over(element, count, each);
        count += 1;
        match cursor.peek() {
            Some(b',') => cursor.bump(),
            Some(b']') => {
                cursor.bump();
                return Ok(count);
            }
            _ => return cursor.fail("a comma or a closing bracket"),
        }
    }
}

/// Reads an element; in a body that was not UTF-8, one with a replacement character is marked.
fn noted<'a>(cursor: &mut Cursor<'a>, replaced: bool) -> Result<Element<'a>, Syntax> {
    cursor.peek();
    let start = cursor.at();
    let mut element = element(cursor)?;
    if replaced && let Some(at) = memmem::find(cursor.since(start).as_bytes(), b"\xef\xbf\xbd") {
        element.raw.utf8_error(at);
    }
    Ok(element)
}

/// The offset in the body as sent of an offset in the body with replacement characters.
fn sent_offset(body: &[u8], offset: usize) -> usize {
    let (mut sent, mut read) = (0, 0);
    for chunk in body.utf8_chunks() {
        let valid = chunk.valid().len();
        if read + valid >= offset {
            return sent + (offset - read);
        }
        sent += valid + chunk.invalid().len();
        read += valid + char::REPLACEMENT_CHARACTER.len_utf8();
    }
    sent
}

/// Hands a record over, or those of a batch, which share its place; gives their number.
fn hand_over(element: Element<'_>, index: usize, each: Each<'_>) -> usize {
    let Element { mut raw, events } = element;
    if let Some(events) = events {
        let mut count = 0;
        let mut take = |raw: RawRecord| count += hand_over(raw.into(), index, each);
        if cloudwatch::each(&raw, events, &mut take) {
            return count;
        }
        cloudwatch::put_back(&mut raw, events);
    }
    if raw.is_oversize() {
        each(Err(Rejected {
            index,
            reason: TOO_LARGE,
        }));
    } else {
        each(Ok(raw));
    }
    1
}

/// The fields of a message that is itself a JSON object; `None` when it is not one.
pub(crate) fn object_in(message: &str) -> Option<RawRecord> {
    let mut cursor = Cursor::new(message);
    let raw = object::read(&mut cursor).ok()?;
    cursor.peek().is_none().then_some(raw)
}
