//! The names behind which secrets stand, and where they end. Says nothing of the values.

use super::value::SPACES_MAX;
use crate::bytes::{before, ends_with};

/// What a name announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Nothing but a secret.
    Secret,
    /// A secret, if the whole name is this word: `pin`, not `spin`.
    Word,
    /// A scheme and credentials.
    Authorization,
    /// Names and values to the end of the line.
    Cookie,
    /// The name of a user.
    User,
}

/// The ends of names that end in this letter, in lower case; names that end so in any case are meant.
fn names(last: u8) -> &'static [(&'static [u8], Name)] {
    match last {
        b'd' => &[
            (b"password", Name::Secret),
            (b"passwd", Name::Secret),
            (b"session_id", Name::Word),
            (b"pwd", Name::Word),
        ],
        b'e' => &[
            (b"passphrase", Name::Secret),
            (b"cookie", Name::Cookie),
            (b"username", Name::User),
            (b"user_name", Name::User),
        ],
        b't' => &[(b"secret", Name::Secret)],
        b'n' => &[
            (b"token", Name::Secret),
            (b"authorization", Name::Authorization),
            (b"login", Name::User),
        ],
        b'y' => &[
            (b"api_key", Name::Secret),
            (b"api-key", Name::Secret),
            (b"apikey", Name::Secret),
            (b"access_key", Name::Secret),
            (b"accesskey", Name::Secret),
            (b"accountkey", Name::Secret),
            (b"private_key", Name::Secret),
        ],
        b'l' => &[(b"credential", Name::Secret)],
        b's' => &[(b"credentials", Name::Secret)],
        b'v' => &[(b"cvv", Name::Word)],
        b'p' => &[(b"otp", Name::Word)],
        b'r' => &[(b"user", Name::User)],
        _ => &[],
    }
}

/// Whether a name can end in these two letters, in lower case.
#[inline]
fn is_end(pair: [u8; 2]) -> bool {
    matches!(
        &pair,
        b"rd"
            | b"wd"
            | b"id"
            | b"se"
            | b"ie"
            | b"me"
            | b"et"
            | b"en"
            | b"on"
            | b"in"
            | b"ey"
            | b"al"
            | b"ls"
            | b"vv"
            | b"tp"
            | b"er"
    )
}

/// Whether a name can end with these bytes before its sign, the last one first: with its letters, a space or a
/// quote.
#[inline]
pub(super) fn may_end(last: u8, second: u8) -> bool {
    match last {
        b' ' | b'\t' | b'"' | b'\'' | b'`' => true,
        _ => is_end([second | 0x20, last | 0x20]),
    }
}

/// What the name that ends before `end` announces.
pub(super) fn named(text: &[u8], end: usize) -> Option<Name> {
    let last = before(text, end, 1) | 0x20;
    if !is_end([before(text, end, 2) | 0x20, last]) {
        return None;
    }
    let (word, name) = names(last)
        .iter()
        .find(|(word, _)| ends_with(text, end, word))?;
    let joined = before(text, end - word.len(), 1).is_ascii_alphanumeric();
    (!matches!(name, Name::Word | Name::User) || !joined).then_some(*name)
}

/// Whether the whole value of a field of this name is a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.as_bytes();
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or(name);
    let announced = named(last, last.len());
    announced.is_some_and(|name| name != Name::User) || last.eq_ignore_ascii_case(b"pin")
}

/// Whether the value of a field of this name is the name of a user.
pub(crate) fn is_user_name(name: &str) -> bool {
    let name = name.as_bytes();
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or(name);
    named(last, last.len()) == Some(Name::User)
}

/// End of the name before the sign at `pos`, past spaces and a quote; whether there was a quote.
pub(super) fn name_end(text: &[u8], pos: usize) -> (usize, bool) {
    let spaces = (1..=SPACES_MAX)
        .take_while(|back| matches!(before(text, pos, *back), b' ' | b'\t'))
        .count();
    let end = pos - spaces;
    if !matches!(before(text, end, 1), b'"' | b'\'' | b'`') {
        return (end, false);
    }
    let escaped = usize::from(before(text, end, 2) == b'\\');
    (end - 1 - escaped, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_ends_in_letters_that_one_can_end_in() {
        let all = (0..=u8::MAX).flat_map(names);
        let mut count = 0;
        for (word, name) in all {
            assert_eq!(named(word, word.len()), Some(*name), "{word:?}");
            count += 1;
        }
        assert_eq!(count, 24);
    }
}
