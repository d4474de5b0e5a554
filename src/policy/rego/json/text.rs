//! Texts of a JSON document: finding their end, resolving escapes, and storing equal ones once.

use std::borrow::Cow;
use std::collections::HashSet;

use regorus::Value;

use super::Text;

/// Longest text that is looked for among those there are.
const MAX_SHARED: usize = 64;
/// Most texts that are kept in mind: beyond, new ones are stored each time they come.
const MAX_KNOWN: usize = 100_000;

/// What a text cannot hold; the reader stands on it.
pub(super) enum Fault {
    Control,
    Escape,
    Hexadecimal,
}

/// Shorter documents, such as tokens, have too few texts for it to be worth looking for equal ones.
const MIN_DOCUMENT: usize = 4 * 1024;

/// Texts that were read, of a document that is long enough.
pub(super) struct Texts(Option<HashSet<Text>>);

impl Texts {
    pub(super) fn of(document: &[u8]) -> Self {
        Self((document.len() >= MIN_DOCUMENT).then(HashSet::new))
    }

    pub(super) fn share(&mut self, text: &str) -> Value {
        let Some(known) = self.0.as_mut().filter(|_| text.len() <= MAX_SHARED) else {
            return Value::from(text);
        };
        if let Some(known) = known.get(text) {
            return Value::String(Text::clone(known));
        }
        let new = Text::from(text);
        if known.len() < MAX_KNOWN {
            known.insert(Text::clone(&new));
        }
        Value::String(new)
    }
}

/// Reads a text from its opening quote on, and stands behind its closing one.
pub(super) fn read<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Cow<'a, str>, Fault> {
    let start = *at + 1;
    let mut escaped = false;
    *at = start;
    loop {
        match bytes.get(*at) {
            Some(b'"') => break,
            Some(b'\\') => {
                escaped = true;
                *at += 1;
                skip_escape(bytes, at)?;
            }
            None | Some(..0x20) => return Err(Fault::Control),
            Some(_) => *at += 1,
        }
    }
    let inner = bytes.get(start..*at).unwrap_or_default();
    *at += 1;
    Ok(match str::from_utf8(inner) {
        Ok(text) if !escaped => Cow::Borrowed(text),
        _ => Cow::Owned(resolve(inner)),
    })
}

/// Rule: after a backslash stands one of eight characters, or `u` and four hexadecimal digits.
fn skip_escape(bytes: &[u8], at: &mut usize) -> Result<(), Fault> {
    match bytes.get(*at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => *at += 1,
        Some(b'u') => {
            *at += 1;
            for _ in 0..4 {
                match bytes.get(*at) {
                    Some(digit) if digit.is_ascii_hexdigit() => *at += 1,
                    _ => return Err(Fault::Hexadecimal),
                }
            }
        }
        _ => return Err(Fault::Escape),
    }
    Ok(())
}

/// The text that bytes with escapes, which have been looked at, stand for.
fn resolve(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = rest.iter().position(|byte| *byte == b'\\');
        let (before, after) = rest.split_at(plain.unwrap_or(rest.len()));
        push_lossy(&mut text, before);
        rest = match after {
            [b'\\', b'u', digits @ ..] => push_code(&mut text, digits),
            [b'\\', escape, behind @ ..] => {
                text.push(simple(*escape));
                behind
            }
            _ => &[],
        };
    }
    text
}

/// Rule: each byte that is no UTF-8 becomes U+FFFD.
fn push_lossy(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        let replaced = chunk.invalid().iter();
        text.extend(replaced.map(|_| char::REPLACEMENT_CHARACTER));
    }
}

fn simple(escape: u8) -> char {
    match escape {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        other => char::from(other),
    }
}

/// Rule: two escapes that are a pair of surrogates are one character; a surrogate alone becomes
/// U+FFFD.
fn push_code<'a>(text: &mut String, digits: &'a [u8]) -> &'a [u8] {
    let (first, rest) = code(digits);
    if let [b'\\', b'u', digits @ ..] = rest
        && (0xd800..0xdc00).contains(&first)
    {
        let (second, behind) = code(digits);
        let pair = char::decode_utf16([first, second]).next();
        if let (Some(Ok(character)), 0xdc00..0xe000) = (pair, second) {
            text.push(character);
            return behind;
        }
    }
    text.push(char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

/// Four hexadecimal digits, and what is behind them.
fn code(digits: &[u8]) -> (u16, &[u8]) {
    let (digits, rest) = digits.split_at(digits.len().min(4));
    let digits = str::from_utf8(digits).unwrap_or_default();
    (u16::from_str_radix(digits, 16).unwrap_or(0xfffd), rest)
}
