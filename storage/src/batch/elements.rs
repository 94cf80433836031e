//! What stands in the JSON text of an array: its plain values, those of arrays in it included.
//!
//! An array of values is searched and counted as each of them, as Elasticsearch does. Objects in an array
//! are left out with all that is in them; so is `null`. Literals of numbers are handed over as they stand.
//! Never fails and never allocates but for a string with escapes: what is no JSON has what can be read of it.

use hushlog_record::Kind;
use hushlog_record::json::decoded;

use super::value::is_number;

/// Calls `each` with every plain value of the array that `json` is, in order, until it says stop by
/// returning false. Text that is no array has none.
pub fn for_each_element(json: &str, mut each: impl FnMut(Kind, &str) -> bool) {
    if !json.starts_with('[') {
        return;
    }
    let mut rest = json;
    while let Some(byte) = rest.bytes().next() {
        let (length, goes_on) = match byte {
            b'[' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' => (1, true),
            b'{' => (object_length(rest), true),
            b'"' => {
                let length = string_length(rest);
                let literal = rest.get(..length).unwrap_or(rest);
                (length, each(Kind::String, &decoded(literal)))
            }
            _ => {
                let literal = rest.split([',', ']', ' ', '\t', '\n', '\r']).next();
                let literal = literal.unwrap_or(rest);
                let goes_on = match literal {
                    "true" | "false" => each(Kind::Bool, literal),
                    number if is_number(number) => each(Kind::Number, number),
                    _ => true,
                };
                (literal.len().max(1), goes_on)
            }
        };
        if !goes_on {
            return;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// Bytes of the string literal that `text` begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Bytes of the object that `text` begins with.
fn object_length(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'"' => at += string_length(text.get(at..).unwrap_or_default()).max(1) - 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn elements(json: &str) -> Vec<(Kind, String)> {
        let mut all = Vec::new();
        for_each_element(json, |kind, text| {
            all.push((kind, text.to_owned()));
            true
        });
        all
    }

    #[test]
    fn an_array_has_its_plain_values_and_those_of_arrays_in_it() {
        let text = |text: &str| (Kind::String, text.to_owned());
        let number = |text: &str| (Kind::Number, text.to_owned());
        let truth = |text: &str| (Kind::Bool, text.to_owned());
        for (json, expected) in [
            (r#"["red","blue"]"#, vec![text("red"), text("blue")]),
            (
                r#"[1.50, -2e3 ,true,null,false]"#,
                vec![
                    number("1.50"),
                    number("-2e3"),
                    truth("true"),
                    truth("false"),
                ],
            ),
            (
                r#"[[1],[[2,"x"]],[]]"#,
                vec![number("1"), number("2"), text("x")],
            ),
            (r#"[{"a":"]","b":{"c":[7,"}\""]}},5]"#, vec![number("5")]),
            (
                r#"["a\nb","\u00e9\ud83d\ude00","q\"\\","\ud83d!"]"#,
                vec![text("a\nb"), text("é😀"), text("q\"\\"), text("\u{fffd}!")],
            ),
            (r#"["true","1"]"#, vec![text("true"), text("1")]),
            ("[]", vec![]),
            ("{\"a\":[1]}", vec![]),
            ("null", vec![]),
            ("\"x\"", vec![]),
            // Cut off, as far as it goes.
            (r#"["ab","c"#, vec![text("ab"), text("c")]),
            ("[1,02,x", vec![number("1")]),
            (r#"[{"a":1"#, vec![]),
        ] {
            assert_eq!(elements(json), expected, "{json}");
        }
    }

    #[test]
    fn it_stops_where_it_is_told_to() {
        let mut seen = 0;
        for_each_element("[1,2,3]", |_, text| {
            seen += 1;
            text != "2"
        });
        assert_eq!(seen, 2);
    }

    proptest! {
        #[test]
        fn any_text_has_elements_or_none(json in r#"\[([\[\]{}",:\\ u0d8-]|true|null|1.5|é){0,40}"#) {
            let bytes: usize = elements(&json).iter().map(|(_, text)| text.len()).sum();
            // Three bytes of U+FFFD may stand for the two of a lone escape.
            prop_assert!(bytes <= 3 * json.len());
        }
    }
}
