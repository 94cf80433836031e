//! Lists of words, places and values that patterns and rules go by.

use serde::{Deserialize, Deserializer, Serialize};

use super::limits::{ENTRY_BYTES_MAX, LIST_MAX, WINDOW_BYTES_MAX};
use super::refusal::Cause;
use crate::bytes::{at, before, slice};

/// How far before a match its words are looked for unless a pattern says otherwise, in bytes.
const BEFORE_DEFAULT: u16 = 30;

/// Words that must, or must not, stand near a match. Whole words, in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Words {
    /// How far before a match, in bytes.
    pub before: u16,
    /// How far behind it, in bytes.
    pub after: u16,
    /// One of these must be there, if there are any.
    pub include: Vec<String>,
    /// None of these may be there.
    pub exclude: Vec<String>,
    /// Whether a part of the field's path counts as near.
    pub in_path: bool,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            before: BEFORE_DEFAULT,
            after: 0,
            include: Vec::new(),
            exclude: Vec::new(),
            in_path: true,
        }
    }
}

/// Words as the API takes them: with their windows, or a bare list of those to include.
pub(super) fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Words, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        List(Vec<String>),
        Whole(Words),
    }
    Ok(match Option::<Given>::deserialize(from)? {
        Some(Given::Whole(words)) => words,
        Some(Given::List(include)) => Words {
            include,
            ..Words::default()
        },
        None => Words::default(),
    })
}

impl Words {
    pub(super) fn check(&self) -> Result<(), Cause> {
        check_list("keywords.include", &self.include)?;
        check_list("keywords.exclude", &self.exclude)?;
        if self.before.max(self.after) > WINDOW_BYTES_MAX {
            return Err(Cause::WindowTooWide);
        }
        Ok(())
    }

    /// Whether the words around a match allow it.
    pub(super) fn allow(&self, text: &[u8], start: usize, end: usize, path: &str) -> bool {
        let near = |words: &[String]| {
            let ahead = start.saturating_sub(self.before.into());
            let behind = text.len().min(end + usize::from(self.after));
            words.iter().any(|word| {
                has_word(text, ahead, start, word)
                    || has_word(text, end, behind, word)
                    || self.in_path && has_word(path.as_bytes(), 0, path.len(), word)
            })
        };
        (self.include.is_empty() || near(&self.include)) && !near(&self.exclude)
    }
}

/// Whether a whole word stands between these positions: neither letters nor digits go on beside it.
fn has_word(text: &[u8], from: usize, to: usize, word: &str) -> bool {
    let word = word.as_bytes();
    slice(text, from, to)
        .windows(word.len().max(1))
        .enumerate()
        .any(|(i, window)| {
            window.eq_ignore_ascii_case(word)
                && !before(text, from + i, 1).is_ascii_alphanumeric()
                && !at(text, from + i + word.len()).is_ascii_alphanumeric()
        })
}

/// Where a pattern or a detector looks: services and paths of fields, whole or with `*` at the end.
///
/// The path of a field is its name, dots included; other texts of a record are at `message`, `host`,
/// `environment`, `region`, `service`, `trace_id`, `span_id`, `exception.type`, `exception.message` and
/// `exception.stack_trace`. What lists and objects hold is at the path of their field. The names of
/// fields have no path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Only in these services, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Not in these services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services_except: Vec<String>,
    /// Only at these paths, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Not at these paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields_except: Vec<String>,
}

impl Scope {
    /// Whether it holds every place.
    pub fn is_everywhere(&self) -> bool {
        let lists = [
            &self.services,
            &self.services_except,
            &self.fields,
            &self.fields_except,
        ];
        lists.into_iter().all(Vec::is_empty)
    }

    pub(crate) fn check(&self) -> Result<(), Cause> {
        check_list("scope.services", &self.services)?;
        check_list("scope.services_except", &self.services_except)?;
        check_list("scope.fields", &self.fields)?;
        check_list("scope.fields_except", &self.fields_except)
    }

    /// Whether a place belongs to it.
    pub(crate) fn has(&self, service: &str, path: &str) -> bool {
        let any = |list: &[String], text: &str| list.iter().any(|entry| is_like(entry, text));
        (self.services.is_empty() || any(&self.services, service))
            && !any(&self.services_except, service)
            && (self.fields.is_empty() || any(&self.fields, path))
            && !any(&self.fields_except, path)
    }

    /// Whether it names this path.
    pub(super) fn names(&self, path: &str) -> bool {
        self.fields.iter().any(|entry| is_like(entry, path))
    }
}

fn is_like(entry: &str, text: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(head) => text.starts_with(head),
        None => text == entry,
    }
}

/// Values that are left as they are. ASCII letters match in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowList {
    /// The whole value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exact: Vec<String>,
    /// What the value begins with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefix: Vec<String>,
    /// What the value ends with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suffix: Vec<String>,
}

impl AllowList {
    /// Whether it leaves nothing.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefix.is_empty() && self.suffix.is_empty()
    }

    pub(crate) fn check(&self) -> Result<(), Cause> {
        check_list("suppress.exact", &self.exact)?;
        check_list("suppress.prefix", &self.prefix)?;
        check_list("suppress.suffix", &self.suffix)
    }

    /// Whether a value is left.
    pub(crate) fn has(&self, value: &str) -> bool {
        let value = value.as_bytes();
        let same = |part: &[u8], entry: &String| part.eq_ignore_ascii_case(entry.as_bytes());
        self.exact.iter().any(|entry| same(value, entry))
            || self
                .prefix
                .iter()
                .any(|entry| same(slice(value, 0, entry.len()), entry))
            || self.suffix.iter().any(|entry| {
                let start = value.len().checked_sub(entry.len());
                start.is_some_and(|start| same(slice(value, start, value.len()), entry))
            })
    }
}

/// Every list is short, of entries that are short and not empty.
fn check_list(name: &'static str, list: &[String]) -> Result<(), Cause> {
    let fits = |entry: &String| (1..=ENTRY_BYTES_MAX).contains(&entry.len());
    if list.len() > LIST_MAX || !list.iter().all(fits) {
        return Err(Cause::BadList(name));
    }
    Ok(())
}
