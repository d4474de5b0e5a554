//! Members `parsed_body` and `truncated_body` of the input document: a body as the document it is.

use std::collections::BTreeMap;

use regorus::Value;

use super::super::json;
use super::super::protobuf::Message;
use super::{InputError, InputSettings, multimap};
use crate::attributes::{Body, BodyKind, HeaderLookup, HttpRequest, decode_query, parts};

/// The body, and whether it was cut off.
pub(super) fn parsed(
    http: &HttpRequest,
    path: &[String],
    settings: &InputSettings,
) -> Result<(Value, bool), InputError> {
    let (kind, bytes) = match Body::of(http, settings.lookup)? {
        Body::Absent => return Ok((Value::Null, false)),
        Body::Truncated => return Ok((Value::Null, true)),
        Body::Present(kind, bytes) => (kind, bytes),
    };
    let body = match kind {
        BodyKind::Json => json::parse(bytes)?,
        BodyKind::Grpc => return grpc(path, bytes, settings),
        BodyKind::Multipart => multipart(http, settings.lookup, bytes)?,
        BodyKind::Form => multimap(&decode_query(&String::from_utf8_lossy(bytes))?),
    };
    Ok((body, false))
}

/// Rule: without descriptors nothing is read, and nothing is wrong.
fn grpc(
    path: &[String],
    bytes: &[u8],
    settings: &InputSettings,
) -> Result<(Value, bool), InputError> {
    let Some(descriptors) = &settings.descriptors else {
        return Ok((Value::Null, false));
    };
    Ok(match descriptors.first_message(path, bytes)? {
        Message::Unread => (Value::Null, false),
        Message::Truncated => (Value::Null, true),
        Message::Read(message) => (message, false),
    })
}

/// Rule: values by name, in order; a part that says it is JSON is parsed, any other is text.
fn multipart(http: &HttpRequest, lookup: HeaderLookup, bytes: &[u8]) -> Result<Value, InputError> {
    let content_type = lookup.find(http, "content-type").unwrap_or_default();
    let Some(parts) = parts(&content_type, bytes)? else {
        return Ok(Value::Null);
    };
    let mut values: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    for part in parts {
        let value = match part.is_json {
            true => json::parse(&part.value)?,
            false => Value::from(&*String::from_utf8_lossy(&part.value)),
        };
        let name = Value::from(part.name);
        values.entry(name).or_default().push(value);
    }
    let values = values.into_iter();
    let values = values.map(|(name, values)| (name, Value::from(values)));
    Ok(Value::from(values.collect::<BTreeMap<_, _>>()))
}
