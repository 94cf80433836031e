//! What stands in the JSON text of an array: its plain values, those of arrays in it included.
//!
//! An array of values is searched and counted as each of them, as Elasticsearch does. Objects in an array
//! are no plain values: they are left out with all that is in them, or handed over whole. `null` is left out.
//! Literals of numbers are handed over as they stand.
//! Never fails and never allocates but for a string with escapes: what is no JSON has what can be read of it.

use hushlog_record::Kind;
use hushlog_record::json::decoded;

use super::value::is_number;

/// Calls `each` with every plain value of the array that `json` is, in order, until it says stop by
/// returning false. Text that is no array has none.
pub fn for_each_element(json: &str, mut each: impl FnMut(Kind, &str) -> bool) {
    for_each_member(json, |kind, text| kind == Kind::Json || each(kind, text));
}

/// The same, and with every object in the array or in arrays in it, as its JSON stands there.
pub fn for_each_member(json: &str, mut each: impl FnMut(Kind, &str) -> bool) {
    if !json.starts_with('[') {
        return;
    }
    let mut rest = json;
    while let Some(byte) = rest.bytes().next() {
        let (length, goes_on) = match byte {
            b'[' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' => (1, true),
            b'{' => {
                let length = object_length(rest);
                (length, each(Kind::Json, rest.get(..length).unwrap_or(rest)))
            }
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
    use serde_json::Value as Json;

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

    #[test]
    fn objects_are_handed_over_whole_to_those_who_want_them() {
        let mut all = Vec::new();
        for_each_member(r#"[1,{"a":"}","b":[2]},[{}, "x"]]"#, |kind, text| {
            all.push((kind, text.to_owned()));
            true
        });
        let object = |text: &str| (Kind::Json, text.to_owned());
        let (one, x) = (
            (Kind::Number, "1".to_owned()),
            (Kind::String, "x".to_owned()),
        );
        assert_eq!(all, [one, object(r#"{"a":"}","b":[2]}"#), object("{}"), x]);
    }

    /// Any JSON value, in arrays and objects up to a depth.
    fn json() -> impl Strategy<Value = Json> {
        let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?";
        let plain = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            number.prop_map(|literal| serde_json::from_str(&literal).unwrap()),
            "[\\[\\]{}\",:\\\\ a\u{1}\n\té😀]{0,8}".prop_map(Json::String),
            any::<String>().prop_map(Json::String),
        ];
        plain.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
                1 => prop::collection::vec(("[a\"{}\\[\\]]{0,3}", inner), 0..3)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The plain values and the objects of an array, by another parser.
    fn members_of(array: &[Json], into: &mut Vec<(Kind, String)>) {
        for element in array {
            into.push(match element {
                Json::Null => continue,
                Json::Array(inner) => {
                    members_of(inner, into);
                    continue;
                }
                Json::String(text) => (Kind::String, text.clone()),
                Json::Number(number) => (Kind::Number, number.to_string()),
                Json::Bool(truth) => (Kind::Bool, truth.to_string()),
                Json::Object(_) => (Kind::Json, element.to_string()),
            });
        }
    }

    proptest! {
        #[test]
        fn an_array_has_the_values_that_another_parser_finds(
            values in prop::collection::vec(json(), 0..6),
        ) {
            let mut expected = Vec::new();
            members_of(&values, &mut expected);
            let array = Json::Array(values);
            for text in [array.to_string(), serde_json::to_string_pretty(&array).unwrap()] {
                let mut found = Vec::new();
                for_each_member(&text, |kind, text| {
                    let text = match kind {
                        // As it stands, white space and all.
                        Kind::Json => serde_json::from_str::<Json>(text).unwrap().to_string(),
                        _ => text.to_owned(),
                    };
                    found.push((kind, text));
                    true
                });
                prop_assert_eq!(&found, &expected);
                found.retain(|(kind, _)| *kind != Kind::Json);
                prop_assert_eq!(elements(&text), found);
            }
        }

        #[test]
        fn any_text_has_elements_or_none(json in r#"\[([\[\]{}",:\\ u0d8-]|true|null|1.5|é){0,40}"#) {
            let bytes: usize = elements(&json).iter().map(|(_, text)| text.len()).sum();
            // Three bytes of U+FFFD may stand for the two of a lone escape.
            prop_assert!(bytes <= 3 * json.len());
        }
    }
}
