//! Changing a JSON document at a path, as OPA's storage does. Who may change which part of all data is
//! left to `activation`.

use regorus::Value;
use thiserror::Error;

use super::Data;

/// Why a document cannot be changed as asked, in OPA's words. Paths are relative to the document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    #[error("storage_not_found_error: {}: {why}", slashed(.path))]
    NotFound {
        path: Vec<String>,
        why: &'static str,
    },
    /// What should hold the value is no object.
    #[error("storage_write_conflict_error: {}", slashed(.0))]
    Conflict(Vec<String>),
}

const MISSING: &str = "document does not exist";
const NO_INDEX: &str = "array index must be integer";
const OUT_OF_RANGE: &str = "array index out of range";

/// Behind the last element of an array.
const APPEND: &str = "-";

/// A path as OPA writes it.
pub fn slashed(path: &[String]) -> String {
    let segments = path.iter().map(|segment| format!("/{segment}"));
    match path {
        [] => "/".to_owned(),
        _ => segments.collect(),
    }
}

// === impl EditError ===

impl EditError {
    pub fn missing(path: &[String]) -> Self {
        Self::NotFound {
            path: path.to_vec(),
            why: MISSING,
        }
    }

    /// The same with the path of what the document is part of in front.
    #[must_use]
    pub fn under(self, base: &[String]) -> Self {
        let whole = |path: Vec<String>| base.iter().cloned().chain(path).collect();
        match self {
            Self::NotFound { path, why } => Self::NotFound {
                path: whole(path),
                why,
            },
            Self::Conflict(path) => Self::Conflict(whole(path)),
        }
    }
}

// === impl Data ===

impl Data {
    /// What is at a path.
    pub fn at(&self, path: &[String]) -> Option<Self> {
        let mut at = &self.0;
        for segment in path {
            at = step(at, segment)?;
        }
        Some(Self(at.clone()))
    }

    /// Writes a value at a path. Rule: objects are made on the way; an element of an array is put in front
    /// of the one there, or behind the last.
    pub fn put(&mut self, path: &[String], value: Self) -> Result<(), EditError> {
        let Some((last, parents)) = path.split_last() else {
            self.0 = value.0;
            return Ok(());
        };
        let mut at = &mut self.0;
        for (depth, segment) in parents.iter().enumerate() {
            let here = path.get(..depth).unwrap_or_default();
            at = match at {
                Value::Object(_) => {
                    let members = at.as_object_mut();
                    let members = members.map_err(|_| EditError::Conflict(here.to_vec()))?;
                    let name = Value::from(segment.as_str());
                    if !members.contains_key(&name) {
                        members.insert(name.clone(), Value::new_object());
                    }
                    let member = members.get_mut(&name);
                    member.ok_or_else(|| EditError::missing(here))?
                }
                Value::Array(_) => element(at, segment, path.get(..=depth).unwrap_or_default())?,
                _ => return Err(EditError::Conflict(here.to_vec())),
            };
        }
        match at {
            Value::Object(_) => {
                if let Ok(members) = at.as_object_mut() {
                    members.insert(Value::from(last.as_str()), value.0);
                }
                Ok(())
            }
            Value::Array(_) => insert(at, last, value.0, path),
            _ => Err(EditError::Conflict(parents.to_vec())),
        }
    }

    /// Writes another value where there is one.
    pub fn replace(&mut self, path: &[String], value: Self) -> Result<(), EditError> {
        let mut at = &mut self.0;
        for (depth, segment) in path.iter().enumerate() {
            at = step_mut(at, segment, path.get(..=depth).unwrap_or_default())?;
        }
        *at = value.0;
        Ok(())
    }

    /// Takes out what is at a path.
    pub fn remove(&mut self, path: &[String]) -> Result<(), EditError> {
        let Some((last, parents)) = path.split_last() else {
            self.0 = Value::new_object();
            return Ok(());
        };
        let mut at = &mut self.0;
        for (depth, segment) in parents.iter().enumerate() {
            at = step_mut(at, segment, path.get(..=depth).unwrap_or_default())?;
        }
        match at {
            Value::Object(_) => {
                let members = at.as_object_mut().ok();
                let removed =
                    members.and_then(|members| members.remove(&Value::from(last.as_str())));
                removed.map(drop).ok_or_else(|| EditError::missing(path))
            }
            Value::Array(items) => {
                let index = index(last, items.len(), path)?;
                let mut all: Vec<_> = items.iter().cloned().collect();
                all.remove(index);
                *at = Value::from(all);
                Ok(())
            }
            _ => Err(EditError::missing(path)),
        }
    }
}

fn step<'v>(value: &'v Value, segment: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(&Value::from(segment)),
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        _ => None,
    }
}

fn step_mut<'v>(
    value: &'v mut Value,
    segment: &str,
    path: &[String],
) -> Result<&'v mut Value, EditError> {
    if let Value::Array(_) = value {
        return element(value, segment, path);
    }
    let members = value.as_object_mut().ok();
    let member = members.and_then(|members| members.get_mut(&Value::from(segment)));
    member.ok_or_else(|| EditError::missing(path))
}

/// An element of an array.
fn element<'v>(
    array: &'v mut Value,
    segment: &str,
    path: &[String],
) -> Result<&'v mut Value, EditError> {
    let items = array.as_array_mut().map_err(|_| EditError::missing(path))?;
    let index = index(segment, items.len(), path)?;
    items.get_mut(index).ok_or_else(|| EditError::missing(path))
}

fn insert(
    array: &mut Value,
    segment: &str,
    value: Value,
    path: &[String],
) -> Result<(), EditError> {
    let items = array.as_array().map_err(|_| EditError::missing(path))?;
    let mut all: Vec<_> = items.iter().cloned().collect();
    match segment {
        APPEND => all.push(value),
        _ => all.insert(index(segment, all.len() + 1, path)?, value),
    }
    *array = Value::from(all);
    Ok(())
}

fn index(segment: &str, length: usize, path: &[String]) -> Result<usize, EditError> {
    let not_found = |why| EditError::NotFound {
        path: path.to_vec(),
        why,
    };
    match segment.parse::<usize>() {
        Ok(index) if index < length => Ok(index),
        Ok(_) => Err(not_found(OUT_OF_RANGE)),
        Err(_) => Err(not_found(NO_INDEX)),
    }
}
