//! The pieces that times are written with: digits, clocks, fractions, zones, names of months.
//!
//! Every function reads at the front of its bytes and looks at a bounded number of them.

/// Zones by name, in hours east of UTC: those of RFC 2822 (section 4.3) and the names of Europe, East
/// Asia and Oceania that stand for one offset. `IST` stands for three and is not here: a name that
/// is not known is not read.
const ZONES: [(&[u8], i64); 28] = [
    (b"UTC", 0),
    (b"GMT", 0),
    (b"UT", 0),
    (b"WET", 0),
    (b"EST", -5),
    (b"EDT", -4),
    (b"CST", -6),
    (b"CDT", -5),
    (b"MST", -7),
    (b"MDT", -6),
    (b"PST", -8),
    (b"PDT", -7),
    (b"AKST", -9),
    (b"AKDT", -8),
    (b"HST", -10),
    (b"BST", 1),
    (b"WEST", 1),
    (b"CET", 1),
    (b"CEST", 2),
    (b"EET", 2),
    (b"EEST", 3),
    (b"MSK", 3),
    (b"JST", 9),
    (b"KST", 9),
    (b"AEST", 10),
    (b"AEDT", 11),
    (b"NZST", 12),
    (b"NZDT", 13),
];

pub(super) fn two(bytes: &[u8], at: usize) -> Option<i64> {
    match bytes.get(at..at + 2)? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => None,
    }
}

pub(super) fn four(bytes: &[u8], at: usize) -> Option<i64> {
    Some(two(bytes, at)? * 100 + two(bytes, at + 2)?)
}

/// `14` or ` 9`
pub(super) fn padded_day(bytes: &[u8], at: usize) -> Option<i64> {
    match bytes.get(at..at + 2)? {
        [b' ', digit @ b'0'..=b'9'] => Some(i64::from(digit - b'0')),
        _ => two(bytes, at),
    }
}

/// The month whose first three letters, capitalised, stand here.
pub(super) fn month(bytes: &[u8]) -> Option<i64> {
    const NAMES: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let name = bytes.get(..3)?;
    let place = NAMES.chunks(3).position(|known| known == name)?;
    i64::try_from(place + 1).ok()
}

/// `HH:MM:SS` as seconds of the day, and its length.
pub(super) fn clock(bytes: &[u8]) -> Option<(i64, usize)> {
    if *bytes.get(2)? != b':' || *bytes.get(5)? != b':' {
        return None;
    }
    let seconds = seconds_of(two(bytes, 0)?, two(bytes, 3)?, two(bytes, 6)?)?;
    Some((seconds, 8))
}

/// A leap second is counted as the second before it.
pub(super) fn seconds_of(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then_some(hour * 3600 + minute * 60 + second.min(59))
}

/// `.978` or `,978` as nanoseconds, and its length; digits past the ninth are dropped.
pub(super) fn fraction(bytes: &[u8]) -> (i64, usize) {
    let [b'.' | b',', rest @ ..] = bytes else {
        return (0, 0);
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return (0, 0);
    }
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10
            + rest[..digits]
                .get(place)
                .map_or(0, |digit| i64::from(digit - b'0'));
    }
    (nanos, digits + 1)
}

/// `Z`, ` UTC`, ` CEST`, `+02:00`, `-0700`, ` +0000`, `+02`, ` +0100 CET`, ` UTC+02:00`, ` GMT-7` as seconds east of UTC,
/// and its length; nothing is UTC.
pub(super) fn zone(bytes: &[u8]) -> (i64, usize) {
    let space = usize::from(bytes.first() == Some(&b' '));
    let rest = &bytes[space..];
    match rest.first() {
        Some(b'Z' | b'z') if space == 0 => (0, 1),
        Some(b'+' | b'-') => offset(rest, space == 0).map_or((0, 0), |(seconds, length)| {
            let length = space + length;
            (seconds, length + name_behind(&bytes[length..]))
        }),
        Some(b'A'..=b'Z') => {
            zone_name(rest).map_or((0, 0), |(seconds, length)| (seconds, space + length))
        }
        _ => (0, 0),
    }
}

/// Length of the name that Go and others write behind an offset: `+0100 CET`.
fn name_behind(bytes: &[u8]) -> usize {
    let name = bytes.strip_prefix(b" ").and_then(zone_name);
    name.map_or(0, |(_, length)| 1 + length)
}

/// A zone's name that ends where it stands, or goes on with what is to be added to UTC.
fn zone_name(bytes: &[u8]) -> Option<(i64, usize)> {
    let length = bytes
        .iter()
        .take(5)
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    let (name, hours) = ZONES.iter().find(|(name, _)| *name == &bytes[..length])?;
    if matches!(*name, b"UTC" | b"GMT")
        && let Some((seconds, more)) =
            offset(&bytes[length..], true).or_else(|| hour(&bytes[length..]))
    {
        return Some((seconds, length + more));
    }
    Some((hours * 3600, length))
}

/// `+2`, of one digit and no more.
fn hour(bytes: &[u8]) -> Option<(i64, usize)> {
    let (sign, digit) = match bytes {
        [b'+', digit @ b'0'..=b'9', ..] => (1, digit),
        [b'-', digit @ b'0'..=b'9', ..] => (-1, digit),
        _ => return None,
    };
    let ends = !bytes.get(2).is_some_and(u8::is_ascii_alphanumeric);
    ends.then_some((sign * i64::from(digit - b'0') * 3600, 2))
}

/// `+02:00`, `-0700`; and `+02`, where it touches the clock (a number after a space may be anything).
fn offset(bytes: &[u8], short: bool) -> Option<(i64, usize)> {
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = two(bytes, 1)?;
    let colon = usize::from(bytes.get(3) == Some(&b':'));
    let Some(minutes) = two(bytes, 3 + colon) else {
        let ends = !bytes.get(3).is_some_and(u8::is_ascii_alphanumeric);
        return (short && ends && hours < 24).then_some((sign * hours * 3600, 3));
    };
    let length = 5 + colon;
    let ends = !bytes.get(length).is_some_and(u8::is_ascii_digit);
    (ends && hours < 24 && minutes < 60).then_some((sign * (hours * 3600 + minutes * 60), length))
}
