//! What runtimes print when a program dies: PHP, browsers, Elixir, C++, Rust, Go, Ruby, Dart, Lua.

use std::ops::Range;

use memchr::memmem;

use super::{Found, TypeName, lines, trimmed};

pub(super) fn find(text: &str) -> Option<Found> {
    php(text)
        .or_else(|| laravel(text))
        .or_else(|| elixir(text))
        .or_else(|| cpp(text))
        .or_else(|| rust(text))
        .or_else(|| go(text))
        .or_else(|| ruby(text))
        .or_else(|| dart(text))
        .or_else(|| lua(text))
}

fn position(text: &str, literal: &str) -> Option<usize> {
    memmem::find(text.as_bytes(), literal.as_bytes())
}

fn end_of_line(text: &str, at: usize) -> usize {
    text[at..]
        .find('\n')
        .map_or(text.len(), |length| at + length)
}

fn start_of_line(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |at| at + 1)
}

/// The stack trace from `at` on, if more than that line follows.
fn stack_from(text: &str, at: usize) -> Range<usize> {
    let end = text.trim_end().len();
    if end_of_line(text, at) < end {
        at..end
    } else {
        0..0
    }
}

/// A class name at `at`; `None` when there is none.
fn class(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let length = rest
        .find(|c: char| {
            !(c.is_alphanumeric() || matches!(c, '_' | '.' | '\\' | '$' | '@' | '<' | '>'))
        })
        .unwrap_or(rest.len());
    let starts_well = rest.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '\\'));
    (length > 0 && starts_well).then_some(at..at + length)
}

/// `Uncaught TypeError: …`, `Uncaught exception 'X' with message '…'`; of a chain the last `Next`.
fn php(text: &str) -> Option<Found> {
    let uncaught = position(text, "Uncaught ")?;
    let start = memmem::rfind(text.as_bytes(), b"\nNext ").map_or(uncaught + 9, |at| at + 6);
    let rest = &text[start..];
    let skip = ["(in promise) ", "(in promise): "]
        .iter()
        .find(|skip| rest.starts_with(**skip));
    let start = start + skip.map_or(0, |skip| skip.len());
    let quoted = ["exception '", "Exception '"]
        .iter()
        .any(|word| text[start..].starts_with(word));
    let type_name = class(text, if quoted { start + 11 } else { start })?;
    let rest = &text[type_name.end..];
    let message_start = if quoted {
        type_name.end + rest.strip_prefix("' with message '").map_or(0, |_| 16)
    } else {
        type_name.end + rest.strip_prefix(": ").map(|_| 2)?
    };
    // A word that a sentence goes on with is no type.
    if !quoted && text[type_name.clone()].starts_with(char::is_lowercase) {
        return None;
    }
    let end = end_of_line(text, message_start);
    let line = &text[message_start..end];
    let length = if quoted {
        line.rfind("' in ")
    } else {
        line.rfind(" in ")
    };
    Some(Found {
        type_name: TypeName::Written(type_name),
        message: trimmed(
            text,
            message_start..message_start + length.unwrap_or(line.len()),
        ),
        stack: stack_from(text, start_of_line(text, uncaught)),
    })
}

/// `{"exception":"[object] (App\\Exceptions\\Declined(code: 0): message at /srv/app.php:12)`
fn laravel(text: &str) -> Option<Found> {
    let start = position(text, "[object] (")? + 10;
    let type_name = class(text, start)?;
    let rest = text[type_name.end..].strip_prefix("(code: ")?;
    let message_start = text.len() - rest.len() + rest.find("): ")? + 3;
    let end = end_of_line(text, message_start);
    let length = text[message_start..end]
        .rfind(" at ")
        .unwrap_or(end - message_start);
    Some(Found {
        type_name: TypeName::Written(type_name),
        message: message_start..message_start + length,
        stack: stack_from(text, start),
    })
}

/// `** (Pay.Declined) declined`; `EXIT`, `throw` and the like are no types.
fn elixir(text: &str) -> Option<Found> {
    let (at, type_name) = memmem::find_iter(text.as_bytes(), b"** (").find_map(|at| {
        let type_name = class(text, at + 4)?;
        let name = &text[type_name.clone()];
        let is_module = name.starts_with(char::is_uppercase) && name != "EXIT";
        (is_module && text[type_name.end..].starts_with(')')).then_some((at, type_name))
    })?;
    let message = trimmed(text, type_name.end + 1..end_of_line(text, at));
    Some(Found {
        type_name: TypeName::Written(type_name),
        message,
        stack: stack_from(text, at),
    })
}

/// `terminate called after throwing an instance of 'std::runtime_error'`
fn cpp(text: &str) -> Option<Found> {
    let Some(called) = position(text, "terminate called ") else {
        return libcxx(text);
    };
    let stack = stack_from(text, start_of_line(text, called));
    let Some(rest) =
        text[called..].strip_prefix("terminate called after throwing an instance of '")
    else {
        let type_name = TypeName::Fixed("terminate");
        return Some(Found {
            type_name,
            message: trimmed(text, called..end_of_line(text, called)),
            stack,
        });
    };
    let start = text.len() - rest.len();
    let end = start + rest.find('\'')?;
    let message = match position(rest, "what():") {
        Some(what) => trimmed(text, start + what + 7..end_of_line(text, start + what)),
        None => end..end,
    };
    Some(Found {
        type_name: TypeName::Written(start..end),
        message,
        stack,
    })
}

/// `libc++abi: terminating due to uncaught exception of type std::runtime_error: no`
fn libcxx(text: &str) -> Option<Found> {
    let at = position(text, "libc++abi")?;
    let line = at..end_of_line(text, at);
    let start = at + text[line.clone()].find("uncaught exception of type ")? + 27;
    let part = &text[start..line.end];
    let (length, after) = match part.find(": ") {
        Some(length) => (length, length + 2),
        None => (part.trim_end().len(), part.len()),
    };
    let message = trimmed(text, start + after..line.end);
    Some(Found {
        type_name: TypeName::Written(start..start + length),
        message,
        stack: stack_from(text, at),
    })
}

/// `thread 'main' panicked at src/main.rs:3:9:` and the message on the next line; before Rust 1.73 the
/// message stood first, in quotes.
fn rust(text: &str) -> Option<Found> {
    let panicked = position(text, "panicked at ")?;
    if !text[start_of_line(text, panicked)..panicked].contains("thread '") {
        return None;
    }
    let line = panicked + 12..end_of_line(text, panicked);
    let message = match text[line.clone()].strip_prefix('\'') {
        Some(quoted) => {
            let end = quoted.rfind("', ").unwrap_or(quoted.len());
            line.start + 1..line.start + 1 + end
        }
        None => {
            let start = (line.end + 1).min(text.len());
            trimmed(text, start..end_of_line(text, start))
        }
    };
    let stack = stack_from(text, start_of_line(text, panicked));
    Some(Found {
        type_name: TypeName::Fixed("panic"),
        message,
        stack,
    })
}

/// `panic: …` at the start of a line, or anything that is followed by a goroutine's stack.
fn go(text: &str) -> Option<Found> {
    let goroutine = position(text, "goroutine ").is_some_and(|at| text[at..].contains(" ["));
    for (word, name) in [("panic: ", "panic"), ("fatal error: ", "fatal error")] {
        let Some(line) = lines(text).find(|line| text[line.clone()].starts_with(word)) else {
            continue;
        };
        if goroutine || (name == "panic" && line.start == 0) {
            let message = trimmed(text, line.start + word.len()..line.end);
            let stack = stack_from(text, line.start);
            return Some(Found {
                type_name: TypeName::Fixed(name),
                message,
                stack,
            });
        }
    }
    if !goroutine {
        return None;
    }
    if text.starts_with("SIG")
        && let Some(length) = text[..end_of_line(text, 0)].find(": ")
    {
        return Some(Found {
            type_name: TypeName::Written(0..length),
            message: trimmed(text, length + 1..end_of_line(text, 0)),
            stack: stack_from(text, 0),
        });
    }
    let at = position(text, "panic")?;
    let message = trimmed(text, at..end_of_line(text, at));
    Some(Found {
        type_name: TypeName::Fixed("panic"),
        message,
        stack: stack_from(text, start_of_line(text, at)),
    })
}

/// `app.rb:6:in 'f': divided by 0 (ZeroDivisionError)`, first or, before Ruby 3, below its frames; and
/// Rails' `NoMethodError (message):` above them.
fn ruby(text: &str) -> Option<Found> {
    let at = position(text, ":in `").or_else(|| position(text, ":in '"))?;
    let first = start_of_line(text, at);
    lines(&text[first..])
        .map(|line| first + line.start..first + line.end)
        .find_map(|line| raised_at(text, line))
        .or_else(|| rails(text, first))
}

fn raised_at(text: &str, line: Range<usize>) -> Option<Found> {
    let part = &text[line.clone()];
    let at = part.find(":in `").or_else(|| part.find(":in '"))?;
    raised(text, line.start + at, line)
}

/// The type that a line of this form reports.
pub(super) fn raised_in(text: &str, line: Range<usize>) -> Option<Range<usize>> {
    match raised_at(text, line)?.type_name {
        TypeName::Written(range) => Some(range),
        TypeName::Fixed(_) => None,
    }
}

fn raised(text: &str, at: usize, line: Range<usize>) -> Option<Found> {
    let message_start = at + text[at..line.end].find("': ")? + 3;
    let open = message_start + text[message_start..line.end].rfind(" (")?;
    let type_name = class_with_colons(text, open + 2)?;
    if !text.get(type_name.end..line.end)?.starts_with(')') {
        return None;
    }
    let stack = stack_from(text, line.start);
    Some(Found {
        type_name: TypeName::Written(type_name),
        message: message_start..open,
        stack,
    })
}

fn rails(text: &str, frames: usize) -> Option<Found> {
    lines(&text[..frames]).find_map(|line| {
        let line = trimmed(text, line);
        let type_name = class_with_colons(text, line.start)?;
        let rest = text.get(type_name.end..line.end)?.strip_prefix(" (")?;
        if &text[type_name.clone()] == "Traceback" {
            return None;
        }
        let length = rest
            .strip_suffix("):")
            .or_else(|| rest.strip_suffix(')'))?
            .len();
        let message = type_name.end + 2..type_name.end + 2 + length;
        let stack = stack_from(text, line.start);
        Some(Found {
            type_name: TypeName::Written(type_name),
            message,
            stack,
        })
    })
}

/// A constant like `ActiveRecord::RecordNotFound`.
fn class_with_colons(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let length = rest
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':')))
        .unwrap_or(rest.len());
    let length = rest[..length].trim_end_matches(':').len();
    (length > 0 && rest.starts_with(char::is_uppercase)).then_some(at..at + length)
}

/// `Unhandled exception:` and on the next line `FormatException: message` or only a sentence.
fn dart(text: &str) -> Option<Found> {
    let at = position(text, "Unhandled exception:\n")?;
    let start = at + 21;
    let line = trimmed(text, start..end_of_line(text, start));
    if !text[line.end..].contains("#0 ") {
        return None;
    }
    let part = &text[line.clone()];
    let (end, after) = match part.find(": ") {
        Some(end) => (end, end + 2),
        None => (part.trim_end_matches('.').len(), part.len()),
    };
    let message = trimmed(text, line.start + after..line.end);
    Some(Found {
        type_name: TypeName::Written(dart_type(text, line.start..line.start + end)?),
        message,
        stack: stack_from(text, start),
    })
}

/// `RangeError` of `RangeError (index)`, `Pay` of `Instance of 'Pay'`; a place is no type.
fn dart_type(text: &str, written: Range<usize>) -> Option<Range<usize>> {
    let part = &text[written.clone()];
    if let Some(name) = part.strip_prefix("Instance of '") {
        let length = name.find('\'')?;
        return Some(written.start + 13..written.start + 13 + length);
    }
    let length = part.find(" (").unwrap_or(part.len());
    part.starts_with(char::is_alphabetic)
        .then_some(written.start..written.start + length)
}

fn lua(text: &str) -> Option<Found> {
    let at = position(text, "\nstack traceback:")?;
    let start = start_of_line(text, at);
    let stack = stack_from(text, start);
    Some(Found {
        type_name: TypeName::Fixed("lua error"),
        message: trimmed(text, start..at),
        stack,
    })
}
