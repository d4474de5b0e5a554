//! What operators ask of loaded policy: a document by its path, or the solutions of a query, as JSON. How
//! that is spoken over HTTP is left to `management`.

use super::builtins::{self, document_text};
use super::engine::LookedAt;
use super::{Data, RegoError, RegoPolicies};
use regorus::Value;

/// How something is asked.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// What `input` is; undefined if there is none.
    pub input: Option<Data>,
    /// A built-in that fails ends the evaluation.
    pub strict: bool,
    /// What policies see as the current time, in nanoseconds since 1970.
    pub now_ns: i64,
}

/// What was found, and what policies noted with `trace` on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    pub value: T,
    pub notes: Vec<String>,
}

/// A query that was found good.
pub struct Query(LookedAt);

/// The syntax tree of a module, as OPA shows it; `None` for what OPA 1.9's grammar does not have.
pub fn syntax_tree(file: &str, text: &str) -> Option<Data> {
    builtins::syntax_tree(file, text).map(Data)
}

// === impl RegoPolicies ===

impl RegoPolicies {
    /// The document at a path under `data`, of rules and base data together.
    pub fn document(
        &self,
        path: &[String],
        question: Question,
    ) -> Result<Found<Option<Data>>, RegoError> {
        let found = self.engine.document(path, question)?;
        let value = Some(found.value).filter(|value| *value != Value::Undefined);
        Ok(Found {
            value: value.map(Data),
            notes: found.notes,
        })
    }

    /// Whether a path leads to a rule, or into the document of one.
    pub fn has_rule_towards(&self, path: &[String]) -> bool {
        self.engine.has_rule_towards(path)
    }

    /// Looks at a query of any form before it is asked. All errors found are returned.
    pub fn look_at(&self, query: &str) -> Result<Query, Vec<RegoError>> {
        self.engine.look_at(query).map(Query)
    }

    /// The variables of each solution.
    pub fn solutions(
        &self,
        query: &Query,
        question: Question,
    ) -> Result<Found<Vec<Data>>, RegoError> {
        let found = self.engine.solutions(&query.0, question)?;
        Ok(Found {
            value: found.value.into_iter().map(Data).collect(),
            notes: found.notes,
        })
    }
}

// === impl Data ===

impl Data {
    /// What kind of value it is, as Go's decoder calls it; `None` for `null` and for an object.
    pub fn other_kind(&self) -> Option<&'static str> {
        match self.0 {
            Value::Null | Value::Object(_) | Value::Undefined => None,
            Value::Bool(_) => Some("bool"),
            Value::Number(_) => Some("number"),
            Value::String(_) => Some("string"),
            Value::Array(_) | Value::Set(_) => Some("array"),
        }
    }

    /// As OPA writes it: names in order, sets as sorted arrays, `<`, `>` and `&` escaped. `None` if it is
    /// nested too deeply, or much longer than `longest`: what a value holds many times is stored once.
    pub fn opa_text(&self, longest: usize) -> Option<String> {
        document_text(&self.0, longest)
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.0 {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        self.0.as_string().ok().map(|text| &**text)
    }

    /// The members of an object, whose names are texts.
    pub fn into_members(self) -> Option<Vec<(String, Self)>> {
        let members = self.0.as_object().ok()?.iter();
        let members = members.map(|(name, value)| {
            let name = name.as_string().ok()?;
            Some((name.to_string(), Self(value.clone())))
        });
        members.collect()
    }

    /// This over another: where both are objects, members of both, this one's before the other's, however
    /// deep.
    #[must_use]
    pub fn over(self, other: &Self) -> Self {
        Self(over(self.0, &other.0))
    }
}

fn over(mut value: Value, under: &Value) -> Value {
    let (Ok(members), Value::Object(below)) = (value.as_object_mut(), under) else {
        return value;
    };
    for (name, below) in below.iter() {
        match members.get_mut(name) {
            Some(member) => *member = over(std::mem::replace(member, Value::Null), below),
            None => drop(members.insert(name.clone(), below.clone())),
        }
    }
    value
}
