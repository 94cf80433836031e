//! Traces of the form that Java, Kotlin, Scala, .NET and JavaScript share: a line that reports the
//! exception, then frames.

use std::ops::Range;

use super::frames::is_known_frame;
use super::header::{self, Header, Trust};
use super::{Found, TypeName, lines, trimmed};

/// Lines before the first frame in which the report is looked for.
const REPORT_LINES_MAX: usize = 32;
/// Lines of a text without frames that are looked at.
const PLAIN_LINES_MAX: usize = 8;

pub(super) fn find(text: &str) -> Option<Found> {
    let mut before: Vec<Range<usize>> = Vec::new();
    let mut frame = None;
    for line in lines(text).take(REPORT_LINES_MAX) {
        if is_frame(&text[line.clone()]) {
            frame = Some(line);
            break;
        }
        before.push(line);
    }
    match frame {
        Some(frame) => above_frames(text, &before, frame.start),
        None => before
            .into_iter()
            .take(PLAIN_LINES_MAX)
            .find_map(|line| header::find(text, line, Trust::Alone))
            .map(|found| alone(&found)),
    }
}

/// The exception that the first line of a stack trace names.
pub(super) fn first_line(stack: &str) -> Option<Found> {
    let line = lines(stack).find(|line| !stack[line.clone()].trim().is_empty())?;
    let header = header::any_name(stack, trimmed(stack, line))?;
    Some(with_stack(stack, header, stack.len()))
}

fn alone(header: &Header) -> Found {
    Found {
        type_name: TypeName::Written(header.type_name.clone()),
        message: header.message.clone(),
        stack: 0..0,
    }
}

fn above_frames(text: &str, before: &[Range<usize>], frames: usize) -> Option<Found> {
    let header = before
        .iter()
        .find_map(|line| header::find(text, line.clone(), Trust::Frames))
        .or_else(|| header::find(text, before.last()?.clone(), Trust::AboveFrames))
        .or_else(|| named(text, before.last()?.clone(), frames))?;
    Some(with_stack(text, header, frames))
}

/// A name of any kind, above what certainly is a frame: `Exception in thread "main" oops.Kaboom: x`.
fn named(text: &str, line: Range<usize>, frames: usize) -> Option<Header> {
    let first = text[frames..].lines().next()?.trim();
    is_known_frame(first).then_some(())?;
    let part = &text[line.clone()];
    let skip = part
        .strip_prefix("Exception in thread \"")
        .and_then(|rest| Some(part.len() - rest.len() + rest.find("\" ")? + 2));
    header::any_name(text, line.start + skip.unwrap_or(0)..line.end)
}

/// The message goes on up to the first frame, unless .NET names an inner exception.
fn with_stack(text: &str, header: Header, frames: usize) -> Found {
    let Header { type_name, message } = header;
    let rest_of_line = text[message.end..].lines().next().unwrap_or_default();
    let message = if rest_of_line.trim().is_empty() && frames > message.end {
        let inner = text[message.start..frames].find("\n ---> ");
        let end = inner.map_or(frames, |length| message.start + length);
        trimmed(text, message.start..end)
    } else {
        message
    };
    let stack = type_name.start..text.trim_end().len();
    Found {
        type_name: TypeName::Written(type_name),
        message,
        stack,
    }
}

/// `at x.Y(Z.java:1)`, `... 12 more`, Firefox's `name@http://…`
fn is_frame(line: &str) -> bool {
    // Dropwizard writes `! ` in front of every line of a trace.
    let indented = line.starts_with([' ', '\t']) || line.starts_with("! at ");
    let part = line.trim_start_matches("! ").trim_start();
    if indented
        && (part.starts_with("at ")
            || (part.starts_with("... ") && part.trim_end().ends_with(" more")))
    {
        return true;
    }
    let place = part.find('@').map(|at| &part[at + 1..]);
    place.is_some_and(|place| {
        ["http://", "https://", "file://", "webpack://"]
            .iter()
            .any(|scheme| place.starts_with(scheme))
    }) && !part.contains(' ')
}
