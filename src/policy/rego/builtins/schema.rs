//! `json.match_schema` and `json.verify_schema`: JSON Schema of drafts 4, 6 and 7 as the library that
//! OPA uses reads it, its complaints included. Nothing is fetched: a reference leads into the schema
//! itself or is refused.

mod check;
mod compile;
mod format;
mod keywords;
mod model;
mod outcome;
mod values;

use regorus::Value;
use serde_json::Value as Json;

use super::{Answer, Builtin, Failure, any};

/// Largest schema or document, in bytes.
const MAX_JSON: usize = 1 << 20;
/// Deepest nesting of schemas, of a document, and of both at work.
const MAX_DEPTH: usize = 128;
/// Most schemas within one.
const MAX_SCHEMAS: usize = 10_000;
/// Most comparisons of a value with a schema.
const MAX_STEPS: usize = 100_000;
/// Most errors.
const MAX_ERRORS: usize = 10_000;
/// Largest memory of a compiled pattern.
const MAX_PATTERN: usize = 100 * 1024;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("json.match_schema", 2, match_schema),
    Builtin::pure("json.verify_schema", 1, verify_schema),
];

/// What is wrong with a schema: the text of the library, or a limit of ours.
#[derive(Debug)]
enum Fault {
    Schema(String),
    Limit(&'static str),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Schema(_) => Self::Failed("json.match_schema: the schema or document is bad"),
            Fault::Limit(text) => Self::Limit(text.to_owned()),
        }
    }
}

/// Rule: whether it is a schema, and null or why not.
fn verify_schema(arguments: &[Value]) -> Answer {
    let compiled = json(any(arguments, 0)?).and_then(|schema| compile::compile(&schema));
    match compiled {
        Ok(_) => Ok(Value::from(vec![Value::from(true), Value::Null])),
        Err(Fault::Schema(why)) => {
            let why = Value::from(format!("jsonschema: {why}"));
            Ok(Value::from(vec![Value::from(false), why]))
        }
        Err(limit) => Err(limit.into()),
    }
}

/// Rule: whether the document is as the schema says, and all that is not.
fn match_schema(arguments: &[Value]) -> Answer {
    let (document, schema) = (json(any(arguments, 0)?)?, json(any(arguments, 1)?)?);
    let schema = compile::compile(&schema)?;
    let errors = check::check(&schema, &document)?;
    let is_valid = Value::from(errors.is_empty());
    let errors: Vec<_> = errors.into_iter().map(Value::from).collect();
    Ok(Value::from(vec![is_valid, Value::from(errors)]))
}

/// Rule: a string is JSON's text; else an object or an array.
fn json(value: &Value) -> Result<Json, Fault> {
    let text = match value {
        Value::String(text) => text.to_string(),
        Value::Object(_) | Value::Array(_) => {
            let text = value.to_json_str();
            text.map_err(|_| Fault::Limit("a document of this nesting is refused"))?
        }
        _ => {
            let why = "wrong type, expected string or object";
            return Err(Fault::Schema(why.to_owned()));
        }
    };
    if text.len() > MAX_JSON {
        return Err(Fault::Limit("a schema or document of this size is refused"));
    }
    serde_json::from_str(&text).map_err(|_| Fault::Schema("invalid JSON string".to_owned()))
}
