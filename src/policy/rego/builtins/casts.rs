//! Numbers out of texts, and version 0's `cast_*`, which give back what has the type already.

use std::collections::BTreeSet;

use regorus::Value;

use super::{Answer, Builtin, Failure, aggregates, any};

/// Longest text of a number, in bytes.
const MAX_NUMBER: usize = 4_096;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("cast_array", 1, cast_array),
    Builtin::pure("cast_boolean", 1, |arguments| {
        cast(arguments, |value| matches!(value, Value::Bool(_)))
    }),
    Builtin::pure("cast_null", 1, |arguments| {
        cast(arguments, |value| matches!(value, Value::Null))
    }),
    Builtin::pure("cast_object", 1, |arguments| {
        cast(arguments, |value| matches!(value, Value::Object(_)))
    }),
    Builtin::pure("cast_set", 1, cast_set),
    Builtin::pure("cast_string", 1, |arguments| {
        cast(arguments, |value| matches!(value, Value::String(_)))
    }),
    Builtin::pure("to_number", 1, to_number),
];

fn cast(arguments: &[Value], is_of_type: fn(&Value) -> bool) -> Answer {
    let value = any(arguments, 0)?;
    match is_of_type(value) {
        true => Ok(value.clone()),
        false => Err(Failure::Failed("operand 1 is of another type")),
    }
}

fn cast_array(arguments: &[Value]) -> Answer {
    let members = aggregates::members(any(arguments, 0)?)?;
    let members = aggregates::ordered_if_set(any(arguments, 0)?, members);
    Ok(Value::from(members))
}

fn cast_set(arguments: &[Value]) -> Answer {
    let members = aggregates::members(any(arguments, 0)?)?;
    Ok(Value::from(
        members.into_iter().cloned().collect::<BTreeSet<_>>(),
    ))
}

/// Rule: null and booleans are 0 and 1, and a text what Go's `ParseFloat` takes, but for infinities.
fn to_number(arguments: &[Value]) -> Answer {
    match any(arguments, 0)? {
        Value::Null | Value::Bool(false) => Ok(Value::from(0)),
        Value::Bool(true) => Ok(Value::from(1)),
        Value::Number(number) => Ok(Value::Number(number.clone())),
        Value::String(text) => number(text),
        _ => Err(Failure::Failed(
            "operand 1 must be one of {null, boolean, number, string}",
        )),
    }
}

fn number(text: &str) -> Answer {
    if text.len() > MAX_NUMBER {
        return Err(Failure::Limit(
            "a number of this size is refused".to_owned(),
        ));
    }
    // Rule: underscores may stand between digits.
    let digit = |at: Option<usize>| {
        let byte = at.and_then(|at| text.as_bytes().get(at));
        byte.is_some_and(u8::is_ascii_digit)
    };
    let mut underscores = text.match_indices('_').map(|(at, _)| at);
    if !underscores.all(|at| digit(at.checked_sub(1)) && digit(Some(at + 1))) {
        return Err(Failure::Failed("not a number"));
    }
    let text = text.replace('_', "");
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    // Rule: digits, perhaps a point among them, perhaps an exponent.
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = digits(whole)
        && digits(part)
        && !(whole.is_empty() && part.is_empty())
        && digits(exponent)
        && !exponent.is_empty();
    // Rule: no larger than a double.
    let is_finite = text.parse::<f64>().is_ok_and(f64::is_finite);
    if !is_number || !is_finite {
        return Err(Failure::Failed("not a number"));
    }
    Value::from_numeric_string(&text).map_err(|_| Failure::Failed("not a number"))
}
