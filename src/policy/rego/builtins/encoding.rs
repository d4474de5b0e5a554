//! Base64 and hexadecimal as Go reads them, and JSON as Go writes it: names in order, `<`, `>` and
//! `&` escaped. What is asked whether it is valid and is no text is not.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regorus::Value;

use super::{Answer, Builtin, Failure, aggregates, any, of_interpreter, text};
use crate::policy::rego::{guard, json};

/// Longest text made, in bytes.
const MAX_TEXT: usize = 16 << 20;
/// Deepest nesting of a value that is written.
const MAX_DEPTH: usize = 2 * json::MAX_DEPTH;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("base64.decode", 1, |arguments| {
        decoded(&STANDARD, text(arguments, 0)?)
    }),
    Builtin::pure("base64.is_valid", 1, |arguments| {
        let decoded = text(arguments, 0).and_then(|text| decoded(&STANDARD, text));
        Ok(Value::from(decoded.is_ok()))
    }),
    Builtin::pure("base64url.decode", 1, url_decoded),
    Builtin::pure("hex.decode", 1, hex_decoded),
    Builtin::pure("json.is_valid", 1, |arguments| {
        let is_json = |text: &str| json::parse(text.as_bytes()).is_ok();
        Ok(Value::from(text(arguments, 0).is_ok_and(is_json)))
    }),
    Builtin::pure("json.unmarshal", 1, |arguments| {
        json::parse(text(arguments, 0)?.as_bytes()).map_err(|_| Failure::Failed("invalid JSON"))
    }),
    Builtin::pure("json.marshal", 1, |arguments| {
        Writer::new(None).text_of(any(arguments, 0)?)
    }),
    Builtin::pure("json.marshal_with_options", 2, marshal_with_options),
    Builtin::pure("yaml.is_valid", 1, yaml_is_valid),
];

/// Rule: padding is wanted; bits that are too many do not matter.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// Rule: line ends are not seen.
fn decoded(alphabet: &GeneralPurpose, text: &str) -> Answer {
    let bytes = match text.contains(['\r', '\n']) {
        true => alphabet.decode(text.replace(['\r', '\n'], "")),
        false => alphabet.decode(text),
    };
    let bytes = bytes.map_err(|_| Failure::Failed("illegal base64 data"))?;
    Ok(Value::from(text_of_bytes(&bytes)))
}

/// Rule: padding may be missing.
fn url_decoded(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    let padding = match (text.ends_with('='), text.len() % 4) {
        (true, _) | (false, 0) => "",
        (false, 2) => "==",
        (false, 3) => "=",
        (false, _) => return Err(Failure::Failed("illegal base64url string")),
    };
    decoded(&URL_SAFE, &format!("{text}{padding}"))
}

fn hex_decoded(arguments: &[Value]) -> Answer {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let text = text(arguments, 0)?.as_bytes();
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    });
    let bytes: Option<Vec<_>> = pairs.collect();
    let bytes = bytes.ok_or(Failure::Failed("invalid hexadecimal text"))?;
    Ok(Value::from(text_of_bytes(&bytes)))
}

/// Rule: each byte that is no UTF-8 becomes U+FFFD.
pub(super) fn text_of_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

fn yaml_is_valid(arguments: &[Value]) -> Answer {
    let Ok(text) = text(arguments, 0) else {
        return Ok(Value::from(false));
    };
    guard::check_yaml(text).map_err(|error| Failure::Limit(error.to_string()))?;
    of_interpreter("yaml.is_valid", arguments)
}

// === JSON ===

/// What stands before and within the lines of indented JSON.
struct Layout {
    prefix: String,
    indent: String,
}

/// Rule: `prefix` and `indent` ask for lines, unless `pretty` says otherwise.
fn marshal_with_options(arguments: &[Value]) -> Answer {
    let Value::Object(options) = any(arguments, 1)? else {
        return Err(Failure::Failed("operand 2 must be object"));
    };
    let mut layout = Layout {
        prefix: String::new(),
        indent: "\t".to_owned(),
    };
    let (mut implied, mut pretty) = (false, None);
    for (name, value) in options.iter() {
        match (name.as_string().map(|name| &**name), value) {
            (Ok("pretty"), Value::Bool(wanted)) => pretty = Some(*wanted),
            (Ok("prefix"), Value::String(text)) => {
                layout.prefix = text.to_string();
                implied = true;
            }
            (Ok("indent"), Value::String(text)) => {
                layout.indent = text.to_string();
                implied = true;
            }
            _ => return Err(Failure::Failed("operand 2 has an option that is none")),
        }
    }
    let layout = pretty.unwrap_or(implied).then_some(layout);
    Writer::new(layout).text_of(any(arguments, 0)?)
}

/// A value's JSON as Go writes it.
pub(super) fn json_text(value: &Value) -> Result<String, Failure> {
    let mut writer = Writer::new(None);
    writer.value(value)?;
    Ok(writer.out)
}

/// A whole document's JSON as Go writes it, of any length.
pub(in crate::policy::rego) fn document_text(value: &Value, longest: usize) -> Option<String> {
    let mut writer = Writer {
        longest,
        ..Writer::new(None)
    };
    writer.value(value).ok()?;
    Some(writer.out)
}

struct Writer {
    out: String,
    layout: Option<Layout>,
    depth: usize,
    /// Longest text made, in bytes.
    longest: usize,
}

impl Writer {
    fn new(layout: Option<Layout>) -> Self {
        Self {
            out: String::new(),
            layout,
            depth: 0,
            longest: MAX_TEXT,
        }
    }

    fn text_of(mut self, value: &Value) -> Answer {
        if let Some(layout) = &self.layout {
            self.out.push_str(&layout.prefix);
        }
        self.value(value)?;
        Ok(Value::from(self.out))
    }

    fn value(&mut self, value: &Value) -> Result<(), Failure> {
        if self.out.len() > self.longest || self.depth > MAX_DEPTH {
            return Err(Failure::Limit("JSON of this size is refused".to_owned()));
        }
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => self.list(items.iter(), items.is_empty())?,
            Value::Set(items) => self.list(aggregates::ordered(items.iter()), items.is_empty())?,
            object @ Value::Object(_) => self.object(object)?,
            scalar => self.out.push_str(&json::scalar_text(scalar)),
        }
        Ok(())
    }

    fn list<'v>(
        &mut self,
        items: impl Iterator<Item = &'v Value>,
        is_empty: bool,
    ) -> Result<(), Failure> {
        self.out.push('[');
        self.depth += 1;
        for (index, item) in items.enumerate() {
            self.begin(index);
            self.value(item)?;
        }
        self.end(']', is_empty);
        Ok(())
    }

    /// Rule: a name that is no text is its JSON; names are in order.
    fn object(&mut self, value: &Value) -> Result<(), Failure> {
        let members = value
            .as_object()
            .map_err(|_| Failure::Failed("not an object"))?;
        let mut named = Vec::with_capacity(members.len());
        for (name, value) in members.iter() {
            let name = match name {
                Value::String(name) => name.to_string(),
                other => {
                    let mut inner = Self::new(None);
                    inner.depth = self.depth + 1;
                    inner.value(other)?;
                    inner.out
                }
            };
            named.push((name, value));
        }
        named.sort_by(|one, other| one.0.cmp(&other.0));
        self.out.push('{');
        self.depth += 1;
        for (index, (name, value)) in named.into_iter().enumerate() {
            self.begin(index);
            self.string(&name);
            self.out.push(':');
            if self.layout.is_some() {
                self.out.push(' ');
            }
            self.value(value)?;
        }
        self.end('}', members.is_empty());
        Ok(())
    }

    fn begin(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
        self.line();
    }

    fn end(&mut self, bracket: char, is_empty: bool) {
        self.depth -= 1;
        if !is_empty {
            self.line();
        }
        self.out.push(bracket);
    }

    fn line(&mut self) {
        if let Some(layout) = &self.layout {
            self.out.push('\n');
            self.out.push_str(&layout.prefix);
            for _ in 0..self.depth {
                self.out.push_str(&layout.indent);
            }
        }
    }

    /// Rule: as JSON has it, and `<`, `>`, `&` and two line ends of Unicode as escapes.
    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    self.out
                        .push_str(&format!("\\u{:04x}", u32::from(character)));
                }
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }
}
