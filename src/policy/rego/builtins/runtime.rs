//! `opa.runtime`: the configuration and environment of the process, as the caller gives them.

use std::cell::RefCell;

use regorus::Value;

use super::{Answer, Builtin};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure(NAME, 0, runtime)];

pub(in crate::policy::rego) const NAME: &str = "opa.runtime";

thread_local! {
    static RUNTIME: RefCell<Value> = const { RefCell::new(Value::Undefined) };
}

/// What an evaluation on this thread is told, until it is dropped.
pub(in crate::policy::rego) struct Runtime(());

impl Runtime {
    pub(in crate::policy::rego) fn set(runtime: &Value) -> Self {
        RUNTIME.set(runtime.clone());
        Self(())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        RUNTIME.set(Value::Undefined);
    }
}

fn runtime(_: &[Value]) -> Answer {
    Ok(RUNTIME.with_borrow(Value::clone))
}
