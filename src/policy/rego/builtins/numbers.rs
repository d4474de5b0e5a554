//! `numbers.*`: ranges no longer than a policy needs.

use regorus::Value;

use super::{Answer, Builtin, Failure, any};

/// Most numbers of a range.
const MAX_NUMBERS: u64 = 1_000_000;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("numbers.range", 2, numbers_range),
    Builtin::pure("numbers.range_step", 3, numbers_range_step),
];

/// Rule: from the first to the last, down if the first is larger.
fn numbers_range(arguments: &[Value]) -> Answer {
    range(arguments, 1)
}

/// Rule: as `numbers.range`, by a step greater than zero.
fn numbers_range_step(arguments: &[Value]) -> Answer {
    match any(arguments, 2)?.as_i64() {
        Ok(step) if step > 0 => range(arguments, step),
        _ => Err(Failure::Failed("the step must be a positive integer")),
    }
}

fn range(arguments: &[Value], step: i64) -> Answer {
    let (from, to) = (any(arguments, 0)?.as_i64(), any(arguments, 1)?.as_i64());
    let (Ok(from), Ok(to)) = (from, to) else {
        return Err(Failure::Failed("both ends must be integers"));
    };
    let distance = from.abs_diff(to) / step.unsigned_abs();
    if distance >= MAX_NUMBERS {
        return Err(Failure::Limit(format!(
            "a range of more than {MAX_NUMBERS} numbers is refused"
        )));
    }
    let count = i64::try_from(distance).unwrap_or_default();
    let direction = if from <= to { step } else { -step };
    // A step may overflow on the way; the sum, which lies between both ends, is right all the same.
    let number = |index: i64| from.wrapping_add(index.wrapping_mul(direction));
    let numbers = (0..=count).map(|index| Value::from(number(index)));
    Ok(Value::from(numbers.collect::<Vec<_>>()))
}
