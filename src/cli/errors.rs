//! Errors of the management API as a person reads them: each on a line, with its place.

use serde_json::Value;

/// A list that an answer has; none is empty.
pub(super) fn list<'a>(answer: &'a Value, member: &str) -> &'a [Value] {
    let list = answer.get(member).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// The causes that an error of the API has.
pub(super) fn lines_of(answer: &Value) -> Vec<String> {
    list(answer, "errors").iter().map(line).collect()
}

/// An error of the API on one line.
pub(super) fn line(error: &Value) -> String {
    let text = |pointer: &str| error.pointer(pointer).and_then(Value::as_str);
    let place = match (text("/location/file"), error.pointer("/location/row")) {
        (Some(file), Some(row)) if row.as_u64() > Some(0) => format!("{file}:{row}: "),
        (Some(file), _) => format!("{file}: "),
        (None, _) => String::new(),
    };
    format!(
        "{place}{}: {}",
        text("/code").unwrap_or("error"),
        text("/message").unwrap_or_default()
    )
}
