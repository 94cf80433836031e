//! Reads a query string character by character; knows words, quotes and escapes, no grammar.

use super::Error;
use super::pattern::{Glyph, Pattern};

/// A place in a query string.
pub(super) struct Cursor {
    chars: Vec<char>,
    at: usize,
}

impl Cursor {
    pub(super) fn new(text: &str) -> Self {
        Self {
            chars: text.chars().collect(),
            at: 0,
        }
    }

    /// Position in code points.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Goes back to a position seen before.
    pub(super) const fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Steps over `text` when it stands here.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = text
            .chars()
            .enumerate()
            .all(|(i, c)| self.peek_at(i) == Some(c));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// Steps over white space; whether there was any.
    pub(super) fn skip_space(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        self.at > start
    }

    /// Steps over a keyword that ends here as a word.
    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let start = self.at;
        if self.take(keyword)
            && self
                .peek()
                .is_none_or(|c| c.is_whitespace() || c == '(' || c == ')')
        {
            return true;
        }
        self.at = start;
        false
    }

    /// An error at this place.
    pub(super) fn error(&self, expected: impl Into<String>) -> Error {
        Error {
            position: self.at,
            expected: expected.into(),
        }
    }

    /// What stands here, for messages; never the text itself.
    pub(super) fn found(&self) -> &'static str {
        match self.peek() {
            None => "the end",
            Some(')') => "`)`",
            Some(c) if c.is_whitespace() => "a space",
            Some(_) => "something else",
        }
    }

    /// A name in front of a colon, and steps over the colon. Does not move when none stands here:
    /// `::` and `://` belong to a word, and a name begins with a letter, `_` or `@`.
    pub(super) fn take_field_name(&mut self) -> Option<String> {
        let start = self.at;
        let mut name = String::new();
        while let Some(c) = self.peek() {
            match c {
                ':' => {
                    let after = (self.peek_at(1), self.peek_at(2));
                    let is_part = after.0 == Some(':') || after == (Some('/'), Some('/'));
                    if is_part || name.is_empty() {
                        break;
                    }
                    self.at += 1;
                    return Some(name);
                }
                '\\' => {
                    let Some(escaped) = self.peek_at(1) else {
                        break;
                    };
                    name.push(escaped);
                    self.at += 2;
                }
                c if name.is_empty() && !(c.is_alphabetic() || c == '_' || c == '@') => break,
                c if c.is_whitespace() || matches!(c, '(' | ')' | '"' | '*' | '?') => break,
                c => {
                    name.push(c);
                    self.at += 1;
                }
            }
        }
        self.at = start;
        None
    }

    /// A word with its wildcards, up to white space, a parenthesis, a quote, or one of `ends`.
    pub(super) fn word(&mut self, ends: &[char]) -> Result<Pattern, Error> {
        let mut glyphs = Vec::new();
        while let Some(c) = self.peek() {
            match c {
                '\\' => {
                    let escaped = self.peek_at(1);
                    let escaped =
                        escaped.ok_or_else(|| self.error("expected a character after `\\`"))?;
                    glyphs.push(Glyph::Char(escaped));
                    self.at += 1;
                }
                '*' => glyphs.push(Glyph::Any),
                '?' => glyphs.push(Glyph::One),
                '~' | '^' => {
                    return Err(self.error(
                        "fuzzy search and boosts are not supported; write `\\~` or `\\^` for the character",
                    ));
                }
                c if c.is_whitespace() || matches!(c, '(' | ')' | '"') || ends.contains(&c) => {
                    break;
                }
                c => glyphs.push(Glyph::Char(c)),
            }
            self.at += 1;
        }
        Ok(Pattern(glyphs))
    }

    /// What stands between the delimiter here and its next unescaped occurrence. With `keep`, the
    /// backslashes of other escapes stay, as a regular expression needs them.
    pub(super) fn delimited(&mut self, keep: bool) -> Option<String> {
        let start = self.at;
        let delimiter = self.peek()?;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            if c == delimiter {
                return Some(text);
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            let Some(escaped) = self.peek() else { break };
            self.at += 1;
            if keep && escaped != delimiter {
                text.push('\\');
            }
            text.push(escaped);
        }
        self.at = start;
        None
    }

    /// Whether a word may end here.
    pub(super) fn at_border(&self) -> bool {
        self.peek()
            .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')'))
    }
}
