//! Words looked for in values: by token in texts, by value in numbers, by name in truth values.
//!
//! An array has the words where one of its values has them alone: they are never pieced together of two
//! values, nor found in the middle of a number. Texts are those that the array stands for, escapes decoded.
//! What is no plain value, an object in an array or kept as a field, is one text: its JSON.

use arrow_array::{Array, StringArray};
use arrow_buffer::BooleanBuffer;
use hushlog_record::Kind;
use hushlog_storage::batch::{for_each_member, value};

use super::number::NumberTest;
use super::text::TextTest;
use crate::letters::Letters;
use crate::number::Number;
use crate::text::fold;

/// Words that must stand in one value.
pub(crate) struct WordsTest {
    text: TextTest,
    number: Option<NumberTest>,
    folded: String,
}

impl WordsTest {
    pub(crate) fn new(words: &str) -> Self {
        Self {
            text: TextTest::tokens_of(words),
            number: Number::parse_bounded(words).map(NumberTest::is),
            folded: fold(words),
        }
    }

    /// The test on numbers, if the words are one.
    pub(crate) fn number(&self) -> Option<&NumberTest> {
        self.number.as_ref()
    }

    /// Whether a value has the words.
    pub(crate) fn matches(&self, kind: Kind, text: &str) -> bool {
        if kind == Kind::Json && is_array(text) {
            self.matches_array(text)
        } else {
            self.matches_one(kind, text)
        }
    }

    fn matches_array(&self, array: &str) -> bool {
        let mut found = false;
        for_each_member(array, |kind, text| {
            found = self.matches_one(kind, text);
            !found
        });
        found
    }

    fn matches_one(&self, kind: Kind, text: &str) -> bool {
        match kind {
            Kind::String | Kind::Json => self.text.matches(text),
            Kind::Number => self.number.as_ref().is_some_and(|n| n.matches_text(text)),
            Kind::Bool => text == self.folded,
        }
    }
}

/// What a test without a field looks for.
pub(crate) enum Anywhere {
    /// Words.
    Words(WordsTest),
    /// Anything else, which goes through the text of arrays as JSON.
    Text(TextTest),
}

impl Anywhere {
    /// The test on columns of text.
    pub(crate) fn text(&self) -> &TextTest {
        match self {
            Self::Words(words) => &words.text,
            Self::Text(test) => test,
        }
    }

    /// The characters that every encoded value which passes holds, or stands for.
    pub(crate) fn letters_of_values(&self) -> Letters {
        match self {
            // A number has many forms.
            Self::Words(words) if words.number.is_some() => Letters::NONE,
            _ => self.text().letters(),
        }
    }

    /// Which encoded values are text or arrays that pass.
    pub(crate) fn eval_encoded(&self, values: &StringArray) -> BooleanBuffer {
        let raw = self.text().eval(values);
        BooleanBuffer::collect_bool(values.len(), |i| {
            values.is_valid(i) && self.passes(values.value(i), raw.value(i))
        })
    }

    /// `raw`: whether the encoded value passes as a text.
    fn passes(&self, encoded: &str, raw: bool) -> bool {
        match self {
            _ if is_escaped(encoded) => self.passes_decoded(encoded),
            Self::Words(words) if is_array(encoded) => {
                // Words in a text without escapes stand in the array as they do in the text.
                let may = raw || words.number.is_some() || encoded.contains('\\');
                may && words.matches_array(encoded)
            }
            _ => raw && is_text(value::decode(encoded).0),
        }
    }

    fn passes_decoded(&self, encoded: &str) -> bool {
        let (kind, text) = value::decode(encoded);
        is_text(kind)
            && match self {
                Self::Words(words) => words.matches(kind, &text),
                Self::Text(test) => test.matches(&text),
            }
    }
}

/// First bytes of an encoded value that does not stand for itself.
fn is_escaped(encoded: &str) -> bool {
    matches!(encoded.as_bytes().first(), Some(b'"' | 1))
}

fn is_array(json: &str) -> bool {
    json.starts_with('[')
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::String | Kind::Json)
}
