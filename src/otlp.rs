//! OTLP's messages for logs and traces, as far as they are sent, and what a collector's answer means. Declared here
//! by their field numbers: the generated ones would bring a gRPC client and an SDK along. How they are
//! sent is in `service`, what is sent is left to others.

pub mod logs;
pub mod traces;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use prost::{Message, Oneof};
use serde_json::Value;

/// What messages over HTTP are sent as.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// `opentelemetry.proto.resource.v1.Resource`.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// `opentelemetry.proto.common.v1.InstrumentationScope`.
#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
}

/// `opentelemetry.proto.common.v1.KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// `opentelemetry.proto.common.v1.AnyValue`. Nothing in it is nothing.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3, 4, 5, 6")]
    pub value: Option<Any>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    Map(KeyValueList),
}

#[derive(Clone, PartialEq, Message)]
pub struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// `ExportLogsServiceResponse`, `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// How many records or spans will never be taken.
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// What a collector answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Taken,
    /// The same may be sent again.
    Again,
    TooLarge,
    Refused,
}

/// Rule: of all statuses, these four say that it may be tried again (OTLP, "Retryable Response Codes").
pub fn answer(status: u16) -> Answer {
    match status {
        200..=299 => Answer::Taken,
        429 | 502 | 503 | 504 => Answer::Again,
        413 => Answer::TooLarge,
        _ => Answer::Refused,
    }
}

/// What this process is, in everything it sends. What is given stands over it.
pub fn resource(id: &str, given: &BTreeMap<String, String>) -> Resource {
    let own = [
        ("service.name", "doorward"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", id),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut attributes = BTreeMap::from(own);
    attributes.extend(given.clone());
    Resource {
        attributes: attributes
            .into_iter()
            .map(|(key, value)| text(&key, value))
            .collect(),
    }
}

/// An attribute.
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, AnyValue::of(Any::Text(value.into())))
}

pub fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value),
    }
}

// === impl AnyValue ===

impl AnyValue {
    pub fn of(value: Any) -> Self {
        Self { value: Some(value) }
    }

    /// JSON has no value that cannot be said; a number beyond 64 bits is said roughly.
    pub fn of_json(value: &Value) -> Self {
        let value = match value {
            Value::Null => None,
            Value::Bool(value) => Some(Any::Bool(*value)),
            Value::Number(number) => Some(match number.as_i64() {
                Some(number) => Any::Int(number),
                None => Any::Double(number.as_f64().unwrap_or(f64::NAN)),
            }),
            Value::String(text) => Some(Any::Text(text.clone())),
            Value::Array(items) => Some(Any::Array(ArrayValue {
                values: items.iter().map(Self::of_json).collect(),
            })),
            Value::Object(members) => {
                let members = members.iter();
                let values = members.map(|(key, value)| attribute(key, Self::of_json(value)));
                Some(Any::Map(KeyValueList {
                    values: values.collect(),
                }))
            }
        };
        Self { value }
    }
}
