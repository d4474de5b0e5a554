//! Reading objects as they are written.

use serde_json::{Map, Value};

use super::Workload;

pub(super) fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// A list, where none and null are an empty one.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn strings(value: &Value) -> Vec<String> {
    list(value)
        .iter()
        .map(|item| text(item).to_owned())
        .collect()
}

pub(super) fn name_of(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!(
        "{}/{}",
        text(&metadata["namespace"]),
        text(&metadata["name"])
    )
}

pub(super) fn labels_of(object: &Value) -> Map<String, Value> {
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    labels.cloned().unwrap_or_default()
}

pub(super) fn selects(object: &Value, scope: &Workload) -> bool {
    let has = |(name, value): (String, Value)| {
        let labels = scope.labels.as_ref();
        labels
            .and_then(|labels| labels.get(&name))
            .map(String::as_str)
            == Some(text(&value))
    };
    labels_of(object).into_iter().all(has)
}

/// Rule: a truth value as Go reads it.
pub(super) fn is_dry_run(object: &Value) -> bool {
    let annotation = object["metadata"]["annotations"]["istio.io/dry-run"].as_str();
    annotation.is_some_and(|text| ["1", "t", "T", "true", "TRUE", "True"].contains(&text))
}
