//! Tests on custom fields, whose values come in four kinds.
//!
//! An array passes where one of its values does, as it would alone; patterns go through its text.

use hushlog_record::Kind;
use hushlog_storage::batch::for_each_element;

use super::number::NumberTest;
use super::text::TextTest;
use super::words::WordsTest;
use crate::language::{Scalar, Test, compile, whole};
use crate::number::Number;

/// What must be true of the value of a custom field.
pub(crate) enum ValueTest {
    /// There is one.
    Exists,
    /// Words in one value.
    Words(WordsTest),
    /// By its text, whatever the kind.
    Text(TextTest),
    /// A range of numbers; text that reads as a number counts.
    Numbers(NumberTest),
    /// A range of text.
    Strings(TextTest),
    /// One of these, as a whole.
    Equal(Vec<(Scalar, Option<NumberTest>)>),
}

impl ValueTest {
    pub(crate) fn compile(test: &Test) -> Self {
        match test {
            Test::Words(words) => Self::Words(WordsTest::new(words)),
            Test::Wildcard(pattern) => Self::Text(TextTest::within(pattern)),
            Test::Substring(text) => Self::Text(TextTest::contains(text)),
            Test::Regex(pattern) => Self::Text(TextTest::TokenLike(
                compile(&whole(pattern)).expect("the parser compiled it"),
            )),
            Test::Range(range) => match NumberTest::between(range) {
                Some(numbers) => Self::Numbers(numbers),
                None => Self::Strings(between(range)),
            },
            Test::Equal(values) => Self::Equal(values.iter().map(equal).collect()),
            Test::Exists
            | Test::Levels(_)
            | Test::Time { .. }
            | Test::LogId(_)
            | Test::ExceptionId(_) => Self::Exists,
        }
    }

    /// Whether a value passes.
    pub(crate) fn matches(&self, kind: Kind, text: &str) -> bool {
        self.matches_one(kind, text) || (kind == Kind::Json && self.matches_element(text))
    }

    /// Whether one of the plain values of an array passes.
    fn matches_element(&self, array: &str) -> bool {
        match self {
            // What they have to say of an array they have said of all of it.
            Self::Exists | Self::Text(_) | Self::Words(_) => return false,
            Self::Numbers(_) | Self::Strings(_) | Self::Equal(_) => {}
        }
        let mut found = false;
        for_each_element(array, |kind, text| {
            found = self.matches_one(kind, text);
            !found
        });
        found
    }

    fn matches_one(&self, kind: Kind, text: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Words(words) => words.matches(kind, text),
            Self::Text(test) => test.matches(text),
            Self::Numbers(test) => {
                matches!(kind, Kind::Number | Kind::String) && test.matches_text(text)
            }
            Self::Strings(test) => kind == Kind::String && test.matches(text),
            Self::Equal(values) => values.iter().any(|(value, number)| {
                let same_number = || number.as_ref().is_some_and(|n| n.matches_text(text));
                match value {
                    Scalar::Text(wanted) => {
                        text == wanted || (kind == Kind::Number && same_number())
                    }
                    Scalar::Number(wanted) => match kind {
                        Kind::Number => same_number(),
                        Kind::String => text == wanted.to_string(),
                        Kind::Bool | Kind::Json => false,
                    },
                    Scalar::Bool(wanted) => text == if *wanted { "true" } else { "false" },
                }
            }),
        }
    }

    /// The test on numbers, when it is that alone for a value of kind number.
    pub(crate) fn on_numbers(&self) -> Option<&NumberTest> {
        match self {
            Self::Numbers(test) => Some(test),
            Self::Words(words) => words.number(),
            Self::Exists | Self::Text(_) | Self::Strings(_) | Self::Equal(_) => None,
        }
    }
}

fn equal(value: &Scalar) -> (Scalar, Option<NumberTest>) {
    let number = match value {
        Scalar::Text(text) => Number::parse_bounded(text),
        Scalar::Number(number) => Some(number.clone()),
        Scalar::Bool(_) => None,
    };
    (value.clone(), number.map(NumberTest::is))
}

/// A range of text.
pub(crate) fn between(range: &crate::language::Range) -> TextTest {
    let end = |bound: &Option<crate::language::Bound>| {
        bound
            .as_ref()
            .map(|bound| (bound.text.clone(), bound.inclusive))
    };
    TextTest::Between(end(&range.low), end(&range.high))
}
