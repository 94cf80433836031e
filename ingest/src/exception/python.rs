//! Python tracebacks: the last line of the last one names the exception that was reported.

use std::ops::Range;

use memchr::memmem;

use super::{Found, TypeName, lines, trimmed};

const TRACEBACK: &str = "Traceback (most recent call last):";
const GROUP: &str = "Exception Group Traceback (most recent call last):";

pub(super) fn find(text: &str) -> Option<Found> {
    let first = memmem::find(text.as_bytes(), TRACEBACK.as_bytes())?;
    let group = memmem::find(text.as_bytes(), GROUP.as_bytes());
    // Of a group the outermost is reported first, of a chain last.
    let (start, grouped) = match group {
        Some(start) => (start, true),
        None => (memmem::rfind(text.as_bytes(), TRACEBACK.as_bytes())?, false),
    };
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let indent = indent_of(&text[line_start..start]);
    let last = lines(&text[start..])
        .skip(1)
        .map(|line| start + line.start..start + line.end)
        .filter_map(|line| content(text, line, indent, grouped))
        .find(|line| !text[line.clone()].starts_with([' ', '\t']))?;
    let stack_start = text[..first].rfind('\n').map_or(first, |at| at + 1);
    let stack_start = if text[stack_start..first].trim_ascii().is_empty() {
        stack_start
    } else {
        first
    };
    named(text, last, stack_start)
}

/// White space before the traceback, where it is alone on its line.
fn indent_of(before: &str) -> usize {
    if before.trim_ascii().is_empty() {
        before.len()
    } else {
        0
    }
}

/// The line without the traceback's own indentation or a group's margin; `None` for a blank one.
fn content(text: &str, line: Range<usize>, indent: usize, grouped: bool) -> Option<Range<usize>> {
    let part = &text[line.clone()];
    if part.trim_ascii().is_empty() {
        return None;
    }
    let skip = if grouped {
        part.find("| ").map_or(0, |at| at + 2)
    } else {
        indent.min(part.len() - part.trim_ascii_start().len())
    };
    Some(line.start + skip..line.end)
}

fn named(text: &str, line: Range<usize>, stack_start: usize) -> Option<Found> {
    let line = trimmed(text, line);
    let part = &text[line.clone()];
    let end = part.find(':').unwrap_or(part.len());
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    // `a.rb:2:in 'g'` is Ruby's: it heads its traces with the same words.
    let separated =
        part[end..].is_empty() || part[end..].starts_with(": ") || end + 1 == part.len();
    if end == 0 || !separated || !part[..end].chars().all(is_name) {
        return None;
    }
    let message = trimmed(text, (line.start + end + 1).min(line.end)..line.end);
    Some(Found {
        type_name: TypeName::Written(line.start..line.start + end),
        message,
        stack: stack_start..text.trim_end().len(),
    })
}
