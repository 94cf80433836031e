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
}

/// The ends of names, in lower case; names that end so in any case are meant.
const NAMES: [(&[u8], Name); 20] = [
    (b"password", Name::Secret),
    (b"passwd", Name::Secret),
    (b"passphrase", Name::Secret),
    (b"secret", Name::Secret),
    (b"token", Name::Secret),
    (b"api_key", Name::Secret),
    (b"api-key", Name::Secret),
    (b"apikey", Name::Secret),
    (b"access_key", Name::Secret),
    (b"accesskey", Name::Secret),
    (b"accountkey", Name::Secret),
    (b"private_key", Name::Secret),
    (b"credential", Name::Secret),
    (b"credentials", Name::Secret),
    (b"pwd", Name::Word),
    (b"cvv", Name::Word),
    (b"otp", Name::Word),
    (b"session_id", Name::Word),
    (b"authorization", Name::Authorization),
    (b"cookie", Name::Cookie),
];

/// What the name that ends before `end` announces.
pub(super) fn named(text: &[u8], end: usize) -> Option<Name> {
    // The last letters of all of them: nearly every other name ends here.
    let last = before(text, end, 1) | 0x20;
    if !matches!(
        last,
        b'd' | b'e' | b't' | b'n' | b'y' | b'l' | b's' | b'v' | b'p'
    ) {
        return None;
    }
    let (word, name) = NAMES
        .iter()
        .find(|(word, _)| word.last() == Some(&last) && ends_with(text, end, word))?;
    let joined = before(text, end - word.len(), 1).is_ascii_alphanumeric();
    (*name != Name::Word || !joined).then_some(*name)
}

/// Whether the whole value of a field of this name is a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.as_bytes();
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or(name);
    named(last, last.len()).is_some() || last.eq_ignore_ascii_case(b"pin")
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
