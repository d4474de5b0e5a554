//! `regex.*` by the `regex` crate, whose patterns are those of Go (RE2) but for what `syntax` sees to.
//! Matching takes linear time.

mod classes;
mod syntax;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};
use regorus::Value;
use syntax::rewritten;

use super::{Answer, Builtin, Failure, any, text};

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 64 * 1024;
/// Most memory of a compiled pattern.
const MAX_COMPILED: usize = 10 << 20;
/// Most compiled patterns that a thread remembers: small ones, and others.
const MAX_SMALL: usize = 256;
const MAX_LARGE: usize = 4;
const SMALL: usize = 100 * 1024;
/// Longest text that a replacement makes, in bytes.
const MAX_TEXT: usize = 16 << 20;

const NO_PATTERN: Failure = Failure::Failed("not a regular expression");

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("regex.find_all_string_submatch_n", 3, find_groups),
    Builtin::pure("regex.find_n", 3, find),
    Builtin::pure("regex.is_valid", 1, is_valid),
    Builtin::pure("regex.match", 2, is_match),
    // The older name.
    Builtin::pure("re_match", 2, is_match),
    Builtin::pure("regex.replace", 3, replace),
    Builtin::pure("regex.split", 2, split),
    Builtin::pure("regex.template_match", 4, template_match),
];

/// Rule: whether a string is a pattern; anything else is none.
fn is_valid(arguments: &[Value]) -> Answer {
    let pattern = text(arguments, 0).and_then(known);
    match pattern {
        Err(limit @ Failure::Limit(_)) => Err(limit),
        pattern => Ok(Value::from(pattern.is_ok())),
    }
}

fn is_match(arguments: &[Value]) -> Answer {
    let (pattern, value) = (known(text(arguments, 0)?)?, text(arguments, 1)?);
    Ok(Value::from(pattern.is_match(value)))
}

fn find(arguments: &[Value]) -> Answer {
    let (pattern, value) = (known(text(arguments, 0)?)?, text(arguments, 1)?);
    let found = pattern.find_iter(value).take(most(arguments)?);
    let found = found.map(|found| Value::from(found.as_str()));
    Ok(Value::from(found.collect::<Vec<_>>()))
}

/// Rule: what a group did not match is empty.
fn find_groups(arguments: &[Value]) -> Answer {
    let (pattern, value) = (known(text(arguments, 0)?)?, text(arguments, 1)?);
    let found = pattern.captures_iter(value).take(most(arguments)?);
    let found = found.map(|groups| {
        let groups = groups
            .iter()
            .map(|group| Value::from(group.map_or("", |group| group.as_str())));
        Value::from(groups.collect::<Vec<_>>())
    });
    Ok(Value::from(found.collect::<Vec<_>>()))
}

/// Rule: a negative number is for all.
fn most(arguments: &[Value]) -> Result<usize, Failure> {
    match any(arguments, 2)? {
        Value::Number(number) if number.is_integer() => {
            let number = number
                .as_i64()
                .and_then(|number| usize::try_from(number).ok());
            Ok(number.unwrap_or(usize::MAX))
        }
        _ => Err(Failure::Failed("the third operand is not an integer")),
    }
}

/// Rule: a match of nothing in front of the text begins no part, nor does one at its end.
fn split(arguments: &[Value]) -> Answer {
    let (pattern, value) = (text(arguments, 0)?, text(arguments, 1)?);
    let compiled = known(pattern)?;
    if !pattern.is_empty() && value.is_empty() {
        return Ok(Value::from(vec![Value::from("")]));
    }
    let mut parts = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for found in compiled.find_iter(value) {
        end = found.start();
        if found.end() != 0 {
            parts.push(Value::from(value.get(begin..end).unwrap_or_default()));
        }
        begin = found.end();
    }
    if end != value.len() {
        parts.push(Value::from(value.get(begin..).unwrap_or_default()));
    }
    Ok(Value::from(parts))
}

fn replace(arguments: &[Value]) -> Answer {
    let (value, pattern, new) = (
        text(arguments, 0)?,
        text(arguments, 1)?,
        text(arguments, 2)?,
    );
    // An empty match is found everywhere, and each may be put in as often as the replacement names it.
    let named = new.matches('$').count().saturating_mul(value.len());
    let most = (value.len() + 1).saturating_mul(new.len());
    let most = most.saturating_add(value.len()).saturating_add(named);
    if most > MAX_TEXT {
        return Err(Failure::Limit(format!(
            "a replacement that may make more than {MAX_TEXT} bytes is refused"
        )));
    }
    Ok(Value::from(
        known(pattern)?.replace_all(value, new).as_ref(),
    ))
}

/// Rule: what stands between delimiters is a pattern, everything else is itself, and the whole of the
/// text must match. Delimiters are one character each and may nest.
fn template_match(arguments: &[Value]) -> Answer {
    let (template, value) = (text(arguments, 0)?, text(arguments, 1)?);
    let (start, end) = (
        delimiter(text(arguments, 2)?)?,
        delimiter(text(arguments, 3)?)?,
    );
    if template.len() > MAX_PATTERN {
        return Err(too_big());
    }
    let unbalanced = Failure::Failed("unbalanced delimiters");
    let mut pattern = "^".to_owned();
    let mut rest = template;
    while let Some(begin) = rest.find([start, end]) {
        let (raw, inner) = rest.split_at(begin);
        let length = enclosed(inner, start, end).ok_or_else(|| unbalanced.clone())?;
        let (inner, behind) = inner.split_at(length);
        let inner = inner
            .strip_prefix(start)
            .and_then(|inner| inner.strip_suffix(end));
        pattern.push_str(&regex::escape(raw));
        pattern.push_str("(?:");
        let inner = inner.ok_or_else(|| unbalanced.clone())?;
        pattern.push_str(&rewritten(inner).map_err(|_| NO_PATTERN)?);
        pattern.push(')');
        rest = behind;
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    Ok(Value::from(built(&pattern, MAX_COMPILED)?.is_match(value)))
}

// === Patterns ===

/// Patterns that were compiled on a thread, those used last behind the others.
#[derive(Default)]
struct Known {
    small: Remembered,
    large: Remembered,
}

#[derive(Default)]
struct Remembered {
    patterns: HashMap<String, (Rc<Regex>, u64)>,
    uses: u64,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

impl Remembered {
    fn get(&mut self, pattern: &str) -> Option<Rc<Regex>> {
        self.uses += 1;
        let (compiled, used) = self.patterns.get_mut(pattern)?;
        *used = self.uses;
        Some(Rc::clone(compiled))
    }

    fn keep(&mut self, pattern: &str, compiled: &Rc<Regex>, most: usize) {
        if self.patterns.len() >= most {
            let oldest = self.patterns.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(pattern, _)| pattern.clone());
            oldest.and_then(|oldest| self.patterns.remove(&oldest));
        }
        let known = (Rc::clone(compiled), self.uses);
        self.patterns.insert(pattern.to_owned(), known);
    }
}

/// A pattern of Go's, compiled before perhaps. A copy would have to make its working memory anew.
fn known(pattern: &str) -> Result<Rc<Regex>, Failure> {
    let found = KNOWN.with_borrow_mut(|known| {
        let small = known.small.get(pattern);
        small.or_else(|| known.large.get(pattern))
    });
    if let Some(found) = found {
        return Ok(found);
    }
    if pattern.len() > MAX_PATTERN {
        return Err(too_big());
    }
    let written = rewritten(pattern).map_err(|_| NO_PATTERN)?;
    let small = built(&written, SMALL);
    let is_small = !matches!(small, Err(Failure::Limit(_)));
    let compiled = Rc::new(match is_small {
        true => small?,
        false => built(&written, MAX_COMPILED)?,
    });
    KNOWN.with_borrow_mut(|known| match is_small {
        true => known.small.keep(pattern, &compiled, MAX_SMALL),
        false => known.large.keep(pattern, &compiled, MAX_LARGE),
    });
    Ok(compiled)
}

/// A pattern of Go's, compiled within so many bytes.
pub(super) fn compiled(pattern: &str, bytes: usize) -> Result<Regex, Failure> {
    if pattern.len() > MAX_PATTERN {
        return Err(too_big());
    }
    let written = rewritten(pattern).map_err(|_| NO_PATTERN)?;
    built(&written, bytes).map_err(|_| NO_PATTERN)
}

fn built(pattern: &str, bytes: usize) -> Result<Regex, Failure> {
    let mut builder = RegexBuilder::new(pattern);
    match builder.size_limit(bytes).build() {
        Ok(compiled) => Ok(compiled),
        Err(regex::Error::CompiledTooBig(_)) => Err(too_big()),
        Err(_) => Err(NO_PATTERN),
    }
}

fn delimiter(text: &str) -> Result<char, Failure> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(delimiter), None) => Ok(delimiter),
        _ => Err(Failure::Failed("a delimiter has to be one character")),
    }
}

/// Bytes from the delimiter a text begins with to the one that closes it.
fn enclosed(text: &str, start: char, end: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        if character == start {
            depth += 1;
        } else if character == end {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at + character.len_utf8());
            }
        }
    }
    None
}

fn too_big() -> Failure {
    Failure::Limit("a regular expression of this size is refused".to_owned())
}
