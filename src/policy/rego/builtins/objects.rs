//! `object.subset`, which the interpreter answers for what cannot be compared. However large both values
//! are, no part of them is compared again for each part of the other.

use std::collections::BTreeSet;

use regorus::Value;

use super::search::Sought;
use super::{Answer, Builtin, Failure, any};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("object.subset", 2, subset)];

/// Rule: objects, sets or arrays of the same kind, or an array and a set, whose members are in the
/// array.
fn subset(arguments: &[Value]) -> Answer {
    let (all, some) = (any(arguments, 0)?, any(arguments, 1)?);
    let is_subset = match (all, some) {
        (Value::Array(all), Value::Set(some)) => {
            let all: BTreeSet<_> = all.iter().collect();
            some.iter().all(|member| all.contains(member))
        }
        _ => of_kind(all, some).ok_or(Failure::Failed(
            "both arguments object.subset must be of the same type or array and set",
        ))?,
    };
    Ok(Value::from(is_subset))
}

/// `None` for what has no members, or is of two kinds. Rule: of an object every key is there, and its
/// value is equal or a subset, which an equal one is; of an array the elements, one behind the other.
fn of_kind(all: &Value, some: &Value) -> Option<bool> {
    Some(match (all, some) {
        (Value::Object(all), Value::Object(some)) => some.iter().all(|(key, part)| {
            let whole = all.get(key);
            whole.is_some_and(|whole| of_kind(whole, part).unwrap_or_else(|| whole == part))
        }),
        (Value::Set(all), Value::Set(some)) => some.is_subset(all),
        (Value::Array(all), Value::Array(some)) => is_within(all.as_slice(), some.as_slice()),
        _ => return None,
    })
}

/// Whether elements are in a list, one behind the other.
fn is_within(all: &[Value], some: &[Value]) -> bool {
    let mut sought = Sought::new(some);
    some.is_empty() || all.iter().any(|item| sought.ends_with(item))
}
