//! The header that loggers write before a message: Log4j, Logback and Spring Boot, Python's `logging`,
//! Spark, Hadoop, gunicorn, Apache's error log and their relatives.
//!
//! After the time stand, in any order, a level, a thread or module in brackets, a process id and a
//! logger. Only a header that names a level counts; what cannot be told for sure is no field.

use hushlog_record::{Level, Value};

use crate::digits::is_digits;
use crate::parse::level;
use crate::raw::RawRecord;

use super::{digits_field, text_field};

/// Longest header after the time, in bytes.
const HEADER_BYTES_MAX: usize = 512;
/// Most parts of a header.
const PARTS_MAX: usize = 8;

#[derive(Default)]
struct Header<'a> {
    level: Option<Level>,
    logger: Option<&'a str>,
    thread: Option<&'a str>,
    process: Option<&'a str>,
    request: Option<&'a str>,
    /// A name with points in brackets: the logger, unless another follows.
    bracketed: Option<&'a str>,
}

/// Reads a line whose time ends at `end`; 0 where it has none.
pub(super) fn read(line: &str, end: usize, raw: &mut RawRecord) -> Option<Option<Level>> {
    let rest = line.get(end..)?;
    let header = if end == 0 {
        basic(rest).or_else(|| after_clock(rest))?
    } else {
        let header = Header {
            level: before_time(line),
            ..Header::default()
        };
        Header::read(crate::raw::cut(rest, HEADER_BYTES_MAX), header)
    };
    let level = header.level?;
    text_field(raw, "log.logger", header.logger.unwrap_or_default());
    if header.logger.is_some() {
        text_field(
            raw,
            "process.thread.name",
            header.thread.unwrap_or_default(),
        );
    }
    digits_field(raw, "process.pid", header.process.unwrap_or_default());
    if let Some(request) = header.request {
        raw.field_before("faas.execution".to_owned(), Value::string(request));
    }
    Some(Some(level))
}

/// The level of a header that began before the time: `[ERROR] 2026-01-02T03:04:05Z`, `WARN 2026-01-02 …`.
fn before_time(line: &str) -> Option<Level> {
    let word = line.split([' ', '\t']).next()?;
    match word.strip_prefix('[') {
        Some(inner) => Level::from_word(inner.strip_suffix(']')?),
        None => level_word(word),
    }
}

/// `ERROR:root:message`, what Python's `basicConfig` gives.
fn basic(line: &str) -> Option<Header<'_>> {
    let (word, rest) = line.get(..line.len().min(10))?.split_once(':')?;
    let level = level_word(word)?;
    let rest = &line[line.len().min(10) - rest.len()..];
    let logger = &rest[..identifier(rest)];
    let separated = rest[logger.len()..].starts_with(':');
    (separated && !logger.is_empty()).then_some(Header {
        level: Some(level),
        logger: Some(logger),
        ..Header::default()
    })
}

/// `03:04:05.678 [main] INFO  c.f.App - message`, Logback's default: a clock without a date is no event
/// time, and only with all of a header's parts is it one.
fn after_clock(line: &str) -> Option<Header<'_>> {
    let clock = line
        .bytes()
        .take(16)
        .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b','))
        .count();
    let clocked = clock >= 8 && line.as_bytes().get(2) == Some(&b':');
    let rest = line.get(clock..).filter(|_| clocked)?;
    let header = Header::read(crate::raw::cut(rest, HEADER_BYTES_MAX), Header::default());
    (header.level.is_some() && header.logger.is_some() && header.thread.is_some()).then_some(header)
}

impl<'a> Header<'a> {
    fn read(rest: &'a str, mut header: Self) -> Self {
        let mut rest = rest;
        for _ in 0..PARTS_MAX {
            rest = rest.trim_start_matches([' ', '\t', '-', '|', ',']);
            if let Some(after) = rest.strip_prefix(": ") {
                rest = after.trim_start_matches(' ');
            }
            let taken = if rest.starts_with('[') {
                header.bracket(rest)
            } else {
                header.word(rest)
            };
            match taken {
                Some(length) => rest = &rest[length..],
                None => break,
            }
        }
        if header.logger.is_none() {
            header.logger = header.bracketed;
        } else if header.thread.is_none() {
            header.thread = header.bracketed;
        }
        header
    }

    /// Takes a part in brackets and gives its length.
    fn bracket(&mut self, text: &'a str) -> Option<usize> {
        if self.logger.is_some() {
            return None;
        }
        let length = balanced(text)?;
        let inner = text[1..length - 1].trim_ascii();
        let module_level = inner
            .split_once(':')
            .and_then(|(module, word)| Some((module, Level::from_word(word)?)));
        if let Some(level) = Level::from_word(inner).filter(|_| self.level.is_none()) {
            self.level = Some(level);
        } else if let Some((module, level)) = module_level.filter(|_| self.level.is_none()) {
            // `[core:error]`, Apache's.
            self.level = Some(level);
            self.logger = (!module.is_empty()).then_some(module);
            return None;
        } else if is_digits(inner) {
            self.process = self.process.or(Some(inner));
        } else if self.bracketed.is_none()
            && inner.contains('.')
            && identifier(inner) == inner.len()
        {
            self.bracketed = Some(inner);
        } else {
            // Of several the last is the thread: Spring Boot writes the application before it.
            self.thread = Some(inner);
        }
        Some(length)
    }

    /// Takes a word and gives its length; `None` where the message starts.
    fn word(&mut self, text: &'a str) -> Option<usize> {
        let length = text
            .bytes()
            .take_while(|byte| !byte.is_ascii_whitespace())
            .count();
        let word = &text[..length];
        let bare = word.strip_suffix(':').unwrap_or(word);
        if self.level.is_none()
            && let Some((channel, level)) = channel_level(word)
        {
            self.logger = Some(channel);
            self.level = Some(level);
            return None;
        }
        // Between tabs a level is one in small letters too: zap's console form.
        let tabbed = text[length..].starts_with('\t');
        if self.level.is_none()
            && let Some(level) =
                level_word(bare).or_else(|| Level::from_word(word).filter(|_| tabbed))
        {
            self.level = Some(level);
            // `ERROR: message`
            return (bare.len() == word.len()).then_some(length);
        }
        if is_digits(word) {
            let first = self.process.is_none();
            self.process = self.process.or(Some(word));
            return first.then_some(length);
        }
        if self.request.is_none() && is_request(word) {
            self.request = Some(word);
            return Some(length);
        }
        self.logger(text, word)
    }

    /// Takes a logger's name, if what follows it shows that it is one.
    fn logger(&mut self, text: &'a str, word: &'a str) -> Option<usize> {
        // `[TIME ERROR app::pay] message`, that of Rust's `env_logger`.
        let name = word.strip_suffix([':', ']']).unwrap_or(word);
        if self.logger.is_some() || name.is_empty() || path(name) != name.len() {
            return None;
        }
        let after = text[word.len()..].trim_start_matches([' ', '\t']);
        if self.level.is_none() {
            // `name - ERROR - message`, `name ERROR message`
            let qualified = name.contains(['.', '$', '_']);
            let next = match after.strip_prefix("- ") {
                Some(next) => next,
                None if qualified => after,
                None => return None,
            };
            let next = next.split_ascii_whitespace().next()?;
            level_word(next.strip_suffix(':').unwrap_or(next))?;
            self.logger = Some(name);
            return Some(word.len());
        }
        if word == "in" && self.logger_in(after) {
            return None;
        }
        let qualified = name.contains(['.', '$', '_', ':']) || is_camel(name);
        let ends = if name.len() < word.len() {
            qualified
        } else {
            // A word in capitals is one of the message: `- FOLLOWING - LEADER ELECTION TOOK`.
            let shouted = !name.bytes().any(|byte| byte.is_ascii_lowercase());
            (!shouted && (after.starts_with("- ") || after.starts_with(": ")))
                || (qualified && after.starts_with('['))
        };
        if ends {
            self.logger = Some(name);
        }
        None
    }

    /// `ERROR in app: message`, Flask's.
    fn logger_in(&mut self, after: &'a str) -> bool {
        let name = &after[..identifier(after)];
        let found = !name.is_empty() && after[name.len()..].starts_with(": ");
        if found {
            self.logger = Some(name);
        }
        found
    }
}

/// A level in capitals, as headers have it.
fn level_word(word: &str) -> Option<Level> {
    let capitals = (3..=13).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase());
    capitals.then(|| level::capitals(word))?
}

/// Length of the name that the text starts with: `c.f.Pay$1`, `my-app`, `o.s.b.[Tomcat].[localhost]`
/// without its brackets.
fn identifier(text: &str) -> usize {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well {
        return 0;
    }
    text.bytes()
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'-' | b'/')
        })
        .count()
}

/// Length of a path of names with two colons between them, Rust's and C++'s; of a single name too.
fn path(text: &str) -> usize {
    let mut length = identifier(text);
    while let Some(rest) = text[length..].strip_prefix("::") {
        let next = identifier(rest);
        if next == 0 {
            break;
        }
        length += 2 + next;
    }
    length
}

/// `production.ERROR:`, Monolog's channel and level.
fn channel_level(word: &str) -> Option<(&str, Level)> {
    let (channel, level) = word.strip_suffix(':')?.rsplit_once('.')?;
    let sound = !channel.is_empty() && identifier(channel) == channel.len();
    Some((channel, level_word(level).filter(|_| sound)?))
}

/// Of two words at least, each with a capital: `BlockManager`.
fn is_camel(name: &str) -> bool {
    name.bytes().filter(u8::is_ascii_uppercase).count() > 1
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// The id of a request to AWS Lambda, a UUID.
fn is_request(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Length of the bracketed part that the text starts with, brackets inside of it counted.
fn balanced(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}
