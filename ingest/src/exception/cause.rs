//! The root cause of a chain of exceptions: where it began, in whatever order the language prints it.

use std::ops::Range;

use memchr::memmem;

use super::header::any_name;
use super::runtime::raised_in;
use super::{Found, TypeName, lines, python, trimmed};

/// Most links of a chain that are looked at; what lies deeper is not found.
const LINKS_MAX: usize = 64;

/// The type of the exception at the root of the chain that a text reports; `None` for one alone.
pub fn root_cause<'a>(text: &'a str, found: &Found) -> Option<&'a str> {
    let range = python_root(text)
        .or_else(|| after_last(text, "\nCaused by: "))
        .or_else(|| dotnet(text))
        .or_else(|| php(text, found))
        .or_else(|| after_last(text, "[cause]: "))
        .or_else(|| ruby(text))?;
    let name = crate::raw::cut_name(&text[range], crate::limits::NAME_BYTES_MAX);
    (!name.is_empty()).then_some(name)
}

/// Python prints the root first: the type of the first traceback, if there are several.
fn python_root(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let word = b"Traceback (most recent call last):";
    let first = memmem::find(bytes, word)?;
    let second = first + word.len() + memmem::find(&bytes[first + word.len()..], word)?;
    let joined = ["direct cause", "During handling"];
    let linked = joined
        .iter()
        .any(|words| memmem::find(&bytes[first..second], words.as_bytes()).is_some());
    if !linked {
        return None;
    }
    match python::find(&text[..second])?.type_name {
        TypeName::Written(range) => Some(range),
        TypeName::Fixed(_) => None,
    }
}

/// The type that follows the last of these words.
fn after_last(text: &str, words: &str) -> Option<Range<usize>> {
    let start = memmem::rfind(text.as_bytes(), words.as_bytes())? + words.len();
    named(text, start)
}

/// The type at `start`, up to its message or the end of the line.
fn named(text: &str, start: usize) -> Option<Range<usize>> {
    let end = memchr::memchr(b'\n', &text.as_bytes()[start..]).map_or(text.len(), |at| start + at);
    any_name(text, trimmed(text, start..end)).map(|header| header.type_name)
}

/// .NET nests to the right: `A: outer ---> B: inner`, also at the start of lines and numbered.
fn dotnet(text: &str) -> Option<Range<usize>> {
    let mut start = memmem::rfind(text.as_bytes(), b"---> ")? + 5;
    if text[start..].starts_with("(Inner Exception #") {
        start += text[start..].find(") ")? + 2;
    }
    let end = text[start..]
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '`')))
        .map_or(text.len(), |at| start + at);
    let named = text[end..].starts_with([':', '\n', '\r']) || end == text.len();
    (named && end > start).then_some(start..end)
}

/// PHP prints the root first and calls the others `Next`.
fn php(text: &str, found: &Found) -> Option<Range<usize>> {
    if !matches!(&found.type_name, TypeName::Written(range) if text[..range.start].ends_with("\nNext "))
    {
        return None;
    }
    let start = memmem::find(text.as_bytes(), b"Uncaught ")? + 9;
    named(text, start)
}

/// Ruby prints the causes below the trace, each with its place: `app.rb:3:in 'g': no (KeyError)`.
fn ruby(text: &str) -> Option<Range<usize>> {
    let reports = lines(text)
        .filter_map(|line| raised_in(text, line))
        .take(LINKS_MAX);
    let all: Vec<_> = reports.collect();
    (all.len() > 1).then(|| all.last().cloned())?
}
