//! IPv6 addresses (RFC 4291), with zone and prefix length when they follow.
//!
//! Not `::` alone, not `Foo::bar`, not times, not the eight bytes of a WWN or EUI-64.

use std::net::Ipv6Addr;
use std::ops::Range;

use crate::bytes::{at, before, digits, is_word, part, slice};

/// Longest address in bytes.
const LEN_MAX: usize = 45;
/// Longest zone in bytes.
const ZONE_MAX: usize = 16;

/// What was found last: every colon of an address says that one may be there.
#[derive(Default)]
pub(super) struct Last {
    known: bool,
    start: usize,
    found: Option<Range<usize>>,
}

/// The address that has a colon at `colon`; the one that was found `last` is not read again.
pub(super) fn find(text: &[u8], colon: usize, last: &mut Last) -> Option<Range<usize>> {
    let start = run_start(text, colon)?;
    if !last.known || last.start != start {
        *last = Last {
            known: true,
            start,
            found: find_from(text, start),
        };
    }
    last.found.clone()
}

fn find_from(text: &[u8], start: usize) -> Option<Range<usize>> {
    let run_end = run_end(text, start)?;
    let mut end = run_end;
    // A sentence's full stop or a following colon belongs to no address.
    while end > start
        && (before(text, end, 1) == b'.'
            || before(text, end, 1) == b':' && before(text, end, 2) != b':')
    {
        end -= 1;
    }
    let run = std::str::from_utf8(slice(text, start, end)).ok()?;
    let end = match run.parse::<Ipv6Addr>() {
        Ok(_) => end,
        Err(_) => start + before_port(run)?,
    };
    let run = part(run, 0, end - start);
    (is_telling(run) && free_after(text, end)).then(|| start..suffix_end(text, end))
}

/// The address in a found span.
pub(crate) fn address(span: &str) -> Option<Ipv6Addr> {
    span.split(['%', '/']).next()?.parse().ok()
}

/// Whether the address in a found span is the loopback or the unspecified one: nothing but zeros, and perhaps a
/// one at its end.
pub(crate) fn is_of_no_one(span: &str) -> bool {
    let end = span.find(['%', '/']).unwrap_or(span.len());
    let address = part(span, 0, end);
    let zeros = address.strip_suffix('1').unwrap_or(address);
    zeros.bytes().all(|b| matches!(b, b'0' | b':' | b'.'))
}

fn run_start(text: &[u8], colon: usize) -> Option<usize> {
    let in_run = |b: u8| b.is_ascii_hexdigit() || b == b':';
    let len = (1..=LEN_MAX)
        .take_while(|back| in_run(before(text, colon, *back)))
        .count();
    let start = colon - len;
    let prev = before(text, start, 1);
    let joined = matches!(prev, b'-' | b'.') && is_word(before(text, start, 2));
    (len < LEN_MAX && !is_word(prev) && !joined && prev != b'*').then_some(start)
}

fn run_end(text: &[u8], start: usize) -> Option<usize> {
    let in_run = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let len = text
        .get(start..)?
        .iter()
        .take(LEN_MAX + 8)
        .take_while(|b| in_run(b))
        .count();
    (len < LEN_MAX + 8).then_some(start + len)
}

/// Java writes the port behind a bare address of eight groups: how much of the text is the address.
fn before_port(run: &str) -> Option<usize> {
    let colon = run.rfind(':')?;
    let (address, port) = (part(run, 0, colon), part(run, colon + 1, run.len()));
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let full = address.bytes().filter(|b| *b == b':').count() == 7 && !address.contains("::");
    (is_port && full && address.parse::<Ipv6Addr>().is_ok()).then_some(colon)
}

/// Whether text that parses is meant as an address.
fn is_telling(run: &str) -> bool {
    let groups = run.split(':').filter(|group| !group.is_empty());
    let count = groups.clone().count();
    let has_digit = run.bytes().any(|b| b.is_ascii_digit());
    let bytes_only = count == 8 && groups.clone().all(|group| group.len() == 2);
    let first = groups.clone().next().unwrap_or_default();
    let long_enough = count >= 3
        || run.contains('.')
        || first.len() >= 3 && !run.starts_with("::")
        || count == 2 && run.starts_with("::")
        || run == "::1";
    has_digit && !bytes_only && long_enough
}

fn free_after(text: &[u8], end: usize) -> bool {
    let next = at(text, end);
    let continued =
        matches!(next, b'.' | b':' | b'-') && at(text, end + 1).is_ascii_hexdigit() && next != b':'
            || next == b':' && is_word(at(text, end + 1)) && !at(text, end + 1).is_ascii_digit();
    // A port or a word may follow a colon (`…:2181:FastLeaderElection`).
    let colon_word = next == b':';
    !is_word(next) && next != b'*' && (!continued || colon_word)
}

/// Past a zone (`%eth0`) and a prefix length (`/64`).
fn suffix_end(text: &[u8], end: usize) -> usize {
    let mut end = end;
    if at(text, end) == b'%' {
        let zone = text
            .get(end + 1..)
            .unwrap_or_default()
            .iter()
            .take(ZONE_MAX)
            .take_while(|b| is_word(**b) || **b == b'-')
            .count();
        end += if zone > 0 { zone + 1 } else { 0 };
    }
    let len = digits(text, end + 1);
    let stop = end + 1 + len;
    let prefix = at(text, end) == b'/'
        && (1..=3).contains(&len)
        && slice(text, end + 1, stop)
            .iter()
            .fold(0u32, |n, b| n * 10 + u32::from(b - b'0'))
            <= 128;
    if prefix && !is_word(at(text, stop)) && at(text, stop) != b'.' {
        stop
    } else {
        end
    }
}

/// What PARTIAL leaves: the first 48 bits, or of a mapped address what IPv4's PARTIAL leaves.
pub(crate) fn partial(span: &str, out: &mut String) {
    use std::fmt::Write;
    let suffix = span
        .find('/')
        .map_or("", |slash| part(span, slash, span.len()));
    let Some(address) = address(span) else {
        out.push_str(super::Detector::Ipv6.replacement());
        return;
    };
    if let Some(v4) = address.to_ipv4_mapped() {
        let [a, b, c, _] = v4.octets();
        // Writing to a String cannot fail.
        let _ = write!(out, "::ffff:{a}.{b}.{c}.x{suffix}");
        return;
    }
    let [a, b, c, ..] = address.segments();
    let _ = write!(out, "{a:x}:{b:x}:{c:x}::x{suffix}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_no_one_are_known_without_reading_them() {
        for text in [
            "::1",
            "::",
            "0:0:0:0:0:0:0:1",
            "0:0:0:0:0:0:0:0",
            "::0.0.0.1",
            "::0.0.0.0/96",
            "0::0%lo",
            "::0001",
            "::10",
            "::11",
            "1::",
            "1::1",
            "::1:1",
            "::1.0.0.1",
            "::1.0.0.0",
            "::ffff:0.0.0.1",
            "fe80::1%1",
            "::0.0.0.11",
        ] {
            let address = address(text).expect("an address");
            let is = address.is_loopback() || address.is_unspecified();
            assert_eq!(is_of_no_one(text), is, "{text}");
        }
    }
}
