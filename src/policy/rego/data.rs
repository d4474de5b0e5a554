//! Base documents: JSON in the engine's form, read, merged, changed and written. Where documents come
//! from, and who owns which part of them, is left to `bundle`.

use std::collections::BTreeMap;

use regorus::Value;

use super::json::{self, JsonError};

/// A JSON document in the engine's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data(pub(super) Value);

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

    /// The same, within the memory that `take` gives.
    pub fn parse_within(
        json: &[u8],
        take: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Self, JsonError> {
        json::parse_within(json, take).map(Self)
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

    /// How many elements it has, if it is an array.
    pub fn array_length(&self) -> usize {
        self.0.as_array().map_or(0, |items| items.iter().len())
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

    /// Whether it says something at a path, within it, or around it: what is no object takes the place of
    /// all that would be within.
    pub fn meets(&self, path: &[String]) -> bool {
        if *self == Self::default() {
            return false;
        }
        let mut at = &self.0;
        for name in path {
            match at {
                Value::Object(members) if !members.is_empty() => {
                    match members.get(&Value::from(name.as_str())) {
                        Some(member) => at = member,
                        None => return false,
                    }
                }
                _ => return true,
            }
        }
        true
    }

    /// The first path of a leaf or empty object, `/`-separated, that is as asked. They are what roots
    /// must cover; none is kept, as there can be millions.
    pub fn find_path(&self, mut is_it: impl FnMut(&str) -> bool) -> Option<String> {
        find_path(&self.0, &mut String::new(), &mut is_it)
    }
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
