//! Looking at text byte by byte, past its ends too.
//!
//! Every helper answers for any position: outside the text there is a zero byte, which is neither a
//! digit, a letter nor a separator. So no detector can run off a text, and none needs to check.

/// The byte at `i`, or zero outside the text.
#[inline]
pub(crate) fn at(text: &[u8], i: usize) -> u8 {
    #[cfg(test)]
    crate::work::add(1);
    text.get(i).copied().unwrap_or(0)
}

/// The byte `back` places before `i`, or zero outside the text.
#[inline]
pub(crate) fn before(text: &[u8], i: usize, back: usize) -> u8 {
    i.checked_sub(back).map_or(0, |i| at(text, i))
}

/// The bytes from `start` to `end`; empty when that is not inside the text.
#[inline]
pub(crate) fn slice(text: &[u8], start: usize, end: usize) -> &[u8] {
    text.get(start..end).unwrap_or_default()
}

/// The text from `start` to `end`; empty when that is not inside it or cuts a character.
#[inline]
pub(crate) fn part(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
}

/// Whether the byte continues an ASCII word.
#[inline]
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Length of the run of digits that starts at `i`.
#[inline]
pub(crate) fn digits(text: &[u8], i: usize) -> usize {
    text.get(i..)
        .unwrap_or_default()
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count()
}

/// Whether a comma makes one number of the digits on both sides: thousands, or a fraction of two digits at most. Any
/// other comma is one of a list.
pub(crate) fn is_in_number(text: &[u8], comma: usize) -> bool {
    let ahead = (1..=4).take_while(|i| before(text, comma, *i).is_ascii_digit());
    let behind = (1..=4).take_while(|i| at(text, comma + i).is_ascii_digit());
    let (ahead, behind) = (ahead.count(), behind.count());
    let end = comma + 1 + behind;
    let next = at(text, end);
    // Thousands may have a fraction; an address, a day or a phone number is none.
    let goes_on = is_word(next)
        || (matches!(next, b'-' | b':' | b'/') || next == b'.' && behind < 3)
            && at(text, end + 1).is_ascii_digit();
    let is_number = behind == 3 && ahead <= 3 || matches!(behind, 1 | 2);
    ahead > 0 && is_number && !goes_on
}

/// Whether the text goes on with `word` at `i`, whatever the case of its ASCII letters.
pub(crate) fn starts_with(text: &[u8], i: usize, word: &[u8]) -> bool {
    slice(text, i, i + word.len()).eq_ignore_ascii_case(word)
}

/// Whether the text before `i` ends with `word`, whatever the case of its ASCII letters.
pub(crate) fn ends_with(text: &[u8], i: usize, word: &[u8]) -> bool {
    i.checked_sub(word.len())
        .is_some_and(|start| slice(text, start, i).eq_ignore_ascii_case(word))
}

/// Whether what stands before `i` is a mask: `*`, directly or behind up to two separators.
///
/// A partly masked number keeps its last digits; they must not become the head of a new finding.
pub(crate) fn follows_mask(text: &[u8], i: usize) -> bool {
    (1..=3)
        .map(|back| before(text, i, back))
        .take_while(|b| matches!(b, b'*' | b' ' | b'-' | b'.' | b'/' | b'(' | b')'))
        .any(|b| b == b'*')
}

/// The character that ends before `i` in valid UTF-8.
pub(crate) fn char_before(text: &[u8], i: usize) -> Option<char> {
    let start = (1..=4)
        .map_while(|back| i.checked_sub(back))
        .find(|start| at(text, *start) & 0xc0 != 0x80)?;
    std::str::from_utf8(slice(text, start, i))
        .ok()?
        .chars()
        .next()
}

/// The character that starts at `i` in valid UTF-8.
pub(crate) fn char_at(text: &[u8], i: usize) -> Option<char> {
    let first = at(text, i);
    if first < 0x80 {
        return text.get(i).map(|b| char::from(*b));
    }
    let len = first.leading_ones().clamp(2, 4) as usize;
    std::str::from_utf8(slice(text, i, i + len))
        .ok()?
        .chars()
        .next()
}

/// Whether words of this character's script stand side by side without spaces, or with particles joined to
/// them: a number or a word may begin and end beside it. Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}

/// Whether a word that ends or begins with this character goes on beside it.
pub(crate) fn joins(c: char) -> bool {
    c.is_alphanumeric() && !is_unspaced(c)
}

/// Whether it says that the number beside it is an amount.
pub(crate) fn is_currency(c: char) -> bool {
    matches!(c, '$' | '¢'..='¥' | '₠'..='⃀' | '＄' | '￥')
}
