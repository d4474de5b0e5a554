//! Numbers and UUIDs by chance. Rule: what is drawn stays the same for the whole of an evaluation, by name.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regorus::Value;

use super::{Answer, Builtin, Failure, any, of_interpreter, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::random("rand.intn", 2, number),
    Builtin::random("uuid.rfc4122", 1, uuid),
];

thread_local! {
    static DRAWN: RefCell<BTreeMap<(&'static str, Vec<Value>), Value>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// What one evaluation on this thread draws, until it is dropped.
pub(in crate::policy::rego) struct Draws(());

impl Draws {
    pub(in crate::policy::rego) fn begin() -> Self {
        DRAWN.with_borrow_mut(BTreeMap::clear);
        Self(())
    }
}

impl Drop for Draws {
    fn drop(&mut self) {
        DRAWN.with_borrow_mut(BTreeMap::clear);
    }
}

/// Rule: of a negative number, what its positive has; zero is the only one below zero and one.
fn number(arguments: &[Value]) -> Answer {
    let name = text(arguments, 0)?;
    let Value::Number(end) = any(arguments, 1)? else {
        return Err(Failure::Failed("an argument is not a number"));
    };
    if !end.is_integer() {
        return Err(Failure::Failed("an argument is not an integer"));
    }
    drawn("rand.intn", vec![Value::from(name), Value::from(end.abs())])
}

fn uuid(arguments: &[Value]) -> Answer {
    drawn("uuid.rfc4122", vec![Value::from(text(arguments, 0)?)])
}

fn drawn(function: &'static str, arguments: Vec<Value>) -> Answer {
    let known = |key: &_| DRAWN.with_borrow(|drawn| drawn.get(key).cloned());
    let key = (function, arguments);
    if let Some(value) = known(&key) {
        return Ok(value);
    }
    let value = of_interpreter(function, &key.1)?;
    DRAWN.with_borrow_mut(|drawn| drawn.insert(key, value.clone()));
    Ok(value)
}
