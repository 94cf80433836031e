//! `filter_path`: only the wanted parts of an answer, such as `errors,items.*.error`.

use serde_json::Value;

/// The parts of `value` on these paths, which are separated by commas; `*` within a name stands for
/// anything, `**` for any number of names.
pub(super) fn filtered(value: Value, paths: &str) -> Value {
    let paths: Vec<Vec<&str>> = paths
        .split(',')
        .filter(|path| !path.is_empty())
        .map(|path| path.split('.').collect())
        .collect();
    if paths.is_empty() {
        return value;
    }
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    keep(value, &paths).unwrap_or_else(|| Value::Object(serde_json::Map::new()))
}

/// What is on these paths from here; `None` when that is nothing. Elements of arrays take no name.
fn keep(value: Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty() || *path == ["**"]) {
        return Some(value);
    }
    match value {
        Value::Object(members) => {
            let kept: serde_json::Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, value)| {
                    let below = below(paths, &name);
                    let kept = if below.is_empty() {
                        None
                    } else {
                        keep(value, &below)
                    };
                    kept.map(|value| (name, value))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(elements) => {
            let kept: Vec<Value> = elements
                .into_iter()
                .filter_map(|element| keep(element, paths))
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

/// What is left of the paths behind this name.
fn below<'p>(paths: &[&'p [&'p str]], name: &str) -> Vec<&'p [&'p str]> {
    let mut left = Vec::new();
    for path in paths {
        let Some((first, rest)) = path.split_first() else {
            continue;
        };
        if *first == "**" {
            left.push(*path);
            if let Some((next, rest)) = rest.split_first()
                && matches(next, name)
            {
                left.push(rest);
            }
        } else if matches(first, name) {
            left.push(rest);
        }
    }
    left
}

/// Whether a name has this form, in which `*` stands for anything.
fn matches(form: &str, name: &str) -> bool {
    let Some((start, rest)) = form.split_once('*') else {
        return form == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_asked_for_is_left() {
        let answer = json!({"took": 3, "errors": true, "items": [
            {"index": {"_id": "a", "status": 201}},
            {"create": {"_id": "b", "status": 400, "error": {"type": "t", "reason": "r"}}},
        ]});
        let error = json!({"type": "t", "reason": "r"});
        let cases = [
            ("", answer.clone()),
            ("took,errors", json!({"took": 3, "errors": true})),
            (
                "items.*.error",
                json!({"items": [{"create": {"error": error}}]}),
            ),
            (
                "**.reason",
                json!({"items": [{"create": {"error": {"reason": "r"}}}]}),
            ),
            (
                "items.*.st*s",
                json!({"items": [{"index": {"status": 201}}, {"create": {"status": 400}}]}),
            ),
            ("t*k", json!({"took": 3})),
            ("nothing", json!({})),
        ];
        for (paths, expected) in cases {
            assert_eq!(filtered(answer.clone(), paths), expected, "{paths}");
        }
    }
}
