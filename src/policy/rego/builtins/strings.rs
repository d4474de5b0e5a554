//! Texts, and `array.flatten`, where the interpreter lacks something or takes it otherwise than Go:
//! letters, searches, replacements, and how long a text may get.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regorus::Value;

use super::search::Sought;
use super::{Answer, Builtin, Failure, aggregates, any, text};

/// Longest text made, in bytes.
const MAX_TEXT: usize = 16 << 20;
/// Longest patterns that are looked for at once, in bytes: a table is made of them.
const MAX_PATTERNS: usize = 256 << 10;

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
    let mut sought = Sought::new(wanted);
    let length = wanted.iter().filter(|byte| is_first(**byte)).count();
    let mut characters = 0;
    Ok(text.bytes().filter_map(move |byte| {
        characters += usize::from(is_first(byte));
        sought.ends_with(&byte).then(|| characters - length)
    }))
}

/// Whether a character begins with a byte.
fn is_first(byte: u8) -> bool {
    byte & 0xc0 != 0x80
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
    let empty = patterns.iter().position(|(old, _)| old.is_empty());
    let empty = empty.map(|at| patterns.remove(at).1);
    let length: usize = patterns.iter().map(|(old, _)| old.len()).sum();
    if length > MAX_PATTERNS {
        return Err(Failure::Limit(format!(
            "patterns of more than {MAX_PATTERNS} bytes are refused"
        )));
    }
    // All patterns are looked for at once: no byte of the text is looked at again for each of them.
    let automaton = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .kind(Some(AhoCorasickKind::NoncontiguousNFA))
        .build(patterns.iter().map(|(old, _)| &**old));
    let automaton = automaton.map_err(|_| Failure::Failed("patterns cannot be searched"))?;
    let text = text(arguments, 1)?;
    let mut replaced = Replaced {
        text: String::with_capacity(text.len()),
        everywhere: empty.as_deref(),
    };
    let mut at = 0;
    for found in automaton.find_iter(text) {
        replaced.keep(text.get(at..found.start()).unwrap_or_default())?;
        let new = patterns.get(found.pattern().as_usize());
        replaced.put(new.map_or("", |(_, new)| new))?;
        at = found.end();
    }
    replaced.keep(text.get(at..).unwrap_or_default())?;
    replaced.put("")?;
    Ok(Value::from(replaced.text))
}

/// A text under construction.
struct Replaced<'a> {
    text: String,
    /// What stands for the empty pattern.
    everywhere: Option<&'a str>,
}

impl Replaced<'_> {
    /// Text in which nothing else is found.
    fn keep(&mut self, part: &str) -> Result<(), Failure> {
        if self.everywhere.is_some() {
            let mut buffer = [0; 4];
            return part
                .chars()
                .try_for_each(|character| self.put(character.encode_utf8(&mut buffer)));
        }
        self.put(part)
    }

    /// What comes next at a place.
    fn put(&mut self, part: &str) -> Result<(), Failure> {
        self.text.push_str(self.everywhere.unwrap_or_default());
        self.text.push_str(part);
        if self.text.len() > MAX_TEXT {
            return Err(too_long());
        }
        Ok(())
    }
}
