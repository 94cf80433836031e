//! Syslog: RFC 5424 and RFC 3164 as they come over the wire, and the lines of its files.
//!
//! On the wire the header is an envelope: it becomes time, level, service, host and fields, and the
//! message is what it carries. In a file there is no priority; there the line stays as it is written.
//! Lenient as RFC 3164, section 4.3.3, wants it: after a valid priority anything is a message.

use hushlog_record::{Level, Timestamp, Value};

use crate::digits::is_digits;
use crate::parse::{level, time};
use crate::raw::{RawRecord, Slot};

use super::{Hints, digits_field, structured_data, text_field};

/// Facilities by number (RFC 5424, table 1; the names of 13 to 15 differ between systems).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "security", "console", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
/// Longest host name or tag that is taken for one, in bytes (RFC 5424 allows 255 and 48).
const NAME_BYTES_MAX: usize = 255;

/// A header from the wire, taken apart; what is missing is empty or `-`.
#[derive(Default)]
struct Header<'a> {
    time: Option<Timestamp>,
    host: &'a str,
    program: &'a str,
    process: &'a str,
    message_id: &'a str,
    data: &'a str,
    /// Where the message starts, counted from where the header does.
    length: usize,
}

/// Reads the header of a line from the wire; gives where its message starts.
pub(super) fn envelope(
    text: &str,
    received: Timestamp,
    raw: &mut RawRecord,
    hints: &mut Hints,
) -> Option<usize> {
    let (priority, start) = priority(text)?;
    let header = header(&text[start..], received);
    digits_field(raw, "log.syslog.priority", &text[1..start - 1]);
    text_field(raw, "log.syslog.facility.name", FACILITIES[priority >> 3]);
    hints.level = hints.level.or_else(|| level::syslog(priority & 7));
    hints.time = hints.time.or(header.time);
    put(raw, Slot::Host, "host", header.host);
    put(raw, Slot::Service, "service", service(header.program));
    if service(header.program).len() < header.program.len() {
        text_field(raw, "log.syslog.appname", header.program);
    }
    digits_field(raw, "process.pid", header.process);
    text_field(raw, "log.syslog.msgid", header.message_id);
    structured_data::read(header.data, &mut |name, value| raw.field(name(), value()));
    Some(start + header.length)
}

/// What the header of a line from the wire says of who has sent it, and whether others belong to it.
pub(crate) struct Sender<'a> {
    /// Host, program and process; empty where neither host nor program is said.
    pub(crate) name: String,
    /// All else but the time: lines that differ in it are no lines of one message.
    pub(crate) kind: (usize, &'a str, &'a str),
    /// Whether it says something without any text.
    pub(crate) speaks: bool,
    /// Where the text starts.
    pub(crate) start: usize,
}

/// Reads the header of a line from the wire for who has sent it.
pub(crate) fn sender(text: &str, received: Timestamp) -> Option<Sender<'_>> {
    let (priority, start) = priority(text)?;
    let Header {
        host,
        program,
        process,
        message_id,
        data,
        length,
        ..
    } = header(&text[start..], received);
    let is_said = |word: &str| !word.is_empty() && word != "-";
    let name = if is_said(host) || is_said(program) {
        format!("{host} {program} {process}")
    } else {
        String::new()
    };
    Some(Sender {
        name,
        kind: (priority, message_id, data),
        speaks: is_said(message_id) || is_said(data),
        start: start + length,
    })
}

fn header(rest: &str, received: Timestamp) -> Header<'_> {
    rest.strip_prefix("1 ")
        .and_then(|rest| new_header(rest, received))
        .map(|header| Header {
            length: header.length + 2,
            ..header
        })
        .unwrap_or_else(|| old_header(rest, received))
}

/// `<34>`: facility and severity in one number up to 191, and its length.
fn priority(text: &str) -> Option<(usize, usize)> {
    let end = text.bytes().take(5).position(|byte| byte == b'>')?;
    let digits = text.get(1..end)?;
    if !is_digits(digits) || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    let number: usize = digits.parse().ok()?;
    (number < FACILITIES.len() * 8).then_some((number, end + 1))
}

/// RFC 5424, after the version: `TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG`. Nothing
/// is taken from a header that is not complete.
fn new_header(rest: &str, received: Timestamp) -> Option<Header<'_>> {
    let mut words = rest.splitn(6, ' ');
    let [written, host, program, process, message_id] =
        std::array::from_fn(|_| words.next().unwrap_or_default());
    let after = words.next()?;
    let time = match written {
        "-" => None,
        _ => Some(time::value(written, received)?),
    };
    let names = [host, program, process, message_id];
    if names
        .iter()
        .any(|name| name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\n'))
    {
        return None;
    }
    let (data, tail) = after.split_at(structured_data::read(after, &mut |_, _| ())?);
    if !tail.is_empty() && !tail.starts_with(' ') {
        return None;
    }
    let message = tail.strip_prefix(' ').unwrap_or(tail);
    // A byte order mark says that the message is UTF-8, as everything here is.
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    // rsyslog leaves in front of a message the space that stood behind its tag. Two are an indentation.
    let message = match message.strip_prefix(' ') {
        Some(text) if !text.starts_with(char::is_whitespace) => text,
        _ => message,
    };
    Some(Header {
        time,
        host,
        program,
        process,
        message_id,
        data,
        length: rest.len() - message.len(),
    })
}

/// RFC 3164: a time, a host and a tag, of which each may be missing.
fn old_header(rest: &str, received: Timestamp) -> Header<'_> {
    let Some((time, end)) = time::at_start(rest, received) else {
        return tagged(rest, 0, Header::default());
    };
    let header = Header {
        time: Some(time),
        length: end,
        ..Header::default()
    };
    let Some(after) = rest[end..].strip_prefix([' ', ':']) else {
        return header;
    };
    let start = rest.len() - after.trim_start_matches(' ').len();
    let host = first_word(&rest[start..]);
    // `glibc` sends no host to the local socket.
    if tag(&rest[start..]).is_some() || host.is_empty() || start + host.len() == rest.len() {
        return tagged(rest, start, header);
    }
    tagged(rest, start + host.len() + 1, Header { host, ..header })
}

/// The header with the tag that stands at `start`, if one does.
fn tagged<'a>(rest: &'a str, start: usize, header: Header<'a>) -> Header<'a> {
    let Some(tag) = tag(&rest[start..]) else {
        return Header {
            length: start,
            ..header
        };
    };
    Header {
        program: tag.name,
        process: tag.process,
        length: start + tag.length,
        ..header
    }
}

/// A line of a syslog file, whose time stands first and ends at `end`: host and tag. Only the time of
/// RFC 3164 is syslog's own; with any other the tag must carry a process id.
pub(super) fn in_file(
    line: &str,
    end: usize,
    raw: &mut RawRecord,
    hints: &mut Hints,
) -> Option<Option<Level>> {
    let classic = match line.as_bytes().first()? {
        b'A'..=b'Z' if time::begins_with_month(line) => true,
        b'0'..=b'9' => false,
        _ => return None,
    };
    let after = line.get(end..)?.strip_prefix(' ')?;
    let host = first_word(after);
    let tag = tag(after.get(host.len() + 1..)?).filter(|tag| classic || !tag.process.is_empty())?;
    let named = host.bytes().all(|byte| byte.is_ascii_graphic())
        && !host.ends_with(':')
        && !host.starts_with('[')
        && Level::from_word(host).is_none();
    if host.is_empty() || !named {
        return None;
    }
    host.clone_into(&mut hints.host);
    service(tag.name).clone_into(&mut hints.service);
    digits_field(raw, "process.pid", tag.process);
    Some(None)
}

struct Tag<'a> {
    name: &'a str,
    process: &'a str,
    length: usize,
}

/// `su:`, `sshd[24200]:`, `sshd(pam_unix)[19939]:`, with the space after it.
fn tag(text: &str) -> Option<Tag<'_>> {
    let word = first_word(text);
    let name = word.strip_suffix(':')?;
    let (name, process) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((name, process)) => (name, process),
        None => (name, ""),
    };
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'(' | b')' | b'@')
    };
    // A number before a colon is a sequence number, as routers send it.
    let sound = name.bytes().all(plain)
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && process.bytes().all(|byte| byte.is_ascii_graphic());
    let space = usize::from(text.as_bytes().get(word.len()) == Some(&b' '));
    sound.then_some(Tag {
        name,
        process,
        length: word.len() + space,
    })
}

/// The service of a program: `sshd` of `sshd(pam_unix)`.
fn service(program: &str) -> &str {
    match program.find('(') {
        Some(at) if at > 0 => &program[..at],
        _ => program,
    }
}

/// The word up to the first space; empty when it is longer than a name.
fn first_word(text: &str) -> &str {
    let head = &text.as_bytes()[..text.len().min(NAME_BYTES_MAX + 1)];
    match memchr::memchr2(b' ', b'\n', head) {
        Some(end) => &text[..end],
        None if text.len() <= NAME_BYTES_MAX => text,
        None => "",
    }
}

/// Gives a slot its value, unless the record has one.
fn put(raw: &mut RawRecord, slot: Slot, name: &'static str, value: &str) {
    if value != "-" && !value.is_empty() && raw.lacks(slot) {
        raw.put(name, Value::string(value));
    }
}
