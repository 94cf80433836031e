//! Takes a JSON object apart key by key, so that every refusal names the key.
//!
//! A caller's own name may be anything, an e-mail address too, and refusals are seen and logged by
//! others: one that is not plainly a name is never repeated.

use serde_json::{Map, Value};

use crate::Error;

/// Longest name of a caller that is repeated, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most digits of such a name: too few for a number of anybody.
const NAME_DIGITS_MAX: usize = 4;
/// What stands for a name that is not repeated.
const HIDDEN: &str = "?";

/// A caller's own name as refusals show it.
pub(crate) fn shown(name: &str) -> &str {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    if begins
        && name.len() <= NAME_BYTES_MAX
        && digits <= NAME_DIGITS_MAX
        && name.bytes().all(is_plain)
    {
        name
    } else {
        HIDDEN
    }
}

/// A JSON object of a request, and where in the request it is.
pub(crate) struct Object {
    path: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Object {
    /// The object at this path; `""` is the request itself.
    pub(crate) fn new(path: impl Into<String>, value: Value) -> Result<Self, Error> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self {
                path,
                map,
                known: Vec::new(),
            }),
            _ if path.is_empty() => Err(Error::Request("the body must be a JSON object".into())),
            _ => Err(Error::Request(format!("{path}: expected an object"))),
        }
    }

    /// The path of one of its keys.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Takes a key out; `null` counts as absent.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.map.remove(key).filter(|value| !value.is_null())
    }

    /// Takes an object out.
    pub(crate) fn object(&mut self, key: &'static str) -> Result<Option<Self>, Error> {
        let path = self.path_of(key);
        self.take(key)
            .map(|value| Self::new(path, value))
            .transpose()
    }

    /// An error about one of its keys.
    pub(crate) fn error(&self, key: &str, expected: impl std::fmt::Display) -> Error {
        Error::Request(format!("{}: {expected}", self.path_of(key)))
    }

    /// Takes a string out.
    pub(crate) fn string(&mut self, key: &'static str) -> Result<Option<String>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(key, "expected a string")),
        }
    }

    /// Takes a truth value out.
    pub(crate) fn bool(&mut self, key: &'static str) -> Result<Option<bool>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.error(key, "expected true or false")),
        }
    }

    /// Takes an integer from 0 to `max` out.
    pub(crate) fn integer(&mut self, key: &'static str, max: u64) -> Result<Option<u64>, Error> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(number) if number <= max => Ok(Some(number)),
            _ => Err(self.error(key, format!("expected an integer from 0 to {max}"))),
        }
    }

    /// Takes a finite number out.
    pub(crate) fn number(&mut self, key: &'static str) -> Result<Option<f64>, Error> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(key, "expected a number")),
        }
    }

    /// Takes a list of at most `max` values out.
    pub(crate) fn list(&mut self, key: &'static str, max: usize) -> Result<Vec<Value>, Error> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) if values.len() <= max => Ok(values),
            Some(_) => Err(self.error(key, format!("expected a list of at most {max} values"))),
        }
    }

    /// All that is left, when its keys are the caller's own names.
    pub(crate) fn into_entries(self) -> Map<String, Value> {
        self.map
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Some(key) = self.map.keys().next() else {
            return Ok(());
        };
        let path = self.path_of(shown(key));
        let known = self.known.join(", ");
        Err(Error::Request(format!(
            "{path}: unknown key; known here: {known}"
        )))
    }
}
