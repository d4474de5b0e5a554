//! Single values: their types, what equals and divides what, and the keywords that look at nothing but
//! one value.

use std::cmp::Ordering;

use serde_json::{Number, Value as Json};

use super::format::is_format;
use super::model::Schema;
use super::outcome::{Outcome, Path};

pub(super) fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if is_integer(number) => "integer",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

pub(super) fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// Rule: numbers are equal by value, however they are written.
pub(super) fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => compare(one, other).is_eq(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let is_same = |(name, value)| other.get(name).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(is_same)
        }
        (one, other) => one == other,
    }
}

pub(super) fn compare(one: &Number, other: &Number) -> Ordering {
    let exact = |number: &Number| {
        let signed = number.as_i64().map(i128::from);
        signed.or_else(|| number.as_u64().map(i128::from))
    };
    match (exact(one), exact(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => {
            let float = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
            float(one).total_cmp(&float(other))
        }
    }
}

/// Rule: as Go writes a float, and a whole one without a point.
pub(super) fn written(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => super::super::format::plain_float(float),
        _ => number.to_string(),
    }
}

/// A value as it is told in errors: JSON, in order.
pub(super) fn listed(values: &[Json]) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    values.join(", ")
}

pub(super) fn common(schema: &Schema, value: &Json, path: &Path<'_>, outcome: &mut Outcome) {
    if let Some(constant) = &schema.constant
        && !same(constant, value)
    {
        let text = format!("{} does not match: {constant}", path.field());
        outcome.complain("const", path, text);
    }
    if let Some(choices) = &schema.choices
        && !choices.iter().any(|choice| same(choice, value))
    {
        let text = format!(
            "{} must be one of the following: {}",
            path.field(),
            listed(choices)
        );
        outcome.complain("enum", path, text);
    }
    if let Some(format) = &schema.format
        && !is_format(format, value)
    {
        let text = format!("Does not match format '{format}'");
        outcome.complain("format", path, text);
    }
    outcome.score += 1;
}

pub(super) fn strings(schema: &Schema, text: &str, path: &Path<'_>, outcome: &mut Outcome) {
    let length = text.chars().count() as u64;
    if let Some(least) = schema.length.least.filter(|least| length < *least) {
        let text = format!("String length must be greater than or equal to {least}");
        outcome.complain("string_gte", path, text);
    }
    if let Some(most) = schema.length.most.filter(|most| length > *most) {
        let text = format!("String length must be less than or equal to {most}");
        outcome.complain("string_lte", path, text);
    }
    if let Some((pattern, source)) = &schema.pattern
        && !pattern.is_match(text)
    {
        let text = format!("Does not match pattern '{source}'");
        outcome.complain("pattern", path, text);
    }
    outcome.score += 1;
}

pub(super) fn numbers(schema: &Schema, number: &Number, path: &Path<'_>, outcome: &mut Outcome) {
    if let Some(multiple) = &schema.multiple_of
        && !is_multiple(number, multiple)
    {
        let text = format!("Must be a multiple of {}", written(multiple));
        outcome.complain("multiple_of", path, text);
    }
    let mut bound = |bound: &Option<Number>, breaks: fn(Ordering) -> bool, kind, text| {
        if let Some(bound) = bound
            && breaks(compare(number, bound))
        {
            outcome.complain(kind, path, format!("Must be {text} {}", written(bound)));
        }
    };
    let (most, below) = ("less than or equal to", "less than");
    bound(&schema.maximum, Ordering::is_gt, "number_lte", most);
    bound(
        &schema.exclusive_maximum,
        Ordering::is_ge,
        "number_lt",
        below,
    );
    let (least, above) = ("greater than or equal to", "greater than");
    bound(&schema.minimum, Ordering::is_lt, "number_gte", least);
    bound(
        &schema.exclusive_minimum,
        Ordering::is_le,
        "number_gt",
        above,
    );
    outcome.score += 1;
}

/// Rule: exactly, in decimals.
pub(super) fn is_multiple(number: &Number, of: &Number) -> bool {
    let exact = || {
        let (number, of) = (decimal(number)?, decimal(of)?);
        let scale = number.1.max(of.1);
        let scaled = |(digits, own): (i128, u32)| {
            digits.checked_mul(10i128.checked_pow(scale.checked_sub(own)?)?)
        };
        scaled(number)?.checked_rem(scaled(of)?)
    };
    let rough = || {
        let quotient = number.as_f64()? / of.as_f64()?;
        Some(quotient.fract() == 0.0)
    };
    match exact() {
        Some(rest) => rest == 0,
        None => rough().unwrap_or(false),
    }
}

/// Digits, and how many of them are behind the point.
pub(super) fn decimal(number: &Number) -> Option<(i128, u32)> {
    let text = match number.is_f64() {
        true => format!("{}", number.as_f64()?),
        false => number.to_string(),
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{part}").parse().ok()?;
    Some((digits, u32::try_from(part.len()).ok()?))
}
