//! The result that a record shows, in the form of OPA's plugin, whoever made the decision. Masking it is left
//! to `secrets` and `examiner`.

use serde_json::{Map, Value};

use crate::decision::Decision;

/// What Rego would have had to answer for this decision.
pub(super) fn result_of(decision: &Decision) -> Value {
    let mut result = Map::new();
    let mut add = |name: &str, value: Value| {
        if value.as_object().is_none_or(|members| !members.is_empty())
            && value.as_array().is_none_or(|items| !items.is_empty())
        {
            result.insert(name.to_owned(), value);
        }
    };
    match decision.reply() {
        Ok(mutations) => {
            add("allowed", true.into());
            add("headers", object(&mutations.set_headers));
            add(
                "request_headers_to_remove",
                mutations.remove_headers.clone().into(),
            );
            add(
                "response_headers_to_add",
                object(&mutations.response_headers),
            );
            add("query_parameters_to_set", object(&mutations.set_parameters));
            add(
                "query_parameters_to_remove",
                mutations.remove_parameters.clone().into(),
            );
        }
        Err(denial) => {
            add("allowed", false.into());
            add("http_status", denial.status.into());
            add("headers", object(&denial.headers));
            if !denial.body.is_empty() {
                add("body", denial.body.as_str().into());
            }
        }
    }
    if let Some(metadata) = &decision.dynamic_metadata {
        add("dynamic_metadata", metadata.clone().into());
    }
    Value::Object(result)
}

/// Values by name, as a list where there are several.
fn object(pairs: &[(String, String)]) -> Value {
    let mut members = Map::new();
    for (name, value) in pairs {
        match members.get_mut(name) {
            None => drop(members.insert(name.clone(), value.as_str().into())),
            Some(Value::Array(values)) => values.push(value.as_str().into()),
            Some(one) => *one = Value::Array(vec![one.take(), value.as_str().into()]),
        }
    }
    Value::Object(members)
}
