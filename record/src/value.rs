//! The value of a field: text with a kind.
//!
//! A number keeps the digits the client sent (`1.50`, `1e400`, forty digits): nothing is rounded on
//! the way to the disk and back. It becomes a machine number only where a query compares it.

use std::fmt;

/// What a field's text stands for; the numbers are stored in blocks and must never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Text.
    String = 0,
    /// A JSON number, its literal kept.
    Number = 1,
    /// `true` or `false`.
    Bool = 2,
    /// JSON text of an array (objects are flattened into dotted names).
    Json = 3,
}

impl Kind {
    /// The kind with this stored number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::String),
            1 => Some(Self::Number),
            2 => Some(Self::Bool),
            3 => Some(Self::Json),
            _ => None,
        }
    }
}

/// The value of one field.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// What `text` stands for.
    pub kind: Kind,
    /// The text; for [`Kind::Number`], [`Kind::Bool`] and [`Kind::Json`] a valid JSON literal.
    pub text: String,
}

impl Value {
    /// A text value.
    pub fn string(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::String,
            text: text.into(),
        }
    }

    /// A number, given as its JSON literal.
    pub fn number(literal: impl Into<String>) -> Self {
        Self {
            kind: Kind::Number,
            text: literal.into(),
        }
    }

    /// A truth value.
    pub fn bool(value: bool) -> Self {
        Self {
            kind: Kind::Bool,
            text: if value { "true".into() } else { "false".into() },
        }
    }

    /// A JSON array, given as JSON text.
    pub fn json(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Json,
            text: text.into(),
        }
    }
}

/// Prints no text: a value may not be masked yet.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({:?}, {} bytes)", self.kind, self.text.len())
    }
}
