//! Syslog over TCP: where one message ends and the next begins (RFC 6587).
//!
//! Two framings are in use on the same port, and a sender may choose anew for each message: octet
//! counting (`83 <34>1 2003-…`, section 3.4.1) and non-transparent framing, where a newline ends the
//! message (section 3.4.2; a carriage return before it, and NUL instead of it, are taken too). A frame
//! that starts with a digit other than 0, and whose digits are followed by a space and `<`, is counted.
//!
//! Bytes go in as they come, messages come out. Holds at most one message and never more of it than
//! [`SYSLOG_FRAME_BYTES_MAX`](crate::limits::SYSLOG_FRAME_BYTES_MAX); it reads no socket and no clock.

use hushlog_record::Timestamp;
use memchr::{memchr, memchr2};

use crate::limits::{SYSLOG_COUNT_DIGITS_MAX, SYSLOG_FRAME_BYTES_MAX};
use crate::parse::line::syslog;

/// Who has sent a message: the host and the program in its header; empty where it has neither. Messages of one
/// sender are of one service, unless they name another in their text.
pub fn sender(message: &[u8]) -> String {
    // The time that it came only says which year one without a year is of.
    let header = std::str::from_utf8(message)
        .ok()
        .and_then(|text| syslog::sender(text, Timestamp::default()));
    header.map(|sender| sender.name).unwrap_or_default()
}

/// A message, without its framing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// True where the message goes on in the next frame, since it is longer than the limit: a long
    /// message is cut, never dropped.
    pub cut: bool,
}

/// The consumer of messages.
pub type Each<'a> = &'a mut dyn FnMut(Frame<'_>);

/// Decodes the stream of one connection.
#[derive(Default)]
pub struct Decoder {
    /// Bytes of a message that is not complete.
    held: Vec<u8>,
    state: State,
}

/// What is known of the message that is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing yet, or a count that is not complete.
    #[default]
    Start,
    /// A message of which so many bytes are missing.
    Counted(u64),
    /// A message up to the next newline or NUL.
    Line,
}

/// What the front of a message says.
enum Front {
    /// The frame is counted: length of the digits and the space, and the count.
    Counted(usize, u64),
    Line,
    /// Not enough bytes to say.
    Unknown,
}

impl Decoder {
    /// Takes the bytes that came and hands over the messages that are complete, in order. Blank ones
    /// are nothing.
    pub fn push(&mut self, bytes: &[u8], each: Each<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Start => self.start(rest),
                State::Counted(missing) => self.counted(rest, missing, each),
                State::Line => self.line(rest, each),
            };
        }
    }

    /// The connection has ended: hands over what is held, also of a message that is not complete.
    pub fn finish(&mut self, each: Each<'_>) {
        self.state = State::Start;
        hand_over(&self.held, false, each);
        self.held = Vec::new();
    }

    /// Bytes that it holds.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Decides the framing; gives the bytes that are left. `held` has the first digits, if any.
    fn start<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let had = self.held.len();
        let taken = bytes.len().min(SYSLOG_COUNT_DIGITS_MAX + 2 - had);
        self.held.extend_from_slice(&bytes[..taken]);
        match front(&self.held) {
            Front::Counted(length, count) => {
                self.held.clear();
                self.state = State::Counted(count);
                &bytes[length.saturating_sub(had)..]
            }
            Front::Line => {
                self.held.truncate(had);
                self.state = State::Line;
                bytes
            }
            Front::Unknown => &bytes[taken..],
        }
    }

    fn counted<'a>(&mut self, bytes: &'a [u8], missing: u64, each: Each<'_>) -> &'a [u8] {
        let room = SYSLOG_FRAME_BYTES_MAX - self.held.len();
        let wanted = usize::try_from(missing).unwrap_or(usize::MAX);
        let (part, rest) = bytes.split_at(bytes.len().min(wanted).min(room));
        let missing = missing - part.len() as u64;
        if missing == 0 || part.len() == room {
            self.complete(part, missing > 0, each);
        } else {
            self.held.extend_from_slice(part);
        }
        self.state = match missing {
            0 => State::Start,
            _ => State::Counted(missing),
        };
        rest
    }

    fn line<'a>(&mut self, bytes: &'a [u8], each: Each<'_>) -> &'a [u8] {
        let room = SYSLOG_FRAME_BYTES_MAX - self.held.len();
        let head = &bytes[..bytes.len().min(room)];
        if let Some(end) = memchr2(b'\n', 0, head) {
            self.complete(&bytes[..end], false, each);
            self.state = State::Start;
            return &bytes[end + 1..];
        }
        if head.len() == room {
            self.complete(head, true, each);
        } else {
            self.held.extend_from_slice(head);
        }
        &bytes[head.len()..]
    }

    /// Hands over what is held and `part`, without a copy where nothing is held.
    fn complete(&mut self, part: &[u8], cut: bool, each: Each<'_>) {
        if self.held.is_empty() {
            return hand_over(part, cut, each);
        }
        self.held.extend_from_slice(part);
        hand_over(&self.held, cut, each);
        self.held.clear();
        // A long message must not be paid for as long as the connection lives.
        self.held.shrink_to(SYSLOG_FRAME_BYTES_MAX / 16);
    }
}

fn hand_over(bytes: &[u8], cut: bool, each: Each<'_>) {
    let bytes = match bytes {
        [rest @ .., b'\n'] => rest,
        _ => bytes,
    };
    let bytes = match bytes {
        [rest @ .., b'\r'] if !cut => rest,
        _ => bytes,
    };
    if !bytes.trim_ascii().is_empty() {
        each(Frame { bytes, cut });
    }
}

/// Reads the front of a message: at most [`SYSLOG_COUNT_DIGITS_MAX`] digits, a space and `<`.
fn front(bytes: &[u8]) -> Front {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if bytes.first().is_none_or(|byte| *byte == b'0') && !bytes.is_empty() {
        return Front::Line;
    }
    if digits > SYSLOG_COUNT_DIGITS_MAX {
        return Front::Line;
    }
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (None, _) | (Some(b' '), None) if digits > 0 || bytes.is_empty() => Front::Unknown,
        (Some(b' '), Some(b'<')) if digits > 0 => std::str::from_utf8(&bytes[..digits])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .map_or(Front::Line, |count| Front::Counted(digits + 1, count)),
        _ => Front::Line,
    }
}

/// The messages of one UDP datagram: one (RFC 5426, section 3.1), whose end may be marked with a newline
/// or NUL all the same.
pub fn datagram(bytes: &[u8], each: Each<'_>) {
    let end = memchr(0, bytes).unwrap_or(bytes.len());
    hand_over(&bytes[..end], false, each);
}

/// Prints no text: it is not masked.
impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("state", &self.state)
            .field("held_bytes", &self.held.len())
            .finish()
    }
}

/// Prints no text: it is not masked.
impl std::fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("bytes", &self.bytes.len())
            .field("cut", &self.cut)
            .finish()
    }
}
