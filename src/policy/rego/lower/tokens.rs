//! Tokens of a module, as far as lowering needs them: strings and comments apart from code.

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) begin: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    /// A string or a number.
    Literal,
    Open,
    Close,
    Symbol,
}

/// Where a string that begins here ends.
pub(super) fn end_of_string(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            // A string that does not end is for the parser to refuse.
            b'\n' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where a raw string that begins here ends.
pub(super) fn end_of_raw_string(bytes: &[u8], begin: usize) -> usize {
    let rest = bytes.get(begin + 1..).unwrap_or_default();
    let length = rest.iter().position(|byte| *byte == b'`');
    length.map_or(bytes.len(), |length| begin + length + 2)
}

/// All tokens, comments left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let begin = at;
        let kind = match byte {
            b'#' => {
                while bytes.get(at).is_some_and(|byte| *byte != b'\n') {
                    at += 1;
                }
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'"' => {
                at = end_of_string(bytes, at);
                Kind::Literal
            }
            b'`' => {
                at = end_of_raw_string(bytes, at);
                Kind::Literal
            }
            byte if is_word(*byte) => {
                while bytes.get(at).copied().is_some_and(is_word) {
                    at += 1;
                }
                if byte.is_ascii_digit() {
                    Kind::Literal
                } else {
                    Kind::Word
                }
            }
            b'(' | b'[' | b'{' => {
                at += 1;
                Kind::Open
            }
            b')' | b']' | b'}' => {
                at += 1;
                Kind::Close
            }
            _ => {
                at += 1;
                Kind::Symbol
            }
        };
        let end = at.min(bytes.len());
        tokens.push(Token { kind, begin, end });
    }
    tokens
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
