//! What every match of an expression must hold: a few literals, one of which stands in it.
//!
//! A search for the literals of all patterns at once is far cheaper than running the patterns, and most
//! texts hold none. Never claims a literal that a match may lack.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Most literals of one pattern.
const LITERALS_MAX: usize = 32;
/// Shortest literal worth a search, in bytes.
const BYTES_MIN: usize = 3;

/// What stands in a match.
enum Part {
    /// This and nothing else.
    Exact(Vec<u8>),
    /// One of these, and other things.
    OneOf(Vec<Vec<u8>>),
    /// Nothing that is known.
    Unknown,
}

/// Literals one of which, in any case of its ASCII letters, every match has; `None` if none are known.
pub(super) fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    one_of(part(hir)).filter(|literals| literals.iter().all(|l| l.len() >= BYTES_MIN))
}

fn one_of(part: Part) -> Option<Vec<Vec<u8>>> {
    match part {
        Part::Exact(literal) if !literal.is_empty() => Some(vec![literal]),
        Part::OneOf(literals) => Some(literals),
        Part::Exact(_) | Part::Unknown => None,
    }
}

fn part(hir: &Hir) -> Part {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Part::Exact(Vec::new()),
        HirKind::Literal(literal) => Part::Exact(literal.0.to_ascii_lowercase()),
        HirKind::Class(class) => one_letter(class),
        HirKind::Capture(capture) => part(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            one_of(part(&repetition.sub)).map_or(Part::Unknown, Part::OneOf)
        }
        HirKind::Repetition(_) => Part::Unknown,
        HirKind::Concat(parts) => concatenated(parts),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for sub in parts {
                match one_of(part(sub)) {
                    Some(literals) if all.len() + literals.len() <= LITERALS_MAX => {
                        all.extend(literals);
                    }
                    _ => return Part::Unknown,
                }
            }
            Part::OneOf(all)
        }
    }
}

/// The best of what the parts have, those side by side taken together.
fn concatenated(parts: &[Hir]) -> Part {
    let mut best: Option<Vec<Vec<u8>>> = None;
    let mut run = Vec::new();
    let mut is_exact = true;
    for sub in parts {
        match part(sub) {
            Part::Exact(more) => run.extend(more),
            other => {
                is_exact = false;
                let whole = std::mem::take(&mut run);
                best = better(best, one_of(Part::Exact(whole)));
                best = better(best, one_of(other));
            }
        }
    }
    if is_exact {
        return Part::Exact(run);
    }
    better(best, one_of(Part::Exact(run))).map_or(Part::Unknown, Part::OneOf)
}

/// The set whose shortest literal is longer; of two alike, the smaller one.
fn better(a: Option<Vec<Vec<u8>>>, b: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let worth = |set: &Vec<Vec<u8>>| {
        let shortest = set.iter().map(Vec::len).min().unwrap_or(0);
        (shortest, usize::MAX - set.len())
    };
    match (a, b) {
        (Some(a), Some(b)) => Some(if worth(&b) > worth(&a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// A class that is one letter in both cases, or one character.
fn one_letter(class: &Class) -> Part {
    let Class::Unicode(class) = class else {
        return Part::Unknown;
    };
    let mut chars = class.iter().flat_map(|range| range.start()..=range.end());
    match (chars.next(), chars.next(), chars.next()) {
        (Some(c), None, _) => Part::Exact(c.to_string().to_ascii_lowercase().into_bytes()),
        (Some(upper), Some(lower), None)
            if upper.is_ascii() && upper.to_ascii_lowercase() == lower =>
        {
            Part::Exact(lower.to_string().into_bytes())
        }
        _ => Part::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::required;

    fn literals(pattern: &str) -> Vec<String> {
        let hir = regex_syntax::parse(pattern).expect("valid");
        required(&hir)
            .unwrap_or_default()
            .into_iter()
            .map(|literal| String::from_utf8(literal).expect("text"))
            .collect()
    }

    #[test]
    fn every_match_holds_one_of_the_literals() {
        for (pattern, expected) in [
            (r"EMP-\d{6}", &["emp-"][..]),
            (r"(?i)\bcustomer\b\s*\d+", &["cu", "tomer"][1..]),
            (r"\d+(?:order|invoice)-\d", &["order", "invoice"]),
            (r"(?:abcd)+x", &["abcd"]),
            (r"(?:abcd)?x[0-9]", &[]),
            (r"[A-Z]{3}\d", &[]),
            (r"a[bc]d", &[]),
            (r"\d{4}abc\d*longest", &["longest"]),
            (r"x{3}yy", &[]),
            (r"(?:abc|\d)", &[]),
        ] {
            assert_eq!(literals(pattern), expected, "of {pattern}");
        }
    }

    #[test]
    fn letters_that_fold_to_others_than_ascii_ones_are_in_no_literal() {
        // U+017F and U+212A are `s` and `k` in another case.
        assert_eq!(literals("(?i)password"), ["word"]);
        assert_eq!(literals("(?i)token"), Vec::<String>::new());
    }
}
