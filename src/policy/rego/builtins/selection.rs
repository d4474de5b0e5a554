//! `json.filter` and `json.remove`: an object with nothing but what lies on some paths, or without it.
//! The interpreter's take paths to be without escapes and a slash in front, and drop scalars that a
//! path would lead through.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;

use super::{Builtin, Failure, any};

/// Most parts of all paths together.
const MAX_PARTS: usize = 1_000_000;
/// Most parts of one path: following it recurses.
const MAX_DEPTH: usize = 1_000;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("json.filter", 2, |arguments| {
        let (object, paths) = operands(arguments)?;
        Ok(filtered(object, &paths))
    }),
    Builtin::pure("json.remove", 2, |arguments| {
        let (object, paths) = operands(arguments)?;
        // Rule: without all of it, there is none.
        remaining(object, Some(&paths)).ok_or(Failure::Failed("all of it is removed"))
    }),
];

/// Paths by their first parts.
enum Paths {
    /// One ends here.
    End,
    On(BTreeMap<Value, Self>),
}

fn operands(arguments: &[Value]) -> Result<(&Value, Paths), Failure> {
    let object = any(arguments, 0)?;
    if !matches!(object, Value::Object(_)) {
        return Err(Failure::Failed("operand 1 must be object"));
    }
    let paths: Vec<&Value> = match any(arguments, 1)? {
        Value::Array(paths) => paths.iter().collect(),
        Value::Set(paths) => paths.iter().collect(),
        _ => return Err(Failure::Failed("operand 2 must be one of {set, array}")),
    };
    let mut root = Paths::On(BTreeMap::new());
    let mut left = MAX_PARTS;
    for path in paths {
        let parts = parts(path)?;
        left = left
            .checked_sub(parts.len())
            .filter(|_| parts.len() <= MAX_DEPTH)
            .ok_or_else(|| Failure::Limit("paths of so many parts are refused".to_owned()))?;
        root.add(parts);
    }
    Ok((object, root))
}

/// Rule: a path is an array, or a text with slashes between its parts and perhaps in front, in which
/// `~1` is a slash and `~0` a tilde.
fn parts(path: &Value) -> Result<Vec<Value>, Failure> {
    match path {
        Value::Array(parts) => Ok(parts.iter().cloned().collect()),
        Value::String(path) if path.is_empty() => Ok(Vec::new()),
        Value::String(path) => {
            let parts = path.trim_start_matches('/').split('/');
            let part = |part: &str| Value::from(part.replace("~1", "/").replace("~0", "~"));
            Ok(parts.map(part).collect())
        }
        _ => Err(Failure::Failed(
            "operand 2 must be one of {set, array} containing string paths or array of path segments",
        )),
    }
}

// === impl Paths ===

impl Paths {
    /// Rule: a path that goes on where another ends says nothing more, and one without parts nothing.
    fn add(&mut self, parts: Vec<Value>) {
        let mut paths = self;
        let count = parts.len();
        for (at, part) in parts.into_iter().enumerate() {
            let Self::On(members) = paths else {
                return;
            };
            if at + 1 == count {
                members.insert(part, Self::End);
                return;
            }
            paths = members
                .entry(part)
                .or_insert_with(|| Self::On(BTreeMap::new()));
        }
    }

    fn get(&self, part: &Value) -> Option<&Self> {
        match self {
            Self::End => None,
            Self::On(members) => members.get(part),
        }
    }
}

/// Rule: elements of an array go by their place, as a text.
fn place(at: usize) -> Value {
    Value::from(at.to_string())
}

/// What lies on the paths. Rule: what has no parts is there even if a path goes on.
fn filtered(value: &Value, paths: &Paths) -> Value {
    if matches!(paths, Paths::End) {
        return value.clone();
    }
    match value {
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let kept = items.filter_map(|(at, item)| Some(filtered(item, paths.get(&place(at))?)));
            Value::from(kept.collect::<Vec<_>>())
        }
        Value::Set(items) => {
            let kept = items
                .iter()
                .filter_map(|item| Some(filtered(item, paths.get(item)?)));
            Value::from(kept.collect::<BTreeSet<_>>())
        }
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter_map(|(key, item)| Some((key.clone(), filtered(item, paths.get(key)?))));
            Value::from(kept.collect::<BTreeMap<_, _>>())
        }
        scalar => scalar.clone(),
    }
}

/// What is left without what lies at the paths' ends: nothing at one.
fn remaining(value: &Value, paths: Option<&Paths>) -> Option<Value> {
    let paths = match paths {
        None => return Some(value.clone()),
        Some(Paths::End) => return None,
        Some(paths) => paths,
    };
    Some(match value {
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let left = items.filter_map(|(at, item)| remaining(item, paths.get(&place(at))));
            Value::from(left.collect::<Vec<_>>())
        }
        Value::Set(items) => {
            let left = items
                .iter()
                .filter_map(|item| remaining(item, paths.get(item)));
            Value::from(left.collect::<BTreeSet<_>>())
        }
        Value::Object(members) => {
            let left = members
                .iter()
                .filter_map(|(key, item)| Some((key.clone(), remaining(item, paths.get(key))?)));
            Value::from(left.collect::<BTreeMap<_, _>>())
        }
        scalar => scalar.clone(),
    })
}
