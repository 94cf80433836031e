//! Tokens and letter case: the index's rules, under the names that this crate uses.

use hushlog_index::token;

pub use token::is_word as is_token_char;

/// The text without its letter case, folded as tokens are.
pub fn fold(text: &str) -> String {
    token::fold(text).into_owned()
}

/// The folded tokens of a text, in order.
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    token::for_each(text, |token| tokens.push(token.to_owned()));
    tokens
}

pub(crate) use token::for_each as for_each_token;
