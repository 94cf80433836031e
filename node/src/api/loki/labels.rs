//! The labels of a stream as protobuf has them: `{app="checkout", env="prod"}`.
//!
//! Values are Go string literals. What is not of this form is refused, never guessed at.

/// The names and values; `None` when the text is not a set of labels.
pub(super) fn parse(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let mut labels = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return after.trim().is_empty().then_some(labels);
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | ':')))?;
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            return None;
        }
        let (value, after) = value(after.trim_start().strip_prefix('=')?.trim_start())?;
        labels.push((name.to_owned(), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// A string literal at the start, and what comes after it.
fn value(text: &str) -> Option<(String, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (value, after) = raw.split_once('`')?;
        return Some((value.to_owned(), after));
    }
    let mut rest = text.strip_prefix('"')?;
    let mut bytes = Vec::new();
    loop {
        let end = rest.find(['"', '\\'])?;
        let (plain, after) = rest.split_at(end);
        bytes.extend_from_slice(plain.as_bytes());
        if let Some(after) = after.strip_prefix('"') {
            return Some((String::from_utf8_lossy(&bytes).into_owned(), after));
        }
        rest = escape(after.strip_prefix('\\')?, &mut bytes)?;
    }
}

/// What is behind a backslash, and what comes after it.
fn escape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let kind = text.chars().next()?;
    let after = text.get(kind.len_utf8()..)?;
    let plain = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' | '\'' | '"' => u8::try_from(kind).ok()?,
        'x' => {
            bytes.push(u8::try_from(number(after, 2, 16)?).ok()?);
            return after.get(2..);
        }
        '0'..='7' => {
            bytes.push(u8::try_from(number(text, 3, 8)?).ok()?);
            return text.get(3..);
        }
        'u' | 'U' => {
            let digits = if kind == 'u' { 4 } else { 8 };
            let code = char::from_u32(number(after, digits, 16)?)?;
            bytes.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
            return after.get(digits..);
        }
        _ => return None,
    };
    bytes.push(plain);
    Some(after)
}

fn number(text: &str, digits: usize, radix: u32) -> Option<u32> {
    let digits = text.get(..digits)?;
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    is_number.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let labels = parse(text).unwrap_or_else(|| panic!("{text} is refused"));
        let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(labels, expected, "{text}");
    }

    #[test]
    fn labels_are_read_as_loki_writes_them() {
        check("{}", &[]);
        check(
            r#"{app="checkout", env="prod"}"#,
            &[("app", "checkout"), ("env", "prod")],
        );
        check(r#" { a = "x" ,b="y", } "#, &[("a", "x"), ("b", "y")]);
        check(r#"{a="}, \"b\"=\\"}"#, &[("a", "}, \"b\"=\\")]);
        check(r#"{a="\u00e9\n\x41\101\U0001F600"}"#, &[("a", "é\nAA😀")]);
        check("{a=`raw \\n`}", &[("a", "raw \\n")]);
    }

    #[test]
    fn what_are_no_labels_is_refused() {
        let bad = [
            "",
            "{",
            "a=\"b\"",
            "{a}",
            "{a=b}",
            "{a=\"b}",
            "{=\"b\"}",
            "{a=\"b\" c=\"d\"}",
            "{a=\"b\"} x",
            "{a=\"\\q\"}",
            "{a=\"\\x4\"}",
            "{a=\"\\ud800\"}",
            "{a=\"\\",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn no_cut_or_flipped_text_panics() {
        let good = r#"{app="ch\u00e9ckout\x41", env=`é`}"#;
        for end in (0..good.len()).filter(|end| good.is_char_boundary(*end)) {
            let _ = parse(&good[..end]);
            let _ = parse(&good[end..]);
            let _ = parse(&format!("{}\\{}", &good[..end], &good[end..]));
        }
    }
}
