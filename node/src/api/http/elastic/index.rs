//! Names of indexes: whatever they are, there is no index, but answers repeat them.

use axum::response::{IntoResponse, Response};

use super::{Failure, Kind, Typed};
use crate::limits::INDEX_NAME_BYTES_MAX;

/// A name that no index may have, as Elasticsearch refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    TooLong,
    Reserved,
}

/// Whether an index may have this name; empty stands for none.
pub(super) fn check(index: &str) -> Result<(), Invalid> {
    if index.len() > INDEX_NAME_BYTES_MAX {
        return Err(Invalid::TooLong);
    }
    if index.starts_with('_') {
        return Err(Invalid::Reserved);
    }
    Ok(())
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        let reason = match self {
            Self::TooLong => {
                format!("the name of an index must be at most {INDEX_NAME_BYTES_MAX} bytes")
            }
            Self::Reserved => "the name of an index must not begin with `_`".to_owned(),
        };
        let mut response = Failure::new(Kind::InvalidArgument, reason).into_response();
        let kind = Typed("invalid_index_name_exception");
        response.extensions_mut().insert(kind);
        response
    }
}
