//! What a line begins and what it continues, by its shape alone.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;

use crate::exception::header_starts_line;
use crate::parse::time;

/// What the lines so far have begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// An ordinary line, or a trace of the Java and .NET kind: what belongs to it is indented or
    /// starts with a known word.
    #[default]
    Plain,
    /// A line that reports an exception, without frames yet: its message may go on.
    Report,
    /// Frames of a Python traceback: the first line that is not indented ends them.
    Frames,
    /// After a traceback's last line, or in a trace of PHP: another of its chain may follow, after a
    /// blank line.
    Chain,
    /// Stacks of Go, separated by blank lines; a function's name is not indented.
    Go,
    /// A panic of Rust or a fatal exception of Dart: the message stands on the next line.
    Panic,
    /// Node.js shows the line of the source first; the report follows after a blank line.
    Source,
    /// `java.util.logging` writes the level and the message on a second line.
    Jul,
}

/// Starts of lines that continue a trace without being indented.
const CONTINUING: [&str; 14] = [
    "Caused by:",
    "Suppressed:",
    "Wrapped by:",
    "--- End of inner exception stack trace",
    "--- End of stack trace from",
    "Stack trace:",
    "stack backtrace:",
    "stack traceback:",
    "Traceback (most recent call last):",
    "During handling of the above exception",
    "The above exception was the direct cause",
    "<asynchronous suspension>",
    "note: Some details are omitted",
    "note: run with `RUST_BACKTRACE",
];

/// Levels that `java.util.logging` writes.
const JUL_LEVELS: [&str; 7] = [
    "SEVERE: ",
    "WARNING: ",
    "INFO: ",
    "CONFIG: ",
    "FINE: ",
    "FINER: ",
    "FINEST: ",
];

/// Without one of these a line reports no exception and no panic: one search for all of them, since every
/// line is searched.
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(["panic", "Exception", "Error", "Throwable"])
        .expect("four short words always make an automaton")
});

/// What a line begins.
pub(super) fn begins(line: &[u8]) -> State {
    let line = line.trim_ascii_start();
    match line.first() {
        Some(b'T') if line.starts_with(b"Traceback (most recent call last):") => {
            return State::Frames;
        }
        Some(b'p') if line.starts_with(b"panic: ") => return State::Go,
        Some(b'f') if line.starts_with(b"fatal error: ") => return State::Go,
        Some(b'g') if is_goroutine(line) => return State::Go,
        Some(b'S') if line.starts_with(b"Stack trace:") => return State::Chain,
        Some(b'*') if line.starts_with(b"** (") => return State::Chain,
        Some(b'U') if line.trim_ascii_end() == b"Unhandled exception:" => return State::Panic,
        Some(b'/' | b'f' | b'n') if is_source(line) => return State::Source,
        Some(b'S') if line.starts_with(b"SIG") && contains_violation(line) => return State::Go,
        Some(b'A'..=b'Z') if is_jul(line) => return State::Jul,
        Some(b'A'..=b'Z') if is_rails(line) => return State::Chain,
        _ => {}
    }
    let Some(word) = WORDS.find(line) else {
        return State::Plain;
    };
    let contains = |word: &str| memmem::find(line, word.as_bytes()).is_some();
    let named = word.pattern().as_usize() > 0 || contains("Exception") || contains("Error");
    if named && std::str::from_utf8(line).is_ok_and(crate::exception::reports) {
        return State::Report;
    }
    if contains("http: panic serving") {
        State::Go
    } else if contains("thread '") && contains(" panicked at ") {
        State::Panic
    } else {
        State::Plain
    }
}

/// Whether the line continues what stands above it, which has begun `state`.
pub(super) fn continues(line: &[u8], state: State) -> bool {
    let first = line.first().copied();
    is_indented(line)
        || CONTINUING.iter().any(|start| {
            start.as_bytes().first().copied() == first && line.starts_with(start.as_bytes())
        })
        || is_numbered_frame(line)
        || is_header(line)
        || is_script_frame(line)
        || is_rails(line)
        || is_continuation(line, state)
        // The end of the properties that Node.js prints below a trace.
        || line == b"}"
}

/// Whether it begins with a word that also begins ordinary lines, and goes on as traces do.
fn is_continuation(line: &[u8], state: State) -> bool {
    let behind = |start: &str| line.strip_prefix(start.as_bytes());
    let begins_with = |rest: &[u8], is: fn(&u8) -> bool| rest.first().is_some_and(is);
    match line.first() {
        Some(b'.') => behind("... ").is_some_and(is_elided),
        Some(b'!') => behind("! ").is_some_and(is_dropwizard),
        Some(b'*') => behind("** (").is_some_and(|rest| begins_with(rest, u8::is_ascii_uppercase)),
        Some(b'N') if state == State::Chain && behind("Next ").is_some() => {
            memmem::find(line, b": ").is_some()
        }
        Some(b'N') => behind("Node.js v").is_some_and(|rest| begins_with(rest, u8::is_ascii_digit)),
        Some(b'L') => state == State::Chain && behind("Last message").is_some(),
        Some(b'f') => behind("from /").is_some_and(|rest| memmem::find(rest, b":in ").is_some()),
        Some(b'g') => is_goroutine(line),
        // Laravel's, around a trace inside of JSON.
        Some(b'[' | b'"') => matches!(line.trim_ascii_end(), b"[stacktrace]" | b"\"}"),
        _ => false,
    }
}

/// `12 more`, `7 common frames omitted`, behind three points.
fn is_elided(rest: &[u8]) -> bool {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let word = rest.get(digits..).unwrap_or_default();
    digits > 0 && (word.starts_with(b" more") || word.starts_with(b" common frames"))
}

/// A line of a trace as Dropwizard writes it, behind its exclamation mark.
fn is_dropwizard(rest: &[u8]) -> bool {
    is_header(rest)
        || rest.strip_prefix(b"... ").is_some_and(is_elided)
        || [&b"at "[..], b"Caused by: ", b"Causing: ", b"Suppressed: "]
            .iter()
            .any(|start| rest.starts_with(start))
}

/// `goroutine 7 [running]:`
fn is_goroutine(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"goroutine ").unwrap_or_default();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest[digits..].starts_with(b" [")
}

pub(super) fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// `\tat a.B.c(B.java:1)`: the end of a message of several lines.
pub(super) fn is_frame(line: &[u8]) -> bool {
    is_indented(line) && line.trim_ascii_start().starts_with(b"at ")
}

/// Whether the line shows that lines before it are the message of the report above them.
pub(super) fn proves(line: &[u8]) -> bool {
    is_frame(line)
        || is_numbered_frame(line)
        || line.starts_with(b"stack backtrace:")
        || line.starts_with(b"note: run with")
}

/// Whether an indented line is one of a trace by itself, without regard to what stands above it: where any message may
/// begin with spaces, they say nothing.
pub(super) fn is_of_trace(line: &[u8]) -> bool {
    const STARTS: [&[u8]; 6] = [
        b"at ",
        b"... ",
        b"Caused by:",
        b"Suppressed:",
        b"File \"",
        b"goroutine ",
    ];
    let text = line.trim_ascii_start();
    proves(line) || STARTS.iter().any(|start| text.starts_with(start))
}

/// Whether the line belongs to what stands above it even after a blank line.
pub(super) fn continues_after_blank(line: &[u8]) -> bool {
    is_header(line) || is_script_frame(line) || is_rails(line) || line.starts_with(b"Node.js v")
}

/// Whether the line is the start of a record in a form of its own, and so no part of a message.
pub(super) fn starts_record(line: &[u8]) -> bool {
    is_leveled(line) || matches!(line.first(), Some(b'0'..=b'9' | b'[' | b'{' | b'<'))
}

/// Whether the line is a record by its time, its level or its form, and not only looks like the start of
/// one: not even what may be any text, such as the message of a panic, may be this.
pub(super) fn is_record(line: &[u8]) -> bool {
    let inner = line.strip_prefix(b"[").unwrap_or(line);
    let shaped = |shape: &[u8]| {
        shape.iter().enumerate().all(|(at, kind)| {
            inner.get(at).is_some_and(|byte| match kind {
                b'0' => byte.is_ascii_digit(),
                b'-' => matches!(byte, b'-' | b'/' | b'.'),
                other => byte == other,
            })
        })
    };
    is_leveled(inner)
        || ["0000-00-00", "00-00-00 00:", "00:00:00", "000000 000000 "]
            .iter()
            .any(|shape| shaped(shape.as_bytes()))
        || line.starts_with(b"{\"")
        || ["level=", "time=", "ts=", "timestamp="]
            .iter()
            .any(|name| line.starts_with(name.as_bytes()))
        || is_syslog_date(line)
}

/// `Jan  2 03:04:05`
fn is_syslog_date(line: &[u8]) -> bool {
    let date = line
        .first_chunk::<7>()
        .map(|date| std::str::from_utf8(date));
    matches!(date, Some(Ok(date)) if date.ends_with(' ') && time::begins_with_month(date))
}

/// Whether it begins with the name of a level in capitals.
fn is_leveled(line: &[u8]) -> bool {
    let word = line
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    word > 2
        && matches!(line.get(word), Some(b' ' | b':' | b']'))
        && std::str::from_utf8(&line[..word])
            .is_ok_and(|word| hushlog_record::Level::from_word(word).is_some())
}

/// A line of a goroutine's stack that is not indented.
pub(super) fn is_go(line: &[u8]) -> bool {
    is_indented(line)
        || is_go_call(line)
        || line.starts_with(b"...") && line.ends_with(b" frames elided...")
        || [
            "goroutine ",
            "created by ",
            "[signal ",
            "exit status ",
            "runtime stack:",
            "PC=0x",
        ]
        .iter()
        .any(|start| line.starts_with(start.as_bytes()))
}

/// `main.(*T).f(0x1, {0x2, 0x3})`: no space before the arguments.
fn is_go_call(line: &[u8]) -> bool {
    let open = memchr::memchr2(b'(', b' ', line);
    line.ends_with(b")") && open.is_some_and(|open| open > 0 && line[open] == b'(')
}

/// `SEVERE: message`
pub(super) fn is_jul_message(line: &[u8]) -> bool {
    JUL_LEVELS
        .iter()
        .any(|level| line.starts_with(level.as_bytes()))
}

/// `Jan 02, 2026 3:04:05 PM c.f.Pay charge`: a month, half a day, a class with dots and a method.
fn is_jul(line: &[u8]) -> bool {
    let half = memmem::find(&line[..line.len().min(40)], b":").is_some_and(|at| {
        line[at..]
            .windows(4)
            .take(12)
            .any(|part| matches!(part, b" AM " | b" PM "))
    });
    let mut words = line.rsplit(|byte| *byte == b' ');
    half && words
        .next()
        .is_some_and(|method| !method.is_empty() && !method.contains(&b'.'))
        && words
            .next()
            .is_some_and(|class| class.contains(&b'.') && !class.ends_with(b"."))
}

/// `SIGSEGV: segmentation violation`, how Go reports a signal outside of its own code.
fn contains_violation(line: &[u8]) -> bool {
    line.ends_with(b": segmentation violation") || line.ends_with(b": bus error")
}

/// `ActiveRecord::RecordNotFound (Couldn't find User):`
fn is_rails(line: &[u8]) -> bool {
    let name = line
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_'))
        .count();
    let class = &line[..name];
    let is_class = class.ends_with(b"Error")
        || class.ends_with(b"Exception")
        || memmem::find(class, b"::").is_some();
    is_class && line.ends_with(b"):") && line[name..].starts_with(b" (")
}

/// `/srv/app.js:12`, `node:internal/process/promises:394`
fn is_source(line: &[u8]) -> bool {
    let digits = line
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let path = &line[..line.len() - digits];
    let script = [&b".js:"[..], b".cjs:", b".mjs:", b".ts:"]
        .iter()
        .any(|end| path.ends_with(end));
    let runtime = line.starts_with(b"node:") && path.ends_with(b":");
    digits > 0 && (script || runtime) && !path.contains(&b' ')
}

/// `#0 /srv/app.php(5): f()`, and `#0      main (file:///a.dart:1:2)`
fn is_numbered_frame(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"#") else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits) == Some(&b' ')
}

/// `^^^^`, below the part of a source line that is meant.
pub(super) fn is_mark(line: &[u8]) -> bool {
    line.iter().all(|byte| *byte == b'^')
}

/// Firefox's `name@https://host/a.js:1:2`, and Rails' `app/pay.rb:3:in 'charge'`.
fn is_script_frame(line: &[u8]) -> bool {
    let line = [&b"global code"[..], b"module code", b"eval code"]
        .iter()
        .find_map(|code| line.strip_prefix(*code))
        .unwrap_or(line);
    let first = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let place = memchr::memchr(b'@', first).map(|at| &first[at + 1..]);
    place.is_some_and(|place| {
        first.len() == line.len()
            && (place.starts_with(b"http://") || place.starts_with(b"https://"))
    }) || memmem::find(first, b".rb:")
        .is_some_and(|at| memmem::find(&first[at..], b":in").is_some())
}

/// `java.lang.IllegalStateException: no` at the start of a line: what the line before it was about.
fn is_header(line: &[u8]) -> bool {
    let end = memchr::memchr(b':', line).unwrap_or(line.len());
    line[..end].contains(&b'.')
        && std::str::from_utf8(&line[..line.len().min(end + 2)]).is_ok_and(header_starts_line)
}
