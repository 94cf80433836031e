//! Tokens and letter case: the index's rules, under the names that this crate uses.

/// Whether tokens are made of this character.
pub fn is_token_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The character without its letter case.
pub fn fold_char(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase()
}

/// The text without its letter case.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(fold_char).collect()
}

/// The folded tokens of a text, in order.
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for_each_token(text, |token| tokens.push(token.to_owned()));
    tokens
}

/// Calls `visit` with every folded token of a text, in order.
pub fn for_each_token(text: &str, mut visit: impl FnMut(&str)) {
    for token in text
        .split(|c| !is_token_char(c))
        .filter(|token| !token.is_empty())
    {
        visit(&fold(token));
    }
}
