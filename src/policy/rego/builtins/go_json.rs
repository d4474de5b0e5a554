//! Values as Go's `encoding/json` writes its own types, which is how OPA shows what it has parsed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::{BigInt, BigUint};
use regorus::Value;

/// A structure with its members.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let mut object = Value::new_object();
    insert(&mut object, members);
    object
}

pub(super) fn insert<const N: usize>(object: &mut Value, members: [(&str, Value); N]) {
    if let Ok(object) = object.as_object_mut() {
        for (name, value) in members {
            object.insert(name.into(), value);
        }
    }
}

/// A slice that things were appended to: one that is empty is `null`.
pub(super) fn list<T>(items: &[T], value: impl Fn(&T) -> Value) -> Value {
    if items.is_empty() {
        return Value::Null;
    }
    Value::from(items.iter().map(value).collect::<Vec<_>>())
}

pub(super) fn strings(items: &[String]) -> Value {
    list(items, |item| Value::from(item.as_str()))
}

/// Rule: bytes are in base64.
pub(super) fn bytes(bytes: &[u8]) -> Value {
    Value::from(STANDARD.encode(bytes))
}

/// Bytes that may be nil.
pub(super) fn optional_bytes(content: Option<&[u8]>) -> Value {
    content.map_or(Value::Null, bytes)
}

/// Rule: an integer of any size is a number.
pub(super) fn natural(number: &BigUint) -> Value {
    Value::Number(BigInt::from(number.clone()).into())
}

/// Rule: an object identifier is an array of numbers.
pub(super) fn oid(oid: &[u32]) -> Value {
    Value::from(oid.iter().map(|arc| Value::from(*arc)).collect::<Vec<_>>())
}

/// Rule: what is not UTF-8 is replaced.
pub(super) fn text(bytes: &[u8]) -> Value {
    Value::from(String::from_utf8_lossy(bytes).as_ref())
}
