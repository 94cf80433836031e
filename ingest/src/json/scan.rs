//! A cursor over JSON text: strings, numbers, whole values.
//!
//! Never recurses and never builds a tree, so no depth of nesting can exhaust the stack. A number is
//! the literal that was sent. It is lenient where shippers are sloppy: control characters inside
//! strings, lone surrogates (replaced) and `NaN` or `Infinity` (as text) are accepted.

use std::borrow::Cow;

use memchr::memchr2;

/// Where the text stops being JSON, and what would have been right there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// Byte offset.
    pub offset: usize,
    /// What was expected there; never a part of the text.
    pub expected: &'static str,
}

/// A value that is not an object or array; those are told apart by their first byte.
pub enum Scalar<'a> {
    /// A string, without its escapes; also `NaN` and the infinities.
    Text(Cow<'a, str>),
    /// The literal of a number.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// A whole value that was passed over.
pub struct Skipped<'a> {
    /// All of it.
    pub text: &'a str,
    /// How many objects and arrays are in each other at most.
    pub depth: usize,
}

/// A place in a text of JSON.
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// Says what would have been right here.
    ///
    /// # Errors
    /// Always.
    pub fn fail<T>(&self, expected: &'static str) -> Result<T, Syntax> {
        Err(Syntax {
            offset: self.at,
            expected,
        })
    }

    /// Skips white space and gives the byte after it without taking it.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes the byte that [`Cursor::peek`] gave.
    pub fn bump(&mut self) {
        self.at += 1;
    }

    pub(crate) fn eat(&mut self, byte: u8, expected: &'static str) -> Result<(), Syntax> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        self.fail(expected)
    }

    /// A member's name and the colon after it.
    ///
    /// # Errors
    /// When there is none.
    pub fn key(&mut self) -> Result<Cow<'a, str>, Syntax> {
        if self.peek() != Some(b'"') {
            return self.fail("a name in double quotes");
        }
        let name = self.string()?;
        self.eat(b':', "a colon")?;
        Ok(name)
    }

    /// Takes a value that is no object or array.
    ///
    /// # Errors
    /// When there is none.
    pub fn scalar(&mut self) -> Result<Scalar<'a>, Syntax> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::Text),
            Some(b't') => self.word("true", Scalar::Bool(true)),
            Some(b'f') => self.word("false", Scalar::Bool(false)),
            Some(b'n') => self.word("null", Scalar::Null),
            Some(b'N') => self.word("NaN", Scalar::Text("NaN".into())),
            Some(b'I') => self.word("Infinity", Scalar::Text("Infinity".into())),
            Some(b'-') if self.text.as_bytes().get(self.at + 1) == Some(&b'I') => {
                self.word("-Infinity", Scalar::Text("-Infinity".into()))
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(Scalar::Number),
            _ => self.fail("a value"),
        }
    }

    fn word(&mut self, word: &'static str, value: Scalar<'a>) -> Result<Scalar<'a>, Syntax> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        self.fail("a value")
    }

    fn number(&mut self) -> Result<&'a str, Syntax> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.since(start))
    }

    fn digits(&mut self) -> Result<(), Syntax> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return self.fail("a digit");
        }
        self.at += count;
        Ok(())
    }

    /// A string; the cursor stands on its opening quote.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Syntax> {
        let start = self.at + 1;
        let rest = &self.text.as_bytes()[start..];
        match memchr2(b'"', b'\\', rest) {
            Some(end) if rest[end] == b'"' => {
                self.at = start + end + 1;
                Ok(Cow::Borrowed(&self.text[start..start + end]))
            }
            Some(end) => self.escaped(start, start + end).map(Cow::Owned),
            None => self.unterminated(),
        }
    }

    fn unterminated<T>(&mut self) -> Result<T, Syntax> {
        self.at = self.text.len();
        self.fail("the closing quote of a string")
    }

    fn escaped(&mut self, start: usize, first: usize) -> Result<String, Syntax> {
        let bytes = self.text.as_bytes();
        let mut out = String::with_capacity(first - start + 32);
        out.push_str(&self.text[start..first]);
        self.at = first;
        loop {
            // The cursor stands on a backslash.
            self.escape(&mut out)?;
            let Some(length) = memchr2(b'"', b'\\', &bytes[self.at..]) else {
                return self.unterminated();
            };
            out.push_str(&self.text[self.at..self.at + length]);
            self.at += length;
            if bytes[self.at] == b'"' {
                self.at += 1;
                return Ok(out);
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), Syntax> {
        let plain = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(out),
            _ => return self.fail("an escape that JSON knows"),
        };
        out.push(plain);
        self.at += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, out: &mut String) -> Result<(), Syntax> {
        let high = self.hex()?;
        if !(0xd800..0xe000).contains(&high) {
            out.push(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Ok(());
        }
        if high < 0xdc00 && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            let second = self.at;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let joined = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                out.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
                return Ok(());
            }
            self.at = second;
        }
        out.push(char::REPLACEMENT_CHARACTER);
        Ok(())
    }

    /// `\uXXXX`
    fn hex(&mut self) -> Result<u32, Syntax> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6);
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0u32, |code, digit| {
                Some(code << 4 | char::from(*digit).to_digit(16)?)
            })
        });
        let Some(code) = code else {
            return self.fail("four hex digits after \\u");
        };
        self.at += 6;
        Ok(code)
    }

    /// Passes over one value of any kind and depth.
    ///
    /// # Errors
    /// When there is none.
    pub fn skip(&mut self) -> Result<Skipped<'a>, Syntax> {
        self.peek();
        let start = self.at;
        let mut open = Vec::new();
        let mut depth = 0;
        loop {
            self.open(&mut open)?;
            depth = depth.max(open.len());
            if self.close(&mut open)? {
                return Ok(Skipped {
                    text: self.since(start),
                    depth,
                });
            }
        }
    }

    /// Takes brackets until a scalar or an empty container has been taken.
    fn open(&mut self, open: &mut Vec<u8>) -> Result<(), Syntax> {
        loop {
            let Some(bracket @ (b'{' | b'[')) = self.peek() else {
                return self.scalar().map(|_| ());
            };
            self.bump();
            let end = if bracket == b'{' { b'}' } else { b']' };
            if self.peek() == Some(end) {
                self.bump();
                return Ok(());
            }
            open.push(end);
            if bracket == b'{' {
                self.key()?;
            }
        }
    }

    /// Takes closing brackets after a value; true when the outermost value is complete.
    fn close(&mut self, open: &mut Vec<u8>) -> Result<bool, Syntax> {
        while let Some(&end) = open.last() {
            match self.peek() {
                Some(b',') => {
                    self.bump();
                    if end == b'}' {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(byte) if byte == end => {
                    self.bump();
                    open.pop();
                }
                _ => return self.fail("a comma or a closing bracket"),
            }
        }
        Ok(true)
    }
}
