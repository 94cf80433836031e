//! Tests on numbers: exact, but by machine floats wherever these already decide.

use std::cmp::Ordering;

use crate::language::{Bound, Range};
use crate::number::Number;

/// One end of a range, or the number to be equal to.
pub(crate) struct Point {
    exact: Number,
    float: f64,
}

impl Point {
    pub(crate) fn new(exact: Number) -> Self {
        Self {
            float: exact.to_f64(),
            exact,
        }
    }

    /// How a literal compares with it; `None` if it is no number.
    ///
    /// Rounding to a float keeps the order, so floats that differ decide.
    fn compare_text(&self, text: &str) -> Option<Ordering> {
        let first = text.as_bytes().first()?;
        if !matches!(first, b'0'..=b'9' | b'-' | b'+' | b'.') {
            return None;
        }
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() && float != self.float => float.partial_cmp(&self.float),
            _ => Number::parse(text).map(|number| number.cmp(&self.exact)),
        }
    }

    fn compare_int(&self, value: i64) -> Ordering {
        #[expect(
            clippy::cast_precision_loss,
            reason = "an equal float is looked at exactly"
        )]
        let float = value as f64;
        match float.partial_cmp(&self.float) {
            Some(order) if order != Ordering::Equal => order,
            _ => Number::from_i64(value).cmp(&self.exact),
        }
    }

    fn compare_float(&self, value: f64) -> Option<Ordering> {
        match value.partial_cmp(&self.float) {
            Some(Ordering::Equal) | None => {
                Number::from_f64(value).map(|number| number.cmp(&self.exact))
            }
            order => order,
        }
    }
}

/// What must be true of a number.
pub(crate) enum NumberTest {
    /// It has this value.
    Is(Point),
    /// It lies between these, each with whether it belongs to the range.
    Between(Option<(Point, bool)>, Option<(Point, bool)>),
}

impl NumberTest {
    pub(crate) fn is(number: Number) -> Self {
        Self::Is(Point::new(number))
    }

    /// `None` when an end is not a number.
    pub(crate) fn between(range: &Range) -> Option<Self> {
        let point = |bound: &Bound| Some((Point::new(bound.number.clone()?), bound.inclusive));
        let end = |bound: &Option<Bound>| match bound {
            None => Some(None),
            Some(bound) => point(bound).map(Some),
        };
        Some(Self::Between(end(&range.low)?, end(&range.high)?))
    }

    fn decide(&self, compare: impl Fn(&Point) -> Option<Ordering>) -> bool {
        match self {
            Self::Is(point) => compare(point) == Some(Ordering::Equal),
            Self::Between(low, high) => {
                let above = low
                    .as_ref()
                    .is_none_or(|(point, inclusive)| match compare(point) {
                        Some(Ordering::Greater) => true,
                        Some(Ordering::Equal) => *inclusive,
                        _ => false,
                    });
                above
                    && high
                        .as_ref()
                        .is_none_or(|(point, inclusive)| match compare(point) {
                            Some(Ordering::Less) => true,
                            Some(Ordering::Equal) => *inclusive,
                            _ => false,
                        })
            }
        }
    }

    /// Whether this text is a number that passes.
    pub(crate) fn matches_text(&self, text: &str) -> bool {
        self.decide(|point| point.compare_text(text))
    }

    /// Whether this number passes.
    pub(crate) fn matches_int(&self, value: i64) -> bool {
        self.decide(|point| Some(point.compare_int(value)))
    }

    /// Whether this number passes.
    pub(crate) fn matches_float(&self, value: f64) -> bool {
        self.decide(|point| point.compare_float(value))
    }
}

/// The machine float that a value counts as in an aggregation; `None` if it is no finite number.
pub(crate) fn float_of(text: &str) -> Option<f64> {
    let first = text.as_bytes().first()?;
    let looks = matches!(first, b'0'..=b'9' | b'-' | b'+' | b'.');
    looks
        .then(|| text.parse::<f64>().ok())
        .flatten()
        .filter(|float| float.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str) -> NumberTest {
        NumberTest::is(Number::parse(text).unwrap())
    }

    #[test]
    fn neighbours_of_large_integers_differ() {
        let test = is("9007199254740993");
        assert!(test.matches_int(9_007_199_254_740_993));
        assert!(!test.matches_int(9_007_199_254_740_992));
        assert!(test.matches_text("9007199254740993.0"));
        assert!(!test.matches_text("9007199254740992"));
    }

    #[test]
    fn forms_of_one_number_are_equal_and_text_is_none() {
        assert!(is("1.5e2").matches_text("150.0"));
        assert!(is("0.1").matches_float(0.1));
        assert!(is("1e400").matches_text("10e399"));
        assert!(!is("1").matches_text("1a"));
        assert!(!is("1").matches_text("one"));
        assert!(!is("1").matches_text("inf"));
    }
}
