//! `json.patch`, which the interpreter applies without bounds: a document copied into itself again
//! and again doubles in size or depth. Sizes are estimated before each operation, and measured
//! where the estimate grows; applying is left to the interpreter.

use regorus::Value;

use super::{Answer, Builtin, Failure, any, of_interpreter};

const NAME: &str = "json.patch";
/// Most values in a patched document.
const MAX_NODES: usize = 1_000_000;
/// Deepest nesting of a patched document.
const MAX_DEPTH: usize = 1_000;
/// Most values gone over by all operations together.
const MAX_WORK: usize = 10_000_000;
/// How far an estimate may be from the last measure: so many times, and so many more.
const ROUGH_FACTOR: usize = 4;
const ROUGH_SLACK: usize = 1_000;
/// How many values are moved within an array in the time that one is copied.
const MOVED_PER_COPIED: usize = 16;

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure(NAME, 2, patch)];

/// How large a value is at most.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    depth: usize,
    /// Members of sets are made anew with each change within them.
    has_sets: bool,
}

fn patch(arguments: &[Value]) -> Answer {
    let Value::Array(operations) = any(arguments, 1)? else {
        return of_interpreter(NAME, arguments);
    };
    let mut pending = Vec::new();
    let mut document = any(arguments, 0)?.clone();
    let mut size = Size::of(&document)?;
    let mut measured = size.nodes;
    let mut work = 0usize;
    for operation in operations.iter() {
        let mut next = size.after(operation)?;
        if next.is_rough(measured) {
            work += 2 * size.nodes;
            document = apply(&document, std::mem::take(&mut pending))?;
            // Rule: one operation that fails is a patch without a value.
            if document == Value::Undefined {
                return Ok(document);
            }
            size = Size::of(&document)?;
            measured = size.nodes;
            next = size.after(operation)?;
        }
        work += next.cost(operation);
        if next.is_over() || work > MAX_WORK {
            return Err(too_large());
        }
        size = next;
        pending.push(operation.clone());
    }
    apply(&document, pending)
}

fn too_large() -> Failure {
    Failure::Limit("a patch that makes so large a document is refused".to_owned())
}

fn apply(document: &Value, operations: Vec<Value>) -> Answer {
    of_interpreter(NAME, &[document.clone(), Value::from(operations)])
}

fn field<'v>(operation: &'v Value, name: &str) -> Option<&'v Value> {
    operation.as_object().ok()?.get(&Value::from(name))
}

/// What an operation does, "" for what is none.
fn kind(operation: &Value) -> &str {
    match field(operation, "op") {
        Some(Value::String(name)) => name,
        _ => "",
    }
}

// === impl Size ===

impl Size {
    fn of(value: &Value) -> Result<Self, Failure> {
        let mut size = Self::default();
        size.count(value, 1)?;
        Ok(size)
    }

    fn count(&mut self, value: &Value, depth: usize) -> Result<(), Failure> {
        self.nodes += 1;
        self.depth = self.depth.max(depth);
        if self.is_over() {
            return Err(too_large());
        }
        let mut all = |parts: &mut dyn Iterator<Item = &Value>| {
            for part in parts {
                self.count(part, depth + 1)?;
            }
            Ok(())
        };
        match value {
            Value::Array(items) => all(&mut items.iter()),
            Value::Object(members) => all(&mut members.values()),
            Value::Set(items) => {
                all(&mut items.iter())?;
                self.has_sets = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The most that an operation makes of a document. Nothing is put deeper than there is
    /// something to put it into.
    fn after(self, operation: &Value) -> Result<Self, Failure> {
        let added = match (kind(operation), field(operation, "value")) {
            ("add" | "replace", Some(value)) => Self::of(value)?,
            ("copy", _) => self,
            ("move", _) => Self { nodes: 0, ..self },
            _ => return Ok(self),
        };
        let parts = match field(operation, "path") {
            Some(Value::String(path)) => path.split('/').count(),
            Some(Value::Array(path)) => path.len(),
            _ => 0,
        };
        Ok(Self {
            nodes: self.nodes + added.nodes,
            depth: self.depth.max(parts.min(self.depth) + added.depth),
            has_sets: self.has_sets || added.has_sets,
        })
    }

    /// How many values an operation goes over at most.
    fn cost(self, operation: &Value) -> usize {
        match kind(operation) {
            "copy" | "test" => self.nodes,
            _ if self.has_sets => self.nodes,
            _ => self.nodes / MOVED_PER_COPIED + self.depth,
        }
    }

    fn is_rough(self, measured: usize) -> bool {
        self.nodes > ROUGH_FACTOR * measured + ROUGH_SLACK || self.depth > MAX_DEPTH
    }

    fn is_over(self) -> bool {
        self.nodes > MAX_NODES || self.depth > MAX_DEPTH
    }
}
