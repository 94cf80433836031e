//! Whether a text is nothing but digits: what lines and values ask before they take it for a number.

/// Whether it is ASCII digits, at least one.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
