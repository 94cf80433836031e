//! A record, resource or scope of a JSON request as a tree.
//!
//! Takes all that [`Cursor`] takes (control characters, halves of surrogate pairs, `NaN`), and numbers by their
//! letters; what is nested too deep stays text. Fails only where the request is no JSON.

use hushlog_ingest::json::{Cursor, Scalar};
use serde_json::{Map, Value as Json};

use crate::api::walk::{Stop, elements, members};
use crate::error::{Failure, Kind};
use crate::limits::OTLP_DEPTH_MAX;

/// Takes a value.
pub(super) fn tree(cursor: &mut Cursor<'_>) -> Result<Json, Stop> {
    to_depth(cursor, OTLP_DEPTH_MAX)
}

fn to_depth(cursor: &mut Cursor<'_>, depth: usize) -> Result<Json, Stop> {
    match cursor.peek() {
        Some(b'{' | b'[') if depth == 0 => Ok(Json::String(cursor.skip()?.text.to_owned())),
        Some(b'{') => {
            let mut object = Map::new();
            members(cursor, no_value, |name, cursor| {
                object.insert(name.to_owned(), to_depth(cursor, depth - 1)?);
                Ok(())
            })?;
            Ok(Json::Object(object))
        }
        Some(b'[') => {
            let mut array = Vec::new();
            elements(cursor, no_value, |cursor| {
                array.push(to_depth(cursor, depth - 1)?);
                Ok(())
            })?;
            Ok(Json::Array(array))
        }
        _ => Ok(match cursor.scalar()? {
            Scalar::Text(text) => Json::String(text.into_owned()),
            Scalar::Number(literal) => literal
                .parse()
                .map_or_else(|_| Json::String(literal.to_owned()), Json::Number),
            Scalar::Bool(value) => Json::Bool(value),
            Scalar::Null => Json::Null,
        }),
    }
}

fn no_value() -> Failure {
    Failure::new(Kind::InvalidBody, "the body is not JSON")
}
