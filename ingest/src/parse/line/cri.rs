//! Lines of container runtimes in the format of Kubernetes' CRI: `TIME STREAM TAGS CONTENT`, with
//! `P` (part of a line) or `F` (its end) as the first tag.

use hushlog_record::Timestamp;

use crate::parse::time;
use crate::raw::RawRecord;

use super::text_field;

/// The parts of a CRI line after its time.
pub(crate) struct Parts<'a> {
    /// `stdout` or `stderr`.
    pub(crate) stream: &'a str,
    /// Whether the line goes on in the next one of its stream.
    pub(crate) partial: bool,
    /// Where the content starts in the line.
    pub(crate) content: usize,
}

/// Splits a line whose time ends at `end`.
pub(crate) fn parts(text: &str, end: usize) -> Option<Parts<'_>> {
    let rest = text.get(end..)?;
    let stream = ["stdout", "stderr"]
        .into_iter()
        .find(|stream| rest.get(1..7) == Some(stream))?;
    let tags = rest.get(7..)?.strip_prefix(' ')?;
    if !rest.starts_with(' ') || !tags.starts_with(['F', 'P']) {
        return None;
    }
    let length = tags
        .bytes()
        .take_while(|byte| *byte != b' ' && *byte != b'\n')
        .count();
    // More tags may follow the first, after colons.
    if length > 1 && tags.as_bytes().get(1) != Some(&b':') {
        return None;
    }
    let space = usize::from(tags.as_bytes().get(length) == Some(&b' '));
    Some(Parts {
        stream,
        partial: tags.starts_with('P'),
        content: end + 8 + length + space,
    })
}

/// Where the content starts, if this is a CRI line.
pub(super) fn envelope(
    text: &str,
    end: usize,
    received: Timestamp,
    raw: &mut RawRecord,
) -> Option<usize> {
    let parts = parts(text, end)?;
    // A time further in would leave what stands before it to be lost.
    time::at_start(text, received).filter(|(_, length)| *length == end)?;
    text_field(raw, "stream", parts.stream);
    Some(parts.content)
}
