//! Access logs in the common and combined formats of Apache httpd and nginx, also with the virtual
//! host in front: `203.0.113.7 - ann [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326 "-" "curl"`.
//!
//! Field names are those of the Elastic Common Schema. The level of an access line is INFO, whatever
//! words its URL holds.

use hushlog_record::Level;

use crate::digits::is_digits;
use crate::raw::RawRecord;

use super::{digits_field, text_field};

/// Reads a line whose bracketed time ends at `end`.
pub(super) fn read(line: &str, end: usize, raw: &mut RawRecord) -> Option<Option<Level>> {
    let rest = line.get(end..)?.strip_prefix(" \"")?;
    let open = line[..end].rfind(" [")?;
    let mut who = line[..open].split(' ').rev();
    let (user, _ident, client) = (who.next()?, who.next()?, who.next()?);
    let host = who.next();
    let addressed = client.contains(['.', ':']) || matches!(client, "-" | "localhost");
    if who.next().is_some() || !addressed {
        return None;
    }
    let (request, rest) = quoted(rest)?;
    let mut words = rest.strip_prefix(' ')?.splitn(3, ' ');
    let (status, bytes) = (words.next()?, words.next()?);
    if !is_count(status, 3) || !is_count(bytes, 19) {
        return None;
    }
    text_field(raw, "source.address", client);
    text_field(raw, "user.name", user);
    text_field(raw, "url.domain", host.unwrap_or_default());
    request_fields(raw, request);
    digits_field(raw, "http.response.status_code", status);
    digits_field(raw, "http.response.body.bytes", bytes);
    agent_fields(raw, words.next().unwrap_or_default());
    Some(Some(Level::Info))
}

/// `GET /a?b HTTP/1.1`
fn request_fields(raw: &mut RawRecord, request: &str) {
    let Some((method, rest)) = request.split_once(' ') else {
        return;
    };
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return;
    }
    let (url, version) = match rest.rsplit_once(" HTTP/") {
        Some((url, version)) => (url, version),
        None => (rest, ""),
    };
    text_field(raw, "http.request.method", method);
    text_field(raw, "url.original", url);
    text_field(raw, "http.version", version);
}

/// `"referrer" "agent"`
fn agent_fields(raw: &mut RawRecord, rest: &str) {
    let Some((referrer, rest)) = rest.strip_prefix('"').and_then(quoted) else {
        return;
    };
    text_field(raw, "http.request.referrer", referrer);
    if let Some((agent, _)) = rest.strip_prefix(" \"").and_then(quoted) {
        text_field(raw, "user_agent.original", agent);
    }
}

/// The text up to the closing quote, as it is written, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        // An escaped byte is ASCII in both servers' logs; another would end inside of a character.
        at += 2;
        if at > bytes.len() {
            return None;
        }
    }
}

/// `-`, or at most `most` digits.
fn is_count(text: &str, most: usize) -> bool {
    text == "-" || (text.len() <= most && is_digits(text))
}
