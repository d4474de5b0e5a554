//! Operators, under the names that OPA's compiler gives their calls. What is no operand of theirs is a
//! failure of the built-in, where the interpreter ends the evaluation; an undefined operand of `in`
//! makes it undefined. Where operators stand in a text is for `lower` to find.

use std::cmp::Ordering;

use regorus::Value;

use super::aggregates::{check_product, compare};
use super::decimal::Decimal;
use super::{Answer, Builtin, Failure, any, check_size};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("and", 2, and),
    Builtin::pure("div", 2, div),
    Builtin::pure("equal", 2, |arguments| ordered(arguments, Ordering::is_eq)),
    Builtin::pure("gt", 2, |arguments| ordered(arguments, Ordering::is_gt)),
    Builtin::pure("gte", 2, |arguments| ordered(arguments, Ordering::is_ge)),
    Builtin::pure("internal.member_2", 2, member),
    Builtin::pure("internal.member_3", 3, member_at),
    Builtin::pure("lt", 2, |arguments| ordered(arguments, Ordering::is_lt)),
    Builtin::pure("lte", 2, |arguments| ordered(arguments, Ordering::is_le)),
    Builtin::pure("minus", 2, minus),
    Builtin::pure("mul", 2, mul),
    Builtin::pure("neq", 2, |arguments| ordered(arguments, Ordering::is_ne)),
    Builtin::pure("or", 2, or),
    Builtin::pure("plus", 2, plus),
    Builtin::pure("rem", 2, rem),
];

const NO_SET: Failure = Failure::Failed("both operands must be sets");
const NO_NUMBER: Failure = Failure::Failed("both operands must be numbers");

/// The interpreter's arithmetic, which is exact for integers.
type Arithmetic<T> = fn(&Value, &Value) -> Option<T>;

fn plus(arguments: &[Value]) -> Answer {
    let of_integers: Arithmetic<_> = |one, other| {
        let sum = one.as_number().ok()?.add(other.as_number().ok()?);
        sum.ok().map(Value::from)
    };
    arithmetic(arguments, Decimal::sum, of_integers)
}

/// Rule: of two sets, the difference; of a set and a number, nothing.
fn minus(arguments: &[Value]) -> Answer {
    match (any(arguments, 0)?, any(arguments, 1)?) {
        (Value::Set(one), Value::Set(other)) => Ok(one.difference(other).into_value()),
        _ => {
            let of_integers: Arithmetic<_> = |one, other| {
                let difference = one.as_number().ok()?.sub(other.as_number().ok()?);
                difference.ok().map(Value::from)
            };
            arithmetic(arguments, Decimal::difference, of_integers)
        }
    }
}

fn mul(arguments: &[Value]) -> Answer {
    let (one, other) = numbers(arguments)?;
    check_product([one, other].into_iter())?;
    let of_integers: Arithmetic<_> = |one, other| {
        let product = one.as_number().ok()?.mul(other.as_number().ok()?);
        product.ok().map(Value::from)
    };
    arithmetic(arguments, Decimal::product, of_integers)
}

fn div(arguments: &[Value]) -> Answer {
    let (one, other) = numbers(arguments)?;
    if *other == Value::from(0) {
        return Err(Failure::Failed("divide by zero"));
    }
    let quotient = one.as_number().ok().and_then(|one| {
        let quotient = one.clone().divide(other.as_number().ok()?);
        quotient.ok().map(Value::from)
    });
    quotient.ok_or(NO_NUMBER)
}

/// Rule: of integers only; the sign is the first operand's.
fn rem(arguments: &[Value]) -> Answer {
    let (one, other) = numbers(arguments)?;
    if *other == Value::from(0) {
        return Err(Failure::Failed("modulo by zero"));
    }
    let remainder = one.as_number().ok().and_then(|one| {
        let remainder = one.clone().modulo(other.as_number().ok()?);
        remainder.ok().map(Value::from)
    });
    remainder.ok_or(Failure::Failed("modulo on floating-point number"))
}

/// Integers are exact; of other numbers, the decimals count that they are written in.
fn arithmetic(
    arguments: &[Value],
    of_decimals: fn(Decimal, Decimal) -> Option<Decimal>,
    of_integers: Arithmetic<Value>,
) -> Answer {
    let (one, other) = numbers(arguments)?;
    let has_fraction = |value: &Value| value.as_number().is_ok_and(|number| !number.is_integer());
    let decimals = || of_decimals(Decimal::of(one)?, Decimal::of(other)?)?.value();
    let value = match has_fraction(one) || has_fraction(other) {
        true => decimals(),
        false => None,
    };
    value
        .or_else(|| of_integers(one, other))
        .ok_or(Failure::Failed("the number is too large"))
}

fn numbers(arguments: &[Value]) -> Result<(&Value, &Value), Failure> {
    match (any(arguments, 0)?, any(arguments, 1)?) {
        (one @ Value::Number(_), other @ Value::Number(_)) => Ok((one, other)),
        _ => Err(NO_NUMBER),
    }
}

fn and(arguments: &[Value]) -> Answer {
    match (any(arguments, 0)?, any(arguments, 1)?) {
        (Value::Set(one), Value::Set(other)) => Ok(one.intersection(other).into_value()),
        _ => Err(NO_SET),
    }
}

fn or(arguments: &[Value]) -> Answer {
    match (any(arguments, 0)?, any(arguments, 1)?) {
        (Value::Set(one), Value::Set(other)) => Ok(one.union(other).into_value()),
        _ => Err(NO_SET),
    }
}

/// Rule: values of all types have an order among them.
fn ordered(arguments: &[Value], holds: fn(Ordering) -> bool) -> Answer {
    let (one, other) = (any(arguments, 0)?, any(arguments, 1)?);
    check_size(one).and_then(|()| check_size(other))?;
    let order = compare(one, other);
    Ok(Value::from(holds(order)))
}

/// Rule: nothing is in what is no collection.
fn member(arguments: &[Value]) -> Answer {
    let value = any(arguments, 0)?;
    let is_member = match any(arguments, 1)? {
        Value::Array(items) => items.contains(value),
        Value::Set(items) => items.contains(value),
        Value::Object(members) => members.values().any(|member| member == value),
        _ => false,
    };
    Ok(Value::from(is_member))
}

/// Rule: a member under a key; a set's members are their own keys.
fn member_at(arguments: &[Value]) -> Answer {
    let (key, value) = (any(arguments, 0)?, any(arguments, 1)?);
    let is_member = match any(arguments, 2)? {
        Value::Array(items) => {
            let index = key
                .as_u64()
                .ok()
                .and_then(|index| usize::try_from(index).ok());
            index.and_then(|index| items.get(index)) == Some(value)
        }
        Value::Object(members) => members.get(key) == Some(value),
        Value::Set(items) => key == value && items.contains(value),
        _ => false,
    };
    Ok(Value::from(is_member))
}
