//! Strings of JSON mean the same to the decoder of what comes in and to the reader of what was kept.

use hushlog_ingest::json::{Cursor, Scalar};
use hushlog_record::json::decoded;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_taken_in_is_read_again_as_the_same_text(
        inner in r#"([a-z0-9 é中]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud[89a-f][0-9a-f]{2}){0,16}"#,
    ) {
        let literal = format!("\"{inner}\"");
        let Ok(Scalar::Text(taken)) = Cursor::new(&literal).scalar() else {
            return Err(TestCaseError::fail(format!("no string: {literal}")));
        };
        prop_assert_eq!(taken, decoded(&literal));
    }
}
