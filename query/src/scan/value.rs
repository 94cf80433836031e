//! Tests on custom fields, whose values come in four kinds.
//!
//! An array passes where one of its values does, as it would alone; words and patterns are looked for in its
//! text, too.

use hushlog_record::Kind;
use hushlog_storage::batch::for_each_element;

use super::number::NumberTest;
use super::text::TextTest;
use crate::language::{Scalar, Test, compile, whole};
use crate::number::Number;
use crate::text::fold;

/// What must be true of the value of a custom field.
pub(crate) enum ValueTest {
    /// There is one.
    Exists,
    /// Words: by token in text, by value as a number, by name as a truth value.
    Words {
        text: TextTest,
        number: Option<NumberTest>,
        folded: String,
    },
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
            Test::Words(words) => Self::Words {
                text: TextTest::tokens_of(words),
                number: Number::parse_bounded(words).map(NumberTest::is),
                folded: fold(words),
            },
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

    /// Whether one of the values of an array passes. Words and patterns go through the text of the array, and
    /// find its texts there: an index may know these only as they are written in it.
    fn matches_element(&self, array: &str) -> bool {
        let by_words = match self {
            Self::Exists | Self::Text(_) => return false,
            Self::Words { .. } => true,
            Self::Numbers(_) | Self::Strings(_) | Self::Equal(_) => false,
        };
        let mut found = false;
        for_each_element(array, |kind, text| {
            found = !(by_words && kind == Kind::String) && self.matches_one(kind, text);
            !found
        });
        found
    }

    fn matches_one(&self, kind: Kind, text: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Words {
                text: test,
                number,
                folded,
            } => match kind {
                Kind::String | Kind::Json => test.matches(text),
                Kind::Number => number
                    .as_ref()
                    .is_some_and(|number| number.matches_text(text)),
                Kind::Bool => text == folded,
            },
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
            Self::Numbers(test)
            | Self::Words {
                number: Some(test), ..
            } => Some(test),
            Self::Exists
            | Self::Words { number: None, .. }
            | Self::Text(_)
            | Self::Strings(_)
            | Self::Equal(_) => None,
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
