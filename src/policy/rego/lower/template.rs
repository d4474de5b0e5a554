//! Template strings: `$"a {x}"` becomes a call over its literal parts and a set for each expression,
//! empty where that is undefined; and what that call gives.

use anyhow::{Result, bail};
use regorus::Value;

use super::tokens::{end_of_raw_string, end_of_string};
use super::{Fault, Output, SourceMap};
use crate::policy::rego::json;

/// What a template string is lowered to, by the name OPA has for it.
pub(in crate::policy::rego) const FUNCTION: &str = "internal.template_string";

/// Deepest nesting of templates in expressions of templates.
const MAX_DEPTH: usize = 8;
/// Longest text a template makes, in bytes.
const MAX_TEXT: usize = 16 << 20;
/// Deepest nesting of a value put into a template.
const MAX_VALUE_DEPTH: usize = 128;

struct Lowering<'a> {
    bytes: &'a [u8],
    output: Output<'a>,
    /// Templates open at this place.
    depth: usize,
    /// Expressions so far, for names that are not used twice.
    count: usize,
}

pub(super) fn lower(text: &str) -> Result<SourceMap, Fault> {
    let mut lowering = Lowering {
        bytes: text.as_bytes(),
        output: Output::new(text),
        depth: 0,
        count: 0,
    };
    lowering.code(0)?;
    Ok(lowering.output.finish())
}

impl Lowering<'_> {
    /// Lowers code up to the end of the text or, inside a template, its closing brace.
    fn code(&mut self, begin: usize) -> Result<usize, Fault> {
        let mut at = begin;
        let mut copied = begin;
        let mut braces = 0usize;
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'#' => at = self.end_of_line(at),
                b'"' => at = end_of_string(self.bytes, at),
                b'`' => at = end_of_raw_string(self.bytes, at),
                b'$' if matches!(self.bytes.get(at + 1), Some(b'"' | b'`')) => {
                    self.output.copy(copied, at);
                    at = self.template(at)?;
                    copied = at;
                }
                b'{' => {
                    braces += 1;
                    at += 1;
                }
                b'}' if braces == 0 && self.depth > 0 => break,
                b'}' => {
                    braces = braces.saturating_sub(1);
                    at += 1;
                }
                _ => at += 1,
            }
        }
        self.output.copy(copied, at.min(self.bytes.len()));
        Ok(at)
    }

    fn end_of_line(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n');
        at + length.unwrap_or(rest.len())
    }

    /// Lowers the template that begins here and returns where it ends.
    fn template(&mut self, begin: usize) -> Result<usize, Fault> {
        if self.depth == MAX_DEPTH {
            return Err((begin, "template strings are nested too deep".to_owned()));
        }
        self.depth += 1;
        let quote = self.bytes.get(begin + 1).copied().unwrap_or(b'"');
        self.output.put(&format!("{FUNCTION}(["), begin);
        let mut literal = Vec::new();
        let mut at = begin + 2;
        let mut piece = at;
        loop {
            let Some(byte) = self.bytes.get(at).copied() else {
                return Err((begin, "non-terminated template string".to_owned()));
            };
            match byte {
                _ if byte == quote => break,
                b'\n' if quote == b'"' => {
                    return Err((begin, "non-terminated template string".to_owned()));
                }
                // Rule: `\{` is a brace that begins no expression; other escapes are those of strings.
                b'\\' if self.bytes.get(at + 1) == Some(&b'{') => {
                    literal.push(b'{');
                    at += 2;
                }
                b'\\' if quote == b'"' => {
                    literal.extend(self.bytes.get(at..at + 2).unwrap_or_default());
                    at += 2;
                }
                b'{' => {
                    self.literal(&mut literal, quote, piece)?;
                    at = self.expression(at)?;
                    piece = at;
                }
                _ => {
                    literal.push(byte);
                    at += 1;
                }
            }
        }
        self.literal(&mut literal, quote, piece)?;
        self.output.put("])", at);
        self.depth -= 1;
        Ok(at + 1)
    }

    /// Writes a literal part, as a string that keeps the rows of the original behind itself.
    fn literal(&mut self, literal: &mut Vec<u8>, quote: u8, at: usize) -> Result<(), Fault> {
        let part = std::mem::take(literal);
        let Ok(part) = String::from_utf8(part) else {
            return Err((at, "a template string is not UTF-8".to_owned()));
        };
        if quote == b'"' {
            self.output.put(&format!("\"{part}\","), at);
        } else {
            let rows = "\n".repeat(part.matches('\n').count());
            let part = serde_json::Value::from(part);
            self.output.put(&format!("{part},{rows}"), at);
        }
        Ok(())
    }

    /// Lowers the expression in braces that begins here and returns where it ends.
    fn expression(&mut self, begin: usize) -> Result<usize, Fault> {
        let name = format!("__template_{}__", self.count);
        self.count += 1;
        self.output.put(&format!("{{{name} | {name} := "), begin);
        let end = self.code(begin + 1)?;
        if self.bytes.get(end) != Some(&b'}') {
            return Err((begin, "invalid template string: expected }".to_owned()));
        }
        let text = self.bytes.get(begin + 1..end).unwrap_or_default();
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err((
                begin,
                "invalid template string: no expression in braces".to_owned(),
            ));
        }
        self.output.put("},", end);
        Ok(end + 1)
    }
}

/// Rule: literal parts and strings stand as they are, other values as Rego writes them, and what is
/// undefined as `<undefined>`; an expression with more than one value is an error.
pub(in crate::policy::rego) fn render(arguments: &[Value]) -> Result<Value> {
    let Some(Value::Array(parts)) = arguments.first() else {
        bail!("{FUNCTION}: operand 1 must be array");
    };
    let mut text = String::new();
    for part in parts.iter() {
        match part {
            Value::String(literal) => text.push_str(literal),
            Value::Set(values) => {
                let mut values = values.iter();
                match (values.next(), values.next()) {
                    (None, _) => text.push_str("<undefined>"),
                    (Some(Value::String(value)), None) => text.push_str(value),
                    (Some(value), None) => write_value(&mut text, value, 0)?,
                    (Some(_), Some(_)) => {
                        bail!("{FUNCTION}: template-strings must not produce multiple outputs")
                    }
                }
            }
            value => write_value(&mut text, value, 0)?,
        }
        if text.len() > MAX_TEXT {
            bail!("a template that makes more than {MAX_TEXT} bytes is refused");
        }
    }
    Ok(Value::from(text))
}

/// Writes a value as Rego has it in a policy.
fn write_value(text: &mut String, value: &Value, depth: usize) -> Result<()> {
    if depth > MAX_VALUE_DEPTH || text.len() > MAX_TEXT {
        bail!("a value this large is refused in a template");
    }
    match value {
        Value::Array(items) => write_items(text, ("[", "]"), items.iter(), depth),
        Value::Set(items) if items.is_empty() => {
            text.push_str("set()");
            Ok(())
        }
        Value::Set(items) => write_items(text, ("{", "}"), items.iter(), depth),
        Value::Object(fields) => {
            text.push('{');
            for (index, (key, value)) in fields.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                write_value(text, key, depth + 1)?;
                text.push_str(": ");
                write_value(text, value, depth + 1)?;
            }
            text.push('}');
            Ok(())
        }
        scalar => {
            text.push_str(&json::scalar_text(scalar));
            Ok(())
        }
    }
}

fn write_items<'a>(
    text: &mut String,
    (open, close): (&str, &str),
    items: impl Iterator<Item = &'a Value>,
    depth: usize,
) -> Result<()> {
    text.push_str(open);
    for (index, item) in items.enumerate() {
        text.push_str(if index > 0 { ", " } else { "" });
        write_value(text, item, depth + 1)?;
    }
    text.push_str(close);
    Ok(())
}
