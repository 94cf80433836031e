//! Why a policy is refused. Says what to change; never quotes a text that was masked.

use super::limits::{
    COMPILED_BYTES_MAX, COMPILED_BYTES_TOTAL_MAX, ENTRY_BYTES_MAX, LIST_MAX, NAME_BYTES_MAX,
    PATTERNS_MAX, REPLACEMENT_BYTES_MAX, SOURCE_BYTES_MAX, TITLE_BYTES_MAX, WINDOW_BYTES_MAX,
};

/// A pattern or a rule of a policy that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {cause}")]
pub struct Refusal {
    /// The name of the pattern or detector; `policy` when it is the policy as a whole.
    pub rule: String,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What is wrong with a pattern or a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The source does not parse.
    #[error("the pattern is no valid regular expression: {0}")]
    Invalid(String),
    /// It would match between any two characters.
    #[error(
        "the pattern matches the empty text; let it require a character, for instance with `+` for `*`"
    )]
    MatchesEmpty,
    /// No text matches.
    #[error("the pattern can match no text at all")]
    MatchesNothing,
    /// The source is too long.
    #[error(
        "the pattern has more than SOURCE_BYTES_MAX = {SOURCE_BYTES_MAX} bytes; split it into several"
    )]
    SourceTooLong,
    /// Its automaton is too large.
    #[error(
        "the compiled pattern has more than COMPILED_BYTES_MAX = {COMPILED_BYTES_MAX} bytes; \
         use smaller repetitions, or `[0-9]` for `\\d` and `[A-Za-z]` for `\\w`"
    )]
    TooLarge,
    /// All automatons together are too large.
    #[error(
        "the compiled patterns have more than COMPILED_BYTES_TOTAL_MAX = {COMPILED_BYTES_TOTAL_MAX} bytes; \
         remove some, or use smaller repetitions"
    )]
    TotalTooLarge,
    /// The policy has too many patterns.
    #[error("there are more than PATTERNS_MAX = {PATTERNS_MAX} patterns; remove or join some")]
    TooMany,
    /// The id is missing or too long.
    #[error(
        "the id must have 1 to NAME_BYTES_MAX = {NAME_BYTES_MAX} letters, digits, `_`, `-` or `.`"
    )]
    BadId,
    /// Another pattern has the id.
    #[error("another pattern has the same id")]
    IdTaken,
    /// The name is empty, too long or no line of text.
    #[error(
        "the name must have 1 to TITLE_BYTES_MAX = {TITLE_BYTES_MAX} bytes and no control characters"
    )]
    BadName,
    /// The type is too long.
    #[error("the type has more than NAME_BYTES_MAX = {NAME_BYTES_MAX} bytes")]
    BadType,
    /// A built-in detector or another pattern has the name.
    #[error(
        "a built-in detector or another pattern has this name, or one that is the same in masks"
    )]
    NameTaken,
    /// There is no such detector.
    #[error("there is no detector of this name")]
    UnknownDetector,
    /// There is no such validator.
    #[error("there is no validator `{0}`; there are: {1}")]
    UnknownValidator(String, String),
    /// There is no such group.
    #[error("the pattern has no group {0}")]
    NoGroup(u32),
    /// The replacement is empty, too long or has control characters.
    #[error(
        "the replacement must have 1 to REPLACEMENT_BYTES_MAX = {REPLACEMENT_BYTES_MAX} bytes and no \
         control characters"
    )]
    BadReplacement,
    /// The replacement would be masked itself.
    #[error("`{0}` finds something in the replacement, so that masking twice would mask it again")]
    ReplacementFound(String),
    /// A list is too long, or an entry of it empty or too long.
    #[error(
        "the list `{0}` must have at most LIST_MAX = {LIST_MAX} entries of 1 to ENTRY_BYTES_MAX = \
         {ENTRY_BYTES_MAX} bytes"
    )]
    BadList(&'static str),
    /// Words are looked for too far from a match.
    #[error(
        "words are looked for at most WINDOW_BYTES_MAX = {WINDOW_BYTES_MAX} bytes from a match"
    )]
    WindowTooWide,
    /// The stored policy is of another version, or damaged.
    #[error("the stored policy cannot be read: {0}")]
    Unreadable(String),
}

impl Cause {
    pub(crate) fn of(self, rule: impl Into<String>) -> Refusal {
        Refusal {
            rule: rule.into(),
            cause: self,
        }
    }
}
