//! An answer as policies see it: the status, headers by lower-case name, and the body as text and, if
//! it is JSON or YAML, as a value.

use std::collections::BTreeMap;

use regorus::Value;
use serde::de::IgnoredAny;

use super::super::encoding::text_of_bytes;
use super::super::{Answer, Failure, of_interpreter};
use crate::policy::rego::external::HttpResponse;
use crate::policy::rego::{guard, json};

/// Most memory that a value takes besides its text, in bytes.
const VALUE_SIZE: usize = 64;

/// How a body is read whatever its type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Decoding {
    pub(super) json: bool,
    pub(super) yaml: bool,
}

/// What a body is read as.
enum Form {
    Json,
    Yaml,
    Text,
}

/// Memory that an answer takes as a value, in bytes, told before it is made.
pub(super) fn size(response: &HttpResponse, decoding: Decoding) -> usize {
    let values = match form(response, decoding) {
        Form::Json => json_values(&response.body),
        Form::Yaml => yaml_values(&response.body),
        Form::Text => 0,
    };
    let values = values.saturating_mul(VALUE_SIZE);
    response.body.len().saturating_add(values)
}

pub(super) fn value(response: &HttpResponse, decoding: Decoding) -> Answer {
    let text = text_of_bytes(&response.body);
    // Rule: a body that is not of its form is null, and no error.
    let body = match form(response, decoding) {
        Form::Json => json_value(&text)?,
        Form::Yaml => yaml_value(&text)?,
        Form::Text => Value::Null,
    };
    let fields = [
        ("status", Value::from(response.status_line.as_str())),
        ("status_code", Value::from(u64::from(response.status))),
        ("body", body),
        ("raw_body", Value::from(text.as_str())),
        ("headers", headers(response)),
    ];
    let fields = fields.into_iter();
    let fields = fields.map(|(name, value)| (Value::from(name), value));
    Ok(Value::from(fields.collect::<BTreeMap<_, _>>()))
}

fn form(response: &HttpResponse, decoding: Decoding) -> Form {
    let content_type = header(response, "content-type");
    if decoding.json || is_json(content_type) {
        Form::Json
    } else if decoding.yaml || is_yaml(content_type) {
        Form::Yaml
    } else {
        Form::Text
    }
}

/// Most values that JSON can have: each but the first stands behind one of four characters.
fn json_values(text: &[u8]) -> usize {
    let (mut values, mut in_text, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' | b',' | b':' if !in_text => values += 1,
            _ => {}
        }
    }
    values
}

/// The same of YAML, where lines and two characters more begin values.
fn yaml_values(text: &[u8]) -> usize {
    let begins = |byte: &&u8| matches!(byte, b'[' | b'{' | b',' | b':' | b'-' | b'?' | b'\n');
    text.iter().filter(begins).count() + 1
}

/// The first value of a header, `""` if there is none.
fn header<'a>(response: &'a HttpResponse, name: &str) -> &'a str {
    let mut headers = response.headers.iter();
    let found = headers.find(|header| header.0 == name);
    found.map_or("", |header| header.1.as_str())
}

fn headers(response: &HttpResponse) -> Value {
    let mut by_name: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    for (name, value) in &response.headers {
        let values = by_name.entry(Value::from(name.as_str())).or_default();
        values.push(Value::from(value.as_str()));
    }
    let by_name = by_name.into_iter();
    let by_name = by_name.map(|(name, values)| (name, Value::from(values)));
    Value::from(by_name.collect::<BTreeMap<_, _>>())
}

/// Rule: `application/json`, or a type of it that ends in `+json`.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    match media_type.split_once('/') {
        Some(("application", subtype)) => subtype == "json" || subtype.ends_with("+json"),
        _ => false,
    }
}

fn is_yaml(content_type: &str) -> bool {
    ["application/yaml", "application/x-yaml"]
        .iter()
        .any(|yaml| content_type.contains(yaml))
}

/// Rule: the first value counts, whatever follows it. What is no JSON is null; what is more than we
/// read is a limit, since null would say that nothing was answered.
fn json_value(text: &str) -> Answer {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let first = match values.next() {
        Some(Ok(_)) => text.get(..values.byte_offset()),
        Some(Err(_)) | None => None,
    };
    let Some(first) = first else {
        return Ok(Value::Null);
    };
    json::parse(first.as_bytes()).map_err(|error| Failure::Limit(format!("an answer: {error}")))
}

/// Rule: the same of YAML.
fn yaml_value(text: &str) -> Answer {
    guard::check_yaml(text).map_err(|limit| Failure::Limit(format!("an answer: {limit}")))?;
    match of_interpreter("yaml.unmarshal", &[Value::from(text)]) {
        Err(Failure::Failed(_)) => Ok(Value::Null),
        result => result,
    }
}
