//! `filter_path`: only the wanted parts of an answer, such as `errors,items.*.error`.
//!
//! It is asked of names alone, never of an answer: an answer that is not wanted is not made.

use crate::error::{Failure, Kind};
use crate::limits::{FILTER_PATH_BYTES_MAX, FILTERS_MAX};

/// Stands for any number of names.
const ANY: &str = "**";

/// The paths of what is wanted; none at all when everything is.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    paths: Vec<Vec<Box<str>>>,
}

impl Filter {
    /// Reads paths that are separated by commas; `*` within a name stands for anything, `**` for any
    /// number of names.
    ///
    /// # Errors
    /// When it is longer, or has more paths, than is reasonable.
    pub(super) fn new(text: &str) -> Result<Self, Failure> {
        let paths = text.split(',').filter(|path| !path.is_empty());
        if text.len() > FILTER_PATH_BYTES_MAX || paths.clone().count() > FILTERS_MAX {
            let message = format!(
                "filter_path must be at most {FILTERS_MAX} paths and {FILTER_PATH_BYTES_MAX} bytes"
            );
            return Err(Failure::new(Kind::InvalidArgument, message));
        }
        Ok(Self {
            paths: paths.map(names).collect(),
        })
    }

    /// Whether all is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether the value under these names is wanted. Elements of arrays take no name.
    pub(super) fn keeps(&self, names: &[&str]) -> bool {
        self.is_empty() || self.paths.iter().any(|path| leads_to(path, names))
    }
}

/// The names of a path. More than one `**` in a row says no more than one, and would only be tried in
/// more ways.
fn names(path: &str) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = path.split('.').map(Box::from).collect();
    names.dedup_by(|a, b| **a == *ANY && a == b);
    names
}

/// Whether a path is that of a value, or of something that it is in. No deeper than the names are.
fn leads_to(path: &[Box<str>], names: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    let below = names.split_first();
    if **first == *ANY {
        let further = |(_, names): (_, &[&str])| leads_to(path, names);
        return rest.is_empty() || leads_to(rest, names) || below.is_some_and(further);
    }
    below.is_some_and(|(name, names)| matches(first, name) && leads_to(rest, names))
}

/// Whether a name has this form, in which `*` stands for anything.
fn matches(form: &str, name: &str) -> bool {
    let Some((start, rest)) = form.split_once('*') else {
        return form == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let all = [
            "took",
            "errors",
            "items.index._id",
            "items.index.status",
            "items.create.error.reason",
        ];
        let cases: [(&str, &[usize]); 12] = [
            ("", &[0, 1, 2, 3, 4]),
            (",", &[0, 1, 2, 3, 4]),
            ("took,errors", &[0, 1]),
            ("items", &[2, 3, 4]),
            ("items.*.error", &[4]),
            ("**.reason", &[4]),
            ("**.**.**.reason", &[4]),
            ("items.**", &[2, 3, 4]),
            ("items.*.st*s", &[3]),
            ("t*k", &[0]),
            ("items.index.status.more", &[]),
            ("nothing", &[]),
        ];
        for (text, expected) in cases {
            let filter = Filter::new(text).expect("short");
            let kept: Vec<usize> = all
                .iter()
                .enumerate()
                .filter(|(_, path)| filter.keeps(&path.split('.').collect::<Vec<_>>()))
                .map(|(place, _)| place)
                .collect();
            assert_eq!(kept, expected, "{text}");
        }
    }

    #[test]
    fn a_filter_of_unreasonable_size_is_refused() {
        for text in ["a,".repeat(FILTERS_MAX), "a".repeat(FILTER_PATH_BYTES_MAX)] {
            Filter::new(&text).expect("as large as it may be");
            let failure = Filter::new(&format!("{text}a")).expect_err("larger");
            assert_eq!(failure.kind, Kind::InvalidArgument);
        }
    }

    #[test]
    fn forms_that_can_be_read_in_many_ways_take_no_time() {
        for many in ["**.".repeat(300), "**.*.".repeat(100)] {
            let filter = Filter::new(&format!("{many}x")).expect("short");
            assert!(!filter.keeps(&["items", "create", "error", "reason"]));
        }
    }
}
