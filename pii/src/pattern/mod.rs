//! Patterns that a policy adds to the built-in detectors: regular expressions with words around them,
//! validators, scopes and exceptions.
//!
//! Here is what a pattern says; `engine` finds what patterns match. A pattern that could be slow, mask
//! the empty text or mask what a mask has written is refused with the reason.

mod check;
mod engine;
mod gate;
pub mod limits;
mod list;
mod literal;
mod marks;
mod name;
mod refusal;

use serde::{Deserialize, Serialize};

use crate::Strategy;

pub(crate) use engine::{Engine, Place};
pub use list::{AllowList, Scope, Words};
pub use name::Names;
pub use refusal::{Cause, Refusal};

/// Priority of a pattern that names none.
const PRIORITY_DEFAULT: u8 = 100;

/// Whether findings are hidden or only counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Findings are hidden.
    #[default]
    Mask,
    /// Findings are counted and left as they are.
    Observe,
}

/// A pattern of a policy.
///
/// Its JSON names are those of the API. The language is that of the `regex` crate: no look-around, no
/// back-references, and so time in proportion to the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// What it is changed and deleted by.
    #[serde(rename = "pattern_id", alias = "id")]
    pub id: String,
    /// The name in `pii`, in spans and in hashed values: lower-case letters, digits and `_`.
    pub name: String,
    /// The name that its owner gave it, where that is another; at most
    /// [`TITLE_BYTES_MAX`](limits::TITLE_BYTES_MAX) bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What kind of data it finds, in the words of its owner.
    #[serde(default)]
    pub pattern_type: String,
    /// The regular expression.
    #[serde(rename = "regex_pattern", alias = "regex")]
    pub regex: String,
    /// The group that is the finding; the whole match without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<u32>,
    /// Words that must, or must not, stand near a match.
    #[serde(default, deserialize_with = "list::words")]
    pub keywords: Words,
    /// What else must hold for a match: the name of a check (`Pattern::validators`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<String>,
    /// What is done with findings.
    #[serde(rename = "masking_strategy", alias = "strategy", default = "redact")]
    pub strategy: Strategy,
    /// What REDACT writes; `[NAME]` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// Where it looks.
    #[serde(default)]
    pub scope: Scope,
    /// Values that it leaves.
    #[serde(default)]
    pub suppress: AllowList,
    /// Of two findings of the same bytes that of the higher priority counts.
    #[serde(default = "priority_default")]
    pub priority: u8,
    /// Whether findings are hidden or only counted.
    #[serde(default)]
    pub mode: Mode,
    /// Whether it is in force.
    #[serde(default = "yes")]
    pub is_active: bool,
}

fn redact() -> Strategy {
    Strategy::Redact
}

fn priority_default() -> u8 {
    PRIORITY_DEFAULT
}

fn yes() -> bool {
    true
}

impl Pattern {
    /// An active pattern that hides whatever matches, everywhere; its id is its name.
    pub fn new(name: impl Into<String>, regex: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            id: name.clone(),
            name,
            title: None,
            pattern_type: String::new(),
            regex: regex.into(),
            capture: None,
            keywords: Words::default(),
            validator: None,
            strategy: Strategy::Redact,
            replacement: None,
            scope: Scope::default(),
            suppress: AllowList::default(),
            priority: PRIORITY_DEFAULT,
            mode: Mode::Mask,
            is_active: true,
        }
    }

    /// The names of the checks that a pattern may ask for.
    pub fn validators() -> impl Iterator<Item = &'static str> {
        check::names()
    }

    /// What REDACT writes.
    pub(crate) fn replacement(&self) -> String {
        self.replacement
            .clone()
            .unwrap_or_else(|| format!("[{}]", self.name.to_ascii_uppercase()))
    }
}
