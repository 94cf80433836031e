//! logfmt in a message: `level=info msg="payment failed" user=u1`.
//!
//! Only a line that starts with a pair, holds at least two, and is made of them for the most part is
//! taken for logfmt; a sentence with an equals sign in it is not. No word is lost: those that follow a
//! message without quotes belong to it, and with any others the whole line stays the message.

use hushlog_record::Value;
use memchr::memchr;

use crate::digits::is_digits;
use crate::raw::{self, RawRecord, Slot};

/// Fewest pairs of a logfmt line.
const PAIRS_MIN: usize = 2;
/// Largest part of the line outside of pairs: one in this many bytes.
const OUTSIDE_PART: usize = 4;

/// The fields of a message that is logfmt; `None` when it is not.
pub(crate) fn fields_in(message: &str) -> Option<RawRecord> {
    let line = message.trim_ascii();
    if key_end(line)? == 0 || memchr(b'\n', line.as_bytes()).is_some() {
        return None;
    }
    let mut pairs = Vec::new();
    let mut outside = 0;
    let mut rest = line;
    while !rest.is_empty() {
        if let Some((name, value, after)) = pair(rest) {
            let end = line.len() - after.len();
            pairs.push((name, value, end));
            rest = after.trim_ascii_start();
            continue;
        }
        let (word, after) = rest.split_at(word_end(rest));
        match pairs.last_mut() {
            Some((name, Written::Bare(value), end)) if raw::names_message(name) => {
                let start = *end - value.len();
                *end = line.len() - after.len();
                *value = &line[start..*end];
            }
            _ => outside += word.len(),
        }
        rest = after.trim_ascii_start();
    }
    if pairs.len() < PAIRS_MIN || outside * OUTSIDE_PART > line.len() {
        return None;
    }
    let mut raw = RawRecord::default();
    for (name, value, _) in pairs {
        raw.put(name, value.into_value());
    }
    if outside > 0
        && let Some((name, value)) = raw.take_named(Slot::Message)
    {
        raw.field(name, value);
    }
    Some(raw)
}

/// The pairs after a quoted message, as klog writes them: `"Pod updated" pod="a/b" ready=true`. `None`
/// when anything but pairs follows it.
pub(crate) fn after_quoted(text: &str) -> Option<RawRecord> {
    let (_, rest) = unquoted(text.strip_prefix('"')?)?;
    let mut rest = rest.trim_ascii_start();
    let mut raw = RawRecord::default();
    while !rest.is_empty() {
        let (name, value, after) = pair(rest)?;
        raw.field(name, value.into_value());
        rest = after.trim_ascii_start();
    }
    Some(raw)
}

/// Length of the key that `text` starts with, if an equals sign follows it.
fn key_end(text: &str) -> Option<usize> {
    let end = text
        .bytes()
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@' | b'/')
        })
        .count();
    (end > 0 && text.as_bytes().get(end) == Some(&b'=')).then_some(end)
}

/// A value as the line has it.
enum Written<'a> {
    Quoted(String),
    Bare(&'a str),
}

impl Written<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::Quoted(text) => Value::string(text),
            Self::Bare(text) => bare(text),
        }
    }
}

fn word_end(text: &str) -> usize {
    memchr(b' ', text.as_bytes()).unwrap_or(text.len())
}

fn pair(text: &str) -> Option<(&str, Written<'_>, &str)> {
    let end = key_end(text)?;
    let (name, rest) = (&text[..end], &text[end + 1..]);
    if let Some(quoted) = rest.strip_prefix('"')
        && let Some((value, after)) = unquoted(quoted)
    {
        return Some((name, Written::Quoted(value), after));
    }
    let (value, after) = rest.split_at(word_end(rest));
    Some((name, Written::Bare(value), after))
}

/// The text up to the closing quote and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                other => out.push(other),
            },
            _ => out.push(c),
        }
    }
    None
}

/// A bare value: a number where it is a plain JSON number, a truth value, else text.
fn bare(text: &str) -> Value {
    match text {
        "true" => Value::bool(true),
        "false" => Value::bool(false),
        _ if is_number(text) => Value::number(text),
        _ => Value::string(text),
    }
}

/// `-12.5`: digits without a leading zero, and perhaps a fraction. Others stay text: `007` and `1e5`
/// are as likely to be names.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    is_digits(whole) && is_digits(fraction) && (whole.len() == 1 || !whole.starts_with('0'))
}
