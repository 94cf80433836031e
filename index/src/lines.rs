//! Hands words over to tantivy: each line of a text is a token, as it stands.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// The name it is registered under.
pub(crate) const LINES: &str = "lines";

/// Splits at line breaks.
#[derive(Clone, Default)]
pub(crate) struct Lines {
    token: Token,
}

/// The lines that are left.
pub(crate) struct LineStream<'a> {
    rest: &'a str,
    token: &'a mut Token,
}

impl Tokenizer for Lines {
    type TokenStream<'a> = LineStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> LineStream<'a> {
        self.token.reset();
        LineStream {
            rest: text,
            token: &mut self.token,
        }
    }
}

impl TokenStream for LineStream<'_> {
    fn advance(&mut self) -> bool {
        let Some((line, rest)) = self.rest.split_once('\n') else {
            return false;
        };
        self.rest = rest;
        self.token.text.clear();
        self.token.text.push_str(line);
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
