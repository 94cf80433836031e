//! The syntax tree: what a query asks of a record.
//!
//! Names are resolved, times and levels are read, so that whoever evaluates it can no longer fail.
//! Its `Debug` form shows the shape without any value, so that a log may carry it.

use std::fmt;

use hushlog_record::Level;

use super::Pattern;
use crate::field::Field;
use crate::number::Number;

/// A question that each record answers with yes or no.
#[derive(Clone, PartialEq)]
pub enum Expr {
    /// Every record.
    All,
    /// All of these.
    And(Vec<Expr>),
    /// At least one of these.
    Or(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
    /// One test on one target.
    Leaf(Leaf),
}

/// One test on one target.
#[derive(Clone, PartialEq)]
pub struct Leaf {
    /// What is looked at.
    pub target: Target,
    /// What must be true of it.
    pub test: Test,
}

/// What a test looks at.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// Message, exception, service, host, environment, region, trace and span id, and every text or
    /// array among the custom fields.
    Anywhere,
    /// One field.
    Field(Field),
}

/// What must be true of a value.
#[derive(Clone, PartialEq)]
pub enum Test {
    /// Text fields: these tokens stand in it one after the other. Names: the whole value, letter
    /// case aside. Custom fields: as in text, or the same number, or the same truth value.
    Words(String),
    /// A wildcard: the pattern stands in the value between token borders.
    Wildcard(Pattern),
    /// The value contains this text, letter case aside.
    Substring(String),
    /// One token of the value matches this regular expression as a whole, letter case aside.
    Regex(String),
    /// The record has a value.
    Exists,
    /// The level is one of these.
    Levels(Levels),
    /// The time lies between these, both included.
    Time {
        /// First nanosecond.
        first: i64,
        /// Last nanosecond.
        last: i64,
    },
    /// The record with this id.
    LogId([u8; 16]),
    /// Records of this exception.
    ExceptionId(u64),
    /// The value lies in this range.
    Range(Range),
    /// The whole value is exactly one of these.
    Equal(Vec<Scalar>),
}

/// A range of values.
#[derive(Clone, PartialEq, Default)]
pub struct Range {
    /// Lower end; `None`: open.
    pub low: Option<Bound>,
    /// Upper end; `None`: open.
    pub high: Option<Bound>,
}

/// One end of a range.
#[derive(Clone, PartialEq)]
pub struct Bound {
    /// As written.
    pub text: String,
    /// As a number, when it is one.
    pub number: Option<Number>,
    /// Whether the end belongs to the range.
    pub inclusive: bool,
}

impl Bound {
    /// A bound of this text.
    pub fn new(text: String, inclusive: bool) -> Self {
        Self {
            number: Number::parse_bounded(&text),
            text,
            inclusive,
        }
    }
}

impl Range {
    /// Whether every end that is given is a number.
    pub fn is_numeric(&self) -> bool {
        [&self.low, &self.high]
            .into_iter()
            .flatten()
            .all(|bound| bound.number.is_some())
    }
}

/// A value to be equal to.
#[derive(Clone, PartialEq)]
pub enum Scalar {
    /// Text; a number or truth value whose text is this counts, too.
    Text(String),
    /// A number.
    Number(Number),
    /// A truth value.
    Bool(bool),
}

/// A set of levels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Levels(u8);

impl Levels {
    /// The levels for which `wanted` says yes.
    pub fn of(wanted: impl Fn(Level) -> bool) -> Self {
        Self(
            Level::ALL
                .into_iter()
                .filter(|&level| wanted(level))
                .fold(0, |set, l| set | bit(l)),
        )
    }

    /// Whether it holds this level.
    pub fn contains(self, level: Level) -> bool {
        self.0 & bit(level) != 0
    }
}

const fn bit(level: Level) -> u8 {
    1 << level.code()
}

impl Expr {
    /// A leaf on a field.
    pub fn field(field: Field, test: Test) -> Self {
        Self::Leaf(Leaf {
            target: Target::Field(field),
            test,
        })
    }

    /// Not this, without needless levels.
    #[expect(clippy::should_implement_trait, reason = "a sibling of `and` and `or`")]
    pub fn not(inner: Self) -> Self {
        match inner {
            Self::Not(inner) => *inner,
            inner => Self::Not(Box::new(inner)),
        }
    }

    /// Whether no record can match. [`and`](Self::and), [`or`](Self::or) and [`not`](Self::not) let
    /// such an expression stand only alone.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Not(inner) if **inner == Self::All)
    }

    /// All of these, without needless levels.
    pub fn and(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All => {}
                nothing if nothing.is_nothing() => return nothing,
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::All,
            1 => flat.remove(0),
            _ => Self::And(flat),
        }
    }

    /// At least one of these, without needless levels.
    pub fn or(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All => return Self::All,
                nothing if nothing.is_nothing() => {}
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::not(Self::All),
            1 => flat.remove(0),
            _ => Self::Or(flat),
        }
    }

    /// The parts that must all be true.
    pub fn conjuncts(self) -> Vec<Self> {
        match self {
            Self::All => Vec::new(),
            Self::And(parts) => parts,
            other => vec![other],
        }
    }

    /// Calls `visit` with every leaf.
    pub fn for_each_leaf(&self, visit: &mut impl FnMut(&Leaf)) {
        match self {
            Self::All => {}
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.for_each_leaf(visit);
                }
            }
            Self::Not(inner) => inner.for_each_leaf(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }
}

/// The shape alone: `And(message:words, Not(level:levels))`.
impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, name: &str, parts: &[Expr]) -> fmt::Result {
            let mut tuple = f.debug_tuple(name);
            for part in parts {
                tuple.field(part);
            }
            tuple.finish()
        }
        match self {
            Self::All => f.write_str("All"),
            Self::And(parts) => list(f, "And", parts),
            Self::Or(parts) => list(f, "Or", parts),
            Self::Not(inner) => f.debug_tuple("Not").field(inner).finish(),
            Self::Leaf(leaf) => fmt::Debug::fmt(leaf, f),
        }
    }
}

/// The target and the kind of test; a custom field's name is the sender's and stays out.
impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Anywhere => f.write_str("*")?,
            Target::Field(Field::Custom(_)) => f.write_str("fields.?")?,
            Target::Field(field) => fmt::Display::fmt(field, f)?,
        }
        f.write_str(match &self.test {
            Test::Words(_) => ":words",
            Test::Wildcard(_) => ":wildcard",
            Test::Substring(_) => ":substring",
            Test::Regex(_) => ":regex",
            Test::Exists => ":exists",
            Test::Levels(_) => ":levels",
            Test::Time { .. } => ":time",
            Test::LogId(_) | Test::ExceptionId(_) => ":id",
            Test::Range(_) => ":range",
            Test::Equal(_) => ":equal",
        })
    }
}
