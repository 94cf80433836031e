//! A wildcard pattern, and the regular expression that finds it.

use crate::text::{fold, is_token_char};

/// One place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// This character.
    Char(char),
    /// `*`: any number of characters of a token, also none.
    Any,
    /// `?`: one character of a token.
    One,
}

/// A wildcard pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub Vec<Glyph>);

/// The class of characters that folded tokens are made of, as a regular expression. Folding may
/// leave marks behind, such as the dot of a dotted capital I.
const TOKEN_CLASS: &str = r"[\p{Alphabetic}\p{N}\p{M}_]";
const BORDER_BEFORE: &str = r"(?:^|[^\p{Alphabetic}\p{N}\p{M}_])";
const BORDER_AFTER: &str = r"(?:$|[^\p{Alphabetic}\p{N}\p{M}_])";

impl Pattern {
    /// Whether any place is a wildcard.
    pub fn is_wild(&self) -> bool {
        self.0.iter().any(|glyph| !matches!(glyph, Glyph::Char(_)))
    }

    /// Its characters, when none is a wildcard that matters.
    pub fn literal(&self) -> String {
        self.0
            .iter()
            .filter_map(|g| {
                if let Glyph::Char(c) = g {
                    Some(*c)
                } else {
                    None
                }
            })
            .collect()
    }

    /// `*` alone, or several.
    pub fn is_star(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|glyph| *glyph == Glyph::Any)
    }

    /// The text between, when it is `*text*`.
    pub fn substring(&self) -> Option<String> {
        let inner = self
            .0
            .strip_prefix(&[Glyph::Any])?
            .strip_suffix(&[Glyph::Any])?;
        let plain = !inner.is_empty() && inner.iter().all(|g| matches!(g, Glyph::Char(_)));
        plain.then(|| self.literal())
    }

    /// Its longest run of characters between wildcards, folded: what every match holds.
    pub fn longest_literal(&self) -> String {
        let runs = self.0.split(|glyph| !matches!(glyph, Glyph::Char(_)));
        let runs = runs.map(|run| fold(&Self(run.to_vec()).literal()));
        runs.max_by_key(String::len).unwrap_or_default()
    }

    /// When it is `text`, `text*`, `*text` or `*text*`: whether a token must begin where the text
    /// begins, and end where it ends. With these the text alone decides, in folded ASCII.
    pub fn borders(&self) -> Option<(bool, bool)> {
        let inner = self.0.strip_prefix(&[Glyph::Any]).unwrap_or(&self.0);
        let inner = inner.strip_suffix(&[Glyph::Any]).unwrap_or(inner);
        let plain = inner.iter().all(|glyph| matches!(glyph, Glyph::Char(_)));
        let is_border = |end: Option<&Glyph>| {
            end.is_some_and(|end| *end != Glyph::Any && belongs_to_token(end))
        };
        (plain && !inner.is_empty()).then(|| (is_border(self.0.first()), is_border(self.0.last())))
    }

    /// A regular expression that finds it in folded text, between token borders.
    pub fn within_text(&self) -> String {
        let mut regex = String::from("(?s)");
        if self.0.first().is_some_and(belongs_to_token) {
            regex.push_str(BORDER_BEFORE);
        }
        self.push_body(&mut regex, TOKEN_CLASS);
        if self.0.last().is_some_and(belongs_to_token) {
            regex.push_str(BORDER_AFTER);
        }
        regex
    }

    /// A regular expression that matches folded text as a whole.
    pub fn whole_value(&self) -> String {
        let mut regex = String::from("(?s)^");
        self.push_body(&mut regex, ".");
        regex.push('$');
        regex
    }

    fn push_body(&self, regex: &mut String, class: &str) {
        for glyph in &self.0 {
            match glyph {
                Glyph::Char(c) => {
                    regex.push_str(&regex::escape(&fold(c.encode_utf8(&mut [0; 4]))));
                }
                Glyph::Any => {
                    regex.push_str(class);
                    regex.push('*');
                }
                Glyph::One => regex.push_str(class),
            }
        }
    }

    /// A regular expression that matches one folded token as a whole; `None` when the pattern is of
    /// more than one token.
    pub fn one_token(&self) -> Option<String> {
        self.0
            .iter()
            .all(belongs_to_token)
            .then(|| self.whole_value())
    }

    /// Its runs of token characters and wildcards: what the tokens it touches look like, in order.
    pub fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut glyphs = self.0.iter().peekable();
        while glyphs.peek().is_some() {
            let mut run = Run {
                prefix: String::new(),
                whole: true,
            };
            let mut any = false;
            while let Some(glyph) = glyphs.next_if(|glyph| belongs_to_token(glyph)) {
                any = true;
                match glyph {
                    Glyph::Char(c) if run.whole => run.prefix.push(*c),
                    _ => run.whole = false,
                }
            }
            if any {
                run.prefix = fold(&run.prefix);
                runs.push(run);
            }
            while glyphs.next_if(|glyph| !belongs_to_token(glyph)).is_some() {}
        }
        runs
    }
}

/// A token as far as a pattern says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What it begins with, folded.
    pub prefix: String,
    /// Whether that is all of it.
    pub whole: bool,
}

fn belongs_to_token(glyph: &Glyph) -> bool {
    match glyph {
        Glyph::Char(c) => is_token_char(*c),
        Glyph::Any | Glyph::One => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern(
            text.chars()
                .map(|c| match c {
                    '*' => Glyph::Any,
                    '?' => Glyph::One,
                    c => Glyph::Char(c),
                })
                .collect(),
        )
    }

    #[test]
    fn a_wildcard_stands_for_characters_of_one_token() {
        for (text, value, matches) in [
            ("pay*", "a payment failed", true),
            ("pay*", "prepay now", false),
            ("p?y", "pay", true),
            ("p?y", "payy", false),
            ("*ment", "the payment", true),
            ("10.0.*", "from 10.0.77.1", true),
            ("10.0.*", "from 110.0.77.1", false),
            ("*.example.com", "db.example.com:80", true),
            ("/api/*", "get /api/v1/users", true),
            ("a*c", "a b c", false),
        ] {
            let regex = regex::Regex::new(&pattern(text).within_text()).unwrap();
            assert_eq!(regex.is_match(value), matches, "{text} in {value}");
        }
    }

    #[test]
    fn runs_are_the_tokens_a_pattern_touches() {
        let run = |prefix: &str, whole| Run {
            prefix: prefix.into(),
            whole,
        };
        assert_eq!(pattern("Pay*t").runs(), [run("pay", false)]);
        assert_eq!(
            pattern("10.0.*").runs(),
            [run("10", true), run("0", true), run("", false)]
        );
    }
}
