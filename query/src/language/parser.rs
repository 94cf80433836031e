//! The grammar, by recursive descent:
//!
//! ```text
//! or      = and { ("OR" | "||") and }
//! and     = unary { ["AND" | "&&"] unary }
//! unary   = ("NOT" | "!" | "-" | "+") unary | primary
//! primary = "(" or ")" | name ":" value | value
//! value   = "(" or ")" | range | (">" | ">=" | "<" | "<=") end | phrase | regex | word
//! range   = ("[" | "{") end "TO" end ("]" | "}")
//! ```
//!
//! Never recurses deeper than its limit, whatever the string.

use hushlog_record::Timestamp;

use super::cursor::Cursor;
use super::expr::{Bound, Expr, Range, Target};
use super::{Error, leaf};
use crate::field::Field;
use crate::limits::{CLAUSES_MAX, DEPTH_MAX, PATTERNS_MAX, QUERY_BYTES_MAX};

/// Reads a query string; an empty one asks for every record. `now` is what `now-15m` counts from.
///
/// # Errors
/// The string is malformed or over a limit; the error says where.
pub fn parse(query: &str, now: Timestamp) -> Result<Expr, Error> {
    if query.len() > QUERY_BYTES_MAX {
        let expected = format!("a query has at most {QUERY_BYTES_MAX} bytes");
        return Err(Error {
            position: 0,
            expected,
        });
    }
    let mut parser = Parser {
        cursor: Cursor::new(query),
        now,
        depth: 0,
        clauses: 0,
        patterns: 0,
    };
    parser.cursor.skip_space();
    if parser.cursor.peek().is_none() {
        return Ok(Expr::All);
    }
    let expr = parser.or(&Target::Anywhere)?;
    match parser.cursor.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.cursor.error("expected the end; this `)` has no `(`")),
    }
}

struct Parser {
    cursor: Cursor,
    now: Timestamp,
    depth: usize,
    clauses: usize,
    patterns: usize,
}

impl Parser {
    fn or(&mut self, target: &Target) -> Result<Expr, Error> {
        let mut parts = vec![self.and(target)?];
        while self.take_or() {
            parts.push(self.and(target)?);
        }
        Ok(Expr::or(parts))
    }

    fn take_or(&mut self) -> bool {
        self.cursor.skip_space();
        self.cursor.take_keyword("OR") || self.cursor.take("||")
    }

    fn and(&mut self, target: &Target) -> Result<Expr, Error> {
        let mut parts = vec![self.unary(target)?];
        loop {
            self.cursor.skip_space();
            let explicit = self.cursor.take_keyword("AND") || self.cursor.take("&&");
            if !explicit {
                let start = self.cursor.at();
                if matches!(self.cursor.peek(), None | Some(')')) {
                    break;
                }
                let or_follows = self.take_or();
                self.cursor.back_to(start);
                if or_follows {
                    break;
                }
            }
            parts.push(self.unary(target)?);
        }
        Ok(Expr::and(parts))
    }

    /// Runs `inner` one level deeper.
    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Expr, Error>,
    ) -> Result<Expr, Error> {
        if self.depth == DEPTH_MAX {
            return Err(self
                .cursor
                .error(format!("a query nests at most {DEPTH_MAX} levels deep")));
        }
        self.depth += 1;
        let expr = inner(self);
        self.depth -= 1;
        expr
    }

    fn unary(&mut self, target: &Target) -> Result<Expr, Error> {
        self.cursor.skip_space();
        if self.cursor.take_keyword("NOT") {
            let inner = self.nested(|parser| parser.unary(target))?;
            return Ok(Expr::not(inner));
        }
        let sign = self.cursor.peek();
        if !matches!(sign, Some('-' | '+' | '!')) {
            return self.primary(target);
        }
        self.cursor.take(if sign == Some('-') {
            "-"
        } else if sign == Some('+') {
            "+"
        } else {
            "!"
        });
        if self.cursor.at_border() && self.cursor.peek() != Some('(') {
            return Err(self
                .cursor
                .error("expected a term right after the sign; quote a lone sign"));
        }
        let inner = self.nested(|parser| parser.unary(target))?;
        Ok(if sign == Some('+') {
            inner
        } else {
            Expr::not(inner)
        })
    }

    fn primary(&mut self, target: &Target) -> Result<Expr, Error> {
        self.clauses += 1;
        if self.clauses > CLAUSES_MAX {
            return Err(self
                .cursor
                .error(format!("a query has at most {CLAUSES_MAX} terms")));
        }
        let keyword = ["AND", "OR", "&&", "||"].into_iter().find(|keyword| {
            let start = self.cursor.at();
            let found = self.cursor.take_keyword(keyword);
            self.cursor.back_to(start);
            found
        });
        if let Some(keyword) = keyword {
            return Err(self
                .cursor
                .error(format!("expected a term in front of {keyword}")));
        }
        match self.cursor.peek() {
            None | Some(')') => {
                let found = self.cursor.found();
                return Err(self.cursor.error(format!("expected a term, found {found}")));
            }
            Some('(') => return self.group(target),
            _ => {}
        }
        let start = self.cursor.at();
        if self.cursor.take("*:") {
            if self.cursor.at_border() {
                return Err(self.cursor.error("expected a value after `*:`"));
            }
            return self.value(&Target::Anywhere, start);
        }
        match self.cursor.take_field_name() {
            Some(name) => self.field(&name, start),
            None => self.value(target, start),
        }
    }

    fn field(&mut self, name: &str, start: usize) -> Result<Expr, Error> {
        if self.cursor.at_border() && self.cursor.peek() != Some('(') {
            return Err(self.cursor.error(
                "expected a value right after the colon; write `\\:` for a colon that is text",
            ));
        }
        if name == "_exists_" {
            let field = self.cursor.word(&[])?.literal();
            return Ok(leaf::exists(Target::Field(Field::resolve(&field))));
        }
        self.value(&Target::Field(Field::resolve(name)), start)
    }

    fn group(&mut self, target: &Target) -> Result<Expr, Error> {
        let open = self.cursor.at();
        self.cursor.take("(");
        let inner = self.nested(|parser| parser.or(target))?;
        self.cursor.skip_space();
        if self.cursor.take(")") {
            return Ok(inner);
        }
        let found = self.cursor.found();
        Err(self.cursor.error(format!(
            "expected `)` for the `(` at position {open}, found {found}"
        )))
    }

    fn value(&mut self, target: &Target, start: usize) -> Result<Expr, Error> {
        let is_field = *target != Target::Anywhere;
        let made = match self.cursor.peek() {
            Some('(') => return self.group(target),
            Some('[' | '{') if is_field => {
                let range = self.range()?;
                leaf::range(target.clone(), range, self.now)
            }
            Some('>' | '<') if is_field => {
                let range = self.comparison()?;
                leaf::range(target.clone(), range, self.now)
            }
            Some('"') => {
                let phrase = self.phrase()?;
                leaf::words(target.clone(), phrase, self.now)
            }
            Some('/') => match self.regex()? {
                Some(pattern) => leaf::regex(target.clone(), pattern),
                None => self.word(target)?,
            },
            _ => self.word(target)?,
        };
        made.map_err(|expected| Error {
            position: start,
            expected,
        })
    }

    fn word(&mut self, target: &Target) -> Result<Result<Expr, String>, Error> {
        let word = self.cursor.word(&[])?;
        if !word.is_wild() {
            return Ok(leaf::words(target.clone(), word.literal(), self.now));
        }
        if !word.is_star() {
            self.count_pattern()?;
        }
        Ok(leaf::wildcard(target.clone(), word))
    }

    fn count_pattern(&mut self) -> Result<(), Error> {
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            let expected =
                format!("a query has at most {PATTERNS_MAX} wildcards and regular expressions");
            return Err(self.cursor.error(expected));
        }
        Ok(())
    }

    fn phrase(&mut self) -> Result<String, Error> {
        let phrase = self.cursor.delimited(false);
        let phrase =
            phrase.ok_or_else(|| self.cursor.error("expected a closing `\"` for this quote"))?;
        if matches!(self.cursor.peek(), Some('~' | '^')) {
            return Err(self
                .cursor
                .error("expected a space; slop and boosts are not supported"));
        }
        Ok(phrase)
    }

    /// `None` when the slashes are those of a path, such as `/api/v1`.
    fn regex(&mut self) -> Result<Option<String>, Error> {
        let start = self.cursor.at();
        let Some(pattern) = self.cursor.delimited(true) else {
            return Err(self.cursor.error(
                "expected a closing `/` for this regular expression; quote a path that is text",
            ));
        };
        if !self.cursor.at_border() {
            self.cursor.back_to(start);
            return Ok(None);
        }
        self.count_pattern()?;
        Ok(Some(pattern))
    }

    fn comparison(&mut self) -> Result<Range, Error> {
        let above = self.cursor.take(">");
        if !above {
            self.cursor.take("<");
        }
        let inclusive = self.cursor.take("=");
        let end = self.range_end(&[])?;
        let bound = end.map(|text| Bound::new(text, inclusive));
        Ok(if above {
            Range {
                low: bound,
                high: None,
            }
        } else {
            Range {
                low: None,
                high: bound,
            }
        })
    }

    fn range(&mut self) -> Result<Range, Error> {
        let low_inclusive = self.cursor.take("[");
        if !low_inclusive {
            self.cursor.take("{");
        }
        self.cursor.skip_space();
        let low = self.range_end(&[']', '}'])?;
        let spaced = self.cursor.skip_space();
        if !(spaced && self.cursor.take("TO") && self.cursor.skip_space()) {
            return Err(self
                .cursor
                .error("expected ` TO ` between the ends of the range"));
        }
        let high = self.range_end(&[']', '}'])?;
        self.cursor.skip_space();
        let high_inclusive = self.cursor.take("]");
        if !high_inclusive && !self.cursor.take("}") {
            let found = self.cursor.found();
            return Err(self
                .cursor
                .error(format!("expected `]` or `}}`, found {found}")));
        }
        Ok(Range {
            low: low.map(|text| Bound::new(text, low_inclusive)),
            high: high.map(|text| Bound::new(text, high_inclusive)),
        })
    }

    /// One end of a range; `*` is open.
    fn range_end(&mut self, ends: &[char]) -> Result<Option<String>, Error> {
        if self.cursor.peek() == Some('"') {
            return self.phrase().map(Some);
        }
        let word = self.cursor.word(ends)?;
        if word.is_star() {
            return Ok(None);
        }
        if word.0.is_empty() {
            let found = self.cursor.found();
            return Err(self
                .cursor
                .error(format!("expected a value or `*`, found {found}")));
        }
        if word.is_wild() {
            return Err(self.cursor.error("an end of a range takes no wildcard"));
        }
        Ok(Some(word.literal()))
    }
}
