//! JSON read straight into the engine's values: bodies of requests, data of bundles and files. What
//! is taken, and the texts of errors, are those of the decoder OPA reads with; keys and short texts
//! that come again are stored once. Nothing recurses, and depth and numbers are bounded.

mod canonical;
mod number;
mod text;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use regorus::Value;
use thiserror::Error;

pub(super) use canonical::{canonical, canonical_value, write};
use number::Budget;
pub(super) use number::{number, scalar_text};
use text::Texts;

/// Deepest nesting of arrays and objects. OPA takes ten times that; but much of what can be done with a
/// value recurses, or takes time by depth, and no thread may run out of stack.
pub(super) const MAX_DEPTH: usize = 1_000;

/// A text of the engine.
type Text = Arc<str>;

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct JsonError {
    pub message: String,
    /// Counted from 1.
    pub row: u64,
    pub col: u64,
}

/// What is wrong at the place that the reader has come to.
struct Problem(String);

/// What values need at most, in bytes, while they are read: an element of an array; an array or object,
/// the latter with the first node of its tree; a member, with its part of the tree; what a text needs
/// besides its bytes.
const ITEM: usize = 64;
const ARRAY: usize = 64;
const OBJECT: usize = 640;
const MEMBER: usize = 128;
const TEXT: usize = 32;
/// So many bytes are asked for at once.
const STEP: usize = 64 << 10;

/// Reads one document. Bytes that are no UTF-8 become U+FFFD in texts and are refused elsewhere.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    parse_within(bytes, &mut |_| true)
}

/// The same, within the memory there is: `take` is asked for some before values are made, and says no.
pub(super) fn parse_within(
    bytes: &[u8],
    take: &mut dyn FnMut(usize) -> bool,
) -> Result<Value, JsonError> {
    let mut reader = Reader {
        take,
        owed: 0,
        bytes,
        at: 0,
        texts: Texts::of(bytes),
        budget: Budget::default(),
        items: Vec::new(),
        members: Vec::new(),
        open: Vec::new(),
    };
    reader
        .document()
        .map_err(|Problem(message)| JsonError::at(bytes, reader.at, message))
}

/// What is begun and not yet closed, with where its own parts begin.
enum Open {
    Array { first: usize },
    Object { first: usize, key: Value },
}

struct Reader<'a> {
    /// Asked for memory.
    take: &'a mut dyn FnMut(usize) -> bool,
    /// Not asked for yet.
    owed: usize,
    bytes: &'a [u8],
    at: usize,
    texts: Texts,
    budget: Budget,
    /// Finished elements of all open arrays, and members of all open objects.
    items: Vec<Value>,
    members: Vec<(Value, Value)>,
    open: Vec<Open>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Value, Problem> {
        loop {
            let Some(mut value) = self.begin()? else {
                continue;
            };
            // A value that is whole may close what it is in, and that what it is in.
            loop {
                match self.put(value)? {
                    Put::Last(value) => return self.end(value),
                    Put::Closed(closed) => value = closed,
                    Put::MoreToCome => break,
                }
            }
        }
    }

    /// A value that is whole, or `None` when an array or object was opened.
    fn begin(&mut self) -> Result<Option<Value>, Problem> {
        self.skip_space();
        Ok(Some(match self.peek() {
            Some(b'{') => return self.begin_object(),
            Some(b'[') => return self.begin_array(),
            Some(b'"') => {
                let text =
                    text::read(self.bytes, &mut self.at).map_err(|fault| self.fault(&fault))?;
                self.need(TEXT + text.len())?;
                self.texts.share(&text)
            }
            Some(b't') => self.literal("true", Value::Bool(true))?,
            Some(b'f') => self.literal("false", Value::Bool(false))?,
            Some(b'n') => self.literal("null", Value::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            None if self.open.is_empty() => return Err(Problem("EOF".to_owned())),
            _ => return Err(self.unexpected("looking for beginning of value")),
        }))
    }

    fn begin_array(&mut self) -> Result<Option<Value>, Problem> {
        static EMPTY: LazyLock<Value> = LazyLock::new(Value::new_array);
        self.enter()?;
        self.need(ARRAY)?;
        self.skip_space();
        if self.eat(b']') {
            return Ok(Some(EMPTY.clone()));
        }
        let first = self.items.len();
        self.open.push(Open::Array { first });
        Ok(None)
    }

    fn begin_object(&mut self) -> Result<Option<Value>, Problem> {
        static EMPTY: LazyLock<Value> = LazyLock::new(Value::new_object);
        self.enter()?;
        self.need(OBJECT)?;
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Some(EMPTY.clone()));
        }
        let key = self.key()?;
        let first = self.members.len();
        self.open.push(Open::Object { first, key });
        Ok(None)
    }

    /// Asks for memory, in large pieces.
    fn need(&mut self, bytes: usize) -> Result<(), Problem> {
        self.owed += bytes;
        match self.owed < STEP || (self.take)(std::mem::take(&mut self.owed)) {
            true => Ok(()),
            false => Err(Problem("it needs too much memory".to_owned())),
        }
    }

    fn enter(&mut self) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem("exceeded max depth".to_owned()));
        }
        self.at += 1;
        Ok(())
    }

    /// A member's name and the colon behind it.
    fn key(&mut self) -> Result<Value, Problem> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let text = text::read(self.bytes, &mut self.at).map_err(|fault| self.fault(&fault))?;
        self.need(TEXT + text.len())?;
        let key = self.texts.share(&text);
        self.skip_space();
        if !self.eat(b':') {
            return Err(self.unexpected("after object key"));
        }
        Ok(key)
    }

    /// Puts a value where it belongs, and reads what follows it.
    fn put(&mut self, value: Value) -> Result<Put, Problem> {
        match self.open.pop() {
            None => Ok(Put::Last(value)),
            Some(Open::Array { first }) => {
                self.need(ITEM)?;
                self.items.push(value);
                self.skip_space();
                if self.eat(b',') {
                    self.open.push(Open::Array { first });
                    return Ok(Put::MoreToCome);
                }
                if !self.eat(b']') {
                    return Err(self.unexpected("after array element"));
                }
                let items: Vec<_> = self.items.drain(first..).collect();
                Ok(Put::Closed(Value::from(items)))
            }
            Some(Open::Object { first, key }) => {
                self.need(MEMBER)?;
                self.members.push((key, value));
                self.skip_space();
                if self.eat(b',') {
                    let key = self.key()?;
                    self.open.push(Open::Object { first, key });
                    return Ok(Put::MoreToCome);
                }
                if !self.eat(b'}') {
                    return Err(self.unexpected("after object key:value pair"));
                }
                // Rule: of members with one name the last counts.
                let members = self.members.drain(first..);
                let members: std::collections::BTreeMap<_, _> = members.collect();
                Ok(Put::Closed(Value::from(members)))
            }
        }
    }

    /// Rule: nothing but space follows the value.
    fn end(&mut self, value: Value) -> Result<Value, Problem> {
        self.skip_space();
        match self.peek() {
            None => Ok(value),
            Some(_) => {
                let character = self.shown();
                let why = format!("error: invalid character {character} after top-level value");
                Err(Problem(why))
            }
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, Problem> {
        for expected in word.bytes() {
            if !self.eat(expected) {
                let expected = char::from(expected);
                let context = format!("in literal {word} (expecting '{expected}')");
                return Err(self.unexpected(&context));
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Problem> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits("in numeric literal")?;
        }
        if self.eat(b'.') {
            self.digits("after decimal point in numeric literal")?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits("in exponent of numeric literal")?;
        }
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        let text = str::from_utf8(text).unwrap_or_default();
        self.need(text.len())?;
        number::convert(text, &mut self.budget).map_err(|error| {
            self.at = start;
            Problem(error.to_string())
        })
    }

    /// At least one digit.
    fn digits(&mut self, context: &str) -> Result<(), Problem> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.at {
            at if at == start => Err(self.unexpected(context)),
            _ => Ok(()),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn fault(&self, fault: &text::Fault) -> Problem {
        self.unexpected(match fault {
            text::Fault::Control => "in string literal",
            text::Fault::Escape => "in string escape code",
            text::Fault::Hexadecimal => "in \\u hexadecimal character escape",
        })
    }

    fn unexpected(&self, context: &str) -> Problem {
        Problem(match self.peek() {
            None => "unexpected EOF".to_owned(),
            Some(_) => format!("invalid character {} {context}", self.shown()),
        })
    }

    /// The character that is read next, as Go would quote it.
    fn shown(&self) -> String {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let chunk = rest.utf8_chunks().next();
        let character = chunk.and_then(|chunk| chunk.valid().chars().next());
        match (character, rest.first()) {
            (Some('\''), _) => "'\\''".to_owned(),
            (Some('\\'), _) => "'\\\\'".to_owned(),
            (Some(shown), _) if shown == ' ' || shown.is_ascii_graphic() => format!("'{shown}'"),
            (Some(shown), _) if shown.is_alphanumeric() => format!("'{shown}'"),
            (Some(control), _) if control.is_ascii() => format!("'{}'", control.escape_default()),
            (Some(other), _) => format!("'\\u{:04x}'", u32::from(other)),
            (None, byte) => format!("'\\x{:02x}'", byte.copied().unwrap_or_default()),
        }
    }
}

/// What became of a value that was put where it belongs.
enum Put {
    /// It is the document.
    Last(Value),
    /// It was the last part of this.
    Closed(Value),
    MoreToCome,
}

// === impl JsonError ===

impl JsonError {
    fn at(bytes: &[u8], at: usize, message: String) -> Self {
        let before = bytes.get(..at).unwrap_or(bytes);
        let newlines = before.iter().filter(|byte| **byte == b'\n').count();
        let line = before.rsplit(|byte| *byte == b'\n').next();
        Self {
            message,
            row: newlines as u64 + 1,
            col: line.unwrap_or_default().len() as u64 + 1,
        }
    }
}
