//! JSON requests, gone through from front to back: a tree of a whole body would be many times its size, and every
//! look at it costs as much as masking does. What stands before something that it needs is kept as text, and gone
//! through again behind that.
//!
//! Knows objects, arrays and leaves, and nothing of what they mean. Text that is no JSON is told apart from JSON
//! that is not what it should be; neither is ever quoted.

use hushlog_ingest::json::{Cursor, Scalar, Syntax};

use crate::error::{Failure, Kind};

/// Why a walk ends early.
pub(super) enum Stop {
    /// The text is no JSON.
    Syntax(Syntax),
    /// It is, and the request is refused.
    Refused(Failure),
}

impl From<Syntax> for Stop {
    fn from(syntax: Syntax) -> Self {
        Self::Syntax(syntax)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl Stop {
    fn failure(self) -> Failure {
        match self {
            Self::Refused(failure) => failure,
            Self::Syntax(Syntax { offset, expected }) => Failure::new(
                Kind::InvalidBody,
                format!("the body is not JSON: expected {expected} at byte {offset}"),
            ),
        }
    }
}

/// Goes through a body that is one value, of which `value` takes the whole.
pub(super) fn whole<'a>(
    body: &'a [u8],
    value: impl FnOnce(&mut Cursor<'a>) -> Result<(), Stop>,
) -> Result<(), Failure> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let message = format!("the body is not UTF-8 at byte {}", error.valid_up_to());
        Failure::new(Kind::InvalidBody, message)
    })?;
    let mut cursor = Cursor::new(text);
    let read = value(&mut cursor).and_then(|()| match cursor.peek() {
        None => Ok(()),
        Some(_) => Ok(cursor.fail("the end of the body")?),
    });
    read.map_err(Stop::failure)
}

/// Goes through an object; `each` takes the value of every member. `wrong` is the refusal of what is none.
pub(super) fn members<'a>(
    cursor: &mut Cursor<'a>,
    wrong: impl FnOnce() -> Failure,
    mut each: impl FnMut(&str, &mut Cursor<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if cursor.peek() != Some(b'{') {
        return other(cursor, wrong);
    }
    cursor.bump();
    if cursor.peek() == Some(b'}') {
        cursor.bump();
        return Ok(());
    }
    loop {
        let name = cursor.key()?;
        each(&name, cursor)?;
        if is_last(cursor, b'}')? {
            return Ok(());
        }
    }
}

/// Goes through an array; `each` takes every element. Of `null` there is none; `wrong` is the refusal of anything
/// else.
pub(super) fn elements<'a>(
    cursor: &mut Cursor<'a>,
    wrong: impl FnOnce() -> Failure,
    mut each: impl FnMut(&mut Cursor<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if is_null(cursor)? {
        return Ok(());
    }
    if cursor.peek() != Some(b'[') {
        return other(cursor, wrong);
    }
    cursor.bump();
    if cursor.peek() == Some(b']') {
        cursor.bump();
        return Ok(());
    }
    loop {
        each(cursor)?;
        if is_last(cursor, b']')? {
            return Ok(());
        }
    }
}

/// Refuses a value, unless it is not even one.
fn other<T>(cursor: &mut Cursor<'_>, wrong: impl FnOnce() -> Failure) -> Result<T, Stop> {
    cursor.skip()?;
    Err(wrong().into())
}

fn is_last(cursor: &mut Cursor<'_>, end: u8) -> Result<bool, Syntax> {
    match cursor.peek() {
        Some(b',') => {
            cursor.bump();
            Ok(false)
        }
        Some(byte) if byte == end => {
            cursor.bump();
            Ok(true)
        }
        _ => cursor.fail("a comma or a closing bracket"),
    }
}

/// Passes over a value.
pub(super) fn pass(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    Ok(cursor.skip().map(|_| ())?)
}

/// Keeps the text of a member for later; `twice` is the refusal of one that is kept already.
pub(super) fn keep<'a>(
    kept: &mut Option<&'a str>,
    cursor: &mut Cursor<'a>,
    twice: impl FnOnce() -> Failure,
) -> Result<(), Stop> {
    match kept.replace(cursor.skip()?.text) {
        None => Ok(()),
        Some(_) => Err(twice().into()),
    }
}

/// Takes `null`, if that is what comes.
pub(super) fn is_null(cursor: &mut Cursor<'_>) -> Result<bool, Syntax> {
    let is_null = cursor.peek() == Some(b'n');
    if is_null {
        cursor.scalar()?;
    }
    Ok(is_null)
}

/// Takes a value; `None` for objects and arrays, which are passed over.
pub(super) fn leaf<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Scalar<'a>>, Syntax> {
    if matches!(cursor.peek(), Some(b'{' | b'[')) {
        cursor.skip()?;
        return Ok(None);
    }
    cursor.scalar().map(Some)
}

/// Takes a value; `None` unless it is a string.
pub(super) fn text(cursor: &mut Cursor<'_>) -> Result<Option<String>, Syntax> {
    Ok(match leaf(cursor)? {
        Some(Scalar::Text(text)) => Some(text.into_owned()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong() -> Failure {
        Failure::new(Kind::InvalidBody, "wrong")
    }

    /// Names of an object and how many elements each has, or why it was refused.
    fn walked(body: &str) -> Result<Vec<(String, usize)>, String> {
        let mut found = Vec::new();
        let read = whole(body.as_bytes(), |cursor| {
            members(cursor, wrong, |name, cursor| {
                let mut count = 0;
                elements(cursor, wrong, |cursor| {
                    count += 1;
                    pass(cursor)
                })?;
                found.push((name.to_owned(), count));
                Ok(())
            })
        });
        read.map(|()| found).map_err(|failure| failure.message)
    }

    #[test]
    fn members_and_elements_are_taken_in_order() {
        let found = walked(r#" {"a":[1,{"x":[2]},"]"], "b":[],"a":null,"\u0063":[ [ ] ]} "#);
        let expected = [("a", 3), ("b", 0), ("a", 0), ("c", 1)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(found, Ok(expected.to_vec()));
        assert_eq!(walked("{}"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_json_is_told_from_what_is_something_else() {
        for (body, why) in [
            ("[]", "wrong"),
            ("1", "wrong"),
            (r#"{"a":{}}"#, "wrong"),
            ("", "the body is not JSON: expected a value at byte 0"),
            (
                r#"{"a":[1 2]}"#,
                "the body is not JSON: expected a comma or a closing bracket at byte 8",
            ),
            (
                r#"{"a":[]"#,
                "the body is not JSON: expected a comma or a closing bracket at byte 7",
            ),
            (
                r#"{"a":nul}"#,
                "the body is not JSON: expected a value at byte 5",
            ),
            (
                "{} {}",
                "the body is not JSON: expected the end of the body at byte 3",
            ),
        ] {
            assert_eq!(walked(body), Err(why.to_owned()), "{body}");
        }
        let read = whole(b"{\"a\":\"\xff\"}", pass);
        let why = read.map_err(|failure| failure.message);
        assert_eq!(why, Err("the body is not UTF-8 at byte 6".to_owned()));
    }
}
