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
/// Most bytes of errors, those of alternatives that are dropped as well.
const MAX_TOLD: usize = 16 << 20;
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
            check_exact(value)?;
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
    let bad = || Fault::Schema("invalid JSON string".to_owned());
    let json = serde_json::from_str(&text).map_err(|_| bad())?;
    if matches!(value, Value::String(_)) && has_rough(&json) {
        let exact = crate::policy::rego::json::parse(text.as_bytes());
        check_exact(&exact.map_err(|_| bad())?)?;
    }
    Ok(json)
}

/// Whether there are numbers that may have been rounded to a floating-point number.
fn has_rough(json: &Json) -> bool {
    match json {
        Json::Number(number) => number.is_f64(),
        Json::Array(items) => items.iter().any(has_rough),
        Json::Object(members) => members.values().any(has_rough),
        _ => false,
    }
}

/// Refuses whole numbers that would be rounded, since those that differ would be the same.
fn check_exact(value: &Value) -> Result<(), Fault> {
    match value {
        Value::Number(number) if number.is_integer() && !is_exact(value) => Err(Fault::Limit(
            "a whole number that neither 64 bits nor a floating-point number hold is refused",
        )),
        Value::Array(items) => items.iter().try_for_each(check_exact),
        Value::Set(items) => items.iter().try_for_each(check_exact),
        Value::Object(members) => members.values().try_for_each(check_exact),
        _ => Ok(()),
    }
}

fn is_exact(value: &Value) -> bool {
    let Value::Number(number) = value else {
        return true;
    };
    let fits = number.as_i64().is_some() || number.as_u64().is_some();
    let is_same = |float: f64| float.is_finite() && Value::from(float) == *value;
    fits || number.format_decimal().parse().is_ok_and(is_same)
}
