//! The envelope of a line: what a container's runtime or syslog puts around each line of a trace.
//!
//! The trace is joined from what is inside; the event gets the envelope of its first line, so that it
//! is read as one line of that form.

use std::hash::{DefaultHasher, Hash, Hasher};

use hushlog_record::Timestamp;

use crate::json::scan::{Cursor, Scalar};
use crate::json::text::push_string;
use crate::parse::line::{cri, syslog};
use crate::parse::time;

/// What stands around the content of a line.
#[derive(Default)]
pub(super) enum Envelope {
    /// Nothing.
    #[default]
    None,
    /// What a container's runtime wrote before it, by the CRI.
    Cri(Vec<u8>),
    /// The header of a message of syslog, which may say something without any content.
    Syslog(Vec<u8>),
    /// The rest of a Docker JSON line, after the member `log`.
    Docker(Vec<u8>),
}

/// A line taken apart.
pub(super) struct Split {
    pub(super) envelope: Envelope,
    pub(super) content: Vec<u8>,
    /// Whether the next line of the stream goes on where this one ends.
    pub(super) partial: bool,
    /// Whether it is an event by itself, whatever stands before and behind it.
    pub(super) alone: bool,
    /// Names the stream among those of its source.
    pub(super) stream: Vec<u8>,
}

impl Envelope {
    /// Bytes that it holds.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Cri(bytes) | Self::Syslog(bytes) | Self::Docker(bytes) => bytes.len(),
        }
    }

    /// Whether it is of syslog, where a line without content is an event too.
    pub(super) const fn is_event(&self) -> bool {
        matches!(self, Self::Syslog(_))
    }

    /// The event with this content.
    pub(super) fn around(self, content: Vec<u8>) -> Vec<u8> {
        match self {
            Self::None => content,
            Self::Cri(mut head) | Self::Syslog(mut head) => {
                head.extend_from_slice(&content);
                head
            }
            Self::Docker(rest) => {
                let mut text = String::with_capacity(content.len() + rest.len() + 16);
                text.push_str("{\"log\":");
                // The content came out of a JSON string and so is text.
                push_string(&mut text, &String::from_utf8_lossy(&content));
                let mut event = text.into_bytes();
                event.extend_from_slice(&rest);
                event
            }
        }
    }
}

/// Takes a line apart; one in no known envelope is all content.
pub(super) fn split(mut line: Vec<u8>, now: Timestamp) -> Split {
    let parts = std::str::from_utf8(&line)
        .ok()
        .and_then(|text| match text.as_bytes().first()? {
            b'0'..=b'9' => of_cri(text, now),
            b'<' => of_syslog(text, now),
            b'{' => of_docker(text),
            _ => None,
        });
    match parts {
        Some(Parts::Cri(start, stream, partial)) => {
            let content = line.split_off(start);
            Split {
                envelope: Envelope::Cri(line),
                content,
                partial,
                alone: false,
                stream,
            }
        }
        Some(Parts::Syslog(start, alone, stream)) => {
            let content = line.split_off(start);
            Split {
                envelope: Envelope::Syslog(line),
                content,
                partial: false,
                alone,
                stream,
            }
        }
        Some(Parts::Docker(split)) => split,
        None => Split {
            envelope: Envelope::None,
            content: line,
            partial: false,
            alone: false,
            stream: Vec::new(),
        },
    }
}

enum Parts {
    Cri(usize, Vec<u8>, bool),
    Syslog(usize, bool, Vec<u8>),
    Docker(Split),
}

fn of_cri(text: &str, now: Timestamp) -> Option<Parts> {
    // Cheaper than reading the time: only ISO times with a zone stand before a stream's name.
    let space = memchr::memchr(b' ', &text.as_bytes()[..text.len().min(48)])?;
    text[space..].starts_with(" std").then_some(())?;
    let (_, end) = time::at_start(text, now)?;
    let parts = cri::parts(text, end)?;
    Some(Parts::Cri(
        parts.content,
        parts.stream.as_bytes().to_vec(),
        parts.partial,
    ))
}

fn of_syslog(text: &str, now: Timestamp) -> Option<Parts> {
    let sender = syslog::sender(text, now)?;
    let alone = sender.speaks && text[sender.start..].trim().is_empty();
    // What a header says may be long.
    let mut kind = DefaultHasher::new();
    sender.kind.hash(&mut kind);
    let stream = format!("{} {:016x}", sender.name, kind.finish());
    Some(Parts::Syslog(sender.start, alone, stream.into_bytes()))
}

/// `{"log":"line\n","stream":"stdout","time":"…"}`, as Docker's `json-file` driver writes it.
fn of_docker(text: &str) -> Option<Parts> {
    if !text.starts_with("{\"log\":\"") {
        return None;
    }
    let mut cursor = Cursor::new(text);
    cursor.eat(b'{', "an object").ok()?;
    cursor.key().ok()?;
    let Ok(Scalar::Text(log)) = cursor.scalar() else {
        return None;
    };
    let rest = &text[cursor.at()..];
    let stream = ["stdout", "stderr"]
        .into_iter()
        .find(|stream| rest.contains(&format!("\"stream\":\"{stream}\"")))?;
    let partial = !log.ends_with('\n');
    let content = log.trim_end_matches(['\n', '\r']).as_bytes().to_vec();
    Some(Parts::Docker(Split {
        envelope: Envelope::Docker(rest.as_bytes().to_vec()),
        content,
        partial,
        alone: false,
        stream: stream.as_bytes().to_vec(),
    }))
}
