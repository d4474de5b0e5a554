//! Long lines. The interpreter points at the column of an error by as many blanks in front of it,
//! and panics beyond 65,535 of them, whoever asked. So a line is broken where that means nothing, and
//! refused if something that can be pointed at still lies too far out.

use super::tokens::{Kind, Token, tokens};
use super::{Output, SourceMap};
use crate::policy::rego::RegoError;

/// Furthest column that may be pointed at; a tab counts as four, any other byte as one.
const MAX_COLUMN: usize = 60_000;
/// From this column on, a line is broken where it can be.
const BREAK_COLUMN: usize = 30_000;
/// Longest line, whatever is in it.
const MAX_LINE: usize = 1 << 20;
/// A string longer than this must not hold an error itself.
const LONG_STRING: usize = 4_096;

/// Breaks long lines behind commas, and behind strings with nothing but a bracket or a comma next.
pub(super) fn lower(text: &str) -> SourceMap {
    let mut output = Output::new(text);
    let mut copied = 0;
    if has_long_lines(text) {
        let mut place = Place::new(text);
        for token in tokens(text) {
            let inside = text.get(token.begin..token.end).unwrap_or_default();
            place.advance(token.end);
            let is_behind = inside == "," || (is_text(inside) && is_closed(text, token.end));
            if place.column > BREAK_COLUMN && is_behind {
                output.copy(copied, token.end);
                output.put("\n", token.end);
                copied = token.end;
                place.column = 0;
            }
        }
    }
    output.copy(copied, text.len());
    output.finish()
}

/// Refuses a text in which the interpreter could find something that it cannot point at.
pub(in crate::policy::rego) fn check(path: &str, text: &str) -> Result<(), RegoError> {
    if !has_long_lines(text) {
        return Ok(());
    }
    let error = |row: usize, message: &str| RegoError {
        code: "rego_parse_error",
        message: message.to_owned(),
        file: path.to_owned(),
        row: row as u64,
        col: 1,
    };
    if let Some(index) = text.split('\n').position(|line| columns(line) > MAX_LINE) {
        return Err(error(index + 1, "a line is longer than 1 MiB"));
    }
    let mut place = Place::new(text);
    for token in tokens(text).into_iter().chain([end_of(text)]) {
        let inside = text.get(token.begin..token.end).unwrap_or_default();
        place.advance(token.begin);
        let row = place.row;
        // Of a string, only its beginning is pointed at, unless it is broken itself.
        if !is_text(inside) {
            place.advance(token.end);
        }
        if place.column > MAX_COLUMN {
            let message = format!("a line goes on beyond column {MAX_COLUMN}");
            return Err(error(row, &message));
        }
        let is_long = inside.len() > LONG_STRING && inside.starts_with('"');
        if is_long && serde_json::from_str::<String>(inside).is_err() {
            return Err(error(row, "a long string is not well formed"));
        }
    }
    Ok(())
}

fn has_long_lines(text: &str) -> bool {
    text.split('\n').any(|line| columns(line) > BREAK_COLUMN)
}

/// The end, which is pointed at where something is missing.
fn end_of(text: &str) -> Token {
    Token {
        kind: Kind::Symbol,
        begin: text.len(),
        end: text.len(),
    }
}

fn columns(part: &str) -> usize {
    // Nearly all lines are short.
    if part.len() <= BREAK_COLUMN / 4 {
        return part.len();
    }
    part.len() + 3 * part.bytes().filter(|byte| *byte == b'\t').count()
}

/// A place in a text, which only goes on.
struct Place<'a> {
    text: &'a str,
    at: usize,
    row: usize,
    column: usize,
}

impl<'a> Place<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            row: 1,
            column: 0,
        }
    }

    fn advance(&mut self, to: usize) {
        for byte in self.text.as_bytes().get(self.at..to).unwrap_or_default() {
            match byte {
                b'\n' => (self.row, self.column) = (self.row + 1, 0),
                b'\t' => self.column += 4,
                _ => self.column += 1,
            }
        }
        self.at = to.max(self.at);
    }
}

fn is_text(token: &str) -> bool {
    token.starts_with(['"', '`'])
}

/// Whether a bracket that closes, a comma or nothing comes next.
fn is_closed(text: &str, at: usize) -> bool {
    let rest = text
        .get(at..)
        .unwrap_or_default()
        .trim_start_matches([' ', '\t']);
    rest.is_empty() || rest.starts_with([')', ']', '}', ','])
}
