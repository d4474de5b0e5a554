//! The words of a template: text, and within `{{` and `}}` what actions are made of.

use super::super::Failure;

/// Text as it stands, or an action.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// A word of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Space,
    /// `(`, `)`, `|` or `,`
    Mark(char),
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Dot,
    /// `.name`
    Field(String),
    /// `$name`, with its dollar
    Variable(String),
    Word(String),
    Text(String),
    Integer(i64),
    Float(f64),
}

fn bad(what: &'static str) -> Failure {
    Failure::Failed(what)
}

/// Rule: `{{-` takes the spaces before itself, `-}}` those behind; `{{/* */}}` is a comment.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut trims = false;
    loop {
        let (before, action) = match rest.split_once("{{") {
            Some((before, action)) => (before, Some(action)),
            None => (rest, None),
        };
        let before = if trims {
            before.trim_start_matches(is_space)
        } else {
            before
        };
        let Some(action) = action else {
            pieces.push(Piece::Text(before.to_owned()));
            return Ok(pieces);
        };
        let marked = action
            .strip_prefix('-')
            .filter(|rest| rest.starts_with(is_space));
        let before = match marked {
            Some(_) => before.trim_end_matches(is_space),
            None => before,
        };
        pieces.push(Piece::Text(before.to_owned()));
        let action = marked.map_or(action, |rest| rest.trim_start_matches(is_space));
        let behind = match action.strip_prefix("/*") {
            Some(comment) => {
                let (_, behind) = comment.split_once("*/").ok_or(bad("unclosed comment"))?;
                behind
            }
            None => {
                let (tokens, behind) = tokens(action)?;
                pieces.push(Piece::Action(tokens));
                behind
            }
        };
        let end = end_of_action(behind).ok_or(bad("comment ends before closing delimiter"))?;
        trims = end != 2;
        rest = behind.get(end..).unwrap_or_default();
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// Length of the delimiter that a text begins with, if it does.
fn end_of_action(text: &str) -> Option<usize> {
    if text.starts_with("}}") {
        return Some(2);
    }
    let rest = text.strip_prefix(is_space)?;
    rest.starts_with("-}}").then_some(4)
}

/// The words of an action, and what is behind them.
fn tokens(action: &str) -> Result<(Vec<Token>, &str), Failure> {
    let mut tokens = Vec::new();
    let mut rest = action;
    loop {
        if end_of_action(rest).is_some() {
            return Ok((tokens, rest));
        }
        let (token, length) = token(rest)?;
        rest = rest.get(length..).ok_or(bad("unclosed action"))?;
        let needs_end = matches!(token, Token::Field(_) | Token::Variable(_) | Token::Word(_));
        if needs_end && !ends_word(rest) {
            return Err(bad("bad character in a template's action"));
        }
        // Spaces are one, and none before the end.
        let again = token == Token::Space && tokens.last() == Some(&Token::Space);
        if !again {
            tokens.push(token);
        }
    }
}

fn ends_word(rest: &str) -> bool {
    let next = rest.chars().next();
    next.is_none_or(|next| is_space(next) || ".,|:()=".contains(next)) || rest.starts_with("}}")
}

fn token(text: &str) -> Result<(Token, usize), Failure> {
    let first = text.chars().next().ok_or(bad("unclosed action"))?;
    let second = text.get(first.len_utf8()..).unwrap_or_default();
    let is_digit = second.starts_with(|next: char| next.is_ascii_digit());
    match first {
        _ if is_space(first) => Ok((Token::Space, 1)),
        '(' | ')' | '|' | ',' => Ok((Token::Mark(first), 1)),
        '=' => Ok((Token::Assign, 1)),
        ':' if second.starts_with('=') => Ok((Token::Declare, 2)),
        '"' => quoted(text),
        '`' => {
            let (raw, _) = second
                .split_once('`')
                .ok_or(bad("unterminated raw string"))?;
            Ok((Token::Text(raw.to_owned()), raw.len() + 2))
        }
        '\'' => character(text),
        '.' if !is_digit => {
            let name = word(second);
            match name {
                "" => Ok((Token::Dot, 1)),
                name => Ok((Token::Field(name.to_owned()), 1 + name.len())),
            }
        }
        '$' => {
            let name = word(second);
            Ok((Token::Variable(format!("${name}")), 1 + name.len()))
        }
        '+' | '-' | '.' | '0'..='9' => number(text),
        _ if is_word(first) => {
            let name = word(text);
            Ok((Token::Word(name.to_owned()), name.len()))
        }
        _ => Err(bad("unexpected character in a template's action")),
    }
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn word(text: &str) -> &str {
    let end = text.find(|next| !is_word(next)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Rule: Go's numbers: with a base, underscores, an exponent; complex ones are not here.
fn number(text: &str) -> Result<(Token, usize), Failure> {
    let mut end = 0;
    let mut before = ' ';
    for character in text.chars() {
        let is_sign = matches!(character, '+' | '-')
            && (end == 0 || (matches!(before, 'e' | 'E') && !text.contains("0x")));
        if !is_sign && !is_word(character) && character != '.' {
            break;
        }
        end += character.len_utf8();
        before = character;
    }
    let number = text.get(..end).unwrap_or_default();
    let token = integer(number).map(Token::Integer).or_else(|| {
        let is_float = number.contains(['.', 'e', 'E']);
        let is_plain = number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let float = number.parse().ok().filter(|float: &f64| float.is_finite());
        float.filter(|_| is_float && is_plain).map(Token::Float)
    });
    Ok((token.ok_or(bad("bad number syntax"))?, end))
}

fn integer(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let (digits, base) = match lower.get(..2) {
        Some("0x") => (lower.get(2..)?, 16),
        Some("0o") => (lower.get(2..)?, 8),
        Some("0b") => (lower.get(2..)?, 2),
        _ if lower.len() > 1 && lower.starts_with('0') => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    if digits.starts_with(['+', '-']) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let size = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    let size = if text.starts_with('-') { -size } else { size };
    i64::try_from(size).ok()
}

/// Rule: a character is its number.
fn character(text: &str) -> Result<(Token, usize), Failure> {
    let inner = text.get(1..).unwrap_or_default();
    let (character, length) = match inner.strip_prefix('\\') {
        Some(escape) if escape.starts_with('\'') => ('\'', 2),
        Some(_) => unescaped(inner)?,
        None => {
            let character = inner.chars().next().ok_or(bad("unterminated character"))?;
            (character, character.len_utf8())
        }
    };
    match inner
        .get(length..)
        .is_some_and(|rest| rest.starts_with('\''))
    {
        true => Ok((Token::Integer(u32::from(character).into()), length + 2)),
        false => Err(bad("malformed character constant")),
    }
}

fn quoted(text: &str) -> Result<(Token, usize), Failure> {
    let mut string = String::new();
    let mut at = 1;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match rest.chars().next() {
            None | Some('\n') => return Err(bad("unterminated quoted string")),
            Some('"') => return Ok((Token::Text(string), at + 1)),
            Some('\\') => {
                let (character, length) = unescaped(rest)?;
                string.push(character);
                at += length;
            }
            Some(character) => {
                string.push(character);
                at += character.len_utf8();
            }
        }
    }
}

/// The character that an escape stands for, and the escape's length.
fn unescaped(text: &str) -> Result<(char, usize), Failure> {
    let kind = text
        .chars()
        .nth(1)
        .ok_or(bad("unterminated quoted string"))?;
    let simple = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '"' => kind,
        _ => {
            let (begin, digits, base) = match kind {
                'x' => (2, 2, 16),
                'u' => (2, 4, 16),
                'U' => (2, 8, 16),
                '0'..='7' => (1, 3, 8),
                _ => return Err(bad("unknown escape sequence")),
            };
            let code = text.get(begin..begin + digits);
            let code = code.and_then(|code| u32::from_str_radix(code, base).ok());
            let character = code.and_then(char::from_u32);
            return match character {
                Some(character) => Ok((character, begin + digits)),
                None => Err(bad("unknown escape sequence")),
            };
        }
    };
    Ok((simple, 2))
}
