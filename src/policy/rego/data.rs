//! Base documents: JSON in the engine's form, read, merged, changed and written. Where documents come
//! from, and who owns which part of them, is left to `bundle`.

use std::collections::BTreeMap;

use regorus::Value;

use super::json::{self, JsonError};

/// A JSON document in the engine's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data(pub(super) Value);

/// How a document is changed at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchOp {
    /// Makes what is missing on the way, and puts the value in place of what is there.
    Upsert,
    Remove,
    Replace,
}

/// How many elements of arrays may still be moved: each change in the middle moves those behind it.
#[derive(Debug)]
pub struct PatchBudget(usize);

impl Default for PatchBudget {
    fn default() -> Self {
        Self(50_000_000)
    }
}

/// A JSON document in the one form that signatures are over.
pub fn canonical_json(bytes: &[u8]) -> Result<String, JsonError> {
    json::canonical(bytes)
}

/// The same for a document that was YAML.
pub fn canonical_value(value: &serde_json::Value) -> String {
    json::canonical_value(value)
}

// === impl Data ===

impl Default for Data {
    fn default() -> Self {
        Self(Value::new_object())
    }
}

impl Data {
    /// Parses a JSON document, whole numbers with all their digits.
    pub fn parse(json: impl AsRef<[u8]>) -> Result<Self, JsonError> {
        json::parse(json.as_ref()).map(Self)
    }

    pub fn from_json(value: serde_json::Value) -> Self {
        Self(value.into())
    }

    /// An object of these members.
    pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let members = members.into_iter();
        let members = members.map(|(name, value)| (Value::from(name), value.0));
        Self(Value::from(members.collect::<BTreeMap<_, _>>()))
    }

    /// A missing document.
    pub fn undefined() -> Self {
        Self(Value::Undefined)
    }

    /// A member of an object.
    pub fn member(&self, name: &str) -> Option<Self> {
        self.0
            .as_object()
            .ok()?
            .get(&Value::from(name))
            .cloned()
            .map(Self)
    }

    /// As JSON text; sets become sorted arrays.
    pub fn to_json(&self) -> Result<String, String> {
        self.0.to_json_str().map_err(|error| error.to_string())
    }

    /// Whether there is anything at a path.
    pub(super) fn leads_to<'a>(&self, mut path: impl Iterator<Item = &'a str>) -> bool {
        let step = |at: &Value, part: &str| at.as_object().ok()?.get(&Value::from(part)).cloned();
        path.try_fold(self.0.clone(), |at, part| step(&at, part))
            .is_some()
    }

    pub fn null() -> Self {
        Self(Value::Null)
    }

    /// The elements of an array.
    pub fn items(&self) -> Option<Vec<Self>> {
        let items = self.0.as_array().ok()?;
        Some(items.iter().cloned().map(Self).collect())
    }

    pub fn text(&self) -> Option<String> {
        self.0.as_string().ok().map(ToString::to_string)
    }

    /// As JSON text that is read back as the same document.
    pub fn to_text(&self) -> String {
        let mut written = String::new();
        json::write(&self.0, &mut written);
        written
    }

    /// Changes the document at a path, or tells why it cannot be changed there.
    pub fn patch(
        &mut self,
        op: PatchOp,
        path: &[String],
        value: Self,
        budget: &mut PatchBudget,
    ) -> Result<(), String> {
        let change = Change {
            op,
            value: value.0,
            budget,
        };
        patch(&mut self.0, path, change).map_err(str::to_owned)
    }

    pub fn is_object(&self) -> bool {
        matches!(self.0, Value::Object(_))
    }

    /// Puts the document under a path: `data.a.b` for `["a", "b"]`.
    pub fn nested_under(self, path: &[&str]) -> Self {
        let wrap = |inner, name: &&str| Value::from(BTreeMap::from([(Value::from(*name), inner)]));
        Self(path.iter().rev().fold(self.0, wrap))
    }

    /// Merges another document into this one. Objects merge; anything else that is in both is a
    /// conflict, told by its path.
    pub fn merge(&mut self, other: Self) -> Result<(), String> {
        merge(&mut self.0, other.0, "data")
    }

    /// The first path of a leaf or empty object, `/`-separated, that is as asked. They are what roots
    /// must cover; none is kept, as there can be millions.
    pub fn find_path(&self, mut is_it: impl FnMut(&str) -> bool) -> Option<String> {
        find_path(&self.0, &mut String::new(), &mut is_it)
    }
}

const MISSING: &str = "document does not exist";
const BAD_INDEX: &str = "invalid patch path";
const TOO_MUCH: &str = "the changes move too many elements of arrays";

/// A change on its way to its place.
struct Change<'a> {
    op: PatchOp,
    value: Value,
    budget: &'a mut PatchBudget,
}

fn patch(target: &mut Value, path: &[String], change: Change<'_>) -> Result<(), &'static str> {
    let Some((name, rest)) = path.split_first() else {
        return Err(BAD_INDEX);
    };
    match target {
        Value::Object(_) => patch_object(target, name, rest, change),
        Value::Array(_) => patch_array(target, name, rest, change),
        _ => Err(MISSING),
    }
}

fn patch_object(
    target: &mut Value,
    name: &str,
    rest: &[String],
    change: Change<'_>,
) -> Result<(), &'static str> {
    let members = target.as_object_mut().map_err(|_| MISSING)?;
    let name = Value::from(name);
    if rest.is_empty() {
        // Rule: only an upsert may name what is not there.
        if change.op != PatchOp::Upsert && members.get(&name).is_none() {
            return Err(MISSING);
        }
        match change.op {
            PatchOp::Remove => drop(members.remove(&name)),
            PatchOp::Upsert | PatchOp::Replace => drop(members.insert(name, change.value)),
        }
        return Ok(());
    }
    match members.get_mut(&name) {
        Some(inner) => patch(inner, rest, change),
        None if change.op == PatchOp::Upsert => {
            let rest: Vec<_> = rest.iter().map(String::as_str).collect();
            members.insert(name, Data(change.value).nested_under(&rest).0);
            Ok(())
        }
        None => Err(MISSING),
    }
}

fn patch_array(
    target: &mut Value,
    name: &str,
    rest: &[String],
    change: Change<'_>,
) -> Result<(), &'static str> {
    let items = target.as_array_mut().map_err(|_| MISSING)?;
    // Rule: `-`, or the first number that is no index, is behind the last element.
    if rest.is_empty() && (name == "-" || name == items.len().to_string()) {
        return match change.op {
            PatchOp::Upsert => {
                items.push(change.value);
                Ok(())
            }
            PatchOp::Remove | PatchOp::Replace => Err(BAD_INDEX),
        };
    }
    let index = name.parse::<usize>().ok();
    let index = index.filter(|index| index.to_string() == name && *index < items.len());
    let index = index.ok_or(MISSING)?;
    if !rest.is_empty() {
        return patch(items.get_mut(index).ok_or(MISSING)?, rest, change);
    }
    if change.op == PatchOp::Replace {
        *items.get_mut(index).ok_or(MISSING)? = change.value;
        return Ok(());
    }
    let left = change.budget.0.checked_sub(items.len());
    change.budget.0 = left.ok_or(TOO_MUCH)?;
    let mut all: Vec<_> = items.iter().cloned().collect();
    match change.op {
        PatchOp::Remove => drop(all.remove(index)),
        PatchOp::Upsert | PatchOp::Replace => all.insert(index, change.value),
    }
    *target = Value::from(all);
    Ok(())
}

fn merge(into: &mut Value, from: Value, path: &str) -> Result<(), String> {
    if *into == from {
        return Ok(());
    }
    let (Ok(target), Value::Object(source)) = (into.as_object_mut(), from) else {
        return Err(format!("conflicting values at `{path}`"));
    };
    for (name, value) in source.iter() {
        let inner = format!("{path}.{}", name.as_string().map_or("?", |name| name));
        match target.get_mut(name) {
            Some(existing) => merge(existing, value.clone(), &inner)?,
            None => drop(target.insert(name.clone(), value.clone())),
        }
    }
    Ok(())
}

pub(super) fn find_path(
    value: &Value,
    path: &mut String,
    is_it: &mut impl FnMut(&str) -> bool,
) -> Option<String> {
    match value {
        Value::Object(fields) if !fields.is_empty() => fields.iter().find_map(|(name, inner)| {
            let length = path.len();
            if length > 0 {
                path.push('/');
            }
            path.push_str(name.as_string().map_or("?", |name| name));
            let found = find_path(inner, path, is_it);
            path.truncate(length);
            found
        }),
        _ => (!path.is_empty() && is_it(path)).then(|| path.clone()),
    }
}
