//! GraphQL text as tokens, the way gqlparser cuts it: numbers may touch names, and comments go with
//! the token after them. What tokens mean together is left to `parser`.

use std::borrow::Cow;
use std::str::Chars;

use super::Failure;
use super::ast::Comment;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Bang,
    Dollar,
    Amp,
    ParenL,
    ParenR,
    Spread,
    Colon,
    Equals,
    At,
    BracketL,
    BracketR,
    BraceL,
    BraceR,
    Pipe,
    Name,
    Int,
    Float,
    String,
    Block,
}

#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// Empty for punctuation.
    pub(super) value: Cow<'a, str>,
    /// The comments in front of it.
    pub(super) comment: Comment,
}

/// Punctuation of one character.
const PUNCTUATION: &[(char, Kind)] = &[
    ('!', Kind::Bang),
    ('$', Kind::Dollar),
    ('&', Kind::Amp),
    ('(', Kind::ParenL),
    (')', Kind::ParenR),
    (':', Kind::Colon),
    ('=', Kind::Equals),
    ('@', Kind::At),
    ('[', Kind::BracketL),
    (']', Kind::BracketR),
    ('{', Kind::BraceL),
    ('}', Kind::BraceR),
    ('|', Kind::Pipe),
];

/// What begins and ends a block string.
const QUOTES: &str = "\"\"\"";

/// Text that is not a token yet.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    /// How many tokens and comments there may still be.
    left: usize,
}

// === impl Lexer ===

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, max_tokens: usize) -> Self {
        Self {
            rest: text,
            left: max_tokens,
        }
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, Failure> {
        let mut comment = Comment::new();
        loop {
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                Failure::Limit("a GraphQL document of too many tokens is refused".to_owned())
            })?;
            self.rest = self.rest.trim_start_matches(is_ignored);
            if !self.rest.starts_with('#') {
                break;
            }
            comment.push(self.take(comment_length(self.rest)).to_owned());
        }
        let (kind, value) = self.token()?;
        Ok(Token {
            kind,
            value,
            comment,
        })
    }

    fn token(&mut self) -> Result<(Kind, Cow<'a, str>), Failure> {
        let Some(first) = self.rest.chars().next() else {
            return Ok((Kind::End, Cow::Borrowed("")));
        };
        if let Some((_, kind)) = PUNCTUATION.iter().find(|(known, _)| *known == first) {
            self.take(first.len_utf8());
            return Ok((*kind, Cow::Borrowed("")));
        }
        match first {
            '.' if self.rest.starts_with("...") => {
                self.take(3);
                Ok((Kind::Spread, Cow::Borrowed("")))
            }
            '_' | 'a'..='z' | 'A'..='Z' => Ok((Kind::Name, Cow::Borrowed(self.name()))),
            '-' | '0'..='9' => {
                let (kind, length) = number(self.rest).ok_or(Failure::Failed("invalid number"))?;
                Ok((kind, Cow::Borrowed(self.take(length))))
            }
            '"' if self.rest.starts_with(QUOTES) => {
                self.take(QUOTES.len());
                Ok((Kind::Block, Cow::Owned(self.block()?)))
            }
            '"' => {
                self.take(1);
                Ok((Kind::String, Cow::Owned(self.string()?)))
            }
            _ => Err(Failure::Failed("a character that begins no token")),
        }
    }

    /// Cuts the first bytes off.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn name(&mut self) -> &'a str {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        self.take(self.rest.bytes().take_while(is_part).count())
    }

    /// Rule: a string ends at its quote and never goes over the end of a line.
    fn string(&mut self) -> Result<String, Failure> {
        let mut value = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => {
                    let escaped = escape(&mut chars);
                    value.push(escaped.ok_or(Failure::Failed("invalid escape"))?);
                }
                Some(char) if char >= ' ' || char == '\t' => value.push(char),
                Some(_) | None => return Err(Failure::Failed("unterminated string")),
            }
        }
        self.rest = chars.as_str();
        Ok(value)
    }

    /// Rule: a block string ends at three quotes; with a backslash they are part of it, and nothing
    /// else is an escape. Ends of lines of any kind are `\n`.
    fn block(&mut self) -> Result<String, Failure> {
        let mut raw = String::new();
        loop {
            if self.rest.starts_with(QUOTES) {
                self.take(QUOTES.len());
                return Ok(block_value(&raw));
            }
            if let Some(rest) = self.rest.strip_prefix("\\\"\"\"") {
                raw.push_str(QUOTES);
                self.rest = rest;
                continue;
            }
            let mut chars = self.rest.chars();
            match chars.next() {
                Some('\r') => {
                    raw.push('\n');
                    let rest = chars.as_str();
                    self.rest = rest.strip_prefix('\n').unwrap_or(rest);
                }
                Some(char) if char >= ' ' || char == '\t' || char == '\n' => {
                    raw.push(char);
                    self.rest = chars.as_str();
                }
                Some(_) | None => return Err(Failure::Failed("unterminated block string")),
            }
        }
    }
}

/// Rule: commas and byte order marks count as space.
fn is_ignored(char: char) -> bool {
    matches!(char, '\t' | ' ' | ',' | '\n' | '\r' | '\u{feff}')
}

/// Rule: a comment goes to the end of its line, or to a control character.
fn comment_length(text: &str) -> usize {
    let is_end = |char: char| char < ' ' && char != '\t';
    text.find(is_end).unwrap_or(text.len())
}

/// Rule: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`; with the second or third part it is a float.
fn number(text: &str) -> Option<(Kind, usize)> {
    let from = |start: usize| text.get(start..).unwrap_or_default();
    let digits = |start| from(start).bytes().take_while(u8::is_ascii_digit).count();
    let mut kind = Kind::Int;
    let start = usize::from(text.starts_with('-'));
    let whole = digits(start);
    if whole == 0 || whole > 1 && from(start).starts_with('0') {
        return None;
    }
    let mut end = start + whole;
    if from(end).starts_with('.') {
        kind = Kind::Float;
        end += 1 + Some(digits(end + 1)).filter(|count| *count > 0)?;
    }
    if from(end).starts_with(['e', 'E']) {
        kind = Kind::Float;
        end += 1 + usize::from(from(end + 1).starts_with(['+', '-']));
        end += Some(digits(end)).filter(|count| *count > 0)?;
    }
    Some((kind, end))
}

/// Rule: half of a surrogate pair is U+FFFD.
fn escape(chars: &mut Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        same @ ('"' | '/' | '\\') => same,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let mut code = 0;
            for _ in 0..4 {
                code = code * 16 + chars.next()?.to_digit(16)?;
            }
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => return None,
    })
}

/// Rule: what all lines are indented by, the first included, is taken off all but the first; blank
/// lines at both ends go.
fn block_value(raw: &str) -> String {
    let blank = |line: &str| line.trim_matches([' ', '\t']).is_empty();
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let mut lines: Vec<_> = raw.split('\n').collect();
    let indented = lines.iter().filter(|line| !blank(line));
    if let Some(common) = indented.map(|line| indent(line)).min() {
        for line in lines.iter_mut().skip(1) {
            *line = line.get(common..).unwrap_or_default();
        }
    }
    let is_text = |line: &&str| !blank(line);
    let start = lines.iter().position(is_text).unwrap_or(lines.len());
    let end = lines
        .iter()
        .rposition(is_text)
        .map_or(start, |last| last + 1);
    lines.get(start..end).unwrap_or_default().join("\n")
}
