//! What the index and the statistics may conclude from an expression.
//!
//! Never decides that a row matches: everything here is a condition that each match fulfils.

use hushlog_index::{Prune, token};
use hushlog_record::{ExceptionId, Level, Timestamp};
use hushlog_storage::batch::name;
use hushlog_storage::segment::{Bounds, Segment};

use crate::field::{Field, Nature};
use crate::language::{Expr, Leaf, Levels, Pattern, Range, Scalar, Target, Test};
use crate::number::Number;
use crate::plan::Interval;
use crate::scan::column;
use crate::scan::number::NumberTest;
use crate::text::{is_token_char, tokens};

/// What a granule's index entry must fulfil.
pub(crate) fn by_index(expr: &Expr) -> Prune {
    match expr {
        Expr::All | Expr::Not(_) => Prune::Any,
        Expr::And(parts) => and(parts.iter().map(by_index)),
        Expr::Or(parts) => or(parts.iter().map(by_index)),
        Expr::Leaf(leaf) => of_leaf(leaf),
    }
}

fn and(parts: impl IntoIterator<Item = Prune>) -> Prune {
    let mut parts: Vec<_> = parts
        .into_iter()
        .filter(|part| !matches!(part, Prune::Any))
        .collect();
    match parts.len() {
        0 => Prune::Any,
        1 => parts.remove(0),
        _ => Prune::And(parts),
    }
}

fn or(parts: impl IntoIterator<Item = Prune>) -> Prune {
    let mut parts: Vec<_> = parts.into_iter().collect();
    if parts.iter().any(|part| matches!(part, Prune::Any)) {
        return Prune::Any;
    }
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        Prune::Or(parts)
    }
}

/// Whether folding left only token characters behind. Where it left marks, equal folded texts may
/// come of different tokens.
fn is_plain(token: &str) -> bool {
    token.chars().all(is_token_char)
}

fn all_tokens(text: &str) -> Prune {
    and(tokens(text)
        .into_iter()
        .filter(|token| is_plain(token))
        .map(Prune::Token))
}

fn of_leaf(leaf: &Leaf) -> Prune {
    let nature = match &leaf.target {
        Target::Anywhere => Nature::Text,
        // Levels and detectors are few; the index is not asked about them.
        Target::Field(Field::Pii) => return Prune::Any,
        Target::Field(field) => field.nature(),
    };
    let custom = nature == Nature::Custom;
    match &leaf.test {
        Test::Words(words) if custom => of_custom_text(words),
        Test::Words(words) if leaf.target == Target::Anywhere => of_words(words),
        Test::Words(words) => all_tokens(words),
        Test::Wildcard(pattern) => of_pattern(pattern, custom),
        Test::Substring(text) => of_substring(text, custom),
        Test::Equal(values) => or(values.iter().map(|value| match value {
            Scalar::Text(text) if custom => of_custom_text(text),
            Scalar::Text(text) => all_tokens(text),
            Scalar::Number(number) if custom => {
                let literal = number.to_string();
                or([self::number(number), all_tokens(&literal)])
            }
            Scalar::Number(number) => all_tokens(&number.to_string()),
            Scalar::Bool(_) => Prune::Any,
        })),
        Test::Regex(_)
        | Test::Exists
        | Test::Levels(_)
        | Test::Time { .. }
        | Test::LogId(_)
        | Test::ExceptionId(_)
        | Test::Range(_) => Prune::Any,
    }
}

fn number(number: &Number) -> Prune {
    token::number(&number.to_string()).map_or(Prune::Any, Prune::Number)
}

/// A custom field may hold the words as text, as a number, or as a truth value, alone or in an array.
fn of_custom_text(words: &str) -> Prune {
    let is_truth = matches!(&*crate::text::fold(words), "true" | "false");
    if is_truth {
        return Prune::Any;
    }
    of_words(words)
}

/// Words may be a number in an array, too, in any of its forms.
fn of_words(words: &str) -> Prune {
    match Number::parse_bounded(words) {
        Some(number) => or([all_tokens(words), self::number(&number)]),
        None => all_tokens(words),
    }
}

/// Whether no number and no truth value has a token that begins like this.
fn is_text_only(prefix: &str) -> bool {
    let letter = prefix.starts_with(char::is_alphabetic);
    letter
        && !["true", "false"]
            .iter()
            .any(|word| word.starts_with(prefix))
}

fn of_pattern(pattern: &Pattern, custom: bool) -> Prune {
    let runs = pattern.runs();
    if custom && !runs.iter().any(|run| is_text_only(&run.prefix)) {
        return Prune::Any;
    }
    let runs = runs
        .into_iter()
        .filter(|run| !run.prefix.is_empty() && is_plain(&run.prefix));
    and(runs.map(|run| {
        if run.whole {
            Prune::Token(run.prefix)
        } else {
            Prune::Prefix(run.prefix)
        }
    }))
}

/// Within a substring, a token with something on both sides is whole, and the last one, with
/// something before it, is the beginning of one.
fn of_substring(text: &str, custom: bool) -> Prune {
    if !text.is_ascii() {
        return Prune::Any;
    }
    let folded = text.to_ascii_lowercase();
    let mut runs: Vec<&str> = folded.split(|c| !is_token_char(c)).collect();
    let last = runs
        .pop()
        .filter(|_| !runs.is_empty())
        .filter(|last| !last.is_empty());
    let inner: Vec<&str> = runs
        .into_iter()
        .skip(1)
        .filter(|run| !run.is_empty())
        .collect();
    if custom && !inner.iter().chain(&last).any(|run| is_text_only(run)) {
        return Prune::Any;
    }
    let inner = inner.into_iter().map(|run| Prune::Token(run.to_owned()));
    and(inner.chain(last.map(|run| Prune::Prefix(run.to_owned()))))
}

/// The exception that every match of this conjunction has, if it names one.
pub(crate) fn by_exception(expr: &Expr) -> Option<ExceptionId> {
    let id = |part: &Expr| match part {
        Expr::Leaf(leaf) => match leaf.test {
            Test::ExceptionId(id) => Some(ExceptionId(id)),
            _ => None,
        },
        _ => None,
    };
    conjuncts(expr).iter().find_map(id)
}

fn conjuncts(expr: &Expr) -> &[Expr] {
    match expr {
        Expr::And(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

/// A condition on the smallest and largest value of one column in a granule.
pub(crate) struct ByBounds {
    column: String,
    condition: Condition,
}

enum Condition {
    /// One of these lies within the bounds.
    OneOf(Vec<Vec<u8>>),
    /// The range of numbers overlaps the bounds.
    Numbers(Range),
}

/// The conditions on bounds that every match of this conjunction fulfils.
pub(crate) fn by_bounds(expr: &Expr) -> Vec<ByBounds> {
    conjuncts(expr).iter().filter_map(of_conjunct).collect()
}

fn of_conjunct(expr: &Expr) -> Option<ByBounds> {
    let Expr::Leaf(Leaf {
        target: Target::Field(field),
        test,
    }) = expr
    else {
        return None;
    };
    let fixed = |condition| {
        Some(ByBounds {
            column: column::fixed(field)?.to_owned(),
            condition,
        })
    };
    match test {
        Test::Levels(levels) => fixed(Condition::OneOf(level_names(*levels))),
        Test::LogId(id) => fixed(Condition::OneOf(vec![id.to_vec()])),
        Test::Equal(values) if field.nature() == Nature::Name && *field != Field::Pii => {
            let text = |value: &Scalar| match value {
                Scalar::Text(text) => Some(text.clone().into_bytes()),
                Scalar::Number(_) | Scalar::Bool(_) => None,
            };
            fixed(Condition::OneOf(
                values.iter().map(text).collect::<Option<_>>()?,
            ))
        }
        Test::Range(range) if range.is_numeric() => match field {
            Field::Custom(custom) => Some(ByBounds {
                column: format!("{}{custom}", name::TYPED_PREFIX),
                condition: Condition::Numbers(range.clone()),
            }),
            _ => None,
        },
        _ => None,
    }
}

fn level_names(levels: Levels) -> Vec<Vec<u8>> {
    let wanted = Level::ALL
        .into_iter()
        .filter(|&level| levels.contains(level));
    wanted
        .map(|level| level.name().as_bytes().to_vec())
        .collect()
}

impl ByBounds {
    /// Clears the granules that cannot hold a match.
    fn narrow(&self, segment: &Segment, granules: &mut [bool]) {
        let Some(bounds) = segment.bounds(&self.column) else {
            return;
        };
        match (&self.condition, bounds) {
            (Condition::OneOf(values), Bounds::Bytes(bounds)) => {
                clear(granules, &bounds, |min, max| {
                    values.iter().any(|v| min <= v && v <= max)
                });
            }
            (Condition::Numbers(range), Bounds::Int(bounds)) => {
                let low = NumberTest::between(&Range {
                    high: None,
                    ..range.clone()
                });
                let high = NumberTest::between(&Range {
                    low: None,
                    ..range.clone()
                });
                clear(granules, &bounds, |min, max| {
                    low.as_ref().is_none_or(|test| test.matches_int(*max))
                        && high.as_ref().is_none_or(|test| test.matches_int(*min))
                });
            }
            (Condition::Numbers(range), Bounds::Float(bounds)) => {
                let low = NumberTest::between(&Range {
                    high: None,
                    ..range.clone()
                });
                let high = NumberTest::between(&Range {
                    low: None,
                    ..range.clone()
                });
                clear(granules, &bounds, |min, max| {
                    low.as_ref().is_none_or(|test| test.matches_float(*max))
                        && high.as_ref().is_none_or(|test| test.matches_float(*min))
                });
            }
            // A column of text: a string that reads as a number would match, too.
            _ => {}
        }
    }
}

fn clear<T>(granules: &mut [bool], bounds: &[Option<(T, T)>], may: impl Fn(&T, &T) -> bool) {
    for (granule, bounds) in granules.iter_mut().zip(bounds) {
        if let Some((min, max)) = bounds {
            *granule &= may(min, max);
        }
    }
}

/// The granules of a segment that may hold a match, by their statistics, ascending.
pub(crate) fn granules(segment: &Segment, time: Interval, conditions: &[ByBounds]) -> Vec<u32> {
    let overlaps = |(min, max): (Timestamp, Timestamp)| time.overlaps(min, max);
    let mut may: Vec<bool> = (0..segment.granule_count())
        .map(|granule| segment.granule_time(granule).is_none_or(overlaps))
        .collect();
    for condition in conditions {
        condition.narrow(segment, &mut may);
    }
    (0..)
        .zip(may)
        .filter_map(|(granule, may)| may.then_some(granule))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(prune: &Prune) -> String {
        let join = |parts: &[Prune], word: &str| {
            format!(
                "({})",
                parts.iter().map(show).collect::<Vec<_>>().join(word)
            )
        };
        match prune {
            Prune::Any => "any".into(),
            Prune::Token(token) => token.clone(),
            Prune::Prefix(prefix) => format!("{prefix}*"),
            Prune::Number(number) => format!("#{number}"),
            Prune::And(parts) => join(parts, " & "),
            Prune::Or(parts) => join(parts, " | "),
        }
    }

    #[test]
    fn every_match_fulfils_what_the_index_is_asked() {
        for (query, expected) in [
            ("*", "any"),
            ("Pay", "pay"),
            ("pay-now", "(pay & now)"),
            ("a OR b", "(a | b)"),
            ("a OR level:error", "any"),
            ("a level:error", "a"),
            ("a -b", "a"),
            ("service:Pay-Service", "(pay & service)"),
            ("pay*", "pay*"),
            ("*pay", "any"),
            ("10.0.*", "(10 & 0)"),
            ("user:alice", "alice"),
            ("n:1.50", "((1 & 50) | #1.5e0)"),
            ("tags:\"a\tb\"", "(a & b)"),
            ("1.50", "((1 & 50) | #1.5e0)"),
            ("TRUE", "true"),
            ("ok:TRUE", "any"),
            ("n:5*", "any"),
            ("user:al*", "al*"),
            ("ok:tr*", "any"),
            ("message:*refused*", "any"),
            ("message:\"x\" n:>5", "x"),
            ("message:/a.*/", "any"),
            ("pii:email", "any"),
        ] {
            let expr = crate::language::parse(query, Timestamp::from_nanos(0)).unwrap();
            assert_eq!(show(&by_index(&expr)), expected, "{query}");
        }
        let sub = |text, custom| show(&of_substring(text, custom));
        assert_eq!(sub("tion Refused by pe", false), "(refused & by & pe*)");
        assert_eq!(sub("a b", true), "b*");
        assert_eq!(sub("1 2", true), "any");
        assert_eq!(sub("ü b", false), "any");
    }
}
