//! The signatures of OPA's built-ins, looked up by name.

mod table;

use std::collections::HashMap;
use std::rc::Rc;

use self::table::TEXT;
use super::types::Type;
use crate::policy::rego::builtins::purity;

thread_local! {
    static TABLE: HashMap<&'static str, Rc<Signature>> = table();
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) arguments: Vec<Type>,
    pub(super) result: Type,
}

/// The signature of a built-in, if it is known.
pub(super) fn of(name: &str) -> Option<Rc<Signature>> {
    TABLE.with(|table| table.get(name).cloned())
}

/// Whether there is a built-in of this name.
pub(super) fn is_known(name: &str) -> bool {
    purity(name).is_some() || of(name).is_some()
}

/// Lines that cannot be read are left out; a test looks for them.
fn table() -> HashMap<&'static str, Rc<Signature>> {
    let lines = TEXT.lines().filter_map(|line| {
        let (name, rest) = line.split_once('(')?;
        Some((name, Rc::new(signature(rest)?)))
    });
    lines.collect()
}

fn signature(text: &'static str) -> Option<Signature> {
    let mut reader = Reader(text);
    let mut arguments = Vec::new();
    while !reader.take(")") {
        arguments.push(reader.read()?);
        reader.take(", ");
    }
    reader.take(" ");
    let result = reader.read()?;
    reader
        .0
        .is_empty()
        .then_some(Signature { arguments, result })
}

/// What is left to read.
struct Reader(&'static str);

impl Reader {
    fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn read(&mut self) -> Option<Type> {
        let end = self.0.find(|byte: char| !byte.is_ascii_alphabetic());
        let (word, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        match word {
            "null" => Some(Type::Null),
            "boolean" => Some(Type::Boolean),
            "number" => Some(Type::Number),
            "string" => Some(Type::String),
            "any" if self.take("<") => Some(Type::union(self.list()?)),
            "any" => Some(Type::ANY),
            "array" if self.take("<") => Some(Type::Array {
                fixed: self.list()?.into(),
                rest: None,
            }),
            "array" => Some(Type::Array {
                fixed: Rc::new([]),
                rest: Some(self.bracketed()?),
            }),
            "set" => Some(Type::Set(self.bracketed()?)),
            "object" => {
                self.take("[");
                let key = self.read()?;
                self.take(": ");
                let value = self.read()?;
                self.take("]").then(|| Type::object(key, value))
            }
            _ => None,
        }
    }

    fn list(&mut self) -> Option<Vec<Type>> {
        let mut types = vec![self.read()?];
        while self.take(", ") {
            types.push(self.read()?);
        }
        self.take(">").then_some(types)
    }

    fn bracketed(&mut self) -> Option<Rc<Type>> {
        self.take("[");
        let of = self.read()?;
        self.take("]").then(|| Rc::new(of))
    }
}

#[cfg(test)]
pub(super) fn lines() -> (usize, usize) {
    (TEXT.lines().count(), TABLE.with(HashMap::len))
}
