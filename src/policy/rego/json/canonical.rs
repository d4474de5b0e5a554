//! JSON in one form: no space, members in order of their names, texts as Go writes them and numbers
//! as they stand. It is what OPA's signatures are over, so that layout can change and content cannot.

use std::borrow::Cow;
use std::collections::BTreeMap;

use regorus::Value;
use serde_json::Value as Json;

use super::number::{double_text, scalar_text};
use super::{JsonError, parse, text};

/// A document whose parts are still as they were written.
enum Node<'a> {
    /// A number or a word.
    Scalar(Cow<'a, str>),
    Text(Cow<'a, str>),
    Array(Vec<Self>),
    Object(BTreeMap<Cow<'a, str>, Self>),
}

/// One document in that form. What is taken is what data is read from.
pub(in crate::policy::rego) fn canonical(bytes: &[u8]) -> Result<String, JsonError> {
    // From here on it is known to be well-formed, and how deep it is at most.
    parse(bytes)?;
    let mut reader = Reader { bytes, at: 0 };
    let mut written = String::with_capacity(bytes.len());
    reader.value().write(&mut written);
    Ok(written)
}

/// The same for what was not JSON: YAML.
pub(in crate::policy::rego) fn canonical_value(value: &Json) -> String {
    let mut written = String::new();
    Node::of(value).write(&mut written);
    written
}

/// A value as it is read back. What is no JSON becomes `null`.
pub(in crate::policy::rego) fn write(value: &Value, written: &mut String) {
    match value {
        Value::String(text) => push_text(written, text),
        Value::Number(_) | Value::Bool(_) => written.push_str(&scalar_text(value)),
        Value::Array(items) => {
            written.push('[');
            for (at, item) in items.iter().enumerate() {
                written.push_str(if at > 0 { "," } else { "" });
                write(item, written);
            }
            written.push(']');
        }
        Value::Object(members) => {
            written.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                written.push_str(if at > 0 { "," } else { "" });
                push_text(written, name.as_string().map_or("", |name| name));
                written.push(':');
                write(value, written);
            }
            written.push('}');
        }
        _ => written.push_str("null"),
    }
}

/// A text between quotes.
fn push_text(written: &mut String, text: &str) {
    written.push('"');
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\u{8}' => written.push_str("\\b"),
            '\u{c}' => written.push_str("\\f"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            // Rule: control characters and those that end lines in JavaScript.
            '\0'..' ' | '\u{2028}' | '\u{2029}' => {
                written.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => written.push(other),
        }
    }
    written.push('"');
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Node<'a> {
        match self.next_byte() {
            Some(b'{') => {
                self.at += 1;
                self.object()
            }
            Some(b'[') => {
                self.at += 1;
                self.array()
            }
            Some(b'"') => Node::Text(self.text()),
            _ => self.scalar(),
        }
    }

    /// Rule: of members with one name the last counts.
    fn object(&mut self) -> Node<'a> {
        let mut members = BTreeMap::new();
        while self.next_byte() == Some(b'"') {
            let name = self.text();
            // The colon.
            self.next_byte();
            self.at += 1;
            members.insert(name, self.value());
            self.end_of_part();
        }
        self.at += 1;
        Node::Object(members)
    }

    fn array(&mut self) -> Node<'a> {
        let mut items = Vec::new();
        while !matches!(self.next_byte(), Some(b']') | None) {
            items.push(self.value());
            self.end_of_part();
        }
        self.at += 1;
        Node::Array(items)
    }

    fn end_of_part(&mut self) {
        if self.next_byte() == Some(b',') {
            self.at += 1;
        }
    }

    fn scalar(&mut self) -> Node<'a> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += length;
        Node::Scalar(String::from_utf8_lossy(
            rest.get(..length).unwrap_or_default(),
        ))
    }

    fn text(&mut self) -> Cow<'a, str> {
        text::read(self.bytes, &mut self.at).unwrap_or_default()
    }

    /// The next byte that is no space.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }
}

impl<'a> Node<'a> {
    fn of(value: &'a Json) -> Self {
        match value {
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(items) => Self::Array(items.iter().map(Self::of).collect()),
            Json::Object(members) => {
                let members = members.iter();
                let nodes = members.map(|(name, value)| (Cow::Borrowed(&**name), Self::of(value)));
                Self::Object(nodes.collect())
            }
            Json::Number(number) => Self::Scalar(Cow::Owned(match number.as_f64() {
                Some(double) if number.is_f64() => double_text(double),
                _ => number.to_string(),
            })),
            Json::Null | Json::Bool(_) => Self::Scalar(Cow::Owned(value.to_string())),
        }
    }

    fn write(&self, written: &mut String) {
        match self {
            Self::Scalar(text) => written.push_str(text),
            Self::Text(text) => push_text(written, text),
            Self::Array(items) => {
                written.push('[');
                for (at, item) in items.iter().enumerate() {
                    written.push_str(if at > 0 { "," } else { "" });
                    item.write(written);
                }
                written.push(']');
            }
            Self::Object(members) => {
                written.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    written.push_str(if at > 0 { "," } else { "" });
                    push_text(written, name);
                    written.push(':');
                    value.write(written);
                }
                written.push('}');
            }
        }
    }
}
