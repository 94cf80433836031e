//! The severity of a record.

use std::fmt;

/// Severity, in rising order; the numbers are stored in blocks and must never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Detail for the developer; `TRACE` is folded into it.
    Debug = 1,
    /// Ordinary events, and every record whose severity is unknown.
    Info = 2,
    /// Something to look at.
    Warn = 3,
    /// An operation failed.
    Error = 4,
    /// The process or the system is about to fail.
    Fatal = 5,
}

impl Level {
    /// All levels in rising order.
    pub const ALL: [Self; 5] = [
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    /// The name used on the wire and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// The level with this stored number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Debug),
            2 => Some(Self::Info),
            3 => Some(Self::Warn),
            4 => Some(Self::Error),
            5 => Some(Self::Fatal),
            _ => None,
        }
    }

    /// The stored number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Reads the names that loggers use, in any case: `warning`, `ERR`, `critical`, `notice` and so on.
    /// `None` when the word is not a level.
    pub fn from_word(word: &str) -> Option<Self> {
        const WORDS: [(&str, Level); 27] = [
            ("trace", Level::Debug),
            ("debug", Level::Debug),
            ("fine", Level::Debug),
            ("finer", Level::Debug),
            ("finest", Level::Debug),
            ("verbose", Level::Debug),
            ("dbg", Level::Debug),
            ("info", Level::Info),
            ("information", Level::Info),
            ("informational", Level::Info),
            ("notice", Level::Info),
            ("config", Level::Info),
            ("log", Level::Info),
            ("inf", Level::Info),
            ("warn", Level::Warn),
            ("warning", Level::Warn),
            ("wrn", Level::Warn),
            ("error", Level::Error),
            ("err", Level::Error),
            ("severe", Level::Error),
            ("fatal", Level::Fatal),
            ("critical", Level::Fatal),
            ("crit", Level::Fatal),
            ("alert", Level::Fatal),
            ("panic", Level::Fatal),
            ("emerg", Level::Fatal),
            ("emergency", Level::Fatal),
        ];
        WORDS
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name))
            .map(|(_, level)| *level)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
