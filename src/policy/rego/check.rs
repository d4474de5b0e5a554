//! What OPA's compiler refuses and the interpreter does not: rules that conflict or need themselves,
//! unsafe variables, calls that cannot be right. In the order of OPA's compiler, which ends after the
//! first step that finds something. What cannot be told for certain is let through.

mod calls;
mod conflicts;
mod core;
mod documents;
mod lowering;
mod recursion;
mod safety;
mod scope;
mod signatures;
mod statements;
mod syntax;
mod terms;
mod types;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;

use regorus::unstable::{Module, Ref, Span};

use self::core::{Constant, Expression, Rule, Term};
use self::documents::Documents;
use super::RegoError;
pub(super) use scope::{declared_in, pattern_names};

const PARSE: &str = "rego_parse_error";
const COMPILE: &str = "rego_compile_error";
const TYPE: &str = "rego_type_error";
const RECURSION: &str = "rego_recursion_error";
const UNSAFE: &str = "rego_unsafe_var_error";

/// A step of the checks; what it finds is added to the errors.
type Step = fn(&Checked<'_>, &mut Vec<RegoError>);

const STEPS: &[Step] = &[
    conflicts::check,
    calls::check,
    safety::check,
    recursion::check,
    check_types,
];

/// What the checks look at.
struct Checked<'a> {
    modules: &'a [Ref<Module>],
    rules: &'a [Rule],
    documents: &'a Documents,
    /// For each body, by where it begins, the order in which its variables get their values.
    orders: RefCell<HashMap<*const Expression, Vec<usize>>>,
}

/// Checks all modules together. `generated` tells what names of variables begin with that lowering
/// has put into a file.
pub(super) fn check<'g>(
    modules: &[Ref<Module>],
    generated: impl Fn(&str) -> &'g str,
) -> Result<(), Vec<RegoError>> {
    let mut errors = Vec::new();
    for module in modules {
        syntax::check(module, &mut errors);
    }
    fail(&mut errors)?;
    let exports = lowering::exports(modules);
    let mut rules = Vec::new();
    for (index, module) in modules.iter().enumerate() {
        let generated = generated(module.package.span.source.file());
        rules.append(&mut lowering::module(
            module,
            index,
            &exports,
            generated,
            &mut errors,
        ));
    }
    fail(&mut errors)?;
    let documents = Documents::of(&rules);
    let checked = Checked {
        modules,
        rules: &rules,
        documents: &documents,
        orders: RefCell::default(),
    };
    for step in STEPS {
        step(&checked, &mut errors);
        fail(&mut errors)?;
    }
    Ok(())
}

/// Leaves types unchecked on this thread until it is dropped.
#[cfg(test)]
pub(super) struct Unchecked(());

#[cfg(test)]
impl Unchecked {
    pub(super) fn set() -> Self {
        UNCHECKED.set(true);
        Self(())
    }
}

#[cfg(test)]
impl Drop for Unchecked {
    fn drop(&mut self) {
        UNCHECKED.set(false);
    }
}

#[cfg(test)]
thread_local! {
    static UNCHECKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn check_types(checked: &Checked<'_>, errors: &mut Vec<RegoError>) {
    #[cfg(test)]
    if UNCHECKED.get() {
        return;
    }
    types::check(checked, errors);
    if errors.is_empty() {
        calls::check_deprecated(checked, errors);
    }
}

fn fail(errors: &mut Vec<RegoError>) -> Result<(), Vec<RegoError>> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(std::mem::take(errors))
}

fn error(code: &'static str, message: String, place: &Span) -> RegoError {
    RegoError {
        code,
        message,
        file: place.source.file().clone(),
        row: u64::from(place.line),
        col: u64::from(place.col),
    }
}

/// `data.a["b c"][x]` of the parts after `data`.
fn path_text(path: &[Term]) -> String {
    reference_text("data", path)
}

fn reference_text(head: &str, tail: &[Term]) -> String {
    let mut text = core::written(head).unwrap_or("__local__").to_owned();
    for part in tail {
        match part {
            Term::Constant(Constant::String(name)) => {
                let whole = super::module::reference([name].into_iter());
                let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
                match whole.strip_prefix("data") {
                    Some(part) if !is_number => text.push_str(part),
                    _ => text.push_str(&format!("[{name:?}]")),
                }
            }
            Term::Constant(Constant::Number(number)) => text.push_str(&format!("[{number}]")),
            Term::Constant(Constant::Bool(value)) => text.push_str(&format!("[{value}]")),
            Term::Constant(Constant::Null) => text.push_str("[null]"),
            Term::Var(var) => {
                text.push_str(&format!("[{}]", core::written(var).unwrap_or("__local__")));
            }
            _ => text.push_str("[…]"),
        }
    }
    text
}
