//! The two names of a pattern: its own, as its owner writes it, and the one in masks, spans and hashes,
//! which must be told from other text there.
//!
//! The second is made of the first alone, so that the same name always gives the same.

use std::fmt::Write;

use hushlog_record::id::stable_hash;

use super::limits::{NAME_BYTES_MAX, TITLE_BYTES_MAX};
use super::refusal::Cause;
use crate::detector::Detector;

/// Begins a name that could not begin by itself.
const BEGIN: &str = "pattern_";
/// Ends the name of a pattern that is called as a built-in detector is.
const BESIDE: &str = "_pattern";
/// Bytes of `_` and a hash, which tell apart what was cut or has no letter that a name can have.
const HASH_BYTES: usize = 9;

/// The names of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// What it is changed and deleted by where its owner says nothing else.
    pub id: String,
    /// The one in masks, spans and hashes.
    pub name: String,
    /// The one that its owner gave it, where that is another.
    pub title: Option<String>,
}

impl Names {
    /// The names of a pattern that its owner calls so; white space around it does not count.
    ///
    /// # Errors
    /// [`Cause::BadName`] when it is empty, longer than [`TITLE_BYTES_MAX`] or has control characters.
    pub fn of(title: &str) -> Result<Self, Cause> {
        let title = title.trim();
        check_title(title)?;
        let id = slug(title);
        let name = match Detector::from_name(&id) {
            // That of a built-in detector is not free.
            Some(_) => format!("{id}{BESIDE}"),
            None => id.clone(),
        };
        let title = (title != name).then(|| title.to_owned());
        Ok(Self { id, name, title })
    }
}

/// Whether it can stand in masks, spans and hashes as it is.
pub(super) fn is_name(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(is_part)
}

/// Checks a name as its owner writes it.
pub(super) fn check_title(title: &str) -> Result<(), Cause> {
    let is_text = !title.is_empty()
        && title.len() <= TITLE_BYTES_MAX
        && title.trim() == title
        && !title.chars().any(char::is_control);
    if is_text { Ok(()) } else { Err(Cause::BadName) }
}

/// The name in masks that stands for `title`: lower-case letters, digits and `_`, all else as one `_`.
fn slug(title: &str) -> String {
    if is_name(title) {
        return title.to_owned();
    }
    let mut slug = String::new();
    for c in title.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
    }
    slug.truncate(slug.trim_end_matches('_').len());
    if !slug.starts_with(|c: char| c.is_ascii_lowercase()) {
        slug.insert_str(0, BEGIN);
    }
    let is_empty = slug == BEGIN;
    if is_empty || slug.len() > NAME_BYTES_MAX {
        slug.truncate(NAME_BYTES_MAX - HASH_BYTES);
        slug.truncate(slug.trim_end_matches('_').len());
        let hash = stable_hash(&[title.as_bytes()]) >> 32;
        write!(slug, "_{hash:08x}").expect("a string takes all");
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_name_has_one_that_can_stand_in_a_mask() {
        for (title, expected) in [
            ("badge", "badge"),
            ("Employee Badge", "employee_badge"),
            ("employee-id", "employee_id"),
            (" -- Nr. 7 (new)! ", "nr_7_new"),
            ("3rd party", "pattern_3rd_party"),
            ("_x", "x"),
            ("Größe", "gr_e"),
            ("email", "email_pattern"),
            ("E-Mail", "e_mail"),
        ] {
            let names = Names::of(title).expect("a text");
            assert_eq!(names.name, expected, "{title}");
            let shown = names.title.as_deref().unwrap_or(&names.name);
            assert_eq!(shown, title.trim(), "{title}");
        }
        assert_eq!(Names::of("email").expect("a text").id, "email");
        // Names without a letter that could stand, and long ones, are told apart by a hash.
        let long = "x".repeat(TITLE_BYTES_MAX);
        let longer = "x".repeat(TITLE_BYTES_MAX - 1);
        let made: Vec<_> = ["社員番号", "社員", "!", &long, &longer]
            .into_iter()
            .map(slug)
            .collect();
        for (i, name) in made.iter().enumerate() {
            assert!(is_name(name), "{name}");
            assert!(!made[..i].contains(name), "{name}");
        }
    }

    #[test]
    fn names_that_are_no_text_are_refused() {
        for title in ["", "a\nb", "a\u{7}", &"x".repeat(TITLE_BYTES_MAX + 1)] {
            assert_eq!(Names::of(title), Err(Cause::BadName), "{title:?}");
        }
        assert_eq!(check_title(" a"), Err(Cause::BadName));
        assert_eq!(check_title("Ausweis Nr. 7 – neu"), Ok(()));
    }
}
