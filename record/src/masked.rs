//! The proof that a value went through the masker.
//!
//! A block accepts nothing but `Masked<Record>`, so text that was not masked cannot reach a disk, a
//! peer or an index. Two places construct one: the masker in `pii`, and the decoder of blocks, which
//! reads what was masked before it was written. The lint `clippy::disallowed_methods` refuses a third.

use std::fmt;
use std::ops::Deref;

use crate::{Exception, Record};

/// A value whose personal data has been masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked<T>(T);

impl<T> Masked<T> {
    /// States that `value` holds no unmasked personal data.
    ///
    /// Only the masker and the block decoder may call this (see the module documentation).
    pub fn vouch(value: T) -> Self {
        Self(value)
    }

    /// Gives the masked value away.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Masked<Record> {
    /// Notes the signature of the record's exception, if it has one: a number, made of what is masked.
    pub fn sign(&mut self, signature: impl FnOnce(&Exception) -> u64) {
        if let Some(exception) = &mut self.0.exception {
            exception.signature = signature(exception);
        }
    }
}

impl<T> Deref for Masked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Masked").field(&self.0).finish()
    }
}
