//! Claims of a token: JSON read strictly (a repeated member is an error, since two readers would
//! disagree), and looked up by path. Whether to believe them is the verifier's matter.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::attributes::is_deeper;

/// Most levels of lists and objects.
const MAX_DEPTH: usize = 64;

/// The payload of a token.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Parses a JSON object, refusing repeated members at any depth, and more than `MAX_DEPTH`.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        match serde_json::from_slice(json).ok()? {
            StrictJson(value) if is_deeper(&value, MAX_DEPTH) => None,
            StrictJson(Value::Object(members)) => Some(Self(members)),
            StrictJson(_) => None,
        }
    }

    /// A top-level claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A nested claim; each step is one member name.
    pub fn lookup<S: AsRef<str>>(&self, path: &[S]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.0.get(first.as_ref())?;
        for step in rest {
            value = value.as_object()?.get(step.as_ref())?;
        }
        Some(value)
    }

    /// All claims.
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Turns a string claim into the list of its words, and returns the string. One without words
    /// stays as it is, and so does a list.
    pub(super) fn split_at_spaces(&mut self, name: &str) -> Option<Value> {
        let value = self.0.get_mut(name)?;
        let words = value.as_str()?.split(' ').filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(Value::from).collect();
        (!words.is_empty()).then(|| std::mem::replace(value, words.into()))
    }
}

struct StrictJson(Value);

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without repeated members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(StrictJson(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, StrictJson(value))) = access.next_entry::<String, _>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("repeated member `{name}`")));
            }
            members.insert(name, value);
        }
        Ok(members.into())
    }
}
