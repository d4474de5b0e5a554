//! `object.subset`, which the interpreter answers for what cannot be compared.

use regorus::Value;

use super::{Answer, Builtin, Failure, any};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("object.subset", 2, subset)];

/// Rule: objects, sets or arrays of the same kind, or an array and a set, whose members are in the
/// array.
fn subset(arguments: &[Value]) -> Answer {
    let (all, some) = (any(arguments, 0)?, any(arguments, 1)?);
    let is_subset = match (all, some) {
        (Value::Array(all), Value::Set(some)) => some.iter().all(|member| all.contains(member)),
        _ => of_kind(all, some).ok_or(Failure::Failed(
            "both arguments object.subset must be of the same type or array and set",
        ))?,
    };
    Ok(Value::from(is_subset))
}

/// `None` for what has no members, or is of two kinds. Rule: of an object every key is there, and its
/// value is equal or a subset; of an array the elements, one behind the other.
fn of_kind(all: &Value, some: &Value) -> Option<bool> {
    Some(match (all, some) {
        (Value::Object(all), Value::Object(some)) => some.iter().all(|(key, part)| {
            let whole = all.get(key);
            whole.is_some_and(|whole| whole == part || of_kind(whole, part) == Some(true))
        }),
        (Value::Set(all), Value::Set(some)) => some.is_subset(all),
        (Value::Array(all), Value::Array(some)) => {
            let (all, some) = (all.as_slice(), some.as_slice());
            some.is_empty() || all.windows(some.len()).any(|window| window == some)
        }
        _ => return None,
    })
}
