//! Phone numbers.
//!
//! International ones begin with `+` and have a country code and a length that exist. Those of North
//! America are known by their grouping, `(ddd) ddd-dddd` and alike. All others look like any number,
//! and are taken only behind a word like `phone` (`context.rs`).

use std::ops::Range;

use crate::bytes::{
    at, before, char_at, char_before, digits, follows_mask, is_currency, is_in_number, is_word,
    joins, part, slice, starts_with,
};
use crate::validators::{country, nanp};

/// Most digits of an extension.
const EXTENSION_DIGITS_MAX: usize = 7;

/// Fewest digits that any kind of number has.
const DIGITS_MIN: usize = country::DIGITS_MIN;

/// Digits of a number as they are read.
#[derive(Default)]
struct Dialled {
    digits: [u8; country::DIGITS_MAX],
    len: usize,
}

impl Dialled {
    /// Adds the digits that stand at `pos`; where they end, if there are any and not too many.
    fn read(&mut self, text: &[u8], pos: usize) -> Option<usize> {
        let rest = text.get(pos..).unwrap_or_default();
        let before = self.len;
        for byte in rest.iter().take_while(|b| b.is_ascii_digit()) {
            *self.digits.get_mut(self.len)? = byte - b'0';
            self.len += 1;
        }
        (self.len > before).then_some(pos + self.len - before)
    }

    fn get(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }
}

/// The longest number that starts at `start` and that `valid` accepts at the end of a group of digits.
/// `gap_max` is how many separators may stand between two groups.
fn longest(
    text: &[u8],
    start: usize,
    gap_max: usize,
    valid: impl Fn(&[u8]) -> bool,
) -> Option<usize> {
    let mut dialled = Dialled::default();
    let mut pos = start;
    let mut best = None;
    while let Some(end) = dialled.read(text, pos) {
        if dialled.len >= DIGITS_MIN && valid(dialled.get()) && free_after(text, end) {
            best = Some(end);
        }
        let gap = gap(text, end, gap_max);
        if gap == 0 {
            break;
        }
        pos = end + gap;
    }
    best
}

/// Length of the separators at `pos`, or 0 when no digit follows them.
fn gap(text: &[u8], pos: usize, max: usize) -> usize {
    let is_separator = |b: u8| matches!(b, b' ' | b'-' | b'.' | b'/' | b'(' | b')');
    let mut len = 0;
    loop {
        let byte = at(text, pos + len);
        if byte.is_ascii_digit() {
            return len;
        }
        len += 1;
        if len > max || !is_separator(byte) {
            return 0;
        }
    }
}

/// The number behind the `+` at `plus`.
pub(crate) fn international(text: &[u8], plus: usize) -> Option<Range<usize>> {
    let prev = before(text, plus, 1);
    if prev.is_ascii_digit() || matches!(prev, b'_' | b'.' | b'*' | b'/' | b')') {
        return None;
    }
    let start = if prev == b'+' { plus - 1 } else { plus };
    let mut first = plus + 1;
    while matches!(at(text, first), b' ' | b'(') && first < plus + 3 {
        first += 1;
    }
    if !matches!(at(text, first), b'1'..=b'9') {
        return None;
    }
    let end = longest(text, first, 3, country::valid)?;
    Some(start..extension_end(text, end))
}

/// `(ddd) ddd-dddd` and national numbers whose area code is in brackets.
pub(crate) fn bracketed(text: &[u8], open: usize) -> Option<Range<usize>> {
    let area = digits(text, open + 1);
    if !(2..=5).contains(&area) || at(text, open + 1 + area) != b')' || !free_before(text, open) {
        return None;
    }
    let mut pos = open + area + 2;
    if matches!(at(text, pos), b' ' | b'-') {
        pos += 1;
    }
    let run = digits(text, pos);
    let north_american = |d: &[u8]| nanp::valid(d);
    let accepted = match (area, run) {
        (3, 3) if at(text, pos + 3) != b' ' || digits(text, pos + 4) == 4 => {
            longest_from(text, open + 1, north_american)
        }
        (3, 7) => longest_from(text, open + 1, north_american),
        _ => None,
    };
    let end = accepted
        .or_else(|| longest_from(text, open + 1, |d| is_bracketed_national(area, run, d)))?;
    let start = leading_one(text, open);
    Some(start..extension_end(text, end))
}

fn longest_from(text: &[u8], start: usize, valid: impl Fn(&[u8]) -> bool) -> Option<usize> {
    longest(text, start, 2, valid)
}

/// Area code of two to five digits, then seven to eight in one or two groups.
fn is_bracketed_national(area: usize, run: usize, d: &[u8]) -> bool {
    let trunk = matches!(d, [0, 1..=9, ..]);
    match area {
        2 => d.len() == 10 && run == 4,
        3 => trunk && d.len() == 11 && matches!(run, 3 | 4),
        4 | 5 => trunk && (10..=11).contains(&d.len()) && run >= 2,
        _ => false,
    }
}

/// Start of the number, with a `1` or `1-` in front when there is one.
fn leading_one(text: &[u8], start: usize) -> usize {
    let gap = usize::from(matches!(before(text, start, 1), b' ' | b'-' | b'.'));
    let one = before(text, start, gap + 1) == b'1';
    let prev = before(text, start, gap + 2);
    let alone = !is_word(prev) && !matches!(prev, b'.' | b'-' | b'*' | b'+' | b':' | b',');
    if one && alone { start - gap - 1 } else { start }
}

/// `ddd-ddd-dddd` or `ddd.ddd.dddd` at `start`.
pub(crate) fn grouped(text: &[u8], start: usize) -> Option<Range<usize>> {
    let separator = at(text, start + 3);
    let end = start + 12;
    let shape =
        digits(text, start) == 3 && digits(text, start + 4) == 3 && digits(text, start + 8) == 4;
    if !shape || at(text, start + 7) != separator || !matches!(separator, b'-' | b'.' | b' ') {
        return None;
    }
    let number: Vec10 = collect(text, start, end)?;
    let begin = leading_one(text, start);
    let free = if begin < start {
        !follows_mask(text, begin)
    } else {
        free_before(text, start)
    };
    let telling = separator != b' '
        || begin < start && before(text, start, 1) != b'.' && is_spaced_number(text, begin, end);
    (telling && free && nanp::valid(&number) && free_after(text, end))
        .then(|| begin..extension_end(text, end))
}

/// `1 ddd ddd dddd` may be columns of numbers: nothing but text may be around it.
fn is_spaced_number(text: &[u8], start: usize, end: usize) -> bool {
    let left = before(
        text,
        start,
        if before(text, start, 1) == b' ' { 2 } else { 1 },
    );
    let right = at(text, if at(text, end) == b' ' { end + 1 } else { end });
    (left == 0 || left.is_ascii_alphabetic() || left == b':')
        && (right == 0 || right.is_ascii_alphabetic() || matches!(right, b'.' | b',' | b';'))
}

type Vec10 = [u8; 10];

fn collect(text: &[u8], start: usize, end: usize) -> Option<Vec10> {
    let mut number = [0u8; 10];
    let mut slots = number.iter_mut();
    for byte in slice(text, start, end)
        .iter()
        .filter(|b| b.is_ascii_digit())
    {
        *slots.next()? = byte - b'0';
    }
    slots.next().is_none().then_some(number)
}

/// A number at `start` that a word before it announces. `strong` when the word can only mean a phone.
pub(crate) fn announced(text: &[u8], start: usize, strong: bool) -> Option<Range<usize>> {
    if at(text, start) == b'+' {
        return international(text, start);
    }
    let first = if at(text, start) == b'(' {
        start + 1
    } else {
        start
    };
    if !at(text, first).is_ascii_digit() || !free_before(text, start) {
        return None;
    }
    let spread = digits(text, first) == 1;
    let end = longest(text, first, if spread { 3 } else { 2 }, |d| {
        is_national(d, strong)
    })?;
    Some(start..extension_end(text, end))
}

/// Whether digits can be dialled within some country: behind a trunk or international prefix, or as in
/// North America.
fn is_national(d: &[u8], strong: bool) -> bool {
    match d {
        [0, 0, rest @ ..] | [0, 1, 1, rest @ ..] if country::valid(rest) => true,
        [0, 1..=9, ..] => (9..=11).contains(&d.len()),
        [1, rest @ ..] if rest.len() == 10 => nanp::valid(rest),
        [1, 3 | 8, 0, 0, ..] => d.len() == 10, // Australian service numbers
        [2..=9, ..] if d.len() == 10 => nanp::valid(d),
        [country, ..] if strong && *country != 0 => {
            d.len() >= 11 && d.len() <= 12 && country::valid(d) || d.len() == 9 && *country >= 5
        }
        _ => false,
    }
}

/// Whether a number may begin here. A letter of a script without spaces between words may precede it.
fn free_before(text: &[u8], start: usize) -> bool {
    let prev = before(text, start, 1);
    if prev >= 0x80 {
        return char_before(text, start).is_some_and(|c| !joins(c) && !is_currency(c));
    }
    let second = before(text, start, 2);
    let joined = match prev {
        b'-' => second.is_ascii_digit() || matches!(second, b'_' | b'-'),
        b'.' | b'+' | b'/' | b':' => second.is_ascii_digit(),
        b',' => is_in_number(text, start - 1),
        _ => false,
    };
    !is_word(prev)
        && prev != b'$'
        && prev != b'#'
        && prev != b'='
        && !joined
        && !follows_mask(text, start)
        || prev == b'=' && !follows_mask(text, start)
}

/// Whether a number may end here.
fn free_after(text: &[u8], end: usize) -> bool {
    let next = at(text, end);
    if next >= 0x80 {
        return char_at(text, end).is_some_and(|c| !joins(c) && !is_currency(c));
    }
    let second = at(text, end + 1);
    let continued = match next {
        b'-' => is_word(second),
        b'.' | b':' | b'/' => second.is_ascii_digit(),
        b',' => is_in_number(text, end),
        b'x' | b'X' => return second.is_ascii_digit() && extension_end(text, end) > end,
        _ => false,
    };
    !is_word(next)
        && next != b'%'
        && next != b'*'
        && !continued
        && !super::email::has_local_end(text, end)
}

/// Past an extension: `ext. 503`, `x123`, `, extension 42`.
fn extension_end(text: &[u8], end: usize) -> usize {
    let mut pos = end;
    while matches!(at(text, pos), b' ' | b',' | b';') && pos < end + 3 {
        pos += 1;
    }
    let Some(word) = [b"extension".as_slice(), b"extn", b"ext", b"x"]
        .into_iter()
        .find(|word| starts_with(text, pos, word))
    else {
        return end;
    };
    pos += word.len();
    for mark in [b'.', b':', b' '] {
        pos += usize::from(at(text, pos) == mark);
    }
    let run = digits(text, pos);
    if (1..=EXTENSION_DIGITS_MAX).contains(&run) && !is_word(at(text, pos + run)) {
        pos + run
    } else {
        end
    }
}

/// What PARTIAL leaves: the shape, and the last four digits (two of a short number) as far as they
/// are one group: `7.0.0.1` would look like something else. An extension is hidden whole.
pub(crate) fn partial(span: &str, out: &mut String) {
    let letters = span
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(span.len());
    let end = part(span, 0, letters)
        .rfind(|c: char| c.is_ascii_digit())
        .map_or(0, |i| i + 1);
    let number = part(span, 0, end).bytes().rev();
    let keep = if number.clone().filter(u8::is_ascii_digit).count() >= 10 {
        4
    } else {
        2
    };
    let kept = number.take(keep).take_while(u8::is_ascii_digit).count();
    for (i, c) in span.char_indices() {
        let masked = c.is_ascii_digit() && !(end - kept..end).contains(&i);
        out.push(if masked { '*' } else { c });
    }
}
