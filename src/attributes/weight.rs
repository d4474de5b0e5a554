//! How much memory JSON takes: what caches bounded by bytes count with.

use serde_json::Value;

use super::JsonObject;

/// Roughly how much memory an object's members take, in bytes.
pub fn object_weight(object: &JsonObject) -> usize {
    let members = object.iter();
    members
        .map(|(name, value)| name.len() + 24 + value_weight(value))
        .sum()
}

/// Roughly how much memory a value takes, in bytes.
pub fn value_weight(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_weight).sum(),
        Value::Object(object) => object_weight(object),
        _ => 0,
    };
    size_of::<Value>() + inside
}
