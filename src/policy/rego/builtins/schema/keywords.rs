//! Keywords of a schema that hold no schemas themselves, and what is said of those that are wrong.

use serde_json::{Map, Number, Value as Json};

use super::super::regex::compiled as pattern;
use super::model::{Bounds, Schema};
use super::values::same;
use super::{Fault, MAX_PATTERN};

const TYPES: &[&str] = &[
    "array", "boolean", "integer", "number", "null", "object", "string",
];

pub(super) fn fault<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Schema(text.into()))
}

pub(super) fn invalid_type<T>(expected: &str, given: &str) -> Result<T, Fault> {
    fault(format!(
        "Invalid type. Expected: {expected}, given: {given}"
    ))
}

pub(super) fn string<'m>(
    members: &'m Map<String, Json>,
    key: &str,
) -> Result<Option<&'m str>, Fault> {
    match members.get(key) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => invalid_type("string", key),
    }
}

pub(super) fn slice<'m>(members: &'m Map<String, Json>, key: &str) -> Result<&'m [Json], Fault> {
    match members.get(key) {
        None => Ok(&[]),
        Some(Json::Array(items)) => Ok(items),
        Some(_) => fault(format!("{key} must be of an array")),
    }
}

pub(super) fn number(members: &Map<String, Json>, key: &str) -> Result<Option<Number>, Fault> {
    match members.get(key) {
        None => Ok(None),
        Some(Json::Number(number)) => Ok(Some(number.clone())),
        Some(_) => fault(format!("{key} must be of a number")),
    }
}

pub(super) fn types(members: &Map<String, Json>) -> Result<Vec<String>, Fault> {
    let names = match members.get("type") {
        None => &[][..],
        Some(name @ Json::String(_)) => std::slice::from_ref(name),
        Some(Json::Array(names)) => names,
        Some(_) => return invalid_type("type", "string/array of strings"),
    };
    let mut types: Vec<String> = Vec::new();
    for name in names {
        let Json::String(name) = name else {
            return invalid_type("type", "string/array of strings");
        };
        if !TYPES.contains(&name.as_str()) {
            return fault(format!(
                "has a primitive type that is NOT VALID -- given: /{name}/ Expected valid values are:[array boolean integer number null object string]"
            ));
        }
        if types.contains(name) {
            return fault(format!("{name} type is duplicated"));
        }
        types.push(name.clone());
    }
    Ok(types)
}

pub(super) fn string_keywords(
    members: &Map<String, Json>,
    schema: &mut Schema,
) -> Result<(), Fault> {
    schema.length = bounds(members, "minLength", "maxLength")?;
    if let Some(text) = string(members, "pattern")? {
        let Ok(compiled) = pattern(text, MAX_PATTERN) else {
            return fault("pattern must be a valid regex");
        };
        schema.pattern = Some((compiled, text.to_owned()));
    }
    schema.format = string(members, "format")?.map(str::to_owned);
    Ok(())
}

pub(super) fn bound_keywords(
    members: &Map<String, Json>,
    schema: &mut Schema,
) -> Result<(), Fault> {
    schema.count = bounds(members, "minProperties", "maxProperties")?;
    for name in slice(members, "required")? {
        let Json::String(name) = name else {
            return invalid_type("string", "required");
        };
        if schema.required.contains(name) {
            return fault("required items must be unique");
        }
        schema.required.push(name.clone());
    }
    schema.items_count = Bounds {
        least: bound(members, "minItems")?,
        most: bound(members, "maxItems")?,
    };
    schema.unique = match members.get("uniqueItems") {
        None => false,
        Some(Json::Bool(unique)) => *unique,
        Some(_) => return fault("uniqueItems must be of a boolean"),
    };
    Ok(())
}

pub(super) fn bounds(
    members: &Map<String, Json>,
    least: &str,
    most: &str,
) -> Result<Bounds, Fault> {
    let bounds = Bounds {
        least: bound(members, least)?,
        most: bound(members, most)?,
    };
    match (bounds.least, bounds.most) {
        (Some(minimum), Some(maximum)) if minimum > maximum => {
            fault(format!("{least} cannot be greater than {most}"))
        }
        _ => Ok(bounds),
    }
}

pub(super) fn bound(members: &Map<String, Json>, key: &str) -> Result<Option<u64>, Fault> {
    match members.get(key) {
        None => Ok(None),
        Some(Json::Number(number)) if number.is_i64() || number.is_u64() => match number.as_u64() {
            Some(bound) => Ok(Some(bound)),
            None => fault(format!("{key} must be greater than or equal to 0")),
        },
        Some(_) => fault(format!("{key} must be of an integer")),
    }
}

pub(super) fn choices(members: &Map<String, Json>) -> Result<Option<Vec<Json>>, Fault> {
    let mut choices: Vec<Json> = Vec::new();
    for choice in slice(members, "enum")? {
        if choices.iter().any(|known| same(known, choice)) {
            return fault("enum items must be unique");
        }
        choices.push(choice.clone());
    }
    // Rule: no choices are no rule.
    Ok((!choices.is_empty()).then_some(choices))
}
