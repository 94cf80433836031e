//! JSON arrays of requests, element by element: a tree of a whole body would be many times its size.

use std::fmt;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Failure;

/// Goes through an array, of which nothing is kept. `wrong` is the refusal of what is no array.
pub(super) fn elements<'a>(
    array: &'a RawValue,
    each: &mut dyn FnMut(&'a RawValue) -> Result<(), Failure>,
    wrong: impl FnOnce() -> Failure,
) -> Result<(), Failure> {
    let mut failure = None;
    let visitor = Elements {
        each,
        failure: &mut failure,
    };
    let read = serde_json::Deserializer::from_str(array.get()).deserialize_seq(visitor);
    match (failure, read) {
        (Some(failure), _) => Err(failure),
        (None, Err(_)) => Err(wrong()),
        (None, Ok(())) => Ok(()),
    }
}

struct Elements<'f, 'a> {
    each: &'f mut dyn FnMut(&'a RawValue) -> Result<(), Failure>,
    failure: &'f mut Option<Failure>,
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element()? {
            if let Err(failure) = (self.each)(element) {
                *self.failure = Some(failure);
                return Err(A::Error::custom("an element is not as it must be"));
            }
        }
        Ok(())
    }
}
