//! Numbers as senders wrote them, compared exactly: `9007199254740993`, `1.50`, `1e400`.
//!
//! Never rounds: a machine float appears only where an aggregation asks for one.

use std::cmp::Ordering;
use std::fmt;

use crate::limits::NUMBER_DIGITS_MAX;

/// A decimal number: sign, digits without zeros at either end, and where the point stands.
///
/// The value is `0.digits × 10^exponent`; zero has no digits, exponent 0 and no sign.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    digits: Box<[u8]>,
    exponent: i64,
}

impl Number {
    /// Reads a number by JSON's grammar, leading zeros and a leading `+` or `.` allowed too.
    /// `None` when `text` is no number.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if !matches!(bytes.first()?, b'0'..=b'9' | b'-' | b'+' | b'.') {
            return None;
        }
        let negative = bytes.first() == Some(&b'-');
        let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            None => (rest, 0),
            Some(at) => (rest.get(..at)?, exponent(rest.get(at + 1..)?)?),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits_only(whole) || !digits_only(fraction) {
            return None;
        }
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = digits.iter().take_while(|&&d| d == b'0').count();
        digits.drain(..leading);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits: Box::default(),
                exponent: 0,
            });
        }
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
        Some(Self {
            negative,
            digits: digits.into(),
            exponent: exponent.saturating_add(point),
        })
    }

    /// [`parse`](Self::parse), but refuses more digits than a query may carry.
    pub fn parse_bounded(text: &str) -> Option<Self> {
        (text.len() <= NUMBER_DIGITS_MAX)
            .then(|| Self::parse(text))
            .flatten()
    }

    /// The number of an integer.
    pub fn from_i64(value: i64) -> Self {
        let mut buffer = [0u8; 20];
        let mut at = buffer.len();
        let mut rest = value.unsigned_abs();
        while rest > 0 {
            at -= 1;
            buffer[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        let all = buffer.get(at..).unwrap_or_default();
        let kept = all
            .iter()
            .rposition(|&d| d != b'0')
            .map_or(0, |last| last + 1);
        Self {
            negative: value < 0,
            digits: all.get(..kept).unwrap_or_default().into(),
            exponent: i64::try_from(all.len()).unwrap_or(0),
        }
    }

    /// The number that this float prints as; `None` for infinities and not-a-number.
    pub fn from_f64(value: f64) -> Option<Self> {
        value
            .is_finite()
            .then(|| Self::parse(&format!("{value:e}")))
            .flatten()
    }

    /// The nearest machine float; infinite when it is too large for one.
    pub fn to_f64(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .exponent
                .cmp(&other.exponent)
                .then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

/// Reads the part after `e`; an absurd exponent saturates.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits
        .parse::<i64>()
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4);
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A JSON literal of the value: plain digits while that is short, else with an exponent.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let digits = std::str::from_utf8(&self.digits).unwrap_or("0");
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        match usize::try_from(self.exponent) {
            Ok(point) if point > 0 && self.exponent <= 21 => {
                if count <= self.exponent {
                    write!(f, "{digits:0<point$}")
                } else {
                    let (whole, fraction) = digits.split_at(point);
                    write!(f, "{whole}.{fraction}")
                }
            }
            _ if self.exponent <= 0 && self.exponent > -6 => {
                let zeros = usize::try_from(-self.exponent).unwrap_or(0);
                write!(f, "0.{:0<zeros$}{digits}", "")
            }
            _ => {
                let (first, rest) = digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                write!(f, "{first}{point}{rest}e{}", self.exponent - 1)
            }
        }
    }
}

/// Prints no digits: a number may come from a record.
impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({} digits)", self.digits.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn literals_of_one_value_are_equal_and_print_alike() {
        for (literal, printed) in [
            ("0", "0"),
            ("-0.0e9", "0"),
            ("150", "150"),
            ("1.5e2", "150"),
            ("150.000", "150"),
            ("-0.05", "-0.05"),
            ("1e400", "1e400"),
            ("12.5e-3", "0.0125"),
            ("9007199254740993", "9007199254740993"),
            ("1e-9", "1e-9"),
            ("+7", "7"),
            (".5", "0.5"),
        ] {
            assert_eq!(number(literal).to_string(), printed);
            assert_eq!(number(literal), number(printed));
        }
    }

    #[test]
    fn order_is_that_of_the_values() {
        let rising = [
            "-1e400", "-12", "-1.5", "0", "1e-400", "0.5", "9", "10", "10.01", "1e400",
        ];
        for pair in rising.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
        assert!(number("9007199254740993") > number("9007199254740992"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", ".", "e5", "1e", "1.2.3", "0x10", "12a", "NaN", "inf", "1 ",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_integers(a: i64, b: i64) {
            prop_assert_eq!(Number::from_i64(a), number(&a.to_string()));
            prop_assert_eq!(number(&a.to_string()).cmp(&number(&b.to_string())), a.cmp(&b));
            prop_assert_eq!(number(&a.to_string()).to_string(), a.to_string());
        }

        #[test]
        fn agrees_with_floats(a in -1e300f64..1e300) {
            let number = Number::from_f64(a).unwrap();
            prop_assert_eq!(number.to_f64(), a);
            prop_assert_eq!(&number, &Number::parse(&format!("{a:e}")).unwrap());
        }
    }
}
