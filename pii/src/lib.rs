//! Finding and masking personal data: the only maker of a `Masked<Record>`.
//!
//! A [`Masker`] is compiled from a [`Policy`] and a [`Key`] and is applied to every text of a record
//! before the record goes anywhere. It decides by boundaries, structure and check digits
//! (`detector/`, `validators/`), at candidates that one pass over the bytes finds (`scan`).
//!
//! Masking twice changes nothing; outside of what is found every byte stays; UTF-8 stays UTF-8.
//! Never reads a clock, a file or a random number, and never prints what it found.

#![deny(missing_docs, clippy::indexing_slicing)]
#![cfg_attr(test, expect(clippy::indexing_slicing, reason = "a test may panic"))]

mod bytes;
mod count;
mod detector;
mod escapes;
mod finder;
mod fold;
mod json;
mod key;
mod masker;
mod names;
mod original;
mod parts;
mod pattern;
mod policy;
mod question;
mod record;
#[cfg(test)]
mod reference;
mod render;
mod scan;
mod settle;
mod stored;
mod validators;
#[cfg(test)]
mod work;

pub use count::Count;
pub use detector::{Detector, Pack};
pub use key::Key;
pub use masker::{Findings, Masker, Span};
pub use original::Original;
pub use pattern::limits;
pub use pattern::{AllowList, Cause, Mode, Names, Pattern, Refusal, Scope, Words};
pub use policy::{HASH_KEYS_MAX, Policy, Rule, Strategy};
pub use question::Questions;
