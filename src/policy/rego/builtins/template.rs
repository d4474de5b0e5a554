//! `strings.render_template`: Go's `text/template` over an object of variables. What a template asks
//! for that is not there is `<undefined>`. Text, nesting, steps and output are bounded.

mod functions;
mod lexer;
mod parser;
mod run;

use regorus::Value;

use super::{Answer, Builtin, Failure, any, check_size, text};

/// Longest template, in bytes.
const MAX_TEMPLATE: usize = 1 << 18;
/// Deepest nesting of actions and parentheses.
const MAX_DEPTH: usize = 64;
/// Deepest nesting of templates that call templates.
const MAX_CALLS: usize = 64;
/// Most nodes that are gone through.
const MAX_STEPS: usize = 1_000_000;
/// Longest text made, in bytes.
const MAX_TEXT: usize = 16 << 20;

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("strings.render_template", 2, render)];

fn render(arguments: &[Value]) -> Answer {
    let (template, variables) = (text(arguments, 0)?, any(arguments, 1)?);
    if template.len() > MAX_TEMPLATE {
        return Err(limit("a template of this size is refused"));
    }
    if !matches!(variables, Value::Object(_)) {
        return Err(Failure::Failed("operand 2 must be object"));
    }
    check_size(variables)?;
    check_json(variables, 0)?;
    let set = parser::parse(template)?;
    let rendered = run::run(&set, variables)?;
    // Rule: what is not there is said so in Rego's words.
    Ok(Value::from(rendered.replace("<no value>", "<undefined>")))
}

fn limit(text: &str) -> Failure {
    Failure::Limit(text.to_owned())
}

/// Rule: variables are what JSON has: no sets, and names that are strings.
fn check_json(value: &Value, depth: usize) -> Result<(), Failure> {
    if depth > MAX_DEPTH {
        return Err(limit("variables of a template nested so deep are refused"));
    }
    match value {
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_json(item, depth + 1)),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| match name {
            Value::String(_) => check_json(value, depth + 1),
            _ => Err(Failure::Failed("the variables are not JSON")),
        }),
        Value::Set(_) => Err(Failure::Failed("the variables are not JSON")),
        _ => Ok(()),
    }
}
