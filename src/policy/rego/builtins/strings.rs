//! `strings.*` and `array.*` that the interpreter lacks or gets wrong.

use regorus::Value;

use super::{Answer, Builtin, Failure, any, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("strings.count", 2, count),
    Builtin::pure("array.flatten", 1, flatten),
];

/// Rule: how often a text is found in another, without overlap; the empty text is found before
/// every character and at the end.
fn count(arguments: &[Value]) -> Answer {
    let (search, wanted) = (text(arguments, 0)?, text(arguments, 1)?);
    let count = match wanted {
        "" => search.chars().count() + 1,
        wanted => search.matches(wanted).count(),
    };
    Ok(Value::from(count))
}

/// Rule: the elements of arrays in an array take those arrays' place, one level deep.
fn flatten(arguments: &[Value]) -> Answer {
    let Value::Array(items) = any(arguments, 0)? else {
        return Err(Failure::Failed("array.flatten: operand 1 must be array"));
    };
    let mut flat = Vec::with_capacity(items.len());
    for item in items.iter() {
        match item {
            Value::Array(inner) => flat.extend(inner.iter().cloned()),
            other => flat.push(other.clone()),
        }
    }
    Ok(Value::from(flat))
}
