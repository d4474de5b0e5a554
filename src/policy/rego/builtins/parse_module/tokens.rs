//! The tokens of a module and its comments, the way OPA's scanner cuts them. What tokens mean
//! together is left to the parser.

use super::{Failure, MAX_TOKENS, illegal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    Number,
    /// A string of either kind, with its quotes.
    Text,
    Symbol,
    End,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// Unique to a keyword or symbol. Empty for the end.
    pub(super) text: &'t str,
    /// Whether white space or a comment is in front of it, and a line's end among that.
    pub(super) is_apart: bool,
    pub(super) is_on_new_line: bool,
}

/// A comment without its `#`, and where that stands, counted from 1, columns by characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comment<'t> {
    pub(super) text: &'t str,
    pub(super) row: usize,
    pub(super) column: usize,
}

/// What stands at the beginning of a text may be left out.
const BYTE_ORDER_MARK: char = '\u{feff}';

const KEYWORDS: &[&str] = &[
    "as", "contains", "default", "else", "every", "false", "if", "import", "in", "not", "null",
    "package", "some", "true", "with",
];

/// Symbols, those that begin like others before them.
const SYMBOLS: &[&str] = &[
    ":=", "==", "!=", ">=", "<=", "[", "]", "{", "}", "(", ")", ",", ":", "+", "-", "*", "/", "%",
    "&", "|", "=", ">", "<", ";", ".",
];

pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word)
}

/// All tokens, the end last, and all comments.
pub(super) fn scan(text: &str) -> Result<(Vec<Token<'_>>, Vec<Comment<'_>>), Failure> {
    let unmarked = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    // Rule: neither may stand anywhere.
    if unmarked.contains(['\0', BYTE_ORDER_MARK]) {
        return illegal("a null character or byte-order mark");
    }
    let mut scan = Scan {
        text,
        at: text.len() - unmarked.len(),
        row: 1,
        line: 0,
        tokens: Vec::new(),
        comments: Vec::new(),
    };
    while scan.next()? {}
    Ok((scan.tokens, scan.comments))
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    row: usize,
    /// Where the row begins.
    line: usize,
    tokens: Vec<Token<'t>>,
    comments: Vec<Comment<'t>>,
}

// === impl Scan ===

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes a token, and tells whether there may be more.
    fn next(&mut self) -> Result<bool, Failure> {
        let (begin, row) = (self.at, self.row);
        self.skip();
        let (is_apart, is_on_new_line) = (self.at > begin, self.row > row);
        let (kind, length) = self.measure()?;
        if self.tokens.len() == MAX_TOKENS {
            let limit = format!("parsing a module of more than {MAX_TOKENS} tokens is refused");
            return Err(Failure::Limit(limit));
        }
        let text = self.rest().get(..length).unwrap_or_default();
        self.tokens.push(Token {
            kind,
            text,
            is_apart,
            is_on_new_line,
        });
        self.advance(length);
        Ok(kind != Kind::End)
    }

    fn advance(&mut self, length: usize) {
        let passed = self.rest().get(..length).unwrap_or_default();
        if let Some(newline) = passed.rfind('\n') {
            self.row += passed.matches('\n').count();
            self.line = self.at + newline + 1;
        }
        self.at += length;
    }

    /// White space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let space = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            self.advance(space);
            let Some(comment) = self.rest().strip_prefix('#') else {
                return;
            };
            let length = comment.find('\n').unwrap_or(comment.len());
            let comment = comment.get(..length).unwrap_or_default();
            let before = self.text.get(self.line..self.at).unwrap_or_default();
            self.comments.push(Comment {
                // Rule: of a line's end, a carriage return is no part of the comment.
                text: comment.strip_suffix('\r').unwrap_or(comment),
                row: self.row,
                column: before.chars().count() + 1,
            });
            self.advance(length + 1);
        }
    }

    fn measure(&self) -> Result<(Kind, usize), Failure> {
        let rest = self.rest();
        match rest.as_bytes().first() {
            None => Ok((Kind::End, 0)),
            Some(b'"') => Ok((Kind::Text, string(rest)?)),
            Some(b'`') => match rest.get(1..).and_then(|rest| rest.find('`')) {
                Some(length) => Ok((Kind::Text, length + 2)),
                None => illegal("a string that does not end"),
            },
            Some(byte) if byte.is_ascii_digit() => Ok((Kind::Number, number(rest)?)),
            Some(byte) if is_letter(*byte) => {
                let length = rest.bytes().position(|byte| !is_of_word(byte));
                Ok((Kind::Word, length.unwrap_or(rest.len())))
            }
            Some(_) => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) => Ok((Kind::Symbol, symbol.len())),
                None => illegal("an illegal character"),
            },
        }
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_of_word(byte: u8) -> bool {
    is_letter(byte) || byte.is_ascii_digit()
}

/// Length of the string that begins here; what its escapes mean is found out later.
fn string(text: &str) -> Result<usize, Failure> {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok(at + 1),
            b'\\' => drop(bytes.next()),
            b'\n' => break,
            _ => {}
        }
    }
    illegal("a string that does not end")
}

/// Rule: digits, perhaps a point and digits, perhaps an exponent, and no letter behind.
fn number(text: &str) -> Result<usize, Failure> {
    let digits = |from: usize| {
        let rest = text.as_bytes().get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let byte = |at: usize| text.as_bytes().get(at).copied();
    let mut at = digits(0);
    let mut is_whole = true;
    if byte(at) == Some(b'.') {
        is_whole = digits(at + 1) > 0;
        at += 1 + digits(at + 1);
    }
    if matches!(byte(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(byte(at + 1), Some(b'+' | b'-')));
        is_whole &= digits(at + 1 + sign) > 0;
        at += 1 + sign + digits(at + 1 + sign);
    }
    match byte(at) {
        Some(next) if is_letter(next) => illegal("an illegal number"),
        _ if !is_whole => illegal("an illegal number"),
        _ => Ok(at),
    }
}
