//! From a field and a value as written to a test that cannot fail any more.

use hushlog_record::{ExceptionId, Level, LogId, Timestamp};

use super::expr::{Bound, Expr, Leaf, Levels, Range, Scalar, Target, Test};
use super::pattern::Pattern;
use crate::field::{Field, Nature};
use crate::limits::{
    PHRASE_TOKENS_MAX, REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX, WILDCARD_CHARS_MAX,
};
use crate::text;
use crate::when;

/// The message for a level that is none.
pub(crate) const LEVELS: &str = "expected a level: DEBUG, INFO, WARN, ERROR or FATAL";

/// Either a leaf or what was expected instead.
type Made = Result<Expr, String>;

fn leaf(target: Target, test: Test) -> Made {
    Ok(Expr::Leaf(Leaf { target, test }))
}

fn nature(target: &Target) -> Nature {
    match target {
        Target::Anywhere => Nature::Text,
        Target::Field(field) => field.nature(),
    }
}

/// A term or phrase without wildcards.
pub(super) fn words(target: Target, value: String, now: Timestamp) -> Made {
    let tokens = text::tokens(&value).len();
    if tokens > PHRASE_TOKENS_MAX {
        return Err(format!("a phrase has at most {PHRASE_TOKENS_MAX} words"));
    }
    match nature(&target) {
        Nature::Level => match Level::from_word(&value) {
            Some(level) => leaf(target, Test::Levels(Levels::of(|l| l == level))),
            None => Err(LEVELS.into()),
        },
        Nature::Time => {
            let when = when::parse(&value, now).ok_or_else(|| expected_time(&value))?;
            leaf(
                target,
                Test::Time {
                    first: when.first,
                    last: when.last,
                },
            )
        }
        Nature::Id => leaf(target.clone(), id(&target, &value)?),
        Nature::Name if value.is_empty() => Err("expected a value between the quotes".into()),
        Nature::Name => leaf(target, Test::Words(value)),
        Nature::Custom if tokens == 0 => leaf(target, Test::Equal(vec![Scalar::Text(value)])),
        Nature::Custom => leaf(target, Test::Words(value)),
        Nature::Text if tokens == 0 => Err(
            "expected a letter, a digit or `_`; other characters are found by `message:*…*`".into(),
        ),
        Nature::Text => leaf(target, Test::Words(value)),
    }
}

fn expected_time(value: &str) -> String {
    let hint = if value.contains(' ') {
        ""
    } else {
        "; quote it when it holds a space"
    };
    format!("expected {}{hint}", when::EXPECTED)
}

fn id(target: &Target, value: &str) -> Result<Test, String> {
    if *target == Target::Field(Field::ExceptionId) {
        let id: Result<ExceptionId, _> = value.parse();
        return id
            .map(|id| Test::ExceptionId(id.0))
            .map_err(|_| "expected an exception id of 16 hex digits".into());
    }
    let id: Result<LogId, _> = value.parse();
    id.map(|id| Test::LogId(id.0))
        .map_err(|_| "expected a log id in the form of a UUID".into())
}

/// A word with wildcards.
pub(super) fn wildcard(target: Target, pattern: Pattern) -> Made {
    if pattern.0.len() > WILDCARD_CHARS_MAX {
        return Err(format!(
            "a wildcard has at most {WILDCARD_CHARS_MAX} characters"
        ));
    }
    if pattern.is_star() {
        return Ok(exists(target));
    }
    match nature(&target) {
        Nature::Level => levels_like(target, &pattern.whole_value()),
        Nature::Time | Nature::Id => Err("this field takes no wildcard".into()),
        Nature::Name | Nature::Text | Nature::Custom => match pattern.substring() {
            Some(inner) => leaf(target, Test::Substring(inner)),
            None => leaf(target, Test::Wildcard(pattern)),
        },
    }
}

/// `field:*`.
pub(super) fn exists(target: Target) -> Expr {
    match &target {
        Target::Anywhere
        | Target::Field(
            Field::Message
            | Field::Level
            | Field::Service
            | Field::Timestamp
            | Field::CreatedAt
            | Field::LogId,
        ) => Expr::All,
        Target::Field(_) => Expr::Leaf(Leaf {
            target,
            test: Test::Exists,
        }),
    }
}

/// `/regex/`.
pub(super) fn regex(target: Target, pattern: String) -> Made {
    if pattern.is_empty() {
        return Err("expected a regular expression between the slashes".into());
    }
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(format!(
            "a regular expression has at most {REGEX_BYTES_MAX} bytes"
        ));
    }
    compile(&whole(&pattern)).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            "the regular expression is too large when compiled".into()
        }
        regex::Error::Syntax(_) | _ => {
            "expected a regular expression; this one does not compile".to_owned()
        }
    })?;
    match nature(&target) {
        Nature::Level => levels_like(target, &whole(&pattern)),
        Nature::Time | Nature::Id => Err("this field takes no regular expression".into()),
        Nature::Name | Nature::Text | Nature::Custom => leaf(target, Test::Regex(pattern)),
    }
}

/// The pattern, for a whole text.
pub(crate) fn whole(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

/// Compiles within the limits; letter case does not count.
pub(crate) fn compile(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(REGEX_COMPILED_BYTES_MAX)
        .dfa_size_limit(2 * REGEX_COMPILED_BYTES_MAX)
        .build()
}

fn levels_like(target: Target, pattern: &str) -> Made {
    let regex = compile(pattern).map_err(|_| LEVELS.to_owned())?;
    leaf(
        target,
        Test::Levels(Levels::of(|level| regex.is_match(level.name()))),
    )
}

/// A range. Ends that are absent are open.
pub(super) fn range(target: Target, range: Range, now: Timestamp) -> Made {
    if range == Range::default() {
        return Ok(exists(target));
    }
    match nature(&target) {
        Nature::Level => levels_between(target, &range),
        Nature::Time => times_between(target, &range, now),
        Nature::Id => Err("this field takes no range".into()),
        Nature::Text if target == Target::Anywhere => {
            Err("a range needs a field in front of it".into())
        }
        Nature::Name | Nature::Text | Nature::Custom => leaf(target, Test::Range(range)),
    }
}

fn levels_between(target: Target, range: &Range) -> Made {
    let read = |bound: &Option<Bound>| match bound {
        None => Ok(None),
        Some(bound) => Level::from_word(&bound.text)
            .map(|level| Some((level, bound.inclusive)))
            .ok_or_else(|| LEVELS.to_owned()),
    };
    let (low, high) = (read(&range.low)?, read(&range.high)?);
    let inside = |level: Level| {
        low.is_none_or(|(bound, inclusive)| level > bound || (inclusive && level == bound))
            && high.is_none_or(|(bound, inclusive)| level < bound || (inclusive && level == bound))
    };
    leaf(target, Test::Levels(Levels::of(inside)))
}

fn times_between(target: Target, range: &Range, now: Timestamp) -> Made {
    let read =
        |bound: &Bound| when::parse(&bound.text, now).ok_or_else(|| expected_time(&bound.text));
    let first = match &range.low {
        None => i64::MIN,
        Some(bound) if bound.inclusive => read(bound)?.first,
        Some(bound) => read(bound)?.last.saturating_add(1),
    };
    let last = match &range.high {
        None => i64::MAX,
        Some(bound) if bound.inclusive => read(bound)?.last,
        Some(bound) => read(bound)?.first.saturating_sub(1),
    };
    leaf(target, Test::Time { first, last })
}
