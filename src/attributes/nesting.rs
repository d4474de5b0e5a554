//! How deep a document of JSON nests.

use serde_json::Value;

/// Whether lists and objects lie deeper in each other than so many levels. Its parser has a limit of its own,
/// so that this cannot run deep.
pub fn is_deeper(value: &Value, levels: usize) -> bool {
    let deeper = |value: &Value| is_deeper(value, levels.saturating_sub(1));
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(deeper),
        Value::Object(members) => levels == 0 || members.values().any(deeper),
        _ => false,
    }
}
