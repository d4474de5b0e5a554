//! Calls and `with`: functions that there are not, numbers of arguments, what can be replaced, and
//! built-ins that version 1 has no more.

use super::core::{Expression, Function, Reference, Rule, Term, What};
use super::{COMPILE, Checked, TYPE, error, signatures};
use crate::policy::rego::RegoError;
use crate::policy::rego::module::reference;

/// Built-ins that are gone in version 1.
const DEPRECATED: &[&str] = &[
    "all",
    "any",
    "cast_array",
    "cast_boolean",
    "cast_null",
    "cast_object",
    "cast_set",
    "cast_string",
    "net.cidr_overlap",
    "re_match",
    "set_diff",
];

/// The rule's number of parameters, if there is such a rule; 0 for one that is no function.
pub(super) fn arity(checked: &Checked<'_>, function: &Function) -> Option<usize> {
    match function {
        Function::Builtin(name) => Some(signatures::of(name)?.arguments.len()),
        Function::Rule(path) => {
            let node = checked.documents.find_named(path)?;
            let rule = checked.rules.get(*node.rules.first()?)?;
            rule.is_ground().then_some(rule.arguments.len())
        }
        Function::None(_) => None,
    }
}

pub(super) fn name_of(function: &Function) -> String {
    match function {
        Function::Builtin(name) | Function::None(name) => name.clone(),
        Function::Rule(path) => reference(path.iter()),
    }
}

pub(super) fn check(checked: &Checked<'_>, errors: &mut Vec<RegoError>) {
    each(checked, &mut |expression, _| {
        for (target, _) in &expression.with {
            errors.extend(check_with(checked, target, expression));
        }
    });
    if !errors.is_empty() {
        return;
    }
    each(checked, &mut |expression, _| {
        errors.extend(check_call(checked, expression));
    });
}

fn each<'a>(checked: &Checked<'a>, visit: &mut dyn FnMut(&'a Expression, &'a Rule)) {
    for rule in checked.rules {
        for expression in &rule.body {
            expression.walk(&mut |expression| visit(expression, rule));
        }
    }
}

/// Rule: a call has as many arguments as the function, or one more for its value.
fn check_call(checked: &Checked<'_>, expression: &Expression) -> Option<RegoError> {
    let What::Call(function, arguments) = &expression.what else {
        return None;
    };
    let unknown = || {
        let message = format!("undefined function {}", name_of(function));
        Some(error(TYPE, message, &expression.place))
    };
    let Some(arity) = arity(checked, function) else {
        // Built-ins without a signature were looked for when reads were found.
        return match function {
            Function::Builtin(_) => None,
            Function::Rule(_) | Function::None(_) => unknown(),
        };
    };
    let given = arguments.len();
    let fits = given == arity + 1 || (given == arity && !expression.generated);
    if fits || name_of(function) == super::core::EQ {
        return None;
    }
    let message = format!("{}: arity mismatch", name_of(function));
    Some(error(TYPE, message, &expression.place))
}

/// Rule: `with` replaces the input, base data or a whole rule, or a function.
fn check_with(checked: &Checked<'_>, target: &Term, expression: &Expression) -> Option<RegoError> {
    let wrong = || {
        let message = "with keyword target must reference existing input, data, or a function";
        Some(error(TYPE, message.to_owned(), &expression.place))
    };
    let Term::Ref(target) = target else {
        return wrong();
    };
    match &*target.head {
        "input" => None,
        "data" => check_data_target(checked, target, expression),
        _ => {
            let name = builtin_name(target);
            if !signatures::is_known(&name) {
                return wrong();
            }
            let refused = matches!(
                name.as_str(),
                "eq" | "print" | "rego.metadata.chain" | "rego.metadata.rule" | "walk"
            );
            if refused || name.starts_with("internal.") {
                let message = format!(
                    "with keyword replacing built-in function: replacement of {name:?} invalid"
                );
                return Some(error(COMPILE, message, &expression.place));
            }
            None
        }
    }
}

fn builtin_name(target: &Reference) -> String {
    let mut name = target.head.to_string();
    for part in &target.tail {
        name.push('.');
        name.push_str(part.as_string().unwrap_or_default());
    }
    name
}

fn check_data_target(
    checked: &Checked<'_>,
    target: &Reference,
    expression: &Expression,
) -> Option<RegoError> {
    let mut node = checked.documents;
    let (_, above) = target.tail.split_last()?;
    for part in above {
        let child = part.constant().and_then(|part| node.children.get(&part))?;
        if !child.rules.is_empty() {
            let message = "with keyword cannot partially replace virtual document(s)";
            return Some(error(COMPILE, message.to_owned(), &expression.place));
        }
        node = child;
    }
    None
}

/// Rule: version 1 has none of the deprecated built-ins.
pub(super) fn check_deprecated(checked: &Checked<'_>, errors: &mut Vec<RegoError>) {
    each(checked, &mut |expression, rule| {
        let is_v1 = checked
            .modules
            .get(rule.module)
            .is_some_and(|module| module.rego_v1);
        if let What::Call(Function::Builtin(name), _) = &expression.what
            && is_v1
            && DEPRECATED.contains(&name.as_str())
        {
            let message = format!("deprecated built-in function calls in expression: {name}");
            errors.push(error(TYPE, message, &expression.place));
        }
    });
}
