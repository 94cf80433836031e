//! Tokens that their issuers let begin with something that can be recognised.
//!
//! Prefix, alphabet and length as the issuers publish them; then enough different characters, so that
//! placeholders stay readable.

use std::ops::Range;

use crate::bytes::{at, before, is_word, slice};
use crate::scan::RUN;

/// Fewest different characters of a token: placeholders have fewer.
const DIFFERENT_MIN: u32 = 8;
/// Longest token that is looked at.
const BYTES_MAX: usize = 512;

/// What stands in tokens of examples, long enough that hardly one in a million drawn ones has it.
const PLACEHOLDERS: [&[u8]; 5] = [b"EXAMPLE", b"xxxxxx", b"XXXXXX", b"00000000", b"1234567890"];

/// What the tokens of one issuer look like.
pub(crate) struct Shape {
    /// What they begin with.
    pub(crate) prefix: &'static str,
    /// How many characters follow, at least.
    min: usize,
    /// And at most.
    max: usize,
    alphabet: Alphabet,
}

#[derive(Clone, Copy)]
enum Alphabet {
    /// `A-Z`, `2-7`.
    Base32,
    /// Letters and digits.
    Base62,
    /// Letters, digits, `_`, `-`.
    Url,
    /// As `Url`, and `.`.
    Dotted,
    /// As `Url`, and `/`.
    Path,
    /// Letters, digits, `+`, `/`, `=`.
    Base64,
    Hex,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Base32 => byte.is_ascii_uppercase() || matches!(byte, b'2'..=b'7'),
            Self::Base62 => byte.is_ascii_alphanumeric(),
            Self::Url => is_word(byte) || byte == b'-',
            Self::Dotted => is_word(byte) || matches!(byte, b'-' | b'.'),
            Self::Path => is_word(byte) || matches!(byte, b'-' | b'/'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

const fn shape(prefix: &'static str, min: usize, max: usize, alphabet: Alphabet) -> Shape {
    Shape {
        prefix,
        min,
        max,
        alphabet,
    }
}

/// The issuers. With the two other anchors of their searcher no more than 32.
pub(crate) const SHAPES: [Shape; 29] = [
    shape("AKIA", 16, 16, Alphabet::Base32), // Amazon
    shape("ASIA", 16, 16, Alphabet::Base32),
    shape("ABIA", 16, 16, Alphabet::Base32),
    shape("ACCA", 16, 16, Alphabet::Base32),
    shape("ghp_", 36, 255, Alphabet::Base62), // GitHub
    shape("gho_", 36, 255, Alphabet::Base62),
    shape("ghu_", 36, 255, Alphabet::Base62),
    shape("ghs_", 36, 255, Alphabet::Base62),
    shape("ghr_", 36, 255, Alphabet::Base62),
    shape("github_pat_", 50, 255, Alphabet::Url),
    shape("glpat-", 20, 255, Alphabet::Dotted), // GitLab
    shape("xoxb-", 20, 255, Alphabet::Url),     // Slack
    shape("xoxp-", 20, 255, Alphabet::Url),
    shape("hooks.slack.com/services/", 30, 100, Alphabet::Path),
    shape("sk_live_", 16, 255, Alphabet::Base62), // Stripe
    shape("rk_live_", 16, 255, Alphabet::Base62),
    shape("AIza", 35, 35, Alphabet::Url), // Google
    shape("ya29.", 20, 512, Alphabet::Url),
    shape("sk-", 20, 255, Alphabet::Url),   // OpenAI, Anthropic
    shape("SG.", 60, 80, Alphabet::Dotted), // SendGrid
    shape("npm_", 36, 36, Alphabet::Base62),
    shape("pypi-Ag", 50, 512, Alphabet::Url),
    shape("dop_v1_", 64, 64, Alphabet::Hex), // DigitalOcean
    shape("shpat_", 32, 32, Alphabet::Hex),  // Shopify
    shape("hvs.", 24, 255, Alphabet::Url),   // Vault
    shape("dapi", 32, 34, Alphabet::Hex),    // Databricks
    shape("ATATT3", 50, 255, Alphabet::Base64), // Atlassian
    shape("xapp-", 20, 255, Alphabet::Url),
    shape("xoxe", 20, 255, Alphabet::Dotted),
];

/// For the low bits of a first byte, those of the second bytes that a token or a web token may go on with.
#[expect(
    clippy::indexing_slicing,
    reason = "worked out when it is compiled, where no panic passes"
)]
const SECONDS: [u64; 64] = {
    let mut seconds = [0; 64];
    let mut i = 0;
    while i < SHAPES.len() {
        let [first, second, ..] = SHAPES[i].prefix.as_bytes() else {
            panic!("too short");
        };
        seconds[(*first % 64) as usize] |= 1 << (*second % 64);
        i += 1;
    }
    seconds[(b'e' % 64) as usize] |= 1 << (b'y' % 64);
    seconds
};

/// Whether what begins with these two bytes may be a token or a web token.
#[inline]
pub(crate) fn may_begin(first: u8, second: u8) -> bool {
    let seconds = SECONDS.get(usize::from(first % 64)).copied().unwrap_or(0);
    seconds >> (second % 64) & 1 != 0
}

impl Shape {
    /// The token that begins at `start`, with its prefix.
    pub(crate) fn find(&self, text: &[u8], start: usize) -> Option<Range<usize>> {
        let begin = start + self.prefix.len();
        let rest = text.get(begin..)?.iter().take(BYTES_MAX);
        let length = rest.take_while(|b| self.alphabet.has(**b)).count();
        let end = begin + length;
        // A full stop ends the sentence, not the token.
        let end = end - usize::from(length > 0 && at(text, end - 1) == b'.');
        let joined = is_word(before(text, start, 1)) || is_word(at(text, end));
        let fits = (self.min..=self.max).contains(&(end - begin));
        (fits && !joined && has_run(slice(text, start, end)) && is_random(slice(text, begin, end)))
            .then_some(start..end)
    }
}

/// Whether it has the run that it is found by, so that no neighbour's run makes the difference.
fn has_run(token: &[u8]) -> bool {
    token
        .split(|b| !is_word(*b) && *b != b'-')
        .any(|run| run.len() >= RUN)
}

/// Whether it could have been drawn: many different characters, and none of the usual placeholders.
fn is_random(token: &[u8]) -> bool {
    let seen = token
        .iter()
        .fold(0u128, |seen, byte| seen | 1 << (byte & 127));
    let placeholder = PLACEHOLDERS
        .iter()
        .any(|word| token.windows(word.len()).any(|w| w == *word));
    seen.count_ones() >= DIFFERENT_MIN && !placeholder
}
