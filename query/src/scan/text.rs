//! Tests on text, one value at a time or a whole column at once.
//!
//! A column of ASCII text is folded into one buffer and searched as a whole; rows with other
//! characters go through the tokenizer one by one, which is the definition.

use arrow_array::{Array, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use memchr::memmem::Finder;
use regex::Regex;

use crate::language::Pattern;
use crate::letters::Letters;
use crate::limits::PHRASE_TOKENS_MAX;
use crate::text::{fold, for_each_token, tokens};

/// What must be true of one text.
pub(crate) enum TextTest {
    /// These folded tokens stand in it, one after the other.
    Tokens(Vec<String>, Finder<'static>),
    /// Its folded form contains this.
    Contains(String, Finder<'static>),
    /// Its folded form is this.
    Is(String, Finder<'static>),
    /// Its folded form holds a match.
    Within(Wild),
    /// One of its tokens is a match as a whole.
    TokenLike(Regex),
    /// It as a whole, or a part of it, is a match.
    WholeOrWithin(Regex, Wild),
    /// It as a whole, or one of its tokens, is a match.
    WholeOrToken(Regex),
    /// It is exactly one of these (sorted).
    OneOf(Vec<String>),
    /// It lies between these, each with whether it belongs to the range.
    Between(Option<(String, bool)>, Option<(String, bool)>),
    /// Anything.
    Any,
}

/// A wildcard within text.
pub(crate) struct Wild {
    within: Regex,
    /// When the pattern is of one token, tokens decide, which differs only in text with characters
    /// that folding takes apart.
    token: Option<Regex>,
    /// A part of every match.
    literal: String,
    finder: Finder<'static>,
    /// When the literal is all of the pattern: whether a token must begin and end with it.
    borders: Option<(bool, bool)>,
    letters: Letters,
}

impl Wild {
    fn new(pattern: &Pattern) -> Self {
        let literal = pattern.longest_literal();
        Self {
            within: compiled(&pattern.within_text()),
            token: pattern.one_token().map(|pattern| compiled(&pattern)),
            finder: Finder::new(literal.as_bytes()).into_owned(),
            literal,
            borders: pattern.borders(),
            letters: Letters::wanted(&fold(&pattern.literal())),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match &self.token {
            Some(token) if !text.is_ascii() => any_token(text, token),
            _ => self.within.is_match(&fold(text)),
        }
    }
}

impl TextTest {
    pub(crate) fn tokens_of(words: &str) -> Self {
        let tokens = tokens(words);
        let longest = tokens.iter().max_by_key(|token| token.len());
        let finder = Finder::new(longest.map_or(&[][..], |token| token.as_bytes())).into_owned();
        Self::Tokens(tokens, finder)
    }

    pub(crate) fn contains(text: &str) -> Self {
        let folded = fold(text);
        let finder = Finder::new(folded.as_bytes()).into_owned();
        Self::Contains(folded, finder)
    }

    pub(crate) fn is(text: &str) -> Self {
        let folded = fold(text);
        let finder = Finder::new(folded.as_bytes()).into_owned();
        Self::Is(folded, finder)
    }

    /// A wildcard in text.
    pub(crate) fn within(pattern: &Pattern) -> Self {
        Self::Within(Wild::new(pattern))
    }

    /// A wildcard on a name.
    pub(crate) fn name_like(pattern: &Pattern) -> Self {
        Self::WholeOrWithin(compiled(&pattern.whole_value()), Wild::new(pattern))
    }

    /// Whether this text passes.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Tokens(wanted, _) => has_tokens(text, wanted),
            Self::Contains(wanted, _) => fold(text).contains(wanted.as_str()),
            Self::Is(wanted, _) => fold(text) == *wanted,
            Self::Within(wild) => wild.matches(text),
            Self::TokenLike(regex) => any_token(text, regex),
            Self::WholeOrWithin(whole, wild) => whole.is_match(&fold(text)) || wild.matches(text),
            Self::WholeOrToken(regex) => regex.is_match(&fold(text)) || any_token(text, regex),
            Self::OneOf(values) => values.binary_search_by(|v| v.as_str().cmp(text)).is_ok(),
            Self::Between(low, high) => {
                low.as_ref().is_none_or(|(low, inclusive)| {
                    text > low.as_str() || (*inclusive && text == low)
                }) && high.as_ref().is_none_or(|(high, inclusive)| {
                    text < high.as_str() || (*inclusive && text == high)
                })
            }
            Self::Any => true,
        }
    }

    /// The characters that every text which passes holds.
    pub(crate) fn letters(&self) -> Letters {
        match self {
            Self::Tokens(tokens, _) => {
                let of_each = tokens.iter().map(|token| Letters::wanted(token));
                of_each.fold(Letters::NONE, Letters::or)
            }
            Self::Contains(text, _) | Self::Is(text, _) => Letters::wanted(text),
            Self::Within(wild) | Self::WholeOrWithin(_, wild) => wild.letters,
            Self::OneOf(values) => {
                let of_each = values.iter().map(|value| Letters::wanted(&fold(value)));
                of_each.reduce(Letters::and).unwrap_or(Letters::NONE)
            }
            Self::TokenLike(_) | Self::WholeOrToken(_) | Self::Between(..) | Self::Any => {
                Letters::NONE
            }
        }
    }

    /// Which values of a column pass; nulls do not.
    pub(crate) fn eval(&self, column: &StringArray) -> BooleanBuffer {
        let finder = match self {
            Self::Tokens(tokens, finder) if tokens.iter().all(|token| token.is_ascii()) => finder,
            Self::Contains(text, finder) | Self::Is(text, finder)
                if text.is_ascii() && !text.is_empty() =>
            {
                finder
            }
            Self::Within(wild) | Self::WholeOrWithin(_, wild)
                if wild.literal.is_ascii() && !wild.literal.is_empty() =>
            {
                &wild.finder
            }
            _ => return self.eval_each(column),
        };
        let mut search = Search::new(column);
        search.run(finder, self.looks_at_rows(), |hit| self.accepts(hit));
        let ascii = search.ascii;
        let mut found = search.found.finish();
        if !ascii {
            let exact = BooleanBuffer::collect_bool(column.len(), |row| {
                if !column.is_valid(row) {
                    return false;
                }
                let value = column.value(row);
                if value.is_ascii() {
                    found.value(row)
                } else {
                    self.matches(value)
                }
            });
            found = exact;
        }
        match column.nulls() {
            Some(nulls) => &found & nulls.inner(),
            None => found,
        }
    }

    fn eval_each(&self, column: &StringArray) -> BooleanBuffer {
        BooleanBuffer::collect_bool(column.len(), |row| {
            column.is_valid(row) && self.matches(column.value(row))
        })
    }

    /// Whether an occurrence of the needle, within one row of ASCII text, makes the row pass.
    fn accepts(&self, hit: &Hit<'_>) -> bool {
        match self {
            Self::Tokens(tokens, _) if tokens.len() == 1 => hit.is_token(),
            Self::Tokens(tokens, _) => hit.is_token() && hit.is_within_phrase(tokens),
            Self::Is(..) => hit.start == hit.row_start && hit.end == hit.row_end,
            Self::Within(Wild {
                borders: Some((before, after)),
                ..
            }) => (!before || hit.begins_token()) && (!after || hit.ends_token()),
            Self::Within(wild) => hit.row().is_some_and(|row| wild.within.is_match(row)),
            Self::WholeOrWithin(whole, wild) => hit
                .row()
                .is_some_and(|row| whole.is_match(row) || wild.within.is_match(row)),
            _ => true,
        }
    }

    /// Whether a refused occurrence means that its row does not pass.
    fn looks_at_rows(&self) -> bool {
        match self {
            Self::Within(wild) => wild.borders.is_none(),
            Self::WholeOrWithin(..) => true,
            _ => false,
        }
    }
}

/// A pattern that the parser accepted, or one that we made of escaped text within the limits.
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a wildcard of bounded length compiles within the default limits")
}

/// Whether these folded tokens stand in the text one after the other.
fn has_tokens(text: &str, wanted: &[String]) -> bool {
    if let [token] = wanted {
        let mut found = false;
        for_each_token(text, |have| found |= have == token);
        return found;
    }
    // Bit i: the last tokens are the first i + 1 of those wanted.
    let (mut state, full) = (
        0u128,
        1u128 << (wanted.len().clamp(1, PHRASE_TOKENS_MAX) - 1),
    );
    let mut found = false;
    for_each_token(text, |have| {
        if found {
            return;
        }
        let reachable = (state << 1) | 1;
        state = 0;
        for (i, wanted) in wanted.iter().enumerate() {
            if reachable >> i & 1 == 1 && have == wanted {
                state |= 1 << i;
            }
        }
        found = state & full != 0;
    });
    found
}

fn any_token(text: &str, regex: &Regex) -> bool {
    let mut found = false;
    for_each_token(text, |token| found = found || regex.is_match(token));
    found
}

/// An occurrence of the needle in the folded buffer.
struct Hit<'a> {
    buffer: &'a [u8],
    row_start: usize,
    row_end: usize,
    start: usize,
    end: usize,
}

impl Hit<'_> {
    /// Whether no token character stands right before or after it.
    fn is_token(&self) -> bool {
        self.begins_token() && self.ends_token()
    }

    fn begins_token(&self) -> bool {
        self.start == self.row_start || !self.is_part(self.start - 1)
    }

    fn ends_token(&self) -> bool {
        self.end == self.row_end || !self.is_part(self.end)
    }

    fn is_part(&self, at: usize) -> bool {
        self.buffer.get(at).is_some_and(|&b| is_token_byte(b))
    }

    /// The row, folded.
    fn row(&self) -> Option<&str> {
        let row = self.buffer.get(self.row_start..self.row_end)?;
        std::str::from_utf8(row).ok()
    }
}

impl Hit<'_> {
    /// Whether the other tokens of a phrase stand around this one. The needle is the longest of
    /// them; where it occurs in the phrase several times, one of these places is enough.
    fn is_within_phrase(&self, tokens: &[String]) -> bool {
        let needle = self.buffer.get(self.start..self.end).unwrap_or_default();
        let places = (0..tokens.len()).filter(|&i| tokens[i].as_bytes() == needle);
        let row = self
            .buffer
            .get(self.row_start..self.row_end)
            .unwrap_or_default();
        let before = row.get(..self.start - self.row_start).unwrap_or_default();
        let after = row.get(self.end - self.row_start..).unwrap_or_default();
        places
            .into_iter()
            .any(|place| follow(after, &tokens[place + 1..]) && precede(before, &tokens[..place]))
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// Whether these tokens are the first ones of folded ASCII text.
fn follow(text: &[u8], tokens: &[String]) -> bool {
    let mut rest = text;
    tokens.iter().all(|token| {
        let start = rest
            .iter()
            .position(|&b| is_token_byte(b))
            .unwrap_or(rest.len());
        let (_, from) = rest.split_at(start);
        let end = from
            .iter()
            .position(|&b| !is_token_byte(b))
            .unwrap_or(from.len());
        let (have, after) = from.split_at(end);
        rest = after;
        have == token.as_bytes()
    })
}

/// Whether these tokens are the last ones of folded ASCII text.
fn precede(text: &[u8], tokens: &[String]) -> bool {
    let mut rest = text;
    tokens.iter().rev().all(|token| {
        let end = rest
            .iter()
            .rposition(|&b| is_token_byte(b))
            .map_or(0, |last| last + 1);
        let (until, _) = rest.split_at(end);
        let start = until
            .iter()
            .rposition(|&b| !is_token_byte(b))
            .map_or(0, |last| last + 1);
        let (before, have) = until.split_at(start);
        rest = before;
        have == token.as_bytes()
    })
}

/// A search through one column's text as one buffer.
struct Search<'a> {
    offsets: &'a [i32],
    buffer: Vec<u8>,
    ascii: bool,
    found: BooleanBufferBuilder,
}

impl<'a> Search<'a> {
    fn new(column: &'a StringArray) -> Self {
        let offsets = column.value_offsets();
        let bound = |offset: Option<&i32>| offset.map_or(0, |&o| usize::try_from(o).unwrap_or(0));
        let range = bound(offsets.first())..bound(offsets.last());
        let buffer = column.value_data().get(range).unwrap_or_default();
        let mut found = BooleanBufferBuilder::new(column.len());
        found.append_n(column.len(), false);
        Self {
            offsets,
            buffer: buffer.to_ascii_lowercase(),
            ascii: buffer.is_ascii(),
            found,
        }
    }

    /// Where this row begins in the buffer.
    fn start(&self, row: usize) -> usize {
        let offset = |row: usize| self.offsets.get(row).map_or(0, |&o| i64::from(o));
        usize::try_from(offset(row) - offset(0)).unwrap_or(0)
    }

    /// `once`: `accepts` says the same of all occurrences in a row.
    fn run(&mut self, finder: &Finder<'_>, once: bool, accepts: impl Fn(&Hit<'_>) -> bool) {
        let length = finder.needle().len();
        let (mut at, mut row) = (0, 0);
        while let Some(ahead) = self.buffer.get(at..).and_then(|rest| finder.find(rest)) {
            let (start, end) = (at + ahead, at + ahead + length);
            while self.start(row + 1) <= start {
                row += 1;
            }
            let (row_start, row_end) = (self.start(row), self.start(row + 1));
            let hit = Hit {
                buffer: &self.buffer,
                row_start,
                row_end,
                start,
                end,
            };
            // A row that passed needs no second look. A refused occurrence may overlap a good one
            // when it runs over the end of its row.
            at = start + 1;
            if end <= row_end {
                let passes = accepts(&hit);
                if passes {
                    self.found.set_bit(row, true);
                }
                if passes || once {
                    at = row_end;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Glyph;
    use proptest::prelude::*;

    fn passing(test: &TextTest, values: &[&str]) -> Vec<usize> {
        let found = test.eval(&StringArray::from(values.to_vec()));
        found.set_indices().collect()
    }

    #[test]
    fn a_token_is_found_between_borders_only() {
        let values = [
            "pay", "payment", "PAY now", "to_pay", "re-pay!", "pa", "y", "päy pay", "päypay",
        ];
        assert_eq!(passing(&TextTest::tokens_of("Pay"), &values), [0, 2, 4, 7]);
        assert_eq!(
            passing(&TextTest::tokens_of("aa"), &["xa", "aa b", "a"]),
            [1]
        );
    }

    #[test]
    fn a_phrase_is_consecutive_tokens_of_one_value() {
        let values = [
            "connection refused",
            "Connection  REFUSED.",
            "refused connection",
            "connection",
            "refused",
        ];
        assert_eq!(
            passing(&TextTest::tokens_of("connection refused"), &values),
            [0, 1]
        );
    }

    #[test]
    fn nulls_pass_no_test() {
        let column = StringArray::from(vec![Some("a"), None, Some("")]);
        assert_eq!(TextTest::Any.eval(&column).count_set_bits(), 2);
        assert_eq!(TextTest::is("").eval(&column).count_set_bits(), 1);
        assert_eq!(TextTest::tokens_of("a").eval(&column).count_set_bits(), 1);
    }

    proptest! {
        /// The search of the whole buffer and the definition agree.
        #[test]
        fn a_column_and_its_values_agree(
            values in prop::collection::vec("[aAbK_ü\u{212a}İ .-]{0,12}", 0..20),
            words in "[aAbBkü]{1,3}( [ab]{1,2}){0,2}",
            wild in "[*?aAbkü.]{1,4}",
        ) {
            let glyph = |c| match c {
                '*' => Glyph::Any,
                '?' => Glyph::One,
                c => Glyph::Char(c),
            };
            let pattern = Pattern(wild.chars().map(glyph).collect());
            let column = StringArray::from(values.clone());
            for column in [column.clone(), column.slice(values.len() / 3, values.len() / 2)] {
                for test in [
                    TextTest::tokens_of(&words),
                    TextTest::contains(&words),
                    TextTest::is(&words),
                    TextTest::within(&pattern),
                    TextTest::name_like(&pattern),
                ] {
                    let found = test.eval(&column);
                    let each = test.eval_each(&column);
                    prop_assert_eq!(found, each);
                }
            }
        }
    }
}
