//! What looks at all members of a collection: `count`, `sum`, `product`, `min`, `max`, `sort`, and
//! version 0's `any`, `all` and `set_diff`. Values are ordered as OPA orders them.

use std::cmp::Ordering;

use regorus::Value;

use super::decimal::Decimal;
use super::{Answer, Builtin, Failure, any as argument, check_size, of_interpreter};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("all", 1, all),
    Builtin::pure("any", 1, any),
    Builtin::pure("count", 1, count),
    Builtin::pure("max", 1, max),
    Builtin::pure("min", 1, min),
    Builtin::pure("product", 1, |arguments| {
        check_product(members(argument(arguments, 0)?)?.into_iter())?;
        exact(arguments, Decimal::product).unwrap_or_else(|| of_interpreter("product", arguments))
    }),
    Builtin::pure("set_diff", 2, set_diff),
    Builtin::pure("sort", 1, sort),
    Builtin::pure("sum", 1, |arguments| {
        exact(arguments, Decimal::sum).unwrap_or_else(|| of_interpreter("sum", arguments))
    }),
];

/// Most bits of a product.
const MAX_BITS: u64 = 100_000;

const NO_COLLECTION: Failure = Failure::Failed("operand 1 must be one of {set, array}");

/// The members of an array or a set, a set's in no order.
pub(super) fn members(value: &Value) -> Result<Vec<&Value>, Failure> {
    match value {
        Value::Array(items) => Ok(items.iter().collect()),
        Value::Set(items) => Ok(items.iter().collect()),
        _ => Err(NO_COLLECTION),
    }
}

/// Members of a value, in order if it is a set.
pub(super) fn ordered_if_set(value: &Value, members: Vec<&Value>) -> Vec<Value> {
    match value {
        Value::Set(_) => ordered(members.into_iter()).cloned().collect(),
        _ => members.into_iter().cloned().collect(),
    }
}

/// Rule: what a string has are its characters.
fn count(arguments: &[Value]) -> Answer {
    let count = match argument(arguments, 0)? {
        Value::Array(items) => items.len(),
        Value::Set(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::String(text) => text.chars().count(),
        _ => return Err(Failure::Failed("operand 1 has no members")),
    };
    Ok(Value::from(count))
}

/// Rule: nothing is the largest of nothing.
fn max(arguments: &[Value]) -> Answer {
    let members = members(argument(arguments, 0)?)?;
    check_size(argument(arguments, 0)?)?;
    let largest = members.into_iter().max_by(|one, other| compare(one, other));
    Ok(largest.cloned().unwrap_or(Value::Undefined))
}

fn min(arguments: &[Value]) -> Answer {
    let members = members(argument(arguments, 0)?)?;
    check_size(argument(arguments, 0)?)?;
    let smallest = members.into_iter().min_by(|one, other| compare(one, other));
    Ok(smallest.cloned().unwrap_or(Value::Undefined))
}

fn sort(arguments: &[Value]) -> Answer {
    let mut members = members(argument(arguments, 0)?)?;
    check_size(argument(arguments, 0)?)?;
    members.sort_by(|one, other| compare(one, other));
    Ok(Value::from(
        members.into_iter().cloned().collect::<Vec<_>>(),
    ))
}

fn all(arguments: &[Value]) -> Answer {
    let members = members(argument(arguments, 0)?)?;
    let all = members.iter().all(|member| **member == Value::from(true));
    Ok(Value::from(all))
}

fn any(arguments: &[Value]) -> Answer {
    let members = members(argument(arguments, 0)?)?;
    let any = members.iter().any(|member| **member == Value::from(true));
    Ok(Value::from(any))
}

/// Refuses to multiply numbers whose product would be too long.
pub(super) fn check_product<'v>(numbers: impl Iterator<Item = &'v Value>) -> Result<(), Failure> {
    if numbers.map(bits).fold(0, u64::saturating_add) > MAX_BITS {
        return Err(Failure::Limit(format!(
            "a product of more than {MAX_BITS} bits is refused"
        )));
    }
    Ok(())
}

/// How many bits an integer has.
fn bits(value: &Value) -> u64 {
    let Value::Number(number) = value else {
        return 0;
    };
    match number.as_i64() {
        Some(number) => u64::from(u64::BITS - number.unsigned_abs().leading_zeros()),
        None if number.is_integer() => number.to_big().map_or(u64::MAX, |number| number.bits()),
        None => u64::from(u64::BITS),
    }
}

fn set_diff(arguments: &[Value]) -> Answer {
    match (argument(arguments, 0)?, argument(arguments, 1)?) {
        (Value::Set(one), Value::Set(other)) => Ok(one.difference(other).into_value()),
        _ => Err(Failure::Failed("both operands must be sets")),
    }
}

// === Order ===

/// Rule: null, booleans, numbers, strings, arrays, objects, sets, in this order; sets and objects by
/// their members in order.
pub(super) fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => by_members(one.iter(), other.iter()),
        (Value::Set(one), Value::Set(other)) => {
            by_members(ordered(one.iter()), ordered(other.iter()))
        }
        (Value::Object(one), Value::Object(other)) => {
            let mut one: Vec<_> = one.iter().collect();
            let mut other: Vec<_> = other.iter().collect();
            one.sort_by(|one, other| compare(one.0, other.0));
            other.sort_by(|one, other| compare(one.0, other.0));
            let members = |pairs: Vec<(&'_ _, &'_ _)>| {
                let members = pairs.into_iter().flat_map(|(key, value)| [key, value]);
                members.cloned().collect::<Vec<Value>>()
            };
            by_members(members(one).iter(), members(other).iter())
        }
        (one, other) if rank(one) != rank(other) => rank(one).cmp(&rank(other)),
        (one, other) => one.cmp(other),
    }
}

fn by_members<'v>(
    one: impl Iterator<Item = &'v Value>,
    other: impl Iterator<Item = &'v Value>,
) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) => match compare(one, other) {
                Ordering::Equal => {}
                different => return different,
            },
        }
    }
}

/// Values in order.
pub(super) fn ordered<'v>(
    values: impl Iterator<Item = &'v Value>,
) -> std::vec::IntoIter<&'v Value> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(|one, other| compare(one, other));
    values.into_iter()
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Undefined => 0,
        Value::Null => 1,
        Value::Bool(_) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
        Value::Set(_) => 7,
    }
}

// === Sums ===

/// What numbers come to that are not all integers. `None` where decimals cannot hold it.
fn exact(arguments: &[Value], fold: fn(Decimal, Decimal) -> Option<Decimal>) -> Option<Answer> {
    let members = members(argument(arguments, 0).ok()?).ok()?;
    let is_float = |value: &&&Value| value.as_number().is_ok_and(|number| !number.is_integer());
    members.iter().find(is_float)?;
    let mut decimals = members.iter().map(|member| Decimal::of(member));
    let first = decimals.next()??;
    let mut total = first;
    for decimal in decimals {
        total = fold(total, decimal?)?;
    }
    total.value().map(Ok)
}
