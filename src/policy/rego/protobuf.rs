//! Bodies of gRPC requests: the first message, read by descriptors that the operator gave and shown
//! in protobuf's JSON form. Which requests have such a body is said in `attributes`; the types that
//! have a form of their own are in `known`.

mod known;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value as Field,
};
use regorus::Value;
use thiserror::Error;

use super::json;

/// Length of what stands in front of a message: whether it is compressed, and its length.
const FRAME: usize = 5;
/// Deepest nesting of messages, those inside an `Any` included; the decoder has the same for what
/// is not.
const MAX_DEPTH: usize = 100;

/// Services and messages that bodies are read by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptors(DescriptorPool);

/// What became of a body.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// It is compressed, or nothing tells how it is to be read.
    Unread,
    /// The proxy cut it off.
    Truncated,
    Read(Value),
}

/// Why a body cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtobufError {
    #[error("invalid parsed path")]
    Path,
    #[error("less than 5 bytes")]
    Frame,
    #[error("proto: {0}")]
    Wire(#[from] prost::DecodeError),
    #[error("proto: required field {0} not set")]
    Required(String),
    #[error("proto: {0}: unable to resolve {1:?}: not found")]
    UnknownType(&'static str, String),
    #[error("proto: {0}: {1}")]
    Form(&'static str, &'static str),
    #[error("proto: exceeded max depth")]
    Depth,
}

// === impl Descriptors ===

impl Descriptors {
    /// Reads an encoded `FileDescriptorSet` that holds all it imports.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let pool = DescriptorPool::decode(bytes);
        pool.map(Self).map_err(|error| error.to_string())
    }

    /// The first message of a body, for the method that the path names.
    pub(super) fn first_message(
        &self,
        path: &[String],
        body: &[u8],
    ) -> Result<Message, ProtobufError> {
        let [service, method] = path else {
            return Err(ProtobufError::Path);
        };
        let Some((&[compressed, a, b, c, d], rest)) = body.split_first_chunk::<FRAME>() else {
            return Err(ProtobufError::Frame);
        };
        if compressed != 0 {
            return Ok(Message::Unread);
        }
        // Rule: one message, and what is behind it is not looked at.
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some(message) = rest.get(..length) else {
            return Ok(Message::Truncated);
        };
        let Some(descriptor) = self.request_of(service, method) else {
            return Ok(Message::Unread);
        };
        let message = DynamicMessage::decode(descriptor, message)?;
        let shown = Shower::new(&self.0).message(&message)?;
        Ok(Message::Read(shown))
    }

    /// Rule: a method that takes a stream is as good as none.
    fn request_of(&self, service: &str, method: &str) -> Option<MessageDescriptor> {
        let service = self.0.get_service_by_name(service)?;
        let method = service.methods().find(|known| known.name() == method)?;
        (!method.is_client_streaming()).then(|| method.input())
    }
}

/// Shows messages as JSON.
struct Shower<'a> {
    pool: &'a DescriptorPool,
    depth: usize,
}

type Shown = Result<Value, ProtobufError>;

impl<'a> Shower<'a> {
    fn new(pool: &'a DescriptorPool) -> Self {
        Self { pool, depth: 0 }
    }

    fn message(&mut self, message: &DynamicMessage) -> Shown {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ProtobufError::Depth);
        }
        let shown = match known::form(message.descriptor().full_name()) {
            Some(form) => form(self, message)?,
            None => Value::from(self.members(message)?),
        };
        self.depth -= 1;
        Ok(shown)
    }

    /// Rule: what is set, under its name in JSON; what is at its default and has no presence is not.
    fn members(
        &mut self,
        message: &DynamicMessage,
    ) -> Result<BTreeMap<Value, Value>, ProtobufError> {
        let mut members = BTreeMap::new();
        for (field, value) in message.fields() {
            let shown = self.field(value, &field.kind())?;
            members.insert(Value::from(field.json_name()), shown);
        }
        for (field, value) in message.extensions() {
            let shown = self.field(value, &field.kind())?;
            members.insert(Value::from(field.json_name()), shown);
        }
        for field in message.descriptor().fields() {
            if field.cardinality() == Cardinality::Required && !message.has_field(&field) {
                return Err(ProtobufError::Required(field.full_name().to_owned()));
            }
        }
        Ok(members)
    }

    fn field(&mut self, value: &Field, kind: &Kind) -> Shown {
        Ok(match value {
            Field::Bool(value) => Value::from(*value),
            Field::I32(value) => Value::from(i64::from(*value)),
            Field::U32(value) => Value::from(u64::from(*value)),
            // Rule: what a double cannot hold is text.
            Field::I64(value) => text(value),
            Field::U64(value) => text(value),
            Field::F32(value) => number(f64::from(*value), value)?,
            Field::F64(value) => number(*value, value)?,
            Field::String(value) => Value::from(value.as_str()),
            Field::Bytes(value) => Value::from(STANDARD.encode(value)),
            Field::EnumNumber(number) => enumerated(*number, kind),
            Field::Message(message) => self.message(message)?,
            Field::List(items) => {
                let items = items.iter().map(|item| self.field(item, kind));
                Value::from(items.collect::<Result<Vec<_>, _>>()?)
            }
            Field::Map(entries) => {
                let Kind::Message(entry) = kind else {
                    return Err(ProtobufError::Form("map", "is not one"));
                };
                let kind = entry.map_entry_value_field().kind();
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((name(key), self.field(value, &kind)?)));
                Value::from(entries.collect::<Result<BTreeMap<_, _>, ProtobufError>>()?)
            }
        })
    }
}

fn text(value: impl Display) -> Value {
    Value::from(value.to_string())
}

fn name(key: &MapKey) -> Value {
    match key {
        MapKey::Bool(key) => text(key),
        MapKey::I32(key) => text(key),
        MapKey::I64(key) => text(key),
        MapKey::U32(key) => text(key),
        MapKey::U64(key) => text(key),
        MapKey::String(key) => Value::from(key.as_str()),
    }
}

/// Rule: the shortest decimal number that is read as the same; what is no number is text.
fn number(value: f64, shown: impl std::fmt::LowerExp) -> Shown {
    if value.is_nan() {
        return Ok(Value::from("NaN"));
    }
    if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return Ok(Value::from(format!("{sign}Infinity")));
    }
    let number = json::number(&format!("{shown:e}"));
    number.map_err(|_| ProtobufError::Form("double", "is out of range"))
}

/// Rule: the name, or the number of one that is not known.
fn enumerated(number: i32, kind: &Kind) -> Value {
    let Kind::Enum(known) = kind else {
        return Value::from(i64::from(number));
    };
    if known.full_name() == "google.protobuf.NullValue" {
        return Value::Null;
    }
    match known.get_value(number) {
        Some(value) => Value::from(value.name()),
        None => Value::from(i64::from(number)),
    }
}
