//! Texts, and `array.flatten`, where the interpreter lacks something or takes it otherwise than Go:
//! letters, searches, replacements, and how long a text may get.

use regorus::Value;

use super::{Answer, Builtin, Failure, aggregates, any, text};

/// Longest text made, in bytes.
const MAX_TEXT: usize = 16 << 20;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("array.flatten", 1, flatten),
    Builtin::pure("concat", 2, concat),
    Builtin::pure("indexof", 2, index_of),
    Builtin::pure("indexof_n", 2, index_of_n),
    Builtin::pure("lower", 1, |arguments| {
        Ok(Value::from(
            text(arguments, 0)?.chars().map(lower).collect::<String>(),
        ))
    }),
    Builtin::pure("strings.count", 2, count),
    Builtin::pure("strings.replace_n", 2, replace_n),
    Builtin::pure("substring", 3, substring),
    Builtin::pure("upper", 1, |arguments| {
        Ok(Value::from(
            text(arguments, 0)?.chars().map(upper).collect::<String>(),
        ))
    }),
];

fn too_long() -> Failure {
    Failure::Limit(format!("a text of more than {MAX_TEXT} bytes is refused"))
}

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

/// Rule: members of a set are joined in order.
fn concat(arguments: &[Value]) -> Answer {
    let between = text(arguments, 0)?;
    let parts = any(arguments, 1)?;
    let parts = aggregates::ordered_if_set(parts, aggregates::members(parts)?);
    let part = |part: &Value| match part {
        Value::String(text) => Ok(text.clone()),
        _ => Err(Failure::Failed("operand 2 must be of strings")),
    };
    let parts = parts.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length.saturating_add(parts.len().saturating_mul(between.len())) > MAX_TEXT {
        return Err(too_long());
    }
    Ok(Value::from(parts.join(between)))
}

// === Searches ===

/// Where a text is found, in characters, also where it overlaps itself; nothing is not looked for.
fn found(arguments: &[Value]) -> Result<impl Iterator<Item = usize>, Failure> {
    let (text, wanted) = (text(arguments, 0)?, text(arguments, 1)?.as_bytes());
    if wanted.is_empty() {
        return Err(Failure::Failed("empty search character"));
    }
    // By Knuth, Morris and Pratt: no byte of the text is looked at again, whatever repeats.
    let borders = borders(wanted);
    let length = wanted.iter().filter(|byte| is_first(**byte)).count();
    let (mut matched, mut characters) = (0, 0);
    Ok(text.bytes().filter_map(move |byte| {
        characters += usize::from(is_first(byte));
        matched = extended(wanted, &borders, matched, byte);
        (matched == wanted.len()).then(|| {
            matched = borders.last().copied().unwrap_or(0);
            characters - length
        })
    }))
}

/// Whether a character begins with a byte.
fn is_first(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// For each beginning of a text, the longest shorter one that it ends with.
fn borders(wanted: &[u8]) -> Vec<usize> {
    let mut borders = Vec::with_capacity(wanted.len());
    let mut matched = 0;
    for (at, byte) in wanted.iter().enumerate() {
        if at > 0 {
            matched = extended(wanted, &borders, matched, *byte);
        }
        borders.push(matched);
    }
    borders
}

/// How much of a text is matched with one more byte.
fn extended(wanted: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    while wanted.get(matched) != Some(&byte) {
        let Some(last) = matched.checked_sub(1) else {
            return 0;
        };
        matched = borders.get(last).copied().unwrap_or(0);
    }
    matched + 1
}

fn index_of(arguments: &[Value]) -> Answer {
    let first = found(arguments)?.next();
    Ok(first.map_or_else(|| Value::from(-1), Value::from))
}

fn index_of_n(arguments: &[Value]) -> Answer {
    let all: Vec<_> = found(arguments)?.map(Value::from).collect();
    Ok(Value::from(all))
}

/// Rule: so many characters from an offset on, or all of them if the length is negative.
fn substring(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    let number = |index| {
        let number = any(arguments, index)?.as_i64();
        number.map_err(|_| Failure::Failed("must be integer number"))
    };
    let (offset, length) = (number(1)?, number(2)?);
    let offset = usize::try_from(offset).map_err(|_| Failure::Failed("negative offset"))?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let part: String = text.chars().skip(offset).take(length).collect();
    Ok(Value::from(part))
}

// === Letters ===

/// Rule: letters change one by one, and one letter stays one.
fn upper(letter: char) -> char {
    let mut upper = letter.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        // Greek letters with a iota below have a capital of their own.
        _ => match u32::from(letter) {
            0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => shifted(letter, 8),
            0x1fb3 | 0x1fc3 | 0x1ff3 => shifted(letter, 9),
            _ => letter,
        },
    }
}

fn shifted(letter: char, by: u32) -> char {
    char::from_u32(u32::from(letter) + by).unwrap_or(letter)
}

fn lower(letter: char) -> char {
    let mut lower = letter.to_lowercase();
    lower.next().unwrap_or(letter)
}

// === Replacements ===

/// Rule: all at once: at each place the first of the patterns, in order, that is found there. An
/// empty pattern is found at every place, but not twice at the same.
fn replace_n(arguments: &[Value]) -> Answer {
    let Value::Object(patterns) = any(arguments, 0)? else {
        return Err(Failure::Failed("operand 1 must be object"));
    };
    let pair = |(old, new): (&_, &_)| match (old, new) {
        (Value::String(old), Value::String(new)) => Ok((old.clone(), new.clone())),
        _ => Err(Failure::Failed(
            "non-string key or value found in pattern object",
        )),
    };
    let patterns = patterns.iter().map(pair);
    let mut patterns = patterns.collect::<Result<Vec<_>, _>>()?;
    patterns.sort();
    let mut rest = text(arguments, 1)?;
    let mut replaced = String::with_capacity(rest.len());
    let mut was_empty = false;
    loop {
        let found = patterns
            .iter()
            .find(|(old, _)| rest.starts_with(&**old) && !(was_empty && old.is_empty()));
        was_empty = found.is_some_and(|(old, _)| old.is_empty());
        let taken = match found {
            Some((old, new)) => {
                replaced.push_str(new);
                old.len()
            }
            None => match rest.chars().next() {
                Some(character) => {
                    replaced.push(character);
                    character.len_utf8()
                }
                None => break,
            },
        };
        if replaced.len() > MAX_TEXT {
            return Err(too_long());
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(Value::from(replaced))
}
