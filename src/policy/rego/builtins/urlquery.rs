//! `urlquery.*`: parts of URLs as Go's `net/url` writes and reads them.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regorus::Value;

use super::{Answer, Builtin, Failure, any, text};
use crate::attributes::decode_query;

/// Everything but letters, digits and `-_.~`.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("urlquery.decode", 1, decode),
    Builtin::pure("urlquery.decode_object", 1, decode_object),
    Builtin::pure("urlquery.encode", 1, |arguments| {
        Ok(Value::from(escape(text(arguments, 0)?)))
    }),
    Builtin::pure("urlquery.encode_object", 1, encode_object),
];

/// Rule: `+` is a space, a broken escape an error.
fn decode(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?.replace('+', " ");
    let is_hexadecimal = |digits: &str| digits.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    let mut escapes = text.split('%').skip(1);
    if escapes.any(|rest| rest.len() < 2 || !is_hexadecimal(rest)) {
        return Err(Failure::Failed("invalid URL escape"));
    }
    let decoded = percent_decode_str(&text).decode_utf8_lossy();
    Ok(Value::from(decoded.as_ref()))
}

/// Rule: an array of values for each name, in order.
fn decode_object(arguments: &[Value]) -> Answer {
    let parameters =
        decode_query(text(arguments, 0)?).map_err(|_| Failure::Failed("not the query of a URL"))?;
    let members = parameters.into_iter().map(|(name, values)| {
        let values: Vec<_> = values.into_iter().map(Value::from).collect();
        (Value::from(name), Value::from(values))
    });
    Ok(Value::from(members.collect::<BTreeMap<_, _>>()))
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, RESERVED)
        .to_string()
        .replace("%20", "+")
}

/// Rule: names in order; a value is a string, or an array or set of strings.
fn encode_object(arguments: &[Value]) -> Answer {
    let Value::Object(members) = any(arguments, 0)? else {
        return Err(Failure::Failed("operand 1 must be object"));
    };
    let mut parts = BTreeMap::new();
    for (name, values) in members.iter() {
        let values = match values {
            Value::Array(values) => values.iter().map(string).collect::<Result<Vec<_>, _>>(),
            Value::Set(values) => values.iter().map(string).collect(),
            value => string(value).map(|value| vec![value]),
        };
        parts.insert(string(name)?, values?);
    }
    let pairs = parts.iter().flat_map(|(name, values)| {
        let pair = move |value: &&str| format!("{}={}", escape(name), escape(value));
        values.iter().map(pair)
    });
    Ok(Value::from(pairs.collect::<Vec<_>>().join("&")))
}

fn string(value: &Value) -> Result<&str, Failure> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Failure::Failed(
            "operand 1 values must be string, array[string], or set[string]",
        )),
    }
}
