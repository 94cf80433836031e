//! Names of frames without what differs between runs and builds: addresses, counters that compilers and
//! proxies add, lambdas, generics.

use super::parameterise::is_hex;

/// What stands for a part that is made anew each time.
const AUTO: &str = "<auto>";
/// Words that generated names start with, before a number or a hash.
const GENERATED: [&str; 8] = [
    "GeneratedMethodAccessor",
    "GeneratedConstructorAccessor",
    "GeneratedSerializationConstructorAccessor",
    "Proxy",
    "Lambda",
    "func",
    "gowrap",
    "DisplayClass",
];
/// Longest name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// A module: each part by itself.
pub(super) fn qualified(module: &str) -> String {
    parts(crate::raw::cut(module, NAME_BYTES_MAX))
}

/// A function, method or closure.
pub(super) fn function(name: &str) -> String {
    let name = crate::raw::cut(name, NAME_BYTES_MAX).trim();
    if name.starts_with("lambda$") {
        // Java numbers lambdas in the order of the source.
        return "<lambda>".to_owned();
    }
    let name = name.split('[').next().unwrap_or(name);
    parts(name)
}

/// The last part of a path, lower-cased.
pub(super) fn basename(path: &str) -> String {
    path.rsplit(['/', '\\'])
        .next()
        .unwrap_or(path)
        .to_lowercase()
}

/// Replaces every part that a compiler, a build or a run makes up.
fn parts(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        let length = rest
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(rest.len());
        if length > 0 {
            part(&rest[..length], &mut out);
            rest = &rest[length..];
        }
        if let Some(c) = rest.chars().next() {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn part(part: &str, out: &mut String) {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(word) = GENERATED.iter().find(|word| part.starts_with(**word))
        && digits(&part[word.len()..])
    {
        out.push_str(word);
        if part.len() > word.len() {
            out.push_str(AUTO);
        }
    } else if digits(part) || is_address(part) || is_hash_of_proxy(out, part) {
        // `func1.2` and `func1` are closures of one function.
        if out.ends_with("<auto>.") {
            out.pop();
        } else {
            out.push_str(AUTO);
        }
    } else {
        out.push_str(part);
    }
}

/// `0x7f3a`, `3f9a1c`, `deadbeef`: hex digits, of which some are digits where they are few.
fn is_address(part: &str) -> bool {
    match part.strip_prefix("0x") {
        Some(hex) => is_hex(hex),
        None => {
            let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
            is_hex(part) && (part.len() >= 8 || part.len() >= 6 && has_digit)
        }
    }
}

/// `Pay$$EnhancerBySpringCGLIB$$cafe`: the last part is a hash, however short.
fn is_hash_of_proxy(before: &str, part: &str) -> bool {
    before.ends_with("CGLIB$$") && is_hex(part)
}
